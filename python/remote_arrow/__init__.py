"""Tables on a Remote Arrow server, used as if they were local.

import remote_arrow as ra

con = ra.connect("grpc://localhost:5005")
ds = con.upload("taxi.parquet", name="taxi")
top = ds.sort_by([("fare", "descending")]).slice(0, 10)   # two Flights, nothing downloaded
top.to_table()
"""

from typing import TYPE_CHECKING, Any

import remote_arrow.interrupts  # noqa: F401 - first: it sees to Ctrl-C while the rest loads
from remote_arrow.connection import Connection, connect
from remote_arrow.errors import (
    Cancelled,
    Conflict,
    DownloadTooLarge,
    FlightExists,
    FlightNotFound,
    NotPermitted,
    RemoteArrowError,
    ResourceExhausted,
    ServerUnavailable,
    Unauthenticated,
)
from remote_arrow.options import Options, options
from remote_arrow.pipeline import Planned
from remote_arrow.progress import Progress
from remote_arrow.scratch import Scratch
from remote_arrow.serve import LocalServer, serve
from remote_arrow.table import RemoteTable, concat_tables

if TYPE_CHECKING:
    from remote_arrow import aio

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "Conflict",
    "Connection",
    "DownloadTooLarge",
    "FlightExists",
    "FlightNotFound",
    "LocalServer",
    "NotPermitted",
    "Progress",
    "Options",
    "Planned",
    "RemoteArrowError",
    "RemoteTable",
    "ResourceExhausted",
    "Scratch",
    "ServerUnavailable",
    "Unauthenticated",
    "aio",
    "concat_tables",
    "connect",
    "options",
    "serve",
]


def __getattr__(name: str) -> Any:
    """`aio` is loaded when it is first asked for: asyncio takes time and memory."""
    if name == "aio":
        from importlib import import_module

        return import_module("remote_arrow.aio")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
