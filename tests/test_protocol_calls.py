"""Flight beside its streams of data: handshakes, errors, infos, polls, actions (F-40 … F-82)."""

from __future__ import annotations

import base64
import json
import re
import struct
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from conftest import MakeServer
from raw_flight import (
    FIXED64,
    METHODS,
    TABLE,
    FlightConnection,
    command_of,
    flight_data,
    fresh_name,
    get,
    ipc_messages,
    numbers,
    path_of,
    put,
    read_fields,
    uploaded,
)
from raw_http2 import HEALTH_CHECK, Reply, grpc_message
from remote import Remote, by_name
from serving import Server

MIB = 1 << 20
TOKEN = "a-secret:with-a-colon!"


@pytest.fixture
def guarded(make_server: MakeServer, tmp_path: Path) -> Server:
    """A server that asks for a token."""
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n")
    return make_server("--token-file", str(file))


# 1.7 Handshake and authentication


def basic(user: str, password: str, padded: bool = True) -> list[tuple[str, str]]:
    """The header of basic authentication."""
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return [("authorization", "Basic " + (text if padded else text.rstrip("=")))]


@pytest.mark.parametrize("messages", [[], [b""]], ids=["no message", "one empty message"])
def test_a_handshake_is_answered_with_a_bearer_token(
    guarded: Server, messages: list[bytes]
) -> None:
    """F-40, F-41: with at most one message of its own; the scheme is exactly `Bearer `."""
    with FlightConnection(guarded) as wire:
        reply = wire.ask("Handshake", *messages, extra=basic("anybody", TOKEN))
        assert reply.grpc_status == 0
        assert reply.headers["authorization"] == f"Bearer {TOKEN}"
        assert len(reply.messages) <= 1
        header = [("authorization", reply.headers["authorization"])]
        assert wire.ask("ListFlights", b"", extra=header).grpc_status == 0


@pytest.mark.parametrize("user", ["", "u", "us", "use"])
@pytest.mark.parametrize("padded", [True, False])
def test_basic_credentials_come_with_and_without_padding(
    guarded: Server, user: str, padded: bool
) -> None:
    """F-41: and are split at the first colon."""
    with FlightConnection(guarded) as wire:
        assert wire.ask("Handshake", extra=basic(user, TOKEN, padded)).grpc_status == 0
        wrong = basic(f"{user}:{TOKEN}", "x", padded)
        assert wire.ask("Handshake", extra=wrong).grpc_status == 16


def test_the_token_is_in_the_initial_headers_before_the_client_ends(guarded: Server) -> None:
    """F-42, G-22: Java reads trailers only where no headers came."""
    with FlightConnection(guarded) as wire:
        stream = wire.flight("Handshake", end=False, extra=basic("anybody", TOKEN))
        reply = wire.reply(stream)
        assert wire.run_until(lambda: reply.header_blocks == 1, 5)
        assert reply.headers["authorization"] == f"Bearer {TOKEN}"
        assert not reply.ended
        wire.half_close(stream)
        assert wire.wait(stream).trailers["grpc-status"] == "0"


@pytest.mark.parametrize("extra", [basic("any", "thing"), [], [("authorization", "Bearer x")]])
def test_an_open_server_gives_a_token_to_everybody(
    wire: FlightConnection, extra: list[tuple[str, str]]
) -> None:
    """F-43: and takes it, or any other, afterwards."""
    reply = wire.ask("Handshake", extra=extra)
    assert reply.grpc_status == 0
    token = reply.headers["authorization"]
    assert re.fullmatch("Bearer [!-~]+", token)
    assert wire.ask("ListFlights", b"", extra=[("authorization", token)]).grpc_status == 0
    assert wire.ask("ListFlights", b"", extra=[("authorization", "Other x")]).grpc_status == 0


