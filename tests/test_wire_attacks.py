"""Clients that mean harm: each is shed or bounded, the others do not notice."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from raw_http2 import (
    CANCEL,
    DO_PUT,
    ENHANCE_YOUR_CALM,
    HEALTH_CHECK,
    PREFACE,
    REFLECTION,
    RawConnection,
    grpc_message,
    raw_frame,
)
from serving import Server

EMPTY = grpc_message(b"")
# What is left of an attack in the server; sanitizers and the heap's own rounding need some of it.
MEMORY_GROWTH_BYTES = 4 << 20
# A shared machine has its own pauses: what counts as noticed is more than this.
NOISE_S = 0.025


def grown_bytes(server: Server, before: int) -> int:
    """Anonymous memory more than `before`; 0 under a sanitizer, which keeps what is freed."""
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    if "libasan" in maps or "libtsan" in maps or "rt.asan" in maps:
        return 0
    return server.anonymous_bytes() - before


def call_times(server: Server, n: int) -> list[float]:
    """Seconds of n small calls on a connection of their own, sorted."""
    times = []
    with RawConnection(server.host, server.port) as raw:
        for _ in range(n):
            start = time.perf_counter()
            assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0
            times.append(time.perf_counter() - start)
    return sorted(times)


@pytest.fixture
def bystanders(server: Server) -> Iterator[Server]:
    """The server; after the test others are served as before, and no memory is kept."""
    idle = call_times(server, 50)
    before = server.anonymous_bytes()
    yield server
    after = call_times(server, 50)
    assert statistics.median(after) <= 2 * statistics.median(idle) + NOISE_S
    assert grown_bytes(server, before) <= MEMORY_GROWTH_BYTES
    assert server.is_running


def flood(server: Server, frame: Callable[[RawConnection, int], bytes], n: int) -> RawConnection:
    """Sends n frames in runs of 50, receiving in between; the connection is left as it is then."""
    raw = RawConnection(server.host, server.port)
    raw.call(HEALTH_CHECK, EMPTY)
    for i in range(0, n, 50):
        if not raw.send(b"".join(frame(raw, i + k) for k in range(50))):
            break
        raw.run(0.001)
        if raw.closed:
            break
    raw.wait_closed(3)
    return raw


def assert_shed(raw: RawConnection, text: bytes | None = None) -> None:
    """The server said ENHANCE_YOUR_CALM and closed."""
    with raw:
        assert raw.closed
        assert [g.error_code for g in raw.goaways] == [ENHANCE_YOUR_CALM]
        if text is not None:
            assert raw.goaways[0].additional_data == text


USELESS_FRAMES = {
    "ping": lambda raw, i: PingFrame(0, struct.pack(">Q", i)).serialize(),
    "settings": lambda raw, i: SettingsFrame(0).serialize(),
    "priority": lambda raw, i: PriorityFrame(7, stream_weight=i % 256).serialize(),
    "unknown": lambda raw, i: raw_frame(0x77, 0, 0, b"x"),
    "tiny window update": lambda raw, i: WindowUpdateFrame(0, window_increment=1).serialize(),
}


@pytest.mark.parametrize("kind", USELESS_FRAMES)
def test_floods_of_useless_frames(bystanders: Server, kind: str) -> None:
    assert_shed(flood(bystanders, USELESS_FRAMES[kind], 3000), b"too_many_pings")


@pytest.mark.parametrize("padding", [0, 200])
def test_empty_data_flood(bystanders: Server, padding: int) -> None:
    raw = RawConnection(bystanders.host, bystanders.port)
    stream = raw.start(DO_PUT, end=False)
    frame = DataFrame(stream, b"", pad_length=padding, flags=["PADDED"] if padding else [])
    for _ in range(60):
        raw.send(frame.serialize() * 50)
        raw.run(0.002)
        if raw.closed:
            break
    raw.wait_closed(3)
    assert_shed(raw, b"too_many_pings")


def test_pings_of_a_client_that_receives_are_welcome(bystanders: Server) -> None:
    name = b"Flight.proto"
    question = grpc_message(bytes([3 << 3 | 2, len(name)]) + name)
    with RawConnection(bystanders.host, bystanders.port) as raw:
        stream = raw.start(REFLECTION, end=False)
        for i in range(1500):
            raw.send(DataFrame(stream, question), PingFrame(0, struct.pack(">Q", i)))
            raw.run_until(lambda n=i: len(raw.pings) > n)
        assert not raw.goaways
        assert len(raw.pings) == 1500


def test_rapid_reset(bystanders: Server) -> None:
    def one(raw: RawConnection, i: int) -> bytes:
        stream = raw.next_stream()
        block = raw.request_block(DO_PUT)
        headers = HeadersFrame(stream, block, flags=["END_HEADERS"])
        return headers.serialize() + RstStreamFrame(stream, CANCEL).serialize()

    assert_shed(flood(bystanders, one, 2000))


def open_stream(raw: RawConnection, extra: tuple = ()) -> tuple[int, bytes]:
    """A stream that the server keeps open, and its HEADERS frame."""
    stream = raw.next_stream()
    block = raw.request_block(DO_PUT, extra)
    return stream, HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()


def provoke_window_zero(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw)
    return headers + raw_frame(8, 0, stream, struct.pack(">I", 0))


def provoke_window_overflow(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw)
    return headers + raw_frame(8, 0, stream, struct.pack(">I", 2**31 - 1))


def provoke_self_dependency(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw)
    return headers + raw_frame(2, 0, stream, struct.pack(">IB", stream, 1))


def provoke_short_priority(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw)
    return headers + raw_frame(2, 0, stream, b"\0")


def provoke_second_headers(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw)
    block = raw.encoder.encode([("x", "y")])
    return headers + HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()


def provoke_length_mismatch(raw: RawConnection, i: int) -> bytes:
    stream, headers = open_stream(raw, (("content-length", "3"),))
    return headers + DataFrame(stream, b"four", flags=["END_STREAM"]).serialize()


@pytest.mark.parametrize(
    "provoke",
    [
        provoke_window_zero,
        provoke_window_overflow,
        provoke_self_dependency,
        provoke_short_priority,
        provoke_second_headers,
        provoke_length_mismatch,
    ],
)
def test_made_you_reset(bystanders: Server, provoke: Callable[[RawConnection, int], bytes]) -> None:
    """However the client makes the server reset, it is counted as its own reset, or the connection
    is ended by the fault itself."""
    with flood(bystanders, provoke, 2000) as raw:
        assert raw.closed
        assert len(raw.goaways) == 1
        assert raw.goaways[0].error_code != 0


def test_resets_after_the_answer_are_no_abuse(bystanders: Server) -> None:
    with RawConnection(bystanders.host, bystanders.port) as raw:
        for _ in range(500):
            stream = raw.start("/no.such/Method", EMPTY, end=False)
            raw.wait(stream)
            raw.send(RstStreamFrame(stream, CANCEL))  # F-24
        assert raw.call(HEALTH_CHECK, EMPTY).grpc_status == 0
        assert not raw.goaways


def test_continuation_flood(bystanders: Server) -> None:
    with RawConnection(bystanders.host, bystanders.port) as raw:
        raw.call(HEALTH_CHECK, EMPTY)
        stream = raw.next_stream()
        raw.send(HeadersFrame(stream, raw.encoder.encode([(":method", "POST")])))
        for i in range(2000):
            block = raw.encoder.encode([(f"x-{i}", "v")])
            if not raw.send(ContinuationFrame(stream, block)):
                break
        assert raw.wait_closed(3)


def test_empty_continuation_flood(bystanders: Server) -> None:
    with RawConnection(bystanders.host, bystanders.port) as raw:
        stream = raw.next_stream()
        raw.send(HeadersFrame(stream, b""))
        for _ in range(2000):
            if not raw.send(ContinuationFrame(stream, b"")):
                break
        assert raw.wait_closed(3)


def test_hpack_bomb(bystanders: Server) -> None:
    """4,000 bytes in the dynamic table, named again and again by one byte each."""
    with RawConnection(bystanders.host, bystanders.port) as raw:
        raw.call(HEALTH_CHECK, EMPTY)
        stream = raw.next_stream()
        block = raw.request_block(HEALTH_CHECK, [("x-bomb", "b" * 4000)])
        raw.send(HeadersFrame(stream, block + b"\xbe" * 12000, flags=["END_HEADERS"]))
        raw.wait_closed(3)
        assert_shed(raw, b"header_list_too_large")


def test_one_byte_windows(bystanders: Server) -> None:
    """A client that takes a download byte by byte costs little, and is shed."""
    name = b"Flight.proto"
    question = grpc_message(bytes([3 << 3 | 2, len(name)]) + name)
    raw = RawConnection(bystanders.host, bystanders.port)
    raw.gives_credit = False
    stream = raw.start(REFLECTION, question * 60)
    raw.run_until(lambda: len(raw.reply(stream).data) == 65535, 3)
    cpu = bystanders.cpu_seconds()
    before = len(raw.reply(stream).data)
    start = time.monotonic()
    while not raw.closed and time.monotonic() - start < 20:
        raw.send(
            WindowUpdateFrame(0, window_increment=1),
            WindowUpdateFrame(stream, window_increment=1),
        )
        raw.run(0.0005)
    assert len(raw.reply(stream).data) - before < 10_000
    assert bystanders.cpu_seconds() - cpu < 2
    assert_shed(raw, b"too_many_pings")


def test_stalled_downloads_hold_nobody(bystanders: Server) -> None:
    name = b"Flight.proto"
    question = grpc_message(bytes([3 << 3 | 2, len(name)]) + name)
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 0}
    connections = [
        RawConnection(bystanders.host, bystanders.port, settings=settings) for _ in range(10)
    ]
    for raw in connections:
        for _ in range(20):
            raw.start(REFLECTION, question)
        raw.run(0.01)
    assert call_times(bystanders, 50)[-2] < 1
    # They go on whenever they like.
    raw = connections[0]
    raw.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65535}))
    assert raw.wait(1).grpc_status == 0
    for raw in connections:
        raw.close()


def test_questions_without_reading_the_answers_are_bounded(bystanders: Server) -> None:
    """Small requests with large answers, none of which is read."""
    name = b"Flight.proto"
    question = grpc_message(bytes([3 << 3 | 2, len(name)]) + name)
    before = bystanders.anonymous_bytes()
    with RawConnection(bystanders.host, bystanders.port, receive_buffer_bytes=4096) as raw:
        raw.gives_credit = False
        raw.socket.settimeout(0.5)
        streams = [raw.start(REFLECTION, end=False) for _ in range(5)]
        for _ in range(100):
            for stream in streams:
                raw.send(DataFrame(stream, question * 20))
        time.sleep(0.2)
        assert grown_bytes(bystanders, before) <= MEMORY_GROWTH_BYTES


def test_slow_bodies_hold_nobody(bystanders: Server) -> None:
    with RawConnection(bystanders.host, bystanders.port) as raw:
        for _ in range(100):
            raw.start(DO_PUT, b"\0\0\0", end=False)
        assert call_times(bystanders, 50)[-2] < 1
        assert not raw.goaways


def test_lying_lengths_get_no_memory(bystanders: Server) -> None:
    """A prefix that promises 1 GiB costs what has come, not what it promises."""
    before = bystanders.anonymous_bytes()
    with RawConnection(bystanders.host, bystanders.port) as raw:
        for _ in range(50):
            raw.start(DO_PUT, struct.pack(">BI", 0, 1 << 30) + b"x", end=False)
        raw.run(0.2)
        assert grown_bytes(bystanders, before) <= 2 * MEMORY_GROWTH_BYTES


def bytes_field(number: int, data: bytes) -> bytes:
    """A protobuf field of up to 16 KiB."""
    assert len(data) < 1 << 14
    length = bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + length + data


SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@contextmanager
def starved_workers(server: Server) -> Iterator[None]:
    """The server's workers hardly run: idle class, on a core that another process keeps busy."""
    cores = os.sched_getaffinity(0)
    core = min(cores)
    tasks = [
        int(task.name)
        for task in Path(f"/proc/{server.pid}/task").iterdir()
        if (task / "comm").read_text().strip() == "ra-worker"
    ]
    assert tasks
    spinner = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
    try:
        for task in tasks:
            os.sched_setaffinity(task, {core})
            os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))
        yield
    finally:
        spinner.kill()
        spinner.wait()
        for task in tasks:
            os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))
            os.sched_setaffinity(task, cores)


