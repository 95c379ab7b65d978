"""A small HTTP/2 and gRPC client that may break every rule: frames are sent as they are given."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import hpack
from hyperframe.exceptions import InvalidFrameError
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
DO_PUT = "/arrow.flight.protocol.FlightService/DoPut"
DO_ACTION = "/arrow.flight.protocol.FlightService/DoAction"
SERVING = bytes([8, 1])
# HTTP/2 error codes.
NO_ERROR, PROTOCOL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 8, 11


def grpc_message(payload: bytes, flag: int = 0) -> bytes:
    """A gRPC message: the prefix and the payload."""
    return struct.pack(">BI", flag, len(payload)) + payload


def raw_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of any type, valid or not."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


@dataclass
class Reply:
    """What came on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    header_blocks: int = 0
    ended: bool = False
    reset: int | None = None

    @property
    def grpc_status(self) -> int | None:
        """The status, from the trailers or a trailers-only answer."""
        text = self.trailers.get("grpc-status", self.headers.get("grpc-status"))
        return None if text is None else int(text)

    @property
    def fields(self) -> dict[str, str]:
        """Headers and trailers together."""
        return {**self.headers, **self.trailers}

    @property
    def messages(self) -> list[bytes]:
        """The complete gRPC messages."""
        rest, found = self.data, []
        while len(rest) >= 5:
            (n,) = struct.unpack(">I", rest[1:5])
            if len(rest) < 5 + n:
                break
            found.append(rest[5 : 5 + n])
            rest = rest[5 + n :]
        return found


class RawConnection:
    """A connection that has sent preface and SETTINGS, unless `greet` is False."""

    def __init__(
        self,
        host: str,
        port: int,
        settings: dict[int, int] | None = None,
        greet: bool = True,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        host = "127.0.0.1" if host == "localhost" else host
        self.socket = socket.socket(family)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(10)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.replies: dict[int, Reply] = {}
        self.settings: dict[int, int] = {}
        self.settings_acks = 0
        self.pings: list[bytes] = []
        self.goaways: list[GoAwayFrame] = []
        self.window_updates: list[WindowUpdateFrame] = []
        self.closed = False
        self.gives_credit = True
        self._rest = b""
        self._next_stream = 1
        if greet:
            self.send(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()

    def send(self, *parts: bytes | Frame) -> bool:
        """Sends frames or bytes; False when the server has closed the connection."""
        data = b"".join(p.serialize() if isinstance(p, Frame) else p for p in parts)
        try:
            self.socket.sendall(data)
        except (ConnectionError, TimeoutError):
            self.closed = True
        return not self.closed

    def next_stream(self) -> int:
        """An unused stream id."""
        stream = self._next_stream
        self._next_stream += 2
        return stream

    def request_block(
        self, path: str, extra: Iterable[tuple[str, str]] = (), method: str = "POST"
    ) -> bytes:
        """The header block of a gRPC request."""
        fields = {
            ":method": method,
            ":scheme": "http",
            ":path": path,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
        }
        fields.update(extra)
        return self.encoder.encode([(k, v) for k, v in fields.items() if v is not None])

    def start(
        self,
        path: str,
        body: bytes = b"",
        extra: Iterable[tuple[str, str]] = (),
        end: bool = True,
        method: str = "POST",
    ) -> int:
        """Begins a call, with END_STREAM if `end`. Returns its stream."""
        stream = self.next_stream()
        block = self.request_block(path, extra, method)
        headers = HeadersFrame(stream, block, flags=["END_HEADERS"])
        if body:
            data = DataFrame(stream, body, flags=["END_STREAM"] if end else [])
            self.send(headers, data)
        else:
            if end:
                headers.flags.add("END_STREAM")
            self.send(headers)
        return stream

    def call(self, path: str, body: bytes = b"", **how: object) -> Reply:
        """Makes a call and waits for its end."""
        return self.wait(self.start(path, body, **how))  # type: ignore[arg-type]

    def reply(self, stream: int) -> Reply:
        """What has come on a stream so far."""
        return self.replies.setdefault(stream, Reply())

    def wait(self, stream: int, timeout_s: float = 10.0) -> Reply:
        """Waits until a stream has ended or was reset, or the connection is closed."""
        self.run_until(
            lambda: self.reply(stream).ended or self.reply(stream).reset is not None, timeout_s
        )
        return self.reply(stream)

    def run_until(self, condition: object, timeout_s: float = 10.0) -> bool:
        """Receives until condition() holds; False after the time or when the connection ends."""
        deadline = time.monotonic() + timeout_s
        while not condition():  # type: ignore[operator]
            left = deadline - time.monotonic()
            if self.closed or left <= 0:
                return bool(condition())  # type: ignore[operator]
            self._receive(left)
        return True

    def run(self, seconds: float) -> None:
        """Receives for some time."""
        self.run_until(lambda: False, seconds)

    def wait_closed(self, timeout_s: float = 10.0) -> bool:
        """Whether the server closes the connection in time."""
        return self.run_until(lambda: self.closed, timeout_s)

    def _receive(self, timeout_s: float) -> None:
        self.socket.settimeout(max(timeout_s, 0.001))
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            return
        except ConnectionError:
            data = b""
        finally:
            self.socket.settimeout(10)
        if not data:
            self.closed = True
            return
        self._rest += data
        while len(self._rest) >= 9:
            try:
                frame, length = Frame.parse_frame_header(memoryview(self._rest[:9]))
            except InvalidFrameError:
                self.closed = True
                return
            if len(self._rest) < 9 + length:
                return
            frame.parse_body(memoryview(self._rest[9 : 9 + length]))
            self._rest = self._rest[9 + length :]
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame):
            fields = {str(k): str(v) for k, v in self._decode(frame.data)}
            reply = self.reply(frame.stream_id)
            (reply.trailers if reply.header_blocks else reply.headers).update(fields)
            reply.header_blocks += 1
        elif isinstance(frame, DataFrame):
            self.reply(frame.stream_id).data += frame.data
            n = frame.flow_controlled_length
            if n and self.gives_credit:
                self.send(
                    WindowUpdateFrame(0, window_increment=n),
                    WindowUpdateFrame(frame.stream_id, window_increment=n),
                )
        elif isinstance(frame, RstStreamFrame):
            self.reply(frame.stream_id).reset = frame.error_code
        elif isinstance(frame, PingFrame) and "ACK" in frame.flags:
            self.pings.append(frame.opaque_data)
        elif isinstance(frame, PingFrame):
            self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, SettingsFrame) and "ACK" in frame.flags:
            self.settings_acks += 1
        elif isinstance(frame, SettingsFrame):
            self.settings.update(frame.settings)
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append(frame)
        elif isinstance(frame, WindowUpdateFrame):
            self.window_updates.append(frame)
        if "END_STREAM" in frame.flags:
            self.reply(frame.stream_id).ended = True

    def _decode(self, block: bytes) -> list[tuple[str, str]]:
        return self.decoder.decode(block)
