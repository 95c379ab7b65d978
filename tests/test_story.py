"""The whole story with nothing but a stock pyarrow client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from serving import Server

TAXI = pa.table({"fare": [7.5, 3.0, None, 12.25], "zone": ["a", "b", "b", None]})
OPTIONS = flight.FlightCallOptions(timeout=60)


@pytest.fixture
def client(own_server: Server) -> Iterator[flight.FlightClient]:
    """A stock client of a server of the test's own."""
    with own_server.client() as stock:
        yield stock


def put(client: flight.FlightClient, name: str, table: pa.Table = TAXI) -> None:
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), table.schema, OPTIONS)
    with writer:
        writer.write_table(table)


def info_of(client: flight.FlightClient, *path: str) -> flight.FlightInfo:
    return client.get_flight_info(flight.FlightDescriptor.for_path(*path), OPTIONS)


def run(client: flight.FlightClient, command: str | dict[str, object]) -> flight.FlightInfo:
    text = command if isinstance(command, str) else json.dumps(command)
    return client.get_flight_info(flight.FlightDescriptor.for_command(text), OPTIONS)


def fetch(client: flight.FlightClient, info: flight.FlightInfo) -> pa.Table:
    return client.do_get(info.endpoints[0].ticket, OPTIONS).read_all()


def about(info: flight.FlightInfo) -> dict[str, object]:
    return json.loads(info.app_metadata)


def act(client: flight.FlightClient, name: str, body: bytes = b"") -> list[bytes]:
    return [r.body.to_pybytes() for r in client.do_action(flight.Action(name, body), OPTIONS)]


def test_uploaded_tables_are_listed_with_position_as_id(client: flight.FlightClient) -> None:
    for name in ("zero", "one", "two"):
        put(client, name)
    infos = list(client.list_flights(options=OPTIONS))
    assert [info.descriptor.path for info in infos] == [[b"zero"], [b"one"], [b"two"]]
    assert [about(info)["id"] for info in infos] == [0, 1, 2]
    for info in infos:
        assert info.schema.equals(TAXI.schema, check_metadata=True)
        assert info.total_records == 4
        assert info.total_bytes > 0


def test_flight_is_found_by_name_id_and_version(client: flight.FlightClient) -> None:
    put(client, "zero", TAXI.slice(1))
    put(client, "taxi")
    for path in (["taxi"], ["taxi", "@1"], ["#1"], ["#1", "@1"]):
        info = info_of(client, *path)
        assert info.descriptor.path == [part.encode() for part in path]
        assert about(info)["id"] == 1
        assert about(info)["version"] == 1
        assert fetch(client, info).equals(TAXI, check_metadata=True)


def test_info_tells_what_the_flight_is(client: flight.FlightClient) -> None:
    put(client, "taxi")
    known = about(info_of(client, "taxi"))
    assert known["kind"] == "dataset"
    assert known["names"] == ["taxi"]
    assert known["state"] == "ready"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(known["created"]))
    assert known["uid"]
    result = about(run(client, {"from": {"name": "taxi"}, "do": [{"slice": {"length": 1}}]}))
    assert result["kind"] == "result"
    assert result["names"] == []
    assert result["lineage"]
    assert result["uid"] != known["uid"]


def test_first_location_is_the_address_that_the_client_used(
    own_server: Server, client: flight.FlightClient
) -> None:
    put(client, "taxi")
    [location] = info_of(client, "taxi").endpoints[0].locations
    assert location.uri.decode() == f"grpc+tcp://{own_server.host}:{own_server.port}"
    with flight.FlightClient(location) as second:
        assert fetch(second, info_of(second, "taxi")).equals(TAXI)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_localhost_means_both_loopback_addresses(own_server: Server, host: str) -> None:
    with flight.FlightClient(f"grpc://{host}:{own_server.port}") as client:
        assert list(client.list_flights(options=OPTIONS)) == []


def test_json_command_makes_a_flight_for_everybody(
    own_server: Server, client: flight.FlightClient
) -> None:
    put(client, "taxi")
    command = {"from": {"name": "taxi"}, "do": [{"sort_by": {"sorting": [["fare", "descending"]]}}]}
    info = run(client, command)
    assert about(info)["id"] == 1
    assert info.descriptor.command == json.dumps(command).encode()
    expected = TAXI.sort_by([("fare", "descending")])
    assert fetch(client, info).equals(expected, check_metadata=True)
    with own_server.client() as other:
        assert about(run(other, command))["id"] == 1
        infos = list(other.list_flights(options=OPTIONS))
        assert [i.descriptor.path for i in infos] == [[b"taxi"], [b"#1"]]
        assert fetch(other, infos[1]).equals(expected)


