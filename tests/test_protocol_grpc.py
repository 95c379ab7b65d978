"""Flight calls by the rules of gRPC and of Arrow's metadata (G-10 … G-33, I-1)."""

from __future__ import annotations

import json
import signal
import struct
import time
from collections.abc import Callable
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from hyperframe.frame import DataFrame, PingFrame, SettingsFrame, WindowUpdateFrame

from conftest import MakeServer
from raw_flight import (
    INITIAL_WINDOW_BYTES,
    TABLE,
    UNARY,
    FlightConnection,
    FlightData,
    Message,
    command_of,
    flight_data,
    fresh_name,
    ipc_messages,
    path_of,
    put,
    uploaded,
)
from raw_flight import SERVICE as FLIGHT
from raw_http2 import NO_ERROR, grpc_message
from remote import Remote, by_name
from serving import Server

MIB = 1 << 20
EMPTY = grpc_message(b"")
[ONE] = TABLE.to_batches()
SCHEMA_MESSAGE, BATCH_MESSAGE = ipc_messages([ONE])
WORDS = pa.record_batch({"d": pa.array(["x", "y"]).dictionary_encode()})
WORDS_SCHEMA, WORDS_DICTIONARY, WORDS_BATCH = ipc_messages([WORDS])
UNLIMITED = {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1}

BAD_FRAMING = {
    "compressed without encoding": (grpc_message(b"", 1), [], 13),
    "compressed with gzip": (grpc_message(b"", 1), [("grpc-encoding", "gzip")], 12),
    "a length over any limit": (b"\0\xff\xff\xff\xff", [], 8),
    "cut in the message": (b"\0\0\0\0\5hel", [], 13),
    "cut in the prefix": (b"\0\0", [], 13),
    "no message": (b"", [], 13),
    "two messages": (EMPTY + EMPTY, [], 13),
}


@pytest.mark.parametrize("fault", BAD_FRAMING)
@pytest.mark.parametrize("method", [*UNARY, "DoPut"])
def test_bad_framing_has_its_code_in_every_method(
    wire: FlightConnection, method: str, fault: str
) -> None:
    """G-10, G-11, G-12: compressed, too large, cut, none or two; the connection goes on."""
    body, extra, code = BAD_FRAMING[fault]
    reply = wire.call(FLIGHT + method, body, extra=extra)
    if fault == "two messages":
        # A call may be answered by the first of two, when that was wrong or all it needed.
        assert reply.ended
    elif method == "DoPut" and fault == "no message":
        assert reply.grpc_status == 3  # F-20
    else:
        assert reply.grpc_status == code
    if code == 12:
        assert reply.fields["grpc-accept-encoding"] == "identity"
    assert wire.ask("ListFlights", b"").grpc_status == 0


def test_an_upload_that_is_cut_within_a_message_leaves_nothing(wire: FlightConnection) -> None:
    """G-12: INTERNAL, whatever came whole before."""
    name = fresh_name()
    first = flight_data(SCHEMA_MESSAGE, path_of(name))
    stream = wire.flight("DoPut", first, flight_data(BATCH_MESSAGE), end=False)
    cut = grpc_message(flight_data(BATCH_MESSAGE))[:-1]
    wire.send(DataFrame(stream, cut, flags=["END_STREAM"]))
    assert wire.wait(stream).grpc_status == 13
    assert wire.ask("GetFlightInfo", path_of(name)).grpc_status == 5


@pytest.mark.parametrize("algorithm", [1, 2], ids=["deflate", "gzip"])
def test_pyarrow_told_to_compress_hears_that_it_cannot(server: Server, algorithm: int) -> None:
    """G-10: as ArrowNotImplementedError, for calls of every kind; without the option all works."""
    options = [("grpc.default_compression_algorithm", algorithm)]
    table = pa.table({"n": [0] * 10_000})
    with Remote(server.uri, generic_options=options) as remote:
        with pytest.raises(pa.ArrowNotImplementedError, match="identity"):
            remote.info(by_name("x" * 250))
        with pytest.raises(pa.ArrowNotImplementedError, match="identity"):
            remote.upload(table, fresh_name())


def test_a_second_message_is_refused_while_the_first_is_worked_on(
    remote: Remote, wire: FlightConnection
) -> None:
    """G-12: of a call that takes one."""
    name = uploaded(remote, pa.table({"n": np.arange(2_000_000)}))
    steps = [{"sort_by": {"sorting": [["n", o]]}} for o in ("descending", "ascending")] * 4
    command = command_of(json.dumps({"from": {"name": name}, "do": steps}))
    reply = wire.ask("GetFlightInfo", command, command)
    assert reply.grpc_status == 13
    assert reply.messages == []
    remote.action("delete", name=name)