def test_credentials_in_the_first_message_give_the_token_in_the_answer(
    guarded: Server, wire: FlightConnection
) -> None:
    """F-40, F-43: the first form of authentication, answered before the half-close."""
    credentials = put(2, put(2, b"anybody") + put(3, TOKEN.encode()))  # BasicAuth has no field 1
    with FlightConnection(guarded) as asked:
        for connection, token in ((asked, TOKEN.encode()), (wire, b"anonymous")):
            stream = connection.flight("Handshake", credentials, end=False)
            reply = connection.reply(stream)
            assert connection.run_until(lambda r=reply: r.messages, 5)
            assert reply.messages == [put(2, token)]
            connection.half_close(stream)
            assert connection.wait(stream).grpc_status == 0
        wrong = put(2, put(2, TOKEN.encode()) + put(3, b"wrong"))
        assert asked.ask("Handshake", wrong).grpc_status == 16


@pytest.mark.parametrize("method", METHODS)
def test_calls_without_the_token_are_refused_before_their_body(
    guarded: Server, method: str
) -> None:
    """F-44, G-20: UNAUTHENTICATED, trailers-only, for every method; no message was sent."""
    wrong = [
        [("authorization", "Bearer wrong")],
        [("authorization", TOKEN)],
        basic("anybody", "wrong"),
        [("authorization", "Basic !")],
        [("auth-token-bin", base64.b64encode(b"wrong").decode())],
    ]
    # A Handshake without a token may bring it in its message.
    ways = wrong if method == "Handshake" else [[], *wrong]
    with FlightConnection(guarded) as wire:
        for extra in ways:
            stream = wire.flight(method, end=False, extra=extra)
            reply = wire.wait(stream)
            assert reply.grpc_status == 16
            assert reply.header_blocks == 1
        assert wire.call(HEALTH_CHECK, grpc_message(b"")).grpc_status == 0
    assert "wrong" not in guarded.log.replace("is wrong", "")


@pytest.mark.parametrize("padding", ["", "="])
def test_binary_headers_come_with_and_without_padding(guarded: Server, padding: str) -> None:
    """G-4: the token of the first form of authentication."""
    text = base64.b64encode(TOKEN.encode()).decode().rstrip("=")
    padded = text + padding * (-len(text) % 4)
    assert padding == "" or "=" in padded
    with FlightConnection(guarded) as wire:
        assert wire.ask("ListFlights", b"", extra=[("auth-token-bin", padded)]).grpc_status == 0


def test_what_a_known_user_may_not_do_is_permission_denied(make_server: MakeServer) -> None:
    """F-44, G-22: refused before the body, and so trailers-only."""
    with FlightConnection(make_server("--read-only")) as wire:
        reply = wire.wait(wire.flight("DoPut", end=False))
        assert (reply.grpc_status, reply.header_blocks) == (7, 1)
        assert wire.ask("DoAction", put(1, b"delete") + put(2, b"0")).grpc_status == 7


# 1.8 Errors

