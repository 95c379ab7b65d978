"""Errors of the server as Python classes: each is a RemoteArrowError and what pyarrow raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight


class RemoteArrowError(Exception):
    """Root of all errors that the server told.

    `reason` is one of the published list in docs/errors.md, `flight` the id of the Flight at
    fault or None, `retryable` whether the same request may succeed later, `details` all of what
    the server told beside the message.
    """

    reason: str = "INTERNAL"
    flight: int | None = None
    retryable: bool = False
    request_id: str | None = None
    details: Mapping[str, Any] = MappingProxyType({})


class FlightNotFound(RemoteArrowError, pa.ArrowKeyError):
    """No Flight has that id, name or version, or it was deleted. Also a KeyError."""


class FlightExists(RemoteArrowError, pa.ArrowException):
    """The name is taken."""


class Conflict(RemoteArrowError, flight.FlightInternalError):
    """`if_version` is not the newest version."""


class ResourceExhausted(RemoteArrowError, pa.ArrowException):
    """A limit, the memory budget or the disk of the server is reached."""


class ServerUnavailable(RemoteArrowError, flight.FlightUnavailableError):
    """The server cannot be reached or is shutting down."""


class Unauthenticated(RemoteArrowError, flight.FlightUnauthenticatedError):
    """The server wants a token, or another one."""


class NotPermitted(RemoteArrowError, flight.FlightUnauthorizedError):
    """Not allowed for this peer, or on a server that is read-only."""


class Cancelled(RemoteArrowError, pa.ArrowCancelled):
    """The call was cancelled."""


class DownloadTooLarge(RemoteArrowError, ValueError):
    """An attribute would download more than `options.max_implicit_download`; the message names
    the explicit read.
    """

    reason = "LIMIT"


_BY_REASON: dict[str, type[RemoteArrowError]] = {
    "FLIGHT_NOT_FOUND": FlightNotFound,
    "FLIGHT_DELETED": FlightNotFound,
    "FLIGHT_EXISTS": FlightExists,
    "VERSION_CONFLICT": Conflict,
    "UNAVAILABLE": ServerUnavailable,
    "CANCELLED": Cancelled,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": NotPermitted,
    "READ_ONLY": NotPermitted,
}
# What pyarrow puts before the server's words, and behind them.
_PYARROW_BEFORE = re.compile(r"(Unknown: )?(Flight|gRPC) returned [a-z ]+ error, with message: ")
_PYARROW_BEHIND = ". gRPC client debug context"
_EXHAUSTED = ("MESSAGE_TOO_LARGE", "OUT_OF_MEMORY", "DISK_FULL", "LIMIT")
_MIXED: dict[tuple[type, type], type[RemoteArrowError]] = {}


def _both(base: type[RemoteArrowError], local: type[Exception]) -> type[RemoteArrowError]:
    """The class that is both; made once, so that errors of one kind have one class."""
    if issubclass(base, local):
        return base
    if (base, local) not in _MIXED:
        name = base.__name__ if base is not RemoteArrowError else f"Remote{local.__name__}"
        try:
            _MIXED[base, local] = type(name, (base, local), {"__module__": __name__})
        except TypeError:  # their order or layout cannot be combined
            _MIXED[base, local] = base
    return _MIXED[base, local]


def translate(error: Exception, told: dict[str, Any], url: str) -> Exception:
    """The error to raise for one that pyarrow raised; `told` is the trailer remote-arrow-error of
    the server at `url`.
    """
    if isinstance(error, RemoteArrowError):
        return error  # of a call within this one
    reason = told.get("reason", "")
    words = _PYARROW_BEFORE.sub("", str(error).partition(_PYARROW_BEHIND)[0], count=1)
    if not reason:
        if isinstance(error, flight.FlightUnavailableError):
            reason, words = "UNAVAILABLE", f"cannot reach {url}: {words}"
        elif isinstance(error, flight.FlightTimedOutError):
            reason, words = "DEADLINE", f"{url} did not answer in time"
        else:
            return error
    base = _BY_REASON.get(reason, RemoteArrowError)
    if reason in _EXHAUSTED:
        base = ResourceExhausted
    made = _both(base, type(error))(words)
    made.reason = reason
    made.flight = told.get("flight")
    made.retryable = told.get("retryable", reason in ("UNAVAILABLE", "DEADLINE"))
    made.details = told
    return made


def not_found(message: str, flight_id: int) -> FlightNotFound:
    """The error for a Flight that the client itself found gone."""
    made = FlightNotFound(message)
    made.reason = "FLIGHT_NOT_FOUND"
    made.flight = flight_id
    return made