@pytest.mark.parametrize("method", ["DoPut", "DoExchange"])
def test_calls_in_both_directions_get_headers_before_they_send(
    wire: FlightConnection, method: str
) -> None:
    """G-22: clients in lock step wait for them."""
    stream = wire.flight(method, end=False)
    reply = wire.reply(stream)
    assert wire.run_until(lambda: reply.header_blocks == 1, 5)
    assert reply.headers == {":status": "200", "content-type": "application/grpc"}
    assert not reply.ended
    wire.cancel(stream)


@pytest.mark.parametrize("method", UNARY)
def test_an_answer_before_the_half_close_is_followed_by_a_reset(
    wire: FlightConnection, method: str
) -> None:
    """G-23: also where one message is all that the call takes; a late half-close is no fault."""
    stream = wire.flight(method, b"", end=False)
    reply = wire.wait(stream)
    assert reply.ended
    assert wire.run_until(lambda: reply.reset is not None, 5)
    assert reply.reset == NO_ERROR
    wire.half_close(stream)
    assert wire.ask("ListFlights", b"").grpc_status == 0
    assert not wire.goaways


@pytest.fixture
def long_command(own_remote: Remote) -> bytes:
    """A command that keeps the server busy for many seconds."""
    rng = np.random.default_rng(1)
    columns = {name: rng.integers(0, 1 << 60, 1_000_000) for name in "ab"}
    own_remote.upload(pa.table(columns), "big")
    steps = [{"sort_by": {"sorting": name}} for name in "ab"] * 200
    return command_of(json.dumps({"from": {"name": "big"}, "do": steps}))


def assert_idle_and_unchanged(server: Server, remote: Remote) -> None:
    """The server soon uses no more processor time, and has published nothing."""
    deadline = time.monotonic() + 30
    while True:
        before = server.cpu_seconds()
        time.sleep(1)
        if server.cpu_seconds() - before < 0.05:
            break
        assert time.monotonic() < deadline
    assert len(remote.flights()) == 1


def test_a_reset_ends_the_run_when_its_last_waiter_is_gone(
    own_server: Server, own_remote: Remote, long_command: bytes
) -> None:
    """G-24: not before."""
    with FlightConnection(own_server) as first, FlightConnection(own_server) as second:
        streams = [(w, w.flight("GetFlightInfo", long_command)) for w in (first, second)]
        second.run(0.3)
        first.cancel(streams[0][1])
        before, deadline = own_server.cpu_seconds(), time.monotonic() + 20
        while own_server.cpu_seconds() - before < 0.5:
            second.run(0.1)
            assert time.monotonic() < deadline
        assert not second.reply(streams[1][1]).ended
        second.cancel(streams[1][1])
        assert_idle_and_unchanged(own_server, own_remote)


def test_a_deadline_ends_the_run(
    own_server: Server, own_remote: Remote, long_command: bytes
) -> None:
    """G-25: DEADLINE_EXCEEDED in time, and nobody works on."""
    with FlightConnection(own_server) as wire:
        start = time.monotonic()
        reply = wire.ask("GetFlightInfo", long_command, extra=[("grpc-timeout", "300m")])
        assert reply.grpc_status == 4
        assert 0.29 <= time.monotonic() - start < 10
    assert_idle_and_unchanged(own_server, own_remote)


def test_a_download_goes_on_through_the_end_of_the_server(make_server: MakeServer) -> None:
    """G-26: what runs finishes; new calls may still begin until the second GOAWAY."""
    server = make_server()
    table = pa.table({"n": np.arange(300_000)})
    with Remote(server.uri) as remote:
        remote.upload(table, "t")
    with FlightConnection(server) as wire:
        ticket = wire.ticket("t")
        wire.gives_credit = False
        stream = wire.flight("DoGet", put(1, ticket))
        wire.run_until(lambda: len(wire.reply(stream).data) >= INITIAL_WINDOW_BYTES)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert wire.run_until(lambda: len(wire.goaways) == 2, 5)
        wire.gives_credit = True
        wire.send(
            SettingsFrame(0, settings=UNLIMITED), WindowUpdateFrame(0, window_increment=1 << 30)
        )
        reply = wire.wait(stream, 30)
        assert reply.grpc_status == 0
        batches = [FlightData(m).message.batch for m in reply.messages[1:]]
        assert sum(batch.number(0, "<q") for batch in batches) == table.num_rows
    server.wait()


