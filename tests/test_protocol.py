"""The streams of Flight as bytes: FlightData, DoGet, DoPut, DoExchange (F-1 … F-31)."""

from __future__ import annotations

import json
import struct
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest

from raw_flight import (
    APP_METADATA,
    BATCH,
    BODY,
    DESCRIPTOR,
    DICTIONARY,
    FIXED32,
    FIXED64,
    HEADER,
    LEN,
    METHODS,
    SCHEMA,
    SERVICE,
    TABLE,
    VARINT,
    FlightConnection,
    FlightData,
    Message,
    command_of,
    dictionary_ids,
    flight_data,
    fresh_name,
    get,
    ipc_messages,
    numbers,
    path_of,
    put,
    uploaded,
    varint,
)
from raw_http2 import HEALTH_CHECK, NO_ERROR, grpc_message
from remote import Remote, by_command, by_name
from serving import Server
from zoo import all_tables

ZOO = all_tables()
MIB = 1 << 20
[ONE_BATCH] = TABLE.to_batches()
WORDS = pa.table({"d": pa.array(["x", "y", "x"] * 5).dictionary_encode(), "n": range(15)})
ARROW_SCHEMA, ARROW_BATCH = ipc_messages([ONE_BATCH])


def downloaded(wire: FlightConnection, name: str) -> list[FlightData]:
    """The messages of a Flight's DoGet."""
    return wire.download(wire.ticket(name))


def kinds(messages: list[FlightData]) -> list[int]:
    """The IPC kind of each message."""
    return [m.message.kind for m in messages]


# 1.1 Methods


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_service_is_there_by_its_exact_name(
    wire: FlightConnection, method: str
) -> None:
    """G-3: the ten methods are known, in another case they are not."""
    assert wire.ask(method, *([] if METHODS[method] else [b"\xff"])).grpc_status != 12
    assert wire.ask(method.lower(), b"").grpc_status == 12


# 1.2 Messages and field numbers


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(TABLE, id="plain"),
        pytest.param(WORDS, id="dictionary"),
        pytest.param(TABLE.slice(0, 0), id="no rows"),
        pytest.param(pa.table({"v": pa.array(["q" * 50], pa.string_view())}), id="views"),
    ],
)
def test_flight_data_has_its_fields_in_order_and_no_others(
    remote: Remote, wire: FlightConnection, table: pa.Table
) -> None:
    """F-1: header, app_metadata, body, each once; a batch always says how long its body is."""
    name = fresh_name()
    notes = [(batch, b"note") for batch in table.to_batches()]
    remote.put(by_name(name), table.schema, notes)
    got = downloaded(wire, name)
    for message in got:
        assert all(f.kind == LEN for f in message.fields)
        known = [HEADER, APP_METADATA, BODY]
        assert numbers(message.raw) == [n for n in known if n in numbers(message.raw)]
        assert (message.message.kind == SCHEMA) == (message.value(BODY) is None)
    batches = [m for m in got if m.message.kind == BATCH]
    assert [m.value(APP_METADATA) for m in batches] == [b"note"] * len(notes)


def test_an_exchange_answers_with_the_same_fields(remote: Remote, wire: FlightConnection) -> None:
    """F-1: one message with only app_metadata, then as DoGet."""
    command = json.dumps({"from": {"name": uploaded(remote)}, "do": []})
    reply = wire.ask("DoExchange", put(DESCRIPTOR, command_of(command)))
    assert reply.grpc_status == 0
    expected = [[APP_METADATA], [HEADER], [HEADER, BODY]]
    assert [numbers(m) for m in reply.messages] == expected


