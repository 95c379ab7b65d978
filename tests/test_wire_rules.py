"""HTTP/2 and gRPC as a client sees them, frame by frame (protocol.md, G-1 … G-36)."""

from __future__ import annotations

import base64
import json
import signal
import socket
import struct
import time
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from conftest import MakeServer
from raw_http2 import (
    DO_PUT,
    HEALTH_CHECK,
    HEALTH_WATCH,
    NO_ERROR,
    PREFACE,
    REFLECTION,
    SERVING,
    RawConnection,
    grpc_message,
    raw_frame,
)
from serving import Server

EMPTY = grpc_message(b"")


@pytest.fixture
def raw(server: Server) -> Iterator[RawConnection]:
    """A raw connection to the session's server."""
    with RawConnection(server.host, server.port) as connection:
        yield connection


def file_question(name: str) -> bytes:
    """A reflection request for a file."""
    return grpc_message(bytes([3 << 3 | 2, len(name)]) + name.encode())


def test_an_answer_is_headers_messages_trailers(raw: RawConnection) -> None:
    reply = raw.call(HEALTH_CHECK, EMPTY)
    assert reply.headers == {":status": "200", "content-type": "application/grpc"}
    assert reply.messages == [SERVING]
    assert reply.trailers == {"grpc-status": "0"}
    assert reply.ended and reply.reset is None


def test_the_content_type_is_echoed(raw: RawConnection) -> None:
    reply = raw.call(HEALTH_CHECK, EMPTY, extra=[("content-type", "application/grpc+proto")])
    assert reply.headers["content-type"] == "application/grpc+proto"
    assert reply.grpc_status == 0


def test_te_may_be_missing(raw: RawConnection) -> None:
    assert raw.call(HEALTH_CHECK, EMPTY, extra=[("te", None)]).grpc_status == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_what_is_no_post_is_405(raw: RawConnection, method: str) -> None:
    reply = raw.call(HEALTH_CHECK, method=method)
    assert reply.headers[":status"] == "405"
    assert reply.grpc_status is None


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/grpcx", "text/plain", None]
)
def test_another_content_type_is_415(raw: RawConnection, content_type: str | None) -> None:
    reply = raw.call(HEALTH_CHECK, EMPTY, extra=[("content-type", content_type)])
    assert reply.headers[":status"] == "415"
    assert reply.grpc_status is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/grpc.health.v1.Health",
        "/grpc.health.v1.Health/check",
        "/arrow.flight.protocol.FlightService/DoNothing",
        "/x" * 1000,
        "/%00",
    ],
)
def test_an_unknown_path_is_unimplemented(raw: RawConnection, path: str) -> None:
    reply = raw.call(path, EMPTY)
    assert reply.headers[":status"] == "200"
    assert reply.grpc_status == 12
    assert reply.header_blocks == 1  # trailers-only, G-20


def test_an_error_has_status_message_and_reason(raw: RawConnection) -> None:
    reply = raw.call("/no.such/Method", EMPTY)
    assert "/no.such/Method" in unquote(reply.fields["grpc-message"])
    assert len(reply.fields["grpc-message"]) <= 1024
    error = json.loads(reply.fields["remote-arrow-error"])
    assert error["reason"] == "UNKNOWN_CALL"
    assert error["retryable"] is False
    assert reply.fields["x-arrow-status"] == "10"
    binary = reply.fields["x-arrow-status-message-bin"]
    assert "=" not in binary
    text = base64.b64decode(binary + "=" * (-len(binary) % 4)).decode()
    assert text == unquote(reply.fields["grpc-message"])
    assert "grpc-status-details-bin" not in reply.fields


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_message_may_be_cut_anywhere(raw: RawConnection, cut: int) -> None:
    body = grpc_message(b"\x0a\x00")
    stream = raw.start(HEALTH_CHECK, body[:cut], end=False)
    raw.run(0.02)
    raw.send(DataFrame(stream, body[cut:], flags=["END_STREAM"]))
    assert raw.wait(stream).messages == [SERVING]


def test_one_byte_frames_with_padding_are_a_message(raw: RawConnection) -> None:
    body = grpc_message(b"\x0a\x00")
    stream = raw.start(HEALTH_CHECK, end=False)
    for i in range(len(body)):
        raw.send(DataFrame(stream, body[i : i + 1], pad_length=200, flags=["PADDED"]))
    raw.send(DataFrame(stream, b"", flags=["END_STREAM"]))
    assert raw.wait(stream).messages == [SERVING]


def test_one_frame_may_hold_many_messages(raw: RawConnection) -> None:
    reply = raw.call(REFLECTION, file_question("Flight.proto") * 5)
    assert reply.grpc_status == 0
    assert len(reply.messages) == 5