def test_uploads_are_unavailable_while_the_server_drains(make_server: MakeServer) -> None:
    """F-50, G-26: a client that has not seen the first GOAWAY yet is told to come back."""
    server = make_server()
    with FlightConnection(server) as wire:
        assert wire.ask("ListFlights", b"").grpc_status == 0
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        reply = wire.wait(wire.flight("DoPut", end=False))
        assert (reply.grpc_status, reply.header_blocks) == (14, 1)
        assert json.loads(reply.headers["remote-arrow-error"])["retryable"] is True
    server.wait()


def test_pings_are_answered_ahead_of_a_download(remote: Remote, wire: FlightConnection) -> None:
    """G-30: with data queued that the client does not take."""
    name = uploaded(remote, pa.table({"n": np.arange(300_000)}))
    ticket = wire.ticket(name)
    wire.gives_credit = False
    stream = wire.flight("DoGet", put(1, ticket))
    wire.run_until(lambda: len(wire.reply(stream).data) >= INITIAL_WINDOW_BYTES - 16384)
    for i in range(5):
        question = struct.pack(">Q", i)
        wire.send(PingFrame(0, question))
        assert wire.run_until(lambda q=question: q in wire.pings, 2)
    assert not wire.reply(stream).ended


@pytest.mark.parametrize("frame_bytes", [16384, 100_000, 4 * MIB, 2**24 - 1])
def test_frames_are_as_large_as_the_client_takes(
    remote: Remote, server: Server, frame_bytes: int
) -> None:
    """G-31: never larger, and not left at the least when a later SETTINGS allows more."""
    name = uploaded(remote, pa.table({"n": np.arange(300_000)}))
    with FlightConnection(server, settings=UNLIMITED) as wire:
        wire.send(WindowUpdateFrame(0, window_increment=1 << 30))
        assert wire.download(wire.ticket(name))
        assert 8192 < wire.largest_data_bytes <= 16384
        wire.send(SettingsFrame(0, settings={SettingsFrame.MAX_FRAME_SIZE: frame_bytes}))
        assert wire.download(wire.ticket(name))
        assert min(frame_bytes, MIB) / 2 < wire.largest_data_bytes <= frame_bytes


def test_a_client_may_forbid_the_header_table(server: Server) -> None:
    """G-31: answers tell the decoder so, which fails on any use of the table otherwise."""
    settings = {SettingsFrame.HEADER_TABLE_SIZE: 0, SettingsFrame.ENABLE_PUSH: 0}
    with FlightConnection(server, settings=settings) as wire:
        wire.run_until(lambda: wire.settings_acks)
        wire.decoder.max_allowed_table_size = 0
        for _ in range(3):
            assert wire.ask("GetFlightInfo", path_of("no such name")).grpc_status == 5
        assert not wire.decoder.header_table.dynamic_entries


@pytest.mark.parametrize("method", ["DoPut", "DoExchange"])
def test_an_upload_gets_a_large_window_and_credit_as_it_is_used_up(
    wire: FlightConnection, method: str
) -> None:
    """G-33: 4 to 16 MiB as soon as it is admitted; other calls have the least."""
    stream = wire.flight(method, end=False)
    assert wire.run_until(lambda: wire.credit(stream), 5)
    given = INITIAL_WINDOW_BYTES + wire.credit(stream)
    assert 4 * MIB <= given <= 16 * MIB
    assert wire.credit(0) >= given - INITIAL_WINDOW_BYTES
    other = wire.flight("GetFlightInfo", end=False)
    wire.run(0.1)
    assert wire.credit(other) == 0
    wire.cancel(stream)


def test_an_upload_larger_than_its_window_flows(remote: Remote, wire: FlightConnection) -> None:
    """G-33: the window is given back by what was used up, in large pieces."""
    schema, batch = ipc_messages([pa.record_batch({"n": np.arange(250_000)})])
    messages = [flight_data(schema), *[flight_data(batch)] * 20]
    assert wire.upload(name := fresh_name(), messages).grpc_status == 0
    assert remote.info(by_name(name)).total_records == 20 * 250_000
    updates = [w for w in wire.window_updates if w.stream_id != 0]
    assert sum(w.window_increment for w in updates) > 24 * MIB
    assert len(updates) < 200
    remote.action("delete", name=name)


# 4.3 Checks before a message is believed


def patched(message: Message, at: int, form: str, value: int) -> Message:
    """A message with one number in its flatbuffer replaced."""
    header = bytearray(message.header)
    struct.pack_into(form, header, at, value)
    return Message(bytes(header), message.body)