def test_legacy_command_makes_a_flight_that_is_listed_as_that_command(
    client: flight.FlightClient,
) -> None:
    put(client, "taxi")
    info = run(client, "0$take${0: [3, 0]}${}")
    assert fetch(client, info).equals(TAXI.take([3, 0]))
    run(client, "0$slice${}${'length': 2}")
    listed = [i.descriptor for i in client.list_flights(options=OPTIONS)]
    assert listed[0].path == [b"taxi"]
    assert [d.command for d in listed[1:]] == [
        b"0$take${0: [3, 0]}${}",
        b"0$slice${}${'length': 2}",
    ]
    again = about(run(client, {"from": {"id": 0}, "do": [{"take": {"indices": [3, 0]}}]}))
    assert again["id"] == 1


def test_result_can_be_asked_again(client: flight.FlightClient) -> None:
    put(client, "taxi")
    run(client, "0$take${0: [3, 1, 0]}${}")
    info = run(client, "1$slice${0: 1}${}")
    assert fetch(client, info).equals(TAXI.take([1, 0]))


def test_command_is_also_a_ticket(client: flight.FlightClient) -> None:
    put(client, "taxi")
    command = {"from": {"name": "taxi"}, "do": [{"take": {"indices": [1, 1]}}], "publish": False}
    for ticket in (json.dumps(command), "0$take${0: [1, 1]}${}"):
        table = client.do_get(flight.Ticket(ticket.encode()), OPTIONS).read_all()
        assert table.equals(TAXI.take([1, 1]))
    # The first one was not to be published, the second one was.
    assert len(list(client.list_flights(options=OPTIONS))) == 2


def test_ticket_may_be_used_many_times_and_by_others(
    own_server: Server, client: flight.FlightClient
) -> None:
    put(client, "taxi")
    ticket = info_of(client, "taxi").endpoints[0].ticket
    assert ticket.ticket[:1] not in b"{0123456789\n"
    with own_server.client() as other:
        for reader in (client, client, other):
            assert reader.do_get(ticket, OPTIONS).read_all().equals(TAXI)


def test_schema_is_told_without_a_run(client: flight.FlightClient) -> None:
    put(client, "taxi")
    path = flight.FlightDescriptor.for_path("taxi")
    assert client.get_schema(path, OPTIONS).schema.equals(TAXI.schema, check_metadata=True)
    command = {"from": {"name": "taxi"}, "do": [{"select": {"columns": ["zone"]}}]}
    descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
    assert client.get_schema(descriptor, OPTIONS).schema == TAXI.select(["zone"]).schema
    assert len(list(client.list_flights(options=OPTIONS))) == 1


def test_list_flights_takes_criteria(client: flight.FlightClient) -> None:
    for name in ("taxi", "tax", "other"):
        put(client, name)
    run(client, "0$slice${0: 1}${}")
    act(client, "delete", b"2")

    def ids(**criteria: object) -> list[object]:
        body = json.dumps(criteria).encode()
        return [about(i)["id"] for i in client.list_flights(body, OPTIONS)]

    assert ids(deleted=False) == [0, 1, 3]
    assert ids(name="ta*") == [0, 1]
    assert ids(kind="result") == [3]
    assert ids(kind="dataset") == [0, 1]
    assert ids(after=0, deleted=False) == [1, 3]
    assert ids(limit=1) == [0]
    with pytest.raises(pa.ArrowInvalid, match="colour"):
        ids(colour="red")


def test_actions_are_listed_with_a_description(client: flight.FlightClient) -> None:
    actions = {action.type: action.description for action in client.list_actions(OPTIONS)}
    assert set(actions) >= {
        *("delete", "clear", "shutdown", "rename", "keep", "unkeep", "versions", "explain"),
        *("equals", "server-info", "watch", "CancelFlightInfo", "RenewFlightEndpoint"),
    }
    assert all(actions.values())


def test_legacy_actions_answer_in_text(client: flight.FlightClient) -> None:
    put(client, "taxi")
    [answer] = act(client, "delete", b"0")
    assert answer and not answer.startswith(b"{")
    assert answer.decode("ascii")
    put(client, "again")
    [answer] = act(client, "clear")
    assert answer and not answer.startswith(b"{")
    assert list(client.list_flights(options=OPTIONS)) == []


def test_shutdown_ends_the_server(own_server: Server, client: flight.FlightClient) -> None:
    put(client, "taxi")
    [answer] = act(client, "shutdown")
    assert answer
    own_server.wait()
    assert not own_server.is_running