def test_a_client_may_end_with_trailers(raw: RawConnection) -> None:
    stream = raw.start(HEALTH_CHECK, EMPTY, end=False)
    block = raw.encoder.encode([("x-checksum", "1")])
    raw.send(HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]))
    assert raw.wait(stream).grpc_status == 0


def test_a_header_block_may_be_continued(raw: RawConnection) -> None:
    raw.run_until(lambda: raw.settings)  # whose answer would stand within the block
    stream = raw.next_stream()
    block = raw.request_block(HEALTH_CHECK)
    raw.send(HeadersFrame(stream, block[:3]))
    raw.run(0.02)
    raw.send(
        ContinuationFrame(stream, block[3:10]),
        ContinuationFrame(stream, block[10:], flags=["END_HEADERS"]),
        DataFrame(stream, EMPTY, flags=["END_STREAM"]),
    )
    assert raw.wait(stream).messages == [SERVING]


@pytest.mark.parametrize(
    ("body", "extra", "status"),
    [
        pytest.param(b"\0\0\0\0\5hel", [], 13, id="truncated payload"),
        pytest.param(b"\0\0\0", [], 13, id="truncated prefix"),
        pytest.param(b"", [], 13, id="no message"),
        pytest.param(EMPTY * 2, [], None, id="two messages"),
        pytest.param(b"\0\xff\xff\xff\xff", [], 8, id="a length over the limit"),
        pytest.param(grpc_message(b"", 1), [], 13, id="compressed without encoding"),
        pytest.param(grpc_message(b"", 1), [("grpc-encoding", "identity")], 13, id="identity"),
        pytest.param(grpc_message(b"", 1), [("grpc-encoding", "gzip")], 12, id="gzip"),
        pytest.param(grpc_message(b"", 2), [], 13, id="flag 2"),
        pytest.param(grpc_message(b"\x0a\xff"), [], 3, id="broken protobuf"),
    ],
)
def test_framing_faults(raw: RawConnection, body: bytes, extra: list, status: int | None) -> None:
    reply = raw.call(HEALTH_CHECK, body, extra=extra)
    # A second message may come when the first is answered already: then that answer stands.
    assert reply.grpc_status == status or (status is None and reply.grpc_status in (0, 13))
    if status == 12:
        assert reply.fields["grpc-accept-encoding"] == "identity"
    assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0


def test_uncompressed_messages_are_taken_with_any_encoding(raw: RawConnection) -> None:
    assert raw.call(HEALTH_CHECK, EMPTY, extra=[("grpc-encoding", "gzip")]).grpc_status == 0


@pytest.mark.parametrize("timeout", ["", "1", "S", "123456789S", "1x", "-1S", "1.0S", "1s"])
def test_a_malformed_timeout_is_internal(raw: RawConnection, timeout: str) -> None:
    assert raw.call(HEALTH_CHECK, EMPTY, extra=[("grpc-timeout", timeout)]).grpc_status == 13


@pytest.mark.parametrize("timeout", ["99999999H", "1M", "10S", "99999999m"])
def test_any_unit_of_timeout_is_taken(raw: RawConnection, timeout: str) -> None:
    assert raw.call(HEALTH_CHECK, EMPTY, extra=[("grpc-timeout", timeout)]).grpc_status == 0


def test_a_deadline_ends_the_call(raw: RawConnection) -> None:
    start = time.monotonic()
    reply = raw.call(HEALTH_WATCH, EMPTY, extra=[("grpc-timeout", "150m")])
    assert reply.grpc_status == 4
    assert 0.14 <= time.monotonic() - start < 5


def test_an_early_end_is_followed_by_a_reset_without_error(raw: RawConnection) -> None:
    stream = raw.start("/no.such/Method", EMPTY, end=False)
    reply = raw.wait(stream)
    raw.run_until(lambda: reply.reset is not None, 2)
    assert reply.grpc_status == 12
    assert reply.reset == NO_ERROR  # G-23
    # What the client had under way is discarded, and the connection's window given back.
    for _ in range(100):
        raw.send(DataFrame(stream, bytes(16384)))
    assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0
    raw.run_until(lambda: any(w.stream_id == 0 for w in raw.window_updates[1:]), 1)
    for _ in range(1000):
        raw.send(DataFrame(stream, bytes(16384)))
    assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0


