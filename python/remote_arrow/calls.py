"""The calls of Arrow Flight, with errors translated and reads tried again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow.flight as flight

from remote_arrow.errors import translate

_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.1
T = TypeVar("T")


class _Told(threading.local):
    """Trailers of this thread's last call: what became of the Flight, and what was wrong."""

    def __init__(self) -> None:
        self.flight: dict[str, Any] = {}
        self.error: dict[str, Any] = {}


class _Call(flight.ClientMiddleware):
    def __init__(self, told: _Told) -> None:
        super().__init__()
        self._told = told

    def received_headers(self, headers: Mapping[str, Sequence[str | bytes]]) -> None:
        for value in headers.get("remote-arrow-flight", ()):
            self._told.flight = json.loads(value)
        for value in headers.get("remote-arrow-error", ()):
            self._told.error = json.loads(value)


class _Watch(flight.ClientMiddlewareFactory):
    def __init__(self, told: _Told) -> None:
        super().__init__()
        self._told = told

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware:
        return _Call(self._told)


class Calls:
    """A Flight client of one server. `timeout_s` bounds every call but downloads and uploads."""

    def __init__(self, url: str, timeout_s: float | None, token: str | None) -> None:
        self.told = _Told()
        self.client = flight.FlightClient(url, middleware=[_Watch(self.told)])
        self._headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.timeout_s = timeout_s

    def options(self, bounded: bool = True) -> flight.FlightCallOptions:
        """Options of a call: the token, and the timeout when it is `bounded`."""
        timeout = self.timeout_s if bounded else None
        return flight.FlightCallOptions(timeout=timeout, headers=self._headers)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises the package's classes for what pyarrow raises inside."""
        self.told.error = {}
        try:
            yield
        except Exception as error:
            better = translate(error, self.told.error)
            if better is error:
                raise
            raise better from None

    def read(self, call: Callable[[], T]) -> T:
        """Runs a call that changes nothing; while the server is away, again for some seconds."""
        for attempt in range(_ATTEMPTS):
            try:
                with self.translated():
                    return call()
            except flight.FlightUnavailableError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_FIRST_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def action(self, name: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Runs an action once; its results, each a JSON object."""
        return [json.loads(text) for text in self._run_action(name, json.dumps(body))]

    def action_text(self, name: str, body: str) -> str:
        """Runs an action of older clients, with text in and out."""
        return "\n".join(self._run_action(name, body))

    def _run_action(self, name: str, body: str) -> list[str]:
        with self.translated():
            sent = flight.Action(name, body.encode())
            results = list(self.client.do_action(sent, self.options()))
        return [result.body.to_pybytes().decode() for result in results]

    def info(self, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """The FlightInfo of a descriptor; a command is run first."""
        return self.read(lambda: self.client.get_flight_info(descriptor, self.options()))