def test_delete_leaves_a_tombstone_that_the_list_skips_on_demand(
    client: flight.FlightClient,
) -> None:
    for name in ("taxi", "other"):
        put(client, name)
    answer = json.loads(act(client, "delete", b'{"name": "taxi"}')[0])
    assert answer["deleted"] == 0
    assert answer["bytes_freed"] > 0
    assert answer["bytes_later"] == 0
    gone, other = client.list_flights(options=OPTIONS)
    assert gone.descriptor.command == b"DELETED"
    assert len(gone.schema) == 0
    assert about(other)["id"] == 1
    with pytest.raises(pa.ArrowKeyError, match="taxi"):
        info_of(client, "taxi")


def test_rename_moves_the_name(client: flight.FlightClient) -> None:
    put(client, "taxi")
    act(client, "rename", b'{"id": 0, "to": "cab"}')
    assert about(info_of(client, "cab"))["names"] == ["cab"]
    with pytest.raises(pa.ArrowKeyError):
        info_of(client, "taxi")


def test_keep_makes_a_result_a_dataset_and_unkeep_takes_it_back(
    client: flight.FlightClient,
) -> None:
    put(client, "taxi")
    run(client, "0$slice${0: 1}${}")
    assert about(info_of(client, "#1"))["kept"] is False
    assert json.loads(act(client, "keep", b'{"id": 1}')[0])["kept"] is True
    assert about(info_of(client, "#1"))["kept"] is True
    assert json.loads(act(client, "unkeep", b'{"id": 1}')[0])["kept"] is False


def test_versions_tells_of_each_version(client: flight.FlightClient) -> None:
    put(client, "taxi")
    descriptor = flight.FlightDescriptor.for_command(
        json.dumps({"put": {"name": "taxi", "if_exists": "append"}})
    )
    with client.do_put(descriptor, TAXI.schema, OPTIONS)[0] as writer:
        writer.write_table(TAXI)
    [answer] = act(client, "versions", b'{"name": "taxi"}')
    versions = json.loads(answer)["versions"]
    assert [(v["version"], v["rows"]) for v in versions] == [(1, 4), (2, 8)]
    assert all(v["bytes"] > 0 and v["created"] for v in versions)


def test_explain_tells_plan_and_schema_and_runs_nothing(client: flight.FlightClient) -> None:
    put(client, "taxi")
    command = {"from": {"name": "taxi"}, "do": [{"select": {"columns": ["fare"]}}]}
    [answer] = act(client, "explain", json.dumps(command).encode())
    told = json.loads(answer)
    assert told["plan"]
    assert [field["name"] for field in told["fields"]] == ["fare"]
    assert told["schema"]
    assert len(list(client.list_flights(options=OPTIONS))) == 1


def test_equals_compares_flights_and_commands(client: flight.FlightClient) -> None:
    put(client, "taxi")
    put(client, "same", pa.concat_tables([TAXI.slice(0, 1), TAXI.slice(1)]))
    put(client, "other", TAXI.slice(1))

    def equal(left: object, right: object) -> bool:
        body = json.dumps({"left": left, "right": right}).encode()
        return json.loads(act(client, "equals", body)[0])["equal"]

    assert equal({"name": "taxi"}, {"name": "same"})
    assert not equal({"name": "taxi"}, {"name": "other"})
    cut = {"from": {"id": 0}, "do": [{"slice": {"offset": 1}}]}
    assert equal(cut, {"name": "other"})
    assert len(list(client.list_flights(options=OPTIONS))) == 3


def test_server_info_tells_version_limits_and_room(client: flight.FlightClient) -> None:
    told = json.loads(act(client, "server-info")[0])
    assert told["version"]
    assert told["limits"]
    assert told["features"]
    assert any("free" in key for key in json.dumps(told).split('"'))


def test_renew_and_cancel_of_a_flight_info(client: flight.FlightClient) -> None:
    put(client, "taxi")
    info = run(client, "0$slice${0: 1}${}")

    def varint(value: int) -> bytes:
        low = value & 0x7F
        return bytes([low]) if value < 128 else bytes([low | 0x80]) + varint(value >> 7)

    endpoint = info.endpoints[0].serialize()
    [renewed] = act(client, "RenewFlightEndpoint", b"\x0a" + varint(len(endpoint)) + endpoint)
    ticket = flight.FlightEndpoint.deserialize(renewed).ticket
    assert client.do_get(ticket, OPTIONS).read_all().num_rows == 3
    message = info.serialize()
    [status] = act(client, "CancelFlightInfo", b"\x0a" + varint(len(message)) + message)
    # A finished Flight that others may use is not cancellable (status 3).
    assert status == b"\x08\x03"
    assert client.do_get(info.endpoints[0].ticket, OPTIONS).read_all().num_rows == 3