UNKNOWN_FIELDS = {
    VARINT: varint(99 << 3 | VARINT) + varint(1 << 40),
    FIXED64: varint(99 << 3 | FIXED64) + bytes(8),
    LEN: put(99, b"skipped"),
    FIXED32: varint(99 << 3 | FIXED32) + bytes(4),
}
HEAD, BODY_FIELD = put(HEADER, ARROW_BATCH.header), put(BODY, ARROW_BATCH.body)
NOTE = put(APP_METADATA, b"note")
WRITINGS = {
    "any order": BODY_FIELD + NOTE + HEAD,
    "repeated, the last counts": (
        put(HEADER, b"wrong") + put(BODY, b"wrong") + put(APP_METADATA, b"wrong")
    )
    + (HEAD + BODY_FIELD + NOTE),
    "unknown between": UNKNOWN_FIELDS[LEN].join([b"", HEAD, NOTE, BODY_FIELD, b""]),
    **{
        f"unknown of wire type {kind}": text + HEAD + text + BODY_FIELD + NOTE
        for kind, text in UNKNOWN_FIELDS.items()
    },
    "descriptor after the data": HEAD + NOTE + BODY_FIELD + put(DESCRIPTOR, path_of("ignored")),
    "field of a longer tag": HEAD + NOTE + b"\xc2\xbe\x00" + BODY_FIELD[2:],
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_flight_data_is_read_in_any_order_and_with_unknown_fields(
    remote: Remote, wire: FlightConnection, writing: str
) -> None:
    """F-2: any order, the last of repeated fields, unknown fields of every wire type skipped."""
    name = fresh_name()
    first = flight_data(ARROW_SCHEMA) + UNKNOWN_FIELDS[VARINT]
    reply = wire.upload(name, [first, WRITINGS[writing]])
    assert reply.grpc_status == 0, reply.fields
    assert reply.messages == [put(1, b"note")]
    assert remote.batches(by_name(name)) == [(ONE_BATCH, b"note")]


@pytest.mark.parametrize("order", ["body last", "body first", "unknown before the body"])
def test_a_message_that_is_spooled_is_read_in_any_order_too(
    remote: Remote, wire: FlightConnection, order: str
) -> None:
    """F-2: of messages larger than the server keeps in memory."""
    big = pa.record_batch({"n": np.arange(1_200_000)})
    schema, batch = ipc_messages([big])
    head, body = put(HEADER, batch.header), put(BODY, batch.body)
    forms = {
        "body last": head + body,
        "body first": body + head,
        "unknown before the body": head + UNKNOWN_FIELDS[FIXED32] + body,
    }
    name = fresh_name()
    assert wire.upload(name, [flight_data(schema), forms[order]]).grpc_status == 0
    assert remote.get(by_name(name)).equals(pa.Table.from_batches([big]))
    remote.action("delete", name=name)


@pytest.mark.parametrize("body", [b"", put(BODY, b"")], ids=["absent", "of length 0"])
def test_an_empty_body_may_be_absent_or_empty(
    remote: Remote, wire: FlightConnection, body: bytes
) -> None:
    """F-2: a batch whose columns have no bytes."""
    batch = pa.record_batch({"n": pa.nulls(7)})
    schema, message = ipc_messages([batch])
    assert message.body == b""
    name = fresh_name()
    put_reply = wire.upload(name, [flight_data(schema), put(HEADER, message.header) + body])
    assert put_reply.grpc_status == 0, put_reply.fields
    assert remote.get(by_name(name)).equals(pa.Table.from_batches([batch]))


def assert_padded(message: Message) -> None:
    """Buffers follow each other, begin at multiples of 8, gaps are zeros, nothing is missing."""
    assert message.table.number(3, "<q") == len(message.body)
    assert len(message.body) % 8 == 0
    end = 0
    for offset, length in message.buffers:
        if length == 0:
            continue
        assert offset % 8 == 0
        assert end <= offset < end + 64
        assert not any(message.body[end:offset])
        end = offset + length
    assert end <= len(message.body) < end + 64
    assert not any(message.body[end:])


@pytest.mark.parametrize("name", ZOO)
def test_bodies_are_buffers_in_a_row_padded_with_zeros(
    remote: Remote, wire: FlightConnection, name: str
) -> None:
    """F-3: for every type; the announced length is that of the padded buffers."""
    messages = downloaded(wire, flight_name := uploaded(remote, ZOO[name]()))
    for one in messages[1:]:
        assert_padded(one.message)
    remote.action("delete", name=flight_name)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("offset", [3, 8])
def test_bodies_of_cut_rows_are_padded_with_zeros_too(
    remote: Remote, wire: FlightConnection, name: str, offset: int
) -> None:
    """F-3: what lies behind the rows in the file is not sent as padding."""
    flight_name = uploaded(remote, ZOO[name]())
    step = {"slice": {"offset": offset, "length": 13}}
    command = {"from": {"name": flight_name}, "do": [step], "publish": False}
    messages = wire.download(json.dumps(command).encode())
    for one in messages[1:]:
        assert_padded(one.message)
    remote.action("delete", name=flight_name)


def assert_framed(schema: bytes, expected: pa.Schema) -> None:
    """An encapsulated schema message, padded to 8, without anything behind it."""
    mark, size = struct.unpack_from("<Ii", schema)
    assert mark == 0xFFFFFFFF
    assert len(schema) == 8 + size
    assert len(schema) % 8 == 0
    assert pa.ipc.read_schema(pa.py_buffer(schema)).equals(expected, check_metadata=True)


@pytest.mark.parametrize("table", [TABLE, WORDS.rename_columns(["s", "n"])])
def test_schemas_are_framed_in_infos_and_bare_in_streams(
    remote: Remote, wire: FlightConnection, table: pa.Table
) -> None:
    """F-4: FlightInfo, SchemaResult and PollInfo hold the schema that DoGet sends."""
    table = table.replace_schema_metadata({"k": "v"})
    name = uploaded(remote, table)
    command = {"from": {"name": name}, "do": [{"select": {"columns": ["s"]}}]}
    for descriptor, expected in [
        (path_of(name), table.schema),
        (command_of(json.dumps(command)), table.select(["s"]).schema),
        (command_of(json.dumps({**command, "publish": False})), table.select(["s"]).schema),
    ]:
        [info] = wire.ask("GetFlightInfo", descriptor).messages
        [result] = wire.ask("GetSchema", descriptor).messages
        [poll] = wire.ask("PollFlightInfo", descriptor).messages
        assert numbers(result) == [1]
        for framed in (get(info, 1), get(result, 1), get(poll, 1, 1)):
            assert_framed(framed, expected)
        first = wire.download(get(info, 3, 1, 1))[0].message
        assert first.header == get(info, 1)[8:]


# 1.4 DoGet


def nested_words() -> pa.Table:
    """A column whose dictionary has a dictionary within."""
    inner = pa.array(["p", "q", "p"]).dictionary_encode()
    values = pa.StructArray.from_arrays([inner], ["w"])
    return pa.table({"d": pa.DictionaryArray.from_arrays(pa.array([2, 0, 1], pa.int8()), values)})


STREAMS = {
    "batches": (TABLE, [SCHEMA, BATCH]),
    "dictionaries first": (WORDS, [SCHEMA, DICTIONARY, BATCH]),
    "inner dictionaries before outer ones": (
        nested_words(),
        [SCHEMA, DICTIONARY, DICTIONARY, BATCH],
    ),
    "no batch": (pa.table({"n": pa.array([], pa.int64())}), [SCHEMA]),
    "no column": (pa.table({}), [SCHEMA]),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_download_is_schema_dictionaries_batches_and_no_end_mark(
    remote: Remote, wire: FlightConnection, name: str
) -> None:
    """F-10: the schema is alone in its message; OK trailers are the end."""
    table, expected = STREAMS[name]
    remote.put(by_name(flight_name := fresh_name()), table.schema, table.to_batches()[:1])
    ticket = wire.ticket(flight_name)
    reply = wire.ask("DoGet", put(1, ticket))
    assert reply.trailers["grpc-status"] == "0"
    messages = [FlightData(m) for m in reply.messages]
    assert kinds(messages) == expected
    assert numbers(messages[0].raw) == [HEADER]
    assert all(m.value(HEADER) for m in messages)
    ids = [m.message.content.number(0, "<q") for m in messages if m.message.kind == DICTIONARY]
    outer = {
        f.child(4).number(0, "<q") for f in messages[0].message.content.children(1) if f.has(4)
    }
    assert ids[len(ids) - len(outer) :] == sorted(outer)
    assert remote.get(by_name(flight_name)).equals(table)


def test_app_metadata_is_sent_with_batches_only(remote: Remote, wire: FlightConnection) -> None:
    """F-11: whatever messages the upload had it on, as Go has it on all."""
    schema, dictionary, batch = ipc_messages(WORDS.to_batches())
    note = {"app_metadata": b"note"}
    name = fresh_name()
    reply = wire.upload(
        name,
        [
            flight_data(schema, **note),
            flight_data(app_metadata=b"alone, before"),
            flight_data(dictionary, **note),
            flight_data(batch, **note),
            flight_data(app_metadata=b"alone, behind"),
            flight_data(batch),
        ],
    )
    assert reply.grpc_status == 0, reply.fields
    got = downloaded(wire, name)
    assert kinds(got) == [SCHEMA, DICTIONARY, BATCH, BATCH]
    assert [m.value(APP_METADATA) for m in got] == [None, None, b"note", None]


def test_dictionaries_are_sent_whole_and_named_in_the_schema(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-12: also those that came as deltas, were replaced, or lie within others."""
    words = [f"w{i}" for i in range(30)]
    index = pa.array([0, 1], pa.int32())
    growing = [
        pa.record_batch({"d": pa.DictionaryArray.from_arrays(index, pa.array(words[:n]))})
        for n in (2, 10, 30)
    ]
    other = pa.record_batch({"d": pa.DictionaryArray.from_arrays(index, pa.array(["p", "q"]))})
    name = fresh_name()
    deltas = ipc_messages(growing, emit_dictionary_deltas=True)
    assert any(m.kind == DICTIONARY and m.content.number(2, "<B") for m in deltas)
    replaced = ipc_messages([other])[1:]
    reply = wire.upload(name, [flight_data(m) for m in deltas + replaced])
    assert reply.grpc_status == 0, reply.fields
    for flight_name in (name, uploaded(remote, ZOO["every type at once"]())):
        messages = [m.message for m in downloaded(wire, flight_name)]
        known = dictionary_ids(messages[0].content.children(1))
        sent = [m.content for m in messages if m.kind == DICTIONARY]
        assert sent
        assert all(one.number(2, "<B") == 0 for one in sent)
        assert {one.number(0, "<q") for one in sent} <= known
    assert remote.get(by_name(name)).equals(pa.Table.from_batches([*growing, other]))


@pytest.mark.parametrize("version", [pa.ipc.MetadataVersion.V4, pa.ipc.MetadataVersion.V5])
def test_every_message_is_of_metadata_version_5(
    wire: FlightConnection, version: pa.ipc.MetadataVersion
) -> None:
    """F-13: whichever the upload had."""
    messages = ipc_messages(WORDS.to_batches(), metadata_version=version)
    assert wire.upload(name := fresh_name(), map(flight_data, messages)).grpc_status == 0
    got = downloaded(wire, name)
    assert len(got) == 3
    assert {m.message.table.number(0, "<h") for m in got} == {4}  # V5 in the flatbuffer's enum


def test_messages_stay_below_4_mib_and_a_larger_row_is_sent_alone(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-14: prefix, header and app_metadata are counted."""
    batch = pa.record_batch({"n": np.arange(700_000), "s": ["x"] * 700_000})
    row = pa.record_batch({"n": np.arange(3), "s": ["a", "b" * (5 * MIB), "c"]})
    name = fresh_name()
    remote.put(by_name(name), batch.schema, [(batch, b"m" * MIB), (row, b"m" * 1000)])
    messages = downloaded(wire, name)
    large = [m for m in messages if len(m.raw) + 5 >= 4 * MIB]
    assert len(large) == 1
    assert large[0].message.batch.number(0, "<q") == 1
    assert len(messages) > 6  # the schema, three of the first batch, three of the second
    remote.action("delete", name=name)


def test_tickets_are_used_again_and_unknown_ones_are_not_found(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-15, F-62: the same answer each time; nothing once the Flight is deleted."""
    name = uploaded(remote)
    ticket = wire.ticket(name)
    assert wire.download(ticket) == wire.download(ticket)
    other = bytearray(ticket)
    other[5] ^= 1
    wrong = [b"", b"no ticket", ticket[:-1], ticket + b"\0", bytes(other)]
    assert [wire.ask("DoGet", put(1, one)).grpc_status for one in wrong] == [5] * len(wrong)
    remote.action("delete", name=name)
    assert wire.ask("DoGet", put(1, ticket)).grpc_status == 5


# 1.5 DoPut


def test_an_upload_begins_with_a_descriptor(wire: FlightConnection) -> None:
    """F-20: INVALID_ARGUMENT without one, or without any message once the client half-closes."""
    reply = wire.ask("DoPut", flight_data(ARROW_SCHEMA), end=False)
    assert reply.grpc_status == 3
    assert "Descriptor missing on first message" in unquote(reply.fields["grpc-message"])
    stream = wire.flight("DoPut", end=False)
    wire.run(0.2)
    assert not wire.reply(stream).ended
    wire.half_close(stream)
    assert wire.wait(stream).grpc_status == 3


def test_later_descriptors_are_ignored(remote: Remote, wire: FlightConnection) -> None:
    """F-20: the first message's is the one that counts."""
    name, other = fresh_name(), fresh_name()
    batch = flight_data(ARROW_BATCH, descriptor=path_of(other))
    assert wire.upload(name, [flight_data(ARROW_SCHEMA), batch, batch]).grpc_status == 0
    assert remote.get(by_name(name)).num_rows == 6
    assert wire.ask("GetFlightInfo", path_of(other)).grpc_status == 5


def test_the_schema_may_come_in_the_second_message(remote: Remote, wire: FlightConnection) -> None:
    """F-21: behind a descriptor alone."""
    messages = [b"", flight_data(ARROW_SCHEMA), flight_data(ARROW_BATCH)]
    assert wire.upload(name := fresh_name(), messages).grpc_status == 0
    assert remote.get(by_name(name)).equals(TABLE)


def test_a_table_without_a_schema_is_told_at_its_end(wire: FlightConnection) -> None:
    """F-21: it is no fault of the call before; a table just needs one."""
    stream = wire.flight("DoPut", put(DESCRIPTOR, path_of(fresh_name())), end=False)
    wire.run(0.2)
    assert not wire.reply(stream).ended
    wire.half_close(stream)
    reply = wire.wait(stream)
    assert reply.grpc_status == 3
    assert "without a schema" in unquote(reply.fields["grpc-message"])


def test_each_batch_with_app_metadata_is_acknowledged_before_the_next(
    wire: FlightConnection,
) -> None:
    """F-22, F-31: not schema and dictionaries; messages of only app_metadata are, too."""
    schema, dictionary, batch = ipc_messages(WORDS.to_batches())
    first = flight_data(schema, path_of(fresh_name()), b"0")
    stream = wire.flight("DoPut", first, flight_data(dictionary, None, b"1"), end=False)
    reply = wire.reply(stream)
    steps = [
        (flight_data(batch, None, b"2"), b"2"),
        (flight_data(None, None, b"3"), b"3"),
        (flight_data(batch), None),
        (flight_data(batch, None, b""), b""),
        (flight_data(batch, None, b"\xff" * 1000), b"\xff" * 1000),
    ]
    expected: list[bytes] = []
    for message, note in steps:
        wire.send_message(stream, message)
        if note is not None:
            expected.append(put(1, note))
            assert wire.run_until(lambda: len(reply.messages) == len(expected), 5)
        assert [bytes(m) or put(1, b"") for m in reply.messages] == expected
    wire.half_close(stream)
    assert wire.wait(stream).grpc_status == 0
    assert len(reply.messages) == len(expected)


def test_an_upload_that_fails_early_gets_trailers_then_a_reset_without_error(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-23, G-23: and what was under way does not use up the connection's window."""
    name = uploaded(remote)
    first = flight_data(ARROW_SCHEMA, path_of(name))
    for _ in range(5):
        stream = wire.flight("DoPut", first, end=False)
        reply = wire.wait(stream)
        assert reply.grpc_status == 6
        assert wire.run_until(lambda r=reply: r.reset is not None, 5)
        assert reply.reset == NO_ERROR
    with pytest.raises(pa.ArrowException, match=name):  # and pyarrow tells the server's status
        writer, _ = remote.client.do_put(by_name(name), TABLE.schema, remote.options())
        big = pa.record_batch({"n": range(1_000_000), "s": ["s"] * 1_000_000})
        for _ in range(20):
            writer.write_batch(big)
        writer.close()
    assert remote.error["reason"] == "FLIGHT_EXISTS"


def test_a_reset_behind_the_trailers_takes_nothing_back(
    own_server: Server, own_remote: Remote
) -> None:
    """F-24: the Flight stays and the log says OK, also where the client never half-closed."""
    with FlightConnection(own_server) as wire:
        stream = wire.flight("DoPut", flight_data(ARROW_SCHEMA, path_of("t")))
        assert wire.wait(stream).grpc_status == 0
        wire.cancel(stream)
        command = command_of('{"from": {"name": "t"}, "do": [], "as": "u"}')
        exchange = wire.flight("DoExchange", put(DESCRIPTOR, command), end=False)
        assert wire.wait(exchange).grpc_status == 0
        wire.cancel(exchange)
        assert wire.call(HEALTH_CHECK, grpc_message(b"")).grpc_status == 0
        assert not wire.goaways
    assert own_remote.info(by_name("t")).total_records == 0
    assert own_remote.info(by_name("u")).total_records == 0
    own_server.stop()
    assert "method=" + SERVICE + "DoPut code=OK" in own_server.log
    assert "method=" + SERVICE + "DoExchange code=OK" in own_server.log
    assert "code=CANCELLED" not in own_server.log


# 1.6 DoExchange


def test_an_exchange_answers_before_the_client_writes_a_schema(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-30: app_metadata, its own schema, batches and the end, with only the descriptor read."""
    command = command_of(json.dumps({"from": {"name": uploaded(remote)}, "do": []}))
    stream = wire.flight("DoExchange", put(DESCRIPTOR, command), end=False)
    reply = wire.wait(stream)
    assert reply.grpc_status == 0
    about, *data = [FlightData(m) for m in reply.messages]
    assert json.loads(about.value(APP_METADATA) or b"")["kind"] == "result"
    assert kinds(data) == [SCHEMA, BATCH]


def test_an_exchange_takes_its_schema_late_and_messages_of_only_app_metadata(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-30: descriptor alone, then metadata, then schema and batches; answered at half-close."""
    step = {"take": {"indices": {"stream": True}}}
    command = json.dumps({"from": {"name": uploaded(remote)}, "do": [step], "publish": False})
    schema, batch = ipc_messages([pa.record_batch({"i": [2, 0]})])
    notes = flight_data(app_metadata=b"note")
    messages = [put(DESCRIPTOR, command_of(command)), notes, flight_data(schema), notes]
    reply = wire.ask("DoExchange", *messages, flight_data(batch))
    assert reply.grpc_status == 0, reply.fields
    about, *data = [FlightData(m) for m in reply.messages]
    assert about.value(APP_METADATA) == b"{}"
    assert kinds(data) == [SCHEMA, BATCH]
    assert data[1].message.batch.number(0, "<q") == 2


def test_app_metadata_of_an_exchange_is_not_acknowledged(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-22, F-30: PutResults belong to DoPut; here the client would read them as FlightData."""
    step = {"take": {"indices": {"stream": True}}}
    command = {"from": {"name": uploaded(remote)}, "do": [step], "publish": False}
    indices = pa.record_batch({"i": [2, 0]})
    first, batch = ipc_messages([indices])
    reply = wire.ask(
        "DoExchange",
        flight_data(first, command_of(json.dumps(command)), b"note"),  # as Go writes it
        flight_data(batch, None, b"note"),
        flight_data(app_metadata=b"note"),
    )
    assert [numbers(m) for m in reply.messages] == [[APP_METADATA], [HEADER], [HEADER, BODY]]
    writer, reader = remote.client.do_exchange(by_command(command), remote.options())
    with writer:
        writer.begin(indices.schema)
        writer.write_with_metadata(indices, b"note")
        writer.done_writing()
        assert reader.read_chunk().app_metadata.to_pybytes() == b"{}"
        assert reader.read_all().equals(TABLE.take([2, 0]))