def test_a_stream_window_is_given_back(raw: RawConnection) -> None:
    stream = raw.start(REFLECTION, end=False)
    questions = file_question("no such file") * 50
    sent = 0

    def may_send() -> bool:
        given = sum(w.window_increment for w in raw.window_updates if w.stream_id == stream)
        return 65535 + given - sent >= len(questions)

    while sent < 400_000:
        assert raw.run_until(may_send, 5)
        assert raw.send(DataFrame(stream, questions))
        sent += len(questions)
        raw.run(0.001)
    raw.send(DataFrame(stream, b"", flags=["END_STREAM"]))
    reply = raw.wait(stream)
    assert reply.grpc_status == 0
    assert len(reply.messages) == 50 * sent // len(questions)


def test_settings_are_announced_and_acknowledged(raw: RawConnection) -> None:
    raw.run_until(lambda: raw.settings and raw.settings_acks)
    assert raw.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 100  # G-36
    assert raw.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 65536  # G-5
    raw.send(
        SettingsFrame(
            0,
            settings={
                SettingsFrame.HEADER_TABLE_SIZE: 0,
                SettingsFrame.ENABLE_PUSH: 0,
                0xFE03: 1,  # G-31: what gRPC C-core sends
            },
        )
    )
    assert raw.call(HEALTH_CHECK, EMPTY).messages == [SERVING]
    assert raw.settings_acks == 2


def test_a_window_may_become_negative(server: Server) -> None:
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 2000}
    with RawConnection(server.host, server.port, settings=settings) as raw:
        raw.gives_credit = False
        stream = raw.start(REFLECTION, file_question("Flight.proto"))
        raw.run_until(lambda: len(raw.reply(stream).data) == 2000, 2)
        raw.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 500}))
        raw.send(WindowUpdateFrame(stream, window_increment=1500))
        raw.run(0.1)
        assert len(raw.reply(stream).data) == 2000
        raw.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 60000}))
        assert raw.wait(stream).grpc_status == 0
        assert len(raw.reply(stream).messages) == 1


def test_a_tiny_initial_window_is_legal(server: Server) -> None:
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 1}
    with RawConnection(server.host, server.port, settings=settings) as raw:
        assert raw.call(HEALTH_CHECK, EMPTY).messages == [SERVING]
        assert not raw.goaways


def test_trailers_need_no_window(server: Server) -> None:
    with RawConnection(server.host, server.port) as raw:
        raw.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 7}))
        raw.gives_credit = False
        reply = raw.call(HEALTH_CHECK, EMPTY)
        assert reply.messages == [SERVING]
        assert reply.grpc_status == 0


def test_frames_keep_to_the_size_that_the_client_takes(server: Server) -> None:
    with RawConnection(server.host, server.port) as raw:
        # 16,384 unless the client says more; the frame parser fails on larger ones.
        reply = raw.call(REFLECTION, file_question("Flight.proto") * 20)
        assert len(reply.messages) == 20


def test_pings_are_answered_while_data_waits(raw: RawConnection) -> None:
    raw.gives_credit = False
    stream = raw.start(REFLECTION, file_question("Flight.proto") * 60)
    raw.run_until(lambda: len(raw.reply(stream).data) == 65535, 2)
    raw.send(PingFrame(0, b"\2\4\x10\x10\t\x0e\7\7"))
    assert raw.run_until(lambda: raw.pings == [b"\2\4\x10\x10\t\x0e\7\7"], 2)  # G-30
    assert not raw.reply(stream).ended


def test_too_many_streams_are_refused(raw: RawConnection) -> None:
    streams = [raw.start(DO_PUT, end=False) for _ in range(120)]
    raw.run_until(lambda: sum(raw.reply(s).reset is not None for s in streams) >= 20, 5)
    refused = [s for s in streams if raw.reply(s).reset is not None]
    assert refused == streams[100:]
    assert {raw.reply(s).reset for s in refused} == {7}  # REFUSED_STREAM


def test_a_header_list_over_the_limit_is_refused(raw: RawConnection) -> None:
    extra = [(f"x-{i}", "v" * 900) for i in range(80)]
    block = raw.request_block(HEALTH_CHECK, extra)
    stream = raw.next_stream()
    pieces = [block[i : i + 16384] for i in range(0, len(block), 16384)]
    frames = [HeadersFrame(stream, pieces[0])]
    frames += [ContinuationFrame(stream, p) for p in pieces[1:]]
    frames[-1].flags.add("END_HEADERS")
    raw.send(*frames, DataFrame(stream, EMPTY, flags=["END_STREAM"]))
    assert raw.wait(stream).grpc_status == 8
    assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0


def test_large_headers_within_the_limit_are_taken(raw: RawConnection) -> None:
    extra = [("authorization", "Bearer " + "j" * 8000), ("cookie", "c" * 4000)]
    assert raw.call(HEALTH_CHECK, EMPTY, extra=extra).grpc_status == 0