def test_watch_streams_events_from_a_sequence_number(
    own_server: Server, client: flight.FlightClient
) -> None:
    put(client, "taxi")
    events = client.do_action(flight.Action("watch", b'{"after": 0}'), OPTIONS)
    first = json.loads(next(events).body.to_pybytes())
    assert (first["event"], first["id"], first["name"]) == ("created", 0, "taxi")
    with own_server.client() as other:
        act(other, "rename", b'{"id": 0, "to": "cab"}')
        act(other, "delete", b'{"id": 0}')
    second, third = (json.loads(next(events).body.to_pybytes()) for _ in range(2))
    assert (second["event"], second["name"]) == ("renamed", "cab")
    assert third["event"] == "deleted"
    assert first["sequence"] < second["sequence"] < third["sequence"]


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda c: info_of(c, "nobody"), pa.ArrowKeyError, "nobody"),
        (lambda c: info_of(c, "#7"), pa.ArrowKeyError, "7"),
        (lambda c: info_of(c, "taxi", "@9"), pa.ArrowKeyError, "9"),
        (lambda c: info_of(c, "taxi", "nine"), pa.ArrowInvalid, None),
        (lambda c: info_of(c, "#x"), pa.ArrowInvalid, "#x"),
        (lambda c: info_of(c, "a", "b", "c"), pa.ArrowInvalid, None),
        (lambda c: run(c, "no command"), pa.ArrowInvalid, None),
        (lambda c: run(c, '{"from": '), pa.ArrowInvalid, None),
        (lambda c: run(c, {"from": {"id": 0}, "by": 1}), pa.ArrowInvalid, "by"),
        (lambda c: run(c, {"from": {"id": 0}, "do": [{"fly": {}}]}), pa.ArrowInvalid, "fly"),
        (lambda c: run(c, {"from": {"id": 44}, "do": []}), pa.ArrowKeyError, "44"),
        (lambda c: run(c, "0$take${0: [10]}${}"), pa.ArrowIndexError, "Index 10 out of bounds"),
        (lambda c: run(c, "0$take${0: 'x'}${}"), pa.ArrowException, None),
        (lambda c: run(c, "0$sort_by${0: 'x'}${}"), pa.ArrowInvalid, "x"),
        (lambda c: run(c, "0$select${0: ['x']}${}"), pa.ArrowKeyError, '"x"'),
        (lambda c: act(c, "fly"), pa.ArrowNotImplementedError, "fly"),
        (lambda c: act(c, "delete", b'{"id": 9}'), pa.ArrowKeyError, "9"),
        (lambda c: act(c, "delete", b"nine"), pa.ArrowInvalid, "nine"),
        (lambda c: act(c, "rename", b'{"id": 0}'), pa.ArrowInvalid, "to"),
        (lambda c: act(c, "rename", b'{"id": 0, "to": "#1"}'), pa.ArrowInvalid, "#1"),
        (lambda c: c.do_get(flight.Ticket(b"\xffwhat")), pa.ArrowException, None),
        (lambda c: c.do_get(flight.Ticket(b"taxi")), pa.ArrowKeyError, "nor a command"),
        (lambda c: put(c, "taxi"), pa.ArrowException, "taxi"),
        (lambda c: put(c, "@taxi"), pa.ArrowInvalid, "@taxi"),
        (lambda c: put(c, "new\nline"), pa.ArrowInvalid, None),
        (lambda c: put(c, ""), pa.ArrowInvalid, None),
        (lambda c: put(c, "n" * 256), pa.ArrowInvalid, "255"),
    ],
)
def test_error_has_local_class_and_names_what_was_wrong(
    server: Server, ask: object, error: type[Exception], words: str | None
) -> None:
    with server.client() as client:
        act(client, "clear", b'{"purge": true}')
        put(client, "taxi")
        with pytest.raises(error, match=words and re.escape(words)):
            ask(client)
        assert info_of(client, "taxi").total_records == 4


def test_restart_keeps_flights_names_versions_and_descriptors(own_server: Server) -> None:
    with own_server.client() as client:
        put(client, "taxi")
        put(client, "gone")
        put(client, "日本")
        run(client, "0$take${0: [1]}${}")
        act(client, "delete", b"1")
        before = list(client.list_flights(options=OPTIONS))
        ticket = info_of(client, "taxi").endpoints[0].ticket
    own_server.restart()
    with own_server.client() as client:
        after = list(client.list_flights(options=OPTIONS))
        assert [i.descriptor for i in after] == [i.descriptor for i in before]
        for key in ("id", "uid", "version", "kind", "names", "created", "created_by"):
            assert [about(i).get(key) for i in after] == [about(i).get(key) for i in before]
        assert client.do_get(ticket, OPTIONS).read_all().equals(TAXI, check_metadata=True)
        assert fetch(client, info_of(client, "#3")).equals(TAXI.take([1]))
        put(client, "next")
        assert about(info_of(client, "next"))["id"] == 4
