"""The gRPC client of a connection: what its calls are told, and what becomes of it in a fork."""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

_GRPC_THREADS = ("event_engine", "grpc_global_tim", "grpc_shutdown", "lifeguard")
_TASKS = Path("/proc/self/task")
_GRPC_END_S = 1.0  # they end some milliseconds after the last client


class Told(threading.local):
    """Trailers of this thread's last call: what became of the Flight, and what was wrong."""

    def __init__(self) -> None:
        self.flight: dict[str, Any] = {}
        self.error: dict[str, Any] = {}


class _Call(flight.ClientMiddleware):
    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told

    def received_headers(self, headers: Mapping[str, Sequence[str | bytes]]) -> None:
        for value in headers.get("remote-arrow-flight", ()):
            self._told.flight = json.loads(value)
        for value in headers.get("remote-arrow-error", ()):
            self._told.error = json.loads(value)


class _Watch(flight.ClientMiddlewareFactory):
    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware:
        return _Call(self._told)


def _keepalive(silence_s: float) -> list[tuple[str, int]]:
    """Channel options by which a call ends with UNAVAILABLE when the server's machine is silent.

    gRPC asks it after half of the time and waits for the other half. Without that a download whose
    server is cut off would wait for ever.
    """
    half_ms = max(500, int(silence_s * 500))
    return [
        ("grpc.keepalive_time_ms", half_ms),
        ("grpc.keepalive_timeout_ms", half_ms),
        ("grpc.http2.max_pings_without_data", 0),
    ]


class Line:
    """The Flight client of a process; a child process after a fork gets its own. A server that is
    silent for `silence_s` in the middle of a call is UNAVAILABLE.

    gRPC does not work in a child that was forked while its parent used it. So no client is kept
    over a fork: the parent's next call connects again, in a millisecond. A child that was forked
    in the middle of a call or an open read would wait for ever; there a call raises.
    """

    lines: weakref.WeakSet[Line] = weakref.WeakSet()
    has_connected = False  # since the last fork
    is_forked_in_use = False

    def __init__(self, url: str, told: Told, silence_s: float) -> None:
        self._url = url
        self._silence_s = silence_s
        self._told = told
        self._client: flight.FlightClient | None = None
        self.is_closed = False
        Line.lines.add(self)

    @property
    def client(self) -> flight.FlightClient:
        if self._client is not None:
            return self._client
        if self.is_closed:
            raise pa.ArrowInvalid(f"the connection to {self._url} is closed")
        if Line.is_forked_in_use:
            raise RuntimeError("this process was forked during a call or an open read: use spawn")
        client = flight.FlightClient(
            self._url,
            middleware=[_Watch(self._told)],
            generic_options=_keepalive(self._silence_s),
        )
        Line.has_connected = True
        self._client = client
        return client

    def drop(self) -> None:
        self._client = None

    def close(self) -> None:
        self.is_closed = True
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @staticmethod
    def before_fork() -> None:
        before = set(_TASKS.glob("*"))
        for line in list(Line.lines):
            line.drop()
        deadline = time.monotonic() + (_GRPC_END_S if Line.has_connected else 0)
        while (threads := _new_or_of_grpc(before)) and time.monotonic() < deadline:
            time.sleep(0.001)
        Line.has_connected = False
        Line.is_forked_in_use = any(name in _GRPC_THREADS for name in threads)

    @staticmethod
    def after_fork_in_parent() -> None:
        Line.is_forked_in_use = False


def _new_or_of_grpc(before: set[Path]) -> list[str]:
    """Names of the threads of gRPC, whoever uses it, and of threads that were not there before:
    one that has just begun has no name of its own yet. Off Linux nobody knows.
    """
    names = []
    for task in _TASKS.glob("*"):
        try:
            name = (task / "comm").read_text().rstrip()
        except OSError:
            name = "ended"  # just now, and it may have started another before
        if name in ("ended", *_GRPC_THREADS) or task not in before:
            names.append(name)
    return names


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=Line.before_fork, after_in_parent=Line.after_fork_in_parent)