def test_health_check_and_watch(raw: RawConnection) -> None:
    def ask(service: str) -> bytes:
        return grpc_message(bytes([0x0A, len(service)]) + service.encode())

    known = ["", "arrow.flight.protocol.FlightService", "grpc.health.v1.Health"]
    for service in known:
        assert raw.call(HEALTH_CHECK, ask(service)).messages == [SERVING]
    assert raw.call(HEALTH_CHECK, ask("no.such.Service")).grpc_status == 5
    watch = raw.start(HEALTH_WATCH, ask(""))
    unknown = raw.start(HEALTH_WATCH, ask("no.such.Service"))
    raw.run_until(lambda: raw.reply(watch).messages and raw.reply(unknown).messages)
    assert raw.reply(watch).messages == [SERVING]
    assert raw.reply(unknown).messages == [bytes([8, 3])]
    assert not raw.reply(unknown).ended


def test_reflection_lists_and_describes(raw: RawConnection) -> None:
    for path in (REFLECTION, REFLECTION.replace(".v1.", ".v1alpha.")):
        reply = raw.call(path, grpc_message(b"\x3a\x01*"))
        assert b"arrow.flight.protocol.FlightService" in reply.messages[0]
        symbol = b"arrow.flight.protocol.FlightService"
        reply = raw.call(path, grpc_message(bytes([4 << 3 | 2, len(symbol)]) + symbol))
        assert b"FlightData" in reply.messages[0]
        assert b"google/protobuf/timestamp.proto" in reply.messages[0]
        reply = raw.call(path, file_question("no.proto"))
        assert b"not found" in reply.messages[0]


def test_healthz_is_plain_http(raw: RawConnection) -> None:
    reply = raw.call("/healthz", method="GET", extra=[("content-type", None), ("te", None)])
    assert reply.headers[":status"] == "200"
    assert reply.data == b"ok"
    assert reply.grpc_status is None


def test_http1_is_told_so(server: Server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = s.recv(4096)
        assert answer.startswith(b"HTTP/1.1 ")
        assert not answer.startswith(b"HTTP/1.1 5")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ],
)
def test_other_protocols_are_closed(server: Server, garbage: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        s.sendall(garbage)
        answer = s.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_a_preface_may_come_in_pieces(server: Server) -> None:
    with RawConnection(server.host, server.port, greet=False) as raw:
        for byte in PREFACE:
            raw.send(bytes([byte]))
        raw.send(SettingsFrame(0))
        assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0


def test_both_loopback_addresses_answer(server: Server) -> None:
    for host in ("127.0.0.1", "::1"):
        try:
            raw = RawConnection(host, server.port)
        except OSError:
            assert host == "::1"
            continue
        with raw:
            assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0


def test_repeated_headers_and_binary_values_are_taken(raw: RawConnection) -> None:
    block = raw.encoder.encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", HEALTH_CHECK),
            (":authority", "x"),
            ("content-type", "application/grpc"),
            ("x-a-bin", "AAEC"),
            ("x-a-bin", "AA=="),
            ("x-b-bin", "AA,AQ,Ag=="),
            ("x-c-bin", "not base64!"),
        ]
    )
    stream = raw.next_stream()
    raw.send(
        HeadersFrame(stream, block, flags=["END_HEADERS"]),
        DataFrame(stream, EMPTY, flags=["END_STREAM"]),
    )
    assert raw.wait(stream).grpc_status == 0


def test_sigterm_says_goaway_twice_and_lets_calls_end(make_server: MakeServer) -> None:
    server = make_server()
    with (
        RawConnection(server.host, server.port) as busy,
        RawConnection(server.host, server.port) as idle,
    ):
        stream = busy.start(REFLECTION, file_question("Flight.proto"), end=False)
        busy.run_until(lambda: len(busy.reply(stream).messages) == 1)
        idle.call(HEALTH_CHECK, EMPTY)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert busy.run_until(lambda: len(busy.goaways) == 2, 5)  # G-26
        assert [g.error_code for g in busy.goaways] == [NO_ERROR, NO_ERROR]
        assert busy.goaways[0].last_stream_id == 2**31 - 1
        assert busy.goaways[1].last_stream_id == stream
        assert idle.wait_closed(5)
        assert not busy.closed
        busy.send(DataFrame(stream, file_question("Flight.proto"), flags=["END_STREAM"]))
        reply = busy.wait(stream)
        assert reply.grpc_status == 0
        assert len(reply.messages) == 2
        assert busy.wait_closed(5)
    server.wait()


def test_unknown_frames_are_ignored(raw: RawConnection) -> None:
    raw.send(raw_frame(0x10, 0, 0, b"\0\0\0\1u=1"), raw_frame(0xFA, 0xFF, 1, struct.pack(">Q", 1)))
    assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0
