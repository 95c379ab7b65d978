"""Flight calls byte by byte: protobuf, FlightData and IPC metadata as they are on the wire."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
from hyperframe.frame import DataFrame, Frame, RstStreamFrame

from raw_http2 import CANCEL, RawConnection, Reply, grpc_message
from remote import Remote
from serving import Server

SERVICE = "/arrow.flight.protocol.FlightService/"
# Every method, and whether it takes a stream of messages.
METHODS = {
    "Handshake": True,
    "ListFlights": False,
    "GetFlightInfo": False,
    "PollFlightInfo": False,
    "GetSchema": False,
    "DoGet": False,
    "DoPut": True,
    "DoExchange": True,
    "DoAction": False,
    "ListActions": False,
}
UNARY = [name for name, streams in METHODS.items() if not streams]
# Protobuf wire types.
VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5
# Fields of FlightData.
DESCRIPTOR, HEADER, APP_METADATA, BODY = 1, 2, 3, 1000
# Kinds of IPC messages.
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
PATH, CMD = 1, 2
FRAME_BYTES = 16384
INITIAL_WINDOW_BYTES = 65535
TABLE = pa.table({"n": [1, 2, 3], "s": ["a", None, "c"]})


def fresh_name() -> str:
    """A name that no other test of the session's server uses."""
    return uuid.uuid4().hex


def uploaded(remote: Remote, table: pa.Table = TABLE) -> str:
    """Uploads a table under a fresh name."""
    remote.upload(table, name := fresh_name())
    return name


def varint(value: int) -> bytes:
    """An unsigned number in 7-bit groups."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def put(number: int, value: int | bytes) -> bytes:
    """One protobuf field: a number as varint, bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return varint(number << 3 | LEN) + varint(len(value)) + value


@dataclass
class Field:
    """One protobuf field as it came; `value` of a fixed type is its bytes."""

    number: int
    kind: int
    value: int | bytes


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def read_fields(message: bytes) -> list[Field]:
    """The fields of a message in their order; fails on anything that is not protobuf."""
    at, found = 0, []
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _read_varint(message, at)
            found.append(Field(tag >> 3, kind, value))
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None:
            assert kind == LEN
            size, at = _read_varint(message, at)
        assert at + size <= len(message)
        found.append(Field(tag >> 3, kind, message[at : at + size]))
        at += size
    return found


def numbers(message: bytes) -> list[int]:
    """The numbers of a message's fields in their order."""
    return [f.number for f in read_fields(message)]


def get(message: bytes, *path: int) -> bytes:
    """The bytes of a field, or of a field within it …; fails unless there is exactly one."""
    for number in path:
        [message] = [f.value for f in read_fields(message) if f.number == number]  # type: ignore[misc]
    return message


def path_of(*path: str) -> bytes:
    """A PATH descriptor."""
    return put(1, PATH) + b"".join(put(3, part.encode()) for part in path)


def command_of(command: str) -> bytes:
    """A CMD descriptor."""
    return put(1, CMD) + put(2, command.encode())


@dataclass
class Message:
    """An IPC message: the bare flatbuffer and the body."""

    header: bytes
    body: bytes = b""

    @property
    def table(self) -> Flat:
        """The flatbuffer's root."""
        return Flat.root(self.header)

    @property
    def kind(self) -> int:
        """SCHEMA, DICTIONARY or BATCH."""
        return self.table.number(1, "<B")

    @property
    def content(self) -> Flat:
        """The table of the kind: Schema, DictionaryBatch, RecordBatch."""
        return self.table.child(2)

    @property
    def batch(self) -> Flat:
        """The RecordBatch, of a dictionary too."""
        return self.content.child(1) if self.kind == DICTIONARY else self.content

    @property
    def buffers(self) -> list[tuple[int, int]]:
        """Offset and length of each buffer in the body."""
        return [struct.unpack_from("<qq", self.header, at) for at in self.batch.vector(2, 16)]