FAULTS: dict[str, tuple[str, bytes, int, str | None]] = {
    "malformed command": ("GetFlightInfo", command_of("{"), 3, "4"),
    "unknown column": (
        "GetFlightInfo",
        command_of('{"from": {"name": "NAME"}, "do": [{"sort_by": {"sorting": "x"}}]}'),
        3,
        "4",
    ),
    "wrong type": (
        "GetFlightInfo",
        command_of('{"from": {"name": "NAME"}, "do": [{"filter": {"mask": {"values": [1]}}}]}'),
        3,
        None,
    ),
    "unknown name": ("GetFlightInfo", path_of("no such name"), 5, "2"),
    "unknown name of a schema": ("GetSchema", path_of("no such name"), 5, "2"),
    "unknown name of a poll": ("PollFlightInfo", path_of("no such name"), 5, "2"),
    "unknown ticket": ("DoGet", put(1, b"no such ticket"), 5, "2"),
    "row out of bounds": (
        "DoGet",
        put(1, b'{"from": {"name": "NAME"}, "do": [{"take": {"indices": [99]}}]}'),
        11,
        "7",
    ),
    "unknown action": ("DoAction", put(1, b"fly"), 12, "10"),
    "no descriptor type": ("GetFlightInfo", b"", 3, "4"),
    "broken protobuf": ("GetFlightInfo", b"\x0a\xff", 3, "4"),
    "too large": ("DoAction", put(1, b"versions") + put(2, bytes(2 * MIB)), 8, "6"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_errors_have_the_code_and_the_arrow_status_of_their_kind(
    remote: Remote, wire: FlightConnection, fault: str
) -> None:
    """F-50, G-20: in one HEADERS frame that ends the stream; details never beside the status."""
    method, message, code, arrow_status = FAULTS[fault]
    name = uploaded(remote)
    if b"NAME" in message:
        text = get(message, 2 if method == "GetFlightInfo" else 1).replace(b"NAME", name.encode())
        message = command_of(text.decode()) if method == "GetFlightInfo" else put(1, text)
    reply = wire.ask(method, message)
    assert reply.grpc_status == code, reply.fields
    assert (reply.header_blocks, reply.ended, reply.data) == (1, True, b"")
    assert arrow_status is None or reply.headers["x-arrow-status"] == arrow_status
    assert "grpc-status-details-bin" not in reply.headers
    assert json.loads(reply.headers["remote-arrow-error"])["reason"]


def test_an_error_behind_sent_batches_is_in_the_trailers(own_server: Server) -> None:
    """F-50: never OK after it; here of a table whose file is damaged."""
    numbers_sent = np.random.default_rng(5).integers(0, 1 << 60, 3_000_000)
    with Remote(own_server.uri) as remote:
        remote.upload(pa.table({"n": numbers_sent}), "hurt")
    own_server.stop()
    files = [f for f in own_server.data_dir.rglob("*") if f.is_file()]
    segment = max(files, key=lambda f: f.stat().st_size)
    image = bytearray(segment.read_bytes())
    image[image.index(numbers_sent[2_900_000].tobytes())] ^= 1
    segment.write_bytes(image)
    own_server.start()
    with FlightConnection(own_server) as wire:
        reply = wire.ask("DoGet", put(1, wire.ticket("hurt")))
        assert len(reply.messages) > 1
        assert reply.headers[":status"] == "200"
        assert reply.trailers["grpc-status"] == "15"
        assert "hurt" in unquote(reply.trailers["grpc-message"])


def header_block_bytes(reply: Reply) -> int:
    """What a client counts against its limit of headers."""
    return sum(len(name) + len(value) + 32 for name, value in reply.fields.items())


LONG = {
    "two-byte letters": "é" * 40_000,
    "three-byte letters": "€" * 40_000,
    "control characters": "\x01" * 40_000,
    "percent signs": "%" * 40_000,
    "quotes": '"' * 40_000,
}


@pytest.mark.parametrize("text", LONG)
def test_messages_are_short_and_percent_encoded(
    remote: Remote, wire: FlightConnection, text: str
) -> None:
    """F-51, G-21, G-4: all trailers of an error fit into 8 KiB, and are whole characters."""
    step = {"select": {"columns": [LONG[text]]}}
    command = json.dumps({"from": {"name": uploaded(remote)}, "do": [step]})
    reply = wire.ask("GetFlightInfo", command_of(command))
    assert reply.headers["grpc-status"] == "5"
    message = reply.headers["grpc-message"]
    assert 0 < len(message) <= 1024
    assert re.fullmatch("(?:[ -$&-~]|%[0-9A-F]{2})*", message)
    assert LONG[text][:20] in unquote(message, errors="strict")
    assert header_block_bytes(reply) < 8192
    binary = reply.headers["x-arrow-status-message-bin"]
    assert "=" not in binary
    base64.b64decode(binary + "=" * (-len(binary) % 4), validate=True).decode()
    assert len(reply.headers["remote-arrow-error"]) <= 4096
    assert reply.headers["remote-arrow-error"].isascii()


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀", '"'])
def test_trailers_of_the_longest_name_fit_too(wire: FlightConnection, letter: str) -> None:
    """F-51: of an upload, and of an error that names it."""
    prefix = fresh_name()
    name = prefix + letter * ((255 - len(prefix)) // len(letter.encode()))
    messages = [flight_data(message) for message in ipc_messages(TABLE.to_batches())]
    put_reply = wire.upload(name, messages)
    assert put_reply.grpc_status == 0
    assert json.loads(put_reply.trailers["remote-arrow-flight"])["names"] == [name]
    refused = wire.upload(name, messages)
    assert refused.grpc_status == 6
    assert header_block_bytes(put_reply) < 8192
    assert header_block_bytes(refused) < 8192


# 1.9 Endpoints


def test_an_info_has_one_endpoint_whose_location_is_the_address_called(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-60, F-61, F-62: unordered, without expiry, with exact totals; of sorted results too."""
    name = uploaded(remote)
    step = {"sort_by": {"sorting": [["n", "descending"]]}}
    sort = command_of(json.dumps({"from": {"name": name}, "do": [step]}))
    for descriptor in (path_of(name), sort):
        for authority in ("example.org:5005", "127.0.0.1:80", "[::1]:65535"):
            [info] = wire.ask(
                "GetFlightInfo", descriptor, extra=[(":authority", authority)]
            ).messages
            assert numbers(info) == [1, 2, 3, 4, 5, 7]
            assert numbers(get(info, 3)) == [1, 2]
            assert get(info, 3, 2, 1) == f"grpc+tcp://{authority}".encode()
            assert numbers(get(info, 3, 1)) == [1]
        assert get(info, 2) == descriptor
        totals = [f.value for f in read_fields(info) if f.number in (4, 5)]
        assert totals[0] == 3
        assert totals[1] > 0


def test_totals_that_are_not_known_are_minus_one(remote: Remote, wire: FlightConnection) -> None:
    """F-62: of a command that is only planned."""
    command = json.dumps({"from": {"name": uploaded(remote)}, "do": [], "publish": False})
    [info] = wire.ask("GetFlightInfo", command_of(command)).messages
    assert [f.value for f in read_fields(info) if f.number in (4, 5)] == [2**64 - 1] * 2
    assert remote.info(command).total_records == -1  # as pyarrow reads them
    assert remote.info(command).total_bytes == -1
    assert not remote.info(command).ordered


def test_an_authority_without_a_port_gives_the_advertised_location(make_server: MakeServer) -> None:
    """F-60: or none, which means the same connection."""
    for args, expected in (([], []), (["--advertise", "grpc+tcp://a.example:1"], [1, 2])):
        server = make_server(*args)
        with FlightConnection(server) as wire, Remote(server.uri) as remote:
            remote.upload(TABLE, "t")
            for authority in ("x", "x:", ":5005", "x:65536", "x:123456"):
                extra = [(":authority", authority)]
                [info] = wire.ask("GetFlightInfo", path_of("t"), extra=extra).messages
                assert numbers(get(info, 3)) == (expected or [1])
            if expected:
                assert get(info, 3, 2, 1) == b"grpc+tcp://a.example:1"


# 1.10 PollFlightInfo


@pytest.mark.parametrize("ask", ["name", "command", "unpublished"])
def test_a_poll_is_answered_complete(remote: Remote, wire: FlightConnection, ask: str) -> None:
    """F-70: the whole FlightInfo, progress 1, no descriptor to poll again, no expiry."""
    name = uploaded(remote)
    command = {"from": {"name": name}, "do": [{"slice": {"length": 2}}]}
    descriptor = {
        "name": path_of(name),
        "command": command_of(json.dumps(command)),
        "unpublished": command_of(json.dumps({**command, "publish": False})),
    }[ask]
    [poll] = wire.ask("PollFlightInfo", descriptor).messages
    assert numbers(poll) == [1, 3]
    progress = read_fields(poll)[1]
    assert (progress.kind, struct.unpack("<d", progress.value)) == (FIXED64, (1.0,))
    [info] = wire.ask("GetFlightInfo", descriptor).messages

    def without_times(message: bytes) -> list[object]:
        return [f for f in read_fields(message) if f.number != 7]

    assert without_times(get(poll, 1)) == without_times(info)
    assert numbers(get(poll, 1)) == numbers(info)
    assert wire.download(get(poll, 1, 3, 1, 1)) == wire.download(get(info, 3, 1, 1))


# 1.11 Standard actions


def test_standard_actions_give_one_result(remote: Remote, wire: FlightConnection) -> None:
    """F-80: a bare message, then OK."""
    [info] = wire.ask("GetFlightInfo", path_of(uploaded(remote))).messages
    endpoint = get(info, 3)
    asked = {"CancelFlightInfo": put(1, info), "RenewFlightEndpoint": put(1, endpoint)}
    expected = {"CancelFlightInfo": put(1, 3), "RenewFlightEndpoint": endpoint}
    for action, body in asked.items():
        reply = wire.ask("DoAction", put(1, action.encode()) + put(2, body))
        assert reply.trailers["grpc-status"] == "0"
        assert [get(m, 1) for m in reply.messages] == [expected[action]]


def test_listed_actions_exist_under_exactly_their_names(wire: FlightConnection) -> None:
    """F-81: and others do not: other case, sessions, nothing."""
    listed = dict(wire.actions())
    assert {"CancelFlightInfo", "RenewFlightEndpoint", "delete", "server-info"} <= set(listed)
    assert all(listed.values())

    def code(action: str) -> int | None:
        body = put(1, action.encode()) + put(2, b"\xff")  # neither JSON nor protobuf
        return wire.ask("DoAction", body).grpc_status

    assert {code(action) for action in listed if action != "shutdown"} == {3}
    others = {"cancelflightinfo", "Delete", "delete ", "", "SetSessionOptions", "CloseSession"}
    assert not others & set(listed)
    assert {code(action) for action in others} == {12}


def test_a_cancelled_info_is_known_however_it_is_written(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-82: finished and shared is NOT_CANCELLABLE, so its ticket goes on; garbage is refused."""
    name = uploaded(remote)
    [info] = wire.ask("GetFlightInfo", path_of(name)).messages
    fields = read_fields(info)
    again = b"".join(put(f.number, f.value) for f in reversed(fields)) + put(99, b"unknown")
    for written in (info, again, remote.info(by_name(name)).serialize()):
        body = put(1, b"CancelFlightInfo") + put(2, put(1, written))
        assert [get(m, 1) for m in wire.ask("DoAction", body).messages] == [put(1, 3)]
    assert len(wire.download(get(info, 3, 1, 1))) == 2
    broken = put(1, b"CancelFlightInfo") + put(2, b"\x0a\xff")
    assert wire.ask("DoAction", broken).grpc_status == 3


def test_an_endpoint_is_renewed_while_its_flight_lives(
    remote: Remote, wire: FlightConnection
) -> None:
    """F-15, F-80: it comes back as it was, and usable; of a deleted Flight NOT_FOUND."""
    name = uploaded(remote)
    endpoint = remote.info(by_name(name)).endpoints[0]
    body = put(1, endpoint.serialize())
    [renewed] = remote.action_bytes("RenewFlightEndpoint", body)
    assert flight.FlightEndpoint.deserialize(renewed) == endpoint
    remote.action("delete", name=name)
    with pytest.raises(pa.ArrowKeyError):
        remote.action_bytes("RenewFlightEndpoint", body)
