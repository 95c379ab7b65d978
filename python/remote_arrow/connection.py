"""connect() and Connection: the Flights of one server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Unpack
from urllib.parse import urlsplit

import pyarrow.flight as flight

from remote_arrow.calls import Calls, remember
from remote_arrow.closing import Closing
from remote_arrow.errors import FlightNotFound
from remote_arrow.listing import Flights
from remote_arrow.progress import Watcher
from remote_arrow.sources import SourceOptions
from remote_arrow.table import RemoteTable, uploaded
from remote_arrow.upload import IfExists
from remote_arrow.waiting import interruptible

if TYPE_CHECKING:
    from remote_arrow.scratch import Scratch

_DEFAULT_PORT = 5005
_DEFAULT_URL = f"grpc://localhost:{_DEFAULT_PORT}"
_WITH_PORT = ("grpc", "grpc+tcp", "grpc+tls")


def connect(
    url: str | None = None, *, timeout: float | None = 30.0, token: str | None = None
) -> Connection:
    """A connection to a server; `url` defaults to REMOTE_ARROW_URL, then to localhost:5005.

    `url` is HOST, HOST:PORT, grpc://HOST:PORT or grpc+unix://PATH; ValueError for others.
    `timeout` in seconds bounds each call but uploads and downloads; None: no bound. Those end with
    ServerUnavailable when the server's machine is silent for so long (None: 30 s). `token` defaults
    to REMOTE_ARROW_TOKEN. Raises ServerUnavailable when the server does not answer.
    """
    token = token or os.environ.get("REMOTE_ARROW_TOKEN")
    url = url or os.environ.get("REMOTE_ARROW_URL") or _DEFAULT_URL
    con = Connection(_address(url), timeout, token)
    con.server_info()
    remember(con._calls)
    return con


def _address(url: str) -> str:
    """The URL with its scheme and port."""
    full = url if "://" in url else f"grpc://{url}"
    try:
        parts = urlsplit(full)
        if parts.scheme == "grpc+unix" and parts.path:
            return full
        if parts.scheme in _WITH_PORT and parts.hostname and parts.path in ("", "/"):
            return full if parts.port is not None else f"{full.rstrip('/:')}:{_DEFAULT_PORT}"
    except ValueError:  # the port is no number
        pass
    raise ValueError(f"{url!r} names no server: grpc://HOST:PORT and grpc+unix://PATH do")


class Connection(Closing):
    """One client's view of a server. A context manager; Flights stay when it is closed.

    `con["rides"]` and `con[3]` are handles, `"rides" in con` tells whether there is one, and
    iterating gives all. Pickles to its address, without a token: where it is unpickled
    REMOTE_ARROW_TOKEN counts.
    """

    def __init__(self, url: str, timeout: float | None, token: str | None) -> None:
        self.url = url
        self._calls = Calls(url, timeout, token)

    def __repr__(self) -> str:
        return f"<Connection {self.url}>"

    def close(self) -> None:
        """Closes the connection."""
        self._calls.close()

    def server_info(self) -> dict[str, Any]:
        """Version, limits, what the store holds, features."""
        return self._calls.read(lambda: self._calls.action("server-info", {})[0])

    def scratch(self) -> Scratch:
        """A connection for a `with` block, whose results are deleted at its end.

        >>> with con.scratch() as session:
        ...     session["rides"].sort_by("fare").slice(0, 1).to_pylist()
        [{'fare': 3.0, 'zone': 'B'}]
        >>> [(ds.id, ds.name) for ds in con.flights()]
        [(0, 'rides')]
        """
        from remote_arrow.scratch import Scratch

        return Scratch(self._calls)

    def flights(
        self,
        *,
        name: str | None = None,
        kind: Literal["dataset", "result"] | None = None,
        mine: bool = False,
    ) -> list[RemoteTable]:
        """The live Flights in id order; in `name`, `*` stands for any characters."""
        asked: dict[str, Any] = {"deleted": False}
        if name is not None:
            asked["name"] = name
        if kind is not None:
            asked["kind"] = kind
        if mine:
            asked["mine"] = True
        criteria = json.dumps(asked).encode()
        calls = self._calls
        infos = calls.read(lambda: list(calls.client.list_flights(criteria, calls.options())))
        return Flights(RemoteTable(calls, info) for info in infos)

    list = flights

    def __getitem__(self, key: int | str) -> RemoteTable:
        return self.dataset(key)

    def __contains__(self, key: int | str) -> bool:
        try:
            self.dataset(key)
        except FlightNotFound:
            return False
        return True

    def __iter__(self) -> Iterator[RemoteTable]:
        return iter(self.flights())

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.url, self._calls.timeout_s)

    def dataset(self, key: int | str, *, version: int | None = None) -> RemoteTable:
        """A Flight by id or name, its newest version or the given one. FlightNotFound."""
        if not isinstance(key, int | str):
            raise TypeError(f"a Flight is asked for by name or id, not by {type(key).__name__}")
        path = [f"#{key}" if isinstance(key, int) else key]
        if version is not None:
            path.append(f"@{version}")
        return RemoteTable(self._calls, self._calls.info(flight.FlightDescriptor.for_path(*path)))

    def wait(self, key: int | str, *, timeout: float = 60.0) -> RemoteTable:
        """Waits until there is such a Flight. TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.dataset(key)
            except FlightNotFound:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no Flight {key!r} in {timeout} seconds") from None
            time.sleep(0.1)

    def watch(self, name: str = "*", *, after: int | None = None) -> Iterator[dict[str, Any]]:
        """Events of Flights whose name matches, as docs/actions.md shows them; endless."""
        body = {"name": name} | ({} if after is None else {"after": after})
        sent = flight.Action("watch", json.dumps(body).encode())
        with self._calls.translated():
            results = self._calls.client.do_action(sent, self._calls.options(bounded=False))

        def wait_for_next() -> Any:
            with self._calls.translated():
                return next(results, None)

        while (result := interruptible(wait_for_next)) is not None:
            yield json.loads(result.body.to_pybytes())

    def upload(
        self,
        source: Any,
        name: str | None = None,
        *,
        if_exists: IfExists = "error",
        progress: bool | Watcher | None = None,
        **options: Unpack[SourceOptions],
    ) -> RemoteTable:
        """Uploads a table; on return it is on the server's disk.

        `source`: path, pattern or URL of CSV, Parquet, Arrow or Feather files, a pandas DataFrame,
        anything with `__arrow_c_stream__` (pyarrow Table, RecordBatchReader, polars DataFrame), a
        pyarrow Dataset, or an iterator of such things, whose rows follow each other. `options`:
        see SourceOptions. `progress`: a callable gets a Progress after each batch; True draws a
        bar, None one on a terminal after a second. Raises FlightExists when the name is taken and
        `if_exists` is "error". A source that fails leaves nothing on the server.
        The handle is on the version made, or on the newest when that one is not kept any more.
        """
        return uploaded(self._calls, source, name, if_exists, progress=progress, options=options)


def _unpickled(url: str, timeout: float | None) -> Connection:
    return Connection(url, timeout, os.environ.get("REMOTE_ARROW_TOKEN"))
