"""The calls of Arrow Flight, with errors translated and reads tried again."""

from __future__ import annotations

import copy
import json
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.closing import Closing
from remote_arrow.errors import translate
from remote_arrow.line import Line, Told
from remote_arrow.waiting import cancellable, interruptible

DEFAULT_TIMEOUT_S = 30.0
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.1
_SILENCE_S = 30.0  # that ends a connection when there is no timeout
_STREAM_ROWS = 1 << 18  # of an argument's batches
_LONG_ACTIONS = ("equals", "export", "save")
T = TypeVar("T")


class Exchange(Closing):
    """A command run by DoExchange: unlike a DoGet it can be cancelled before its answer comes."""

    def __init__(
        self, client: flight.FlightClient, command: bytes, options: flight.FlightCallOptions
    ) -> None:
        descriptor = flight.FlightDescriptor.for_command(command)
        self._writer, self.reader = client.do_exchange(descriptor, options)

    def send(self, argument: pa.ChunkedArray) -> None:
        """Sends the command's streamed argument."""
        table = pa.table({"": argument})
        with cancellable(self.reader.cancel):
            self._writer.begin(table.schema)
            for batch in table.to_batches(max_chunksize=_STREAM_ROWS):
                self._writer.write_batch(batch)

    def about(self) -> dict[str, Any]:
        """Waits for the answer: the Flight's JSON, {} of an unpublished one. The rows follow."""
        with cancellable(self.reader.cancel):
            self._writer.done_writing()
            told = self.reader.read_chunk().app_metadata.to_pybytes()
        about: dict[str, Any] = json.loads(told)
        return about

    def end(self) -> None:
        """After the last row: raises what the call ended with."""
        self._writer.close()

    def close(self) -> None:
        """Cancels the call unless it has ended."""
        self.reader.cancel()
        with suppress(pa.ArrowException, flight.FlightError):
            self._writer.close()


_by_url: weakref.WeakValueDictionary[str, Calls] = weakref.WeakValueDictionary()


def remember(calls: Calls) -> None:
    """From now on handles that are unpickled use this connection, if they are of its server."""
    _by_url[calls.url] = calls


def calls_of(url: str) -> Calls:
    """The calls of an open connection of this process to `url`, else of a new one, whose token is
    that of the environment.
    """
    calls = _by_url.get(url)
    if calls is None or calls.is_closed:
        calls = Calls(url, DEFAULT_TIMEOUT_S, os.environ.get("REMOTE_ARROW_TOKEN"))
        remember(calls)
    return calls


class Calls:
    """A Flight client of one server.

    `timeout_s` bounds every call but downloads and uploads, and how long the server's machine may
    be silent in the middle of those.
    `caller` names who makes Flights by these calls; None: the address does.
    """

    def __init__(
        self, url: str, timeout_s: float | None, token: str | None, caller: str | None = None
    ) -> None:
        self.url = url
        self.told = Told()
        self._line = Line(url, self.told, _SILENCE_S if timeout_s is None else timeout_s)
        self._headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.timeout_s = timeout_s
        self._stream_timeout_s: float | None = None
        self._n_attempts = _ATTEMPTS
        if caller is not None:
            self._headers.append((b"remote-arrow-client", caller.encode()))
        self._set_options()

    def _set_options(self) -> None:
        self._bounded = flight.FlightCallOptions(timeout=self.timeout_s, headers=self._headers)
        self._unbounded = flight.FlightCallOptions(
            timeout=self._stream_timeout_s, headers=self._headers
        )

    def hurried(self, timeout_s: float) -> Calls:
        """The same connection, every call tried once and bounded, downloads too."""
        calls = copy.copy(self)
        calls.timeout_s = calls._stream_timeout_s = timeout_s
        calls._n_attempts = 1
        calls._set_options()
        return calls

    def of_caller(self, caller: str) -> Calls:
        """Calls of the same server with the same token, in another name."""
        calls = Calls(self.url, self.timeout_s, None, caller)
        calls._headers = [*self._headers, *calls._headers]
        calls._set_options()
        return calls

    @property
    def client(self) -> flight.FlightClient:
        """The client of this process. ArrowInvalid when the connection was closed."""
        return self._line.client

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._line.is_closed

    def close(self) -> None:
        """Closes the connection."""
        self._line.close()

    def get(self, ticket: flight.Ticket) -> flight.FlightStreamReader:
        """A reader of what the ticket gives."""
        return self.client.do_get(ticket, self.options(bounded=False))

    def exchange(self, command: bytes, bounded: bool) -> Exchange:
        """A command's exchange, which runs from now on."""
        return Exchange(self.client, command, self.options(bounded))

    def options(self, bounded: bool = True) -> flight.FlightCallOptions:
        """Options of a call: the token, and the timeout when it is `bounded`."""
        return self._bounded if bounded else self._unbounded

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises the package's classes for what pyarrow raises inside."""
        self.told.error = {}
        try:
            yield
        except Exception as error:
            better = translate(error, self.told.error, self.url)
            if better is error:
                raise
            raise better from None

    def read(self, call: Callable[[], T]) -> T:
        """Runs a call that changes nothing; while the server is away, again for some seconds."""
        for attempt in range(self._n_attempts):
            try:
                with self.translated():
                    return call()
            except flight.FlightUnavailableError:
                if attempt == self._n_attempts - 1:
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
        sent = flight.Action(name, body.encode())

        def run() -> list[str]:
            with self.translated():
                results = list(self.client.do_action(sent, self.options()))
            return [result.body.to_pybytes().decode() for result in results]

        return interruptible(run) if name in _LONG_ACTIONS else run()

    def info(self, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """The FlightInfo of a descriptor; a command is run first."""
        return self.read(lambda: self.client.get_flight_info(descriptor, self.options()))

    def long_run(self, command: str) -> dict[str, Any]:
        """Runs a command that publishes and may take long; the Flight's JSON.

        By an exchange, whose call can be cancelled while the server runs: of GetFlightInfo
        pyarrow gives no hold.
        """
        return interruptible(lambda: self.read(lambda: self._exchanged(command, None)))

    def run_once(self, command: str, argument: pa.ChunkedArray | None) -> dict[str, Any]:
        """The same, not tried again, perhaps with a streamed argument."""

        def run() -> dict[str, Any]:
            with self.translated():
                return self._exchanged(command, argument)

        return interruptible(run)

    def _exchanged(self, command: str, argument: pa.ChunkedArray | None) -> dict[str, Any]:
        with self.exchange(command.encode(), bounded=argument is None) as exchange:
            if argument is not None:
                exchange.send(argument)
            return exchange.about()  # the rows are not wanted