def buffer_at(message: Message, i: int) -> int:
    """Where the i-th Buffer lies in the flatbuffer."""
    return message.batch.vector(2, 16)[i]


def node_at(message: Message, i: int) -> int:
    """Where the i-th FieldNode lies in the flatbuffer."""
    return message.batch.vector(1, 16)[i]


def count_at(message: Message, slot: int) -> int:
    """Where the number of nodes (1) or buffers (2) lies in the flatbuffer."""
    return message.batch.vector(slot, 16)[0] - 4


WRONG: dict[str, Callable[[], list[Message]]] = {
    "garbage": lambda: [SCHEMA_MESSAGE, Message(b"\xff" * 64)],
    "an empty flatbuffer": lambda: [SCHEMA_MESSAGE, Message(bytes(64))],
    "a cut flatbuffer": lambda: [SCHEMA_MESSAGE, Message(BATCH_MESSAGE.header[:-40])],
    "a batch before the schema": lambda: [BATCH_MESSAGE],
    "a second schema": lambda: [SCHEMA_MESSAGE, SCHEMA_MESSAGE],
    "a batch of another schema": lambda: [SCHEMA_MESSAGE, WORDS_BATCH],
    "a dictionary of no field": lambda: [SCHEMA_MESSAGE, WORDS_DICTIONARY],
    "a batch before its dictionary": lambda: [WORDS_SCHEMA, WORDS_BATCH],
    "a body cut short": lambda: [
        SCHEMA_MESSAGE,
        Message(BATCH_MESSAGE.header, BATCH_MESSAGE.body[:-8]),
    ],
    "a body too long": lambda: [
        SCHEMA_MESSAGE,
        Message(BATCH_MESSAGE.header, BATCH_MESSAGE.body + bytes(8)),
    ],
    "one node too few": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, count_at(BATCH_MESSAGE, 1), "<I", 1),
    ],
    "one buffer too few": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, count_at(BATCH_MESSAGE, 2), "<I", 4),
    ],
    "one buffer too few in a dictionary": lambda: [
        WORDS_SCHEMA,
        patched(WORDS_DICTIONARY, count_at(WORDS_DICTIONARY, 2), "<I", 2),
        WORDS_BATCH,
    ],
    "a buffer beyond the body": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, buffer_at(BATCH_MESSAGE, 1), "<q", len(BATCH_MESSAGE.body) + 8),
    ],
    "a negative offset": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, buffer_at(BATCH_MESSAGE, 1), "<q", -8),
    ],
    "an offset off alignment": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, buffer_at(BATCH_MESSAGE, 1), "<q", 1),
    ],
    "a length that overflows": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, buffer_at(BATCH_MESSAGE, 1) + 8, "<q", 2**63 - 1),
    ],
    "a negative length": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, buffer_at(BATCH_MESSAGE, 1) + 8, "<q", -1),
    ],
    "more nulls than rows": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, node_at(BATCH_MESSAGE, 1) + 8, "<q", 4),
    ],
    "a negative number of nulls": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, node_at(BATCH_MESSAGE, 1) + 8, "<q", -2),
    ],
    "rows of a column that are not those of the batch": lambda: [
        SCHEMA_MESSAGE,
        patched(BATCH_MESSAGE, node_at(BATCH_MESSAGE, 0), "<q", 2),
    ],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_metadata_that_breaks_the_format_is_refused(
    remote: Remote, wire: FlightConnection, wrong: str
) -> None:
    """I-1: INVALID_ARGUMENT that says what is wrong; no Flight is made; the server goes on."""
    messages = WRONG[wrong]()
    reply = wire.upload(name := fresh_name(), map(flight_data, messages))
    assert reply.grpc_status == 3, reply.fields
    assert json.loads(reply.fields["remote-arrow-error"])["reason"] == "MALFORMED_ARROW"
    assert len(unquote(reply.fields["grpc-message"])) > 10
    assert wire.ask("GetFlightInfo", path_of(name)).grpc_status == 5
    assert uploaded(remote)


def test_what_the_checks_are_made_from_is_taken(remote: Remote, wire: FlightConnection) -> None:
    """I-1: the messages of the test above, as long as nobody changes them."""
    for messages in (
        [SCHEMA_MESSAGE, BATCH_MESSAGE],
        [WORDS_SCHEMA, WORDS_DICTIONARY, WORDS_BATCH],
    ):
        assert wire.upload(fresh_name(), map(flight_data, messages)).grpc_status == 0