@dataclass
class Flat:
    """A table of a flatbuffer; `slot` counts the fields of its schema from 0."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> Self:
        """The root table."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def _position(self, slot: int) -> int | None:
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        if 4 + 2 * slot >= struct.unpack_from("<H", self.data, vtable)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, vtable + 4 + 2 * slot)[0]
        return self.at + offset if offset else None

    def number(self, slot: int, form: str) -> int:
        """A scalar; 0 when absent."""
        at = self._position(slot)
        return 0 if at is None else struct.unpack_from(form, self.data, at)[0]

    def has(self, slot: int) -> bool:
        """Whether the field is there."""
        return self._position(slot) is not None

    def child(self, slot: int) -> Flat:
        """A table within."""
        at = self._position(slot)
        assert at is not None
        return Flat(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def vector(self, slot: int, item_bytes: int) -> list[int]:
        """Positions of a vector's items; none when it is absent."""
        at = self._position(slot)
        if at is None:
            return []
        start = at + struct.unpack_from("<I", self.data, at)[0]
        count = struct.unpack_from("<I", self.data, start)[0]
        return [start + 4 + i * item_bytes for i in range(count)]

    def children(self, slot: int) -> list[Flat]:
        """The tables of a vector."""
        items = self.vector(slot, 4)
        return [Flat(self.data, at + struct.unpack_from("<I", self.data, at)[0]) for at in items]


def dictionary_ids(fields: list[Flat]) -> set[int]:
    """The ids of the dictionaries that fields of a schema name, nested ones too."""
    found: set[int] = set()
    for one in fields:
        if one.has(4):
            found.add(one.child(4).number(0, "<q"))
        found |= dictionary_ids(one.children(5))
    return found


def ipc_messages(
    batches: list[pa.RecordBatch], schema: pa.Schema | None = None, **options: object
) -> list[Message]:
    """What pyarrow writes for a stream: schema, dictionaries, batches."""
    sink = pa.BufferOutputStream()
    write_options = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, schema or batches[0].schema, options=write_options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data, at, found = sink.getvalue().to_pybytes(), 0, []
    while True:
        mark, size = struct.unpack_from("<Ii", data, at)
        assert mark == 0xFFFFFFFF
        if size == 0:
            return found
        header = data[at + 8 : at + 8 + size]
        body_bytes = Flat.root(header).number(3, "<q")
        at += 8 + size
        found.append(Message(header, data[at : at + body_bytes]))
        at += body_bytes


@dataclass
class FlightData:
    """A FlightData message as it came."""

    raw: bytes
    fields: list[Field] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = read_fields(self.raw)

    def value(self, number: int) -> bytes | None:
        """The bytes of a field, or None."""
        found = [f.value for f in self.fields if f.number == number]
        assert len(found) <= 1
        return found[0] if found else None  # type: ignore[return-value]

    @property
    def message(self) -> Message:
        """The IPC message; only of data that has a header."""
        header = self.value(HEADER)
        assert header
        return Message(header, self.value(BODY) or b"")


def flight_data(
    message: Message | None = None,
    descriptor: bytes | None = None,
    app_metadata: bytes | None = None,
) -> bytes:
    """FlightData as other clients write it: fields in order, a body unless it is empty."""
    out = b"" if descriptor is None else put(DESCRIPTOR, descriptor)
    if message is not None:
        out += put(HEADER, message.header)
    if app_metadata is not None:
        out += put(APP_METADATA, app_metadata)
    if message is not None and message.body:
        out += put(BODY, message.body)
    return out


class FlightConnection(RawConnection):
    """A raw connection for calls of the Flight service."""

    def __init__(self, server: Server, token: str | None = None, **how: object) -> None:
        self.largest_data_bytes = 0
        self.sent: dict[int, int] = {}
        self.headers = [("authorization", f"Bearer {token}")] if token else []
        super().__init__(server.host, server.port, **how)  # type: ignore[arg-type]

    def flight(
        self,
        method: str,
        *messages: bytes,
        end: bool = True,
        extra: Iterable[tuple[str, str]] = (),
    ) -> int:
        """Begins a call and sends its messages. Returns the stream."""
        stream = self.start(SERVICE + method, extra=[*self.headers, *extra], end=False)
        for message in messages:
            self.send_message(stream, message)
        if end:
            self.half_close(stream)
        return stream

    def ask(self, method: str, *messages: bytes, **how: object) -> Reply:
        """Makes a whole call; what came."""
        return self.wait(self.flight(method, *messages, **how), 30)  # type: ignore[arg-type]

    def send_message(self, stream: int, payload: bytes) -> None:
        """Sends one gRPC message in frames, within the window."""
        data = grpc_message(payload)
        for at in range(0, len(data), FRAME_BYTES):
            piece = data[at : at + FRAME_BYTES]
            sent = self.sent.get(stream, 0) + len(piece)
            if not self.run_until(lambda n=sent: self._may_have_sent(stream, n), 10):
                return  # answered, or not read any more
            if self.reply(stream).ended or not self.send(DataFrame(stream, piece)):
                return
            self.sent[stream] = sent

    def _may_have_sent(self, stream: int, total: int) -> bool:
        others = sum(n for other, n in self.sent.items() if other != stream)
        return self.reply(stream).ended or (
            total <= INITIAL_WINDOW_BYTES + self.credit(stream)
            and others + total <= INITIAL_WINDOW_BYTES + self.credit(0)
        )

    def credit(self, stream: int) -> int:
        """Bytes that the server has added to the window of a stream; 0 is the connection."""
        return sum(w.window_increment for w in self.window_updates if w.stream_id == stream)

    def half_close(self, stream: int) -> None:
        """Ends our side of a call."""
        self.send(DataFrame(stream, b"", flags=["END_STREAM"]))

    def cancel(self, stream: int) -> None:
        """Resets a call as gRPC clients do that give up."""
        self.send(RstStreamFrame(stream, CANCEL))

    def download(self, ticket: bytes) -> list[FlightData]:
        """The messages of a DoGet, which must end with OK."""
        reply = self.ask("DoGet", put(1, ticket))
        assert reply.grpc_status == 0, reply.fields
        return [FlightData(m) for m in reply.messages]

    def upload(self, name: str, messages: Iterable[bytes], **how: object) -> Reply:
        """DoPut of FlightData messages under a name; the first gets the descriptor."""
        messages = list(messages)
        first = put(DESCRIPTOR, path_of(name)) + messages[0]
        return self.ask("DoPut", first, *messages[1:], **how)

    def ticket(self, *path: str) -> bytes:
        """The ticket of a Flight by PATH."""
        reply = self.ask("GetFlightInfo", path_of(*path))
        assert reply.grpc_status == 0, reply.fields
        return get(reply.messages[0], 3, 1, 1)

    def actions(self) -> Iterator[tuple[str, str]]:
        """Type and description of each listed action."""
        for row in self.ask("ListActions", b"").messages:
            yield get(row, 1).decode(), get(row, 2).decode()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, DataFrame):
            self.largest_data_bytes = max(self.largest_data_bytes, len(frame.data))
        super()._take(frame)