def test_empty_messages_cost_what_was_received(make_server: Callable[..., Server]) -> None:
    """1.6 million of them fit into the window of an upload: they stay there as they are."""
    server = make_server("--threads", "1")
    schema = pa.schema([("n", pa.int64())]).serialize().to_pybytes()[8:]
    first = bytes_field(1, bytes([8, 1]) + bytes_field(3, b"t")) + bytes_field(2, schema)
    with RawConnection(server.host, server.port) as raw:
        question = grpc_message(first) + grpc_message(bytes_field(3, b"answer"))
        stream = raw.start(DO_PUT, question, end=False)
        assert raw.run_until(lambda: raw.reply(stream).data)
        frames = DataFrame(stream, EMPTY * 3276).serialize() * 500
        with starved_workers(server):
            before = server.anonymous_bytes()
            raw.socket.sendall(frames)
            raw.run(0.5)
            assert grown_bytes(server, before) <= 8 * MEMORY_GROWTH_BYTES
        raw.send(DataFrame(stream, b"", flags=["END_STREAM"]))
        assert raw.wait(stream, 60).grpc_status == 0


def test_idle_connections_cost_little(bystanders: Server) -> None:
    before = bystanders.anonymous_bytes()
    connections = [RawConnection(bystanders.host, bystanders.port) for _ in range(100)]
    for raw in connections:
        raw.call(HEALTH_CHECK, EMPTY)
    per_connection = grown_bytes(bystanders, before) / len(connections)
    assert per_connection <= 64 * 1024
    for raw in connections:
        raw.close()


def test_slow_prefaces_and_header_blocks_are_shed(bystanders: Server) -> None:
    """Both have ten seconds; the test waits for them side by side."""
    with (
        socket.create_connection((bystanders.host, bystanders.port)) as slow,
        RawConnection(bystanders.host, bystanders.port) as raw,
    ):
        start = time.monotonic()
        slow.sendall(PREFACE[:10])
        raw.call(HEALTH_CHECK, EMPTY)
        raw.send(HeadersFrame(raw.next_stream(), raw.encoder.encode([(":method", "POST")])))
        assert raw.wait_closed(15)
        assert_shed(raw, b"header_block_too_slow")
        slow.settimeout(15)
        assert slow.recv(100) == b""
        assert 9 < time.monotonic() - start < 15
