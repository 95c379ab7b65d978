"""A client for the tests: a stock pyarrow FlightClient that also sees headers and trailers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

Json = dict[str, Any]
TIMEOUT_S = 120.0


def by_name(name: str, version: int | None = None) -> flight.FlightDescriptor:
    """PATH descriptor of a Flight by its name."""
    return flight.FlightDescriptor.for_path(name, *([] if version is None else [f"@{version}"]))


def by_id(number: int, version: int | None = None) -> flight.FlightDescriptor:
    """PATH descriptor of a Flight by its id."""
    return by_name(f"#{number}", version)


def by_command(command: Json | str) -> flight.FlightDescriptor:
    """CMD descriptor of a JSON command (dict) or a legacy command (str)."""
    return flight.FlightDescriptor.for_command(command_bytes(command))


def command_bytes(command: Json | str) -> bytes:
    """A command as it goes over the wire."""
    return (command if isinstance(command, str) else json.dumps(command)).encode()


def arrow_argument(column: pa.Array | pa.ChunkedArray) -> Json:
    """An array argument of a JSON command, as base64 of an IPC stream of one column."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    table = pa.table([column], names=[""])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"arrow": base64.b64encode(sink.getvalue()).decode()}


class Trailers(flight.ClientMiddlewareFactory):
    """Remembers the headers and trailers of the latest call."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[str, str] = {}

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware:
        self.latest = {}
        return _TrailersOfCall(self)


class _TrailersOfCall(flight.ClientMiddleware):
    def __init__(self, factory: Trailers) -> None:
        super().__init__()
        self.factory = factory

    def received_headers(self, headers: Mapping[str, Sequence[str | bytes]]) -> None:
        for name, values in headers.items():
            value = values[-1]
            self.factory.latest[name] = value if isinstance(value, str) else value.decode("latin-1")


class Remote:
    """A connection to a server.

    Tables go in and out whole; `trailers` holds what came with the latest call, and `error` the
    JSON that the server sent with the latest failed one.
    """

    def __init__(self, uri: str, token: str | None = None, **options: object) -> None:
        self._trailers = Trailers()
        self.client = flight.FlightClient(uri, middleware=[self._trailers], **options)
        self.headers = [(b"authorization", f"Bearer {token}".encode())] if token else []

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    @property
    def trailers(self) -> dict[str, str]:
        """Headers and trailers of the latest call."""
        return self._trailers.latest

    @property
    def error(self) -> Json:
        """The trailer remote-arrow-error of the latest call; empty when there was none."""
        return json.loads(self.trailers.get("remote-arrow-error", "{}"))

    def options(self, headers: Mapping[str, str] | None = None) -> flight.FlightCallOptions:
        """Call options with a timeout, the token and extra headers."""
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        return flight.FlightCallOptions(timeout=TIMEOUT_S, headers=[*self.headers, *extra])

    def put(
        self,
        descriptor: flight.FlightDescriptor,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch | tuple[pa.RecordBatch, bytes]],
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """DoPut of batches, each with or without app_metadata; the new Flight's JSON."""
        writer, _ = self.client.do_put(descriptor, schema, options=self.options(headers))
        try:
            for item in batches:
                if isinstance(item, tuple):
                    writer.write_with_metadata(*item)
                else:
                    writer.write_batch(item)
        finally:
            writer.close()
        return json.loads(self.trailers["remote-arrow-flight"])

    def begin_upload(self, name: str, batch: pa.RecordBatch) -> flight.FlightStreamWriter:
        """DoPut of a first batch, which the server has taken; the caller goes on, or closes it."""
        writer, answers = self.client.do_put(by_name(name), batch.schema, options=self.options())
        writer.write_with_metadata(batch, b"is acknowledged")
        assert answers.read() is not None
        return writer

    def upload(self, table: pa.Table, name: str | None = None, **options: object) -> Json:
        """DoPut of a table in its own batches; options such as if_exists; the Flight's JSON."""
        if options or name is None:
            put = {**({} if name is None else {"name": name}), **options}
            descriptor = by_command({"put": put})
        else:
            descriptor = by_name(name)
        return self.put(descriptor, table.schema, table.to_batches())

    def info(self, descriptor: flight.FlightDescriptor | Json | str) -> flight.FlightInfo:
        """GetFlightInfo of a descriptor, or of a command."""
        if not isinstance(descriptor, flight.FlightDescriptor):
            descriptor = by_command(descriptor)
        return self.client.get_flight_info(descriptor, self.options())

    def about(self, descriptor: flight.FlightDescriptor | Json | str) -> Json:
        """FlightInfo.app_metadata of a descriptor, or of a command."""
        return json.loads(self.info(descriptor).app_metadata)

    def reader(
        self, what: flight.FlightInfo | flight.FlightDescriptor | bytes | Json | str | int
    ) -> flight.FlightStreamReader:
        """DoGet of an info, ticket bytes, a command, or the newest version of an id or descriptor.

        A command goes as the ticket itself: one round trip.
        """
        if isinstance(what, int):
            what = by_id(what)
        if isinstance(what, flight.FlightDescriptor):
            what = self.info(what)
        if isinstance(what, flight.FlightInfo):
            ticket = what.endpoints[0].ticket
        elif isinstance(what, bytes):
            ticket = flight.Ticket(what)
        else:
            ticket = flight.Ticket(command_bytes(what))
        return self.client.do_get(ticket, self.options())

    def get(
        self, what: flight.FlightInfo | flight.FlightDescriptor | bytes | Json | str | int
    ) -> pa.Table:
        """The whole table of `reader(what)`."""
        return self.reader(what).read_all()

    def batches(
        self, what: flight.FlightInfo | flight.FlightDescriptor | bytes | Json | str | int
    ) -> list[tuple[pa.RecordBatch, bytes | None]]:
        """The record batches of `reader(what)` as they came, each with its app_metadata."""
        return [
            (chunk.data, None if chunk.app_metadata is None else chunk.app_metadata.to_pybytes())
            for chunk in self.reader(what)
        ]

    def flights(self, **criteria: object) -> list[flight.FlightInfo]:
        """ListFlights; without criteria everything, tombstones included."""
        body = json.dumps(criteria).encode() if criteria else b""
        return list(self.client.list_flights(body, self.options()))

    def action_bytes(self, name: str, body: bytes = b"") -> list[bytes]:
        """The result bodies of an action with a body of bytes."""
        results = self.client.do_action(flight.Action(name, body), self.options())
        return [result.body.to_pybytes() for result in results]

    def action(self, name: str, /, **arguments: object) -> Json:
        """The one JSON answer of an action with JSON arguments."""
        [answer] = self.action_bytes(name, json.dumps(arguments).encode() if arguments else b"")
        return json.loads(answer)
