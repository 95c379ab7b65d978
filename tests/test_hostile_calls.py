"""Calls that are well-formed and meant to hurt: each is answered, and others do not notice."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from remote import Remote, by_command, by_id

TABLE = pa.table({"n": [1, 2, 3]})
LARGEST = 2**63 - 1


def listed(remote: Remote, criteria: dict[str, object]) -> int:
    """How many Flights the criteria give, within a second."""
    options = flight.FlightCallOptions(timeout=5)
    return len(list(remote.client.list_flights(json.dumps(criteria).encode(), options)))


def test_list_after_the_largest_number_is_empty(own_remote: Remote) -> None:
    own_remote.upload(TABLE, "t")
    assert listed(own_remote, {"after": LARGEST}) == 0
    assert listed(own_remote, {"after": LARGEST, "name": "x"}) == 0
    assert listed(own_remote, {"after": -1}) == 1


def test_patterns_of_many_stars_are_quick(own_remote: Remote) -> None:
    own_remote.upload(TABLE, "a" * 250)
    assert listed(own_remote, {"name": "*a" * 120 + "b"}) == 0
    assert listed(own_remote, {"name": "*a" * 120}) == 1


def test_watch_from_a_number_that_is_not_reached_goes_on_from_now(own_remote: Remote) -> None:
    body = json.dumps({"after": LARGEST}).encode()
    options = flight.FlightCallOptions(timeout=10)
    events = iter(own_remote.client.do_action(flight.Action("watch", body), options))
    assert json.loads(next(events).body.to_pybytes())["event"] == "lost"
    own_remote.upload(TABLE, "t")
    told = json.loads(next(events).body.to_pybytes())
    assert (told["event"], told["name"]) == ("created", "t")


def test_a_result_with_a_long_lineage_does_not_spoil_the_list(own_remote: Remote) -> None:
    own_remote.upload(TABLE, "t")
    metadata = {"k": "\x7f" * 900_000}
    step = {"replace_schema_metadata": {"metadata": metadata}}
    command = {"from": {"name": "t"}, "do": [step], "as": "long"}
    text = json.dumps(command, ensure_ascii=False)  # which the server stores six times as long
    descriptor = flight.FlightDescriptor.for_command(text.encode())
    info = own_remote.client.get_flight_info(descriptor)
    assert json.loads(info.app_metadata)["lineage"]["omitted_bytes"] > 900_000
    assert len(own_remote.flights()) == 2
    assert own_remote.get(by_id(1)).schema.metadata == {b"k": metadata["k"].encode()}


@pytest.mark.parametrize("body", [b" 0", b"+0", b"-0", b"0\0x", b"", b"0x0", b"9" * 30])
def test_delete_takes_digits_only(own_remote: Remote, body: bytes) -> None:
    own_remote.upload(TABLE, "t")
    with pytest.raises(pa.ArrowException):
        list(own_remote.client.do_action(flight.Action("delete", body)))
    assert len(own_remote.flights()) == 1


def test_parts_of_a_table_are_limited(own_remote: Remote) -> None:
    own_remote.upload(TABLE, "t")
    for name, source in (("thousand", "t"), ("half a million", "thousand")):
        tables = [{"from": {"name": source}}] * (1000 if name == "thousand" else 500)
        command = {"concat": {"tables": tables}, "as": name}
        if name == "thousand":
            assert own_remote.info(command).total_records == 3000
        else:
            with pytest.raises(pa.ArrowException, match="parts"):
                own_remote.client.get_flight_info(by_command(command))
    assert own_remote.error["reason"] == "LIMIT"


def test_clear_reads_json_behind_blanks_and_refuses_other_bodies(own_remote: Remote) -> None:
    own_remote.upload(TABLE, "t")
    list(own_remote.client.do_action(flight.Action("clear", b' {"kind": "result"}')))
    assert len(own_remote.flights()) == 1
    with pytest.raises(pa.ArrowInvalid):
        list(own_remote.client.do_action(flight.Action("clear", b"results")))
    assert len(own_remote.flights()) == 1


def test_options_of_an_upload_are_short(own_remote: Remote) -> None:
    text = '{"put": {"name": [' + "[]," * 1_000_000 + "[]]}}"
    descriptor = flight.FlightDescriptor.for_command(text)
    with pytest.raises(pa.ArrowException, match="descriptor"):
        writer, _ = own_remote.client.do_put(descriptor, TABLE.schema)
        writer.write_table(TABLE)
        writer.close()
    assert own_remote.flights() == []


def test_if_version_of_a_missing_name_fails_before_the_rows_are_sent(own_remote: Remote) -> None:
    for put in ({"name": "t", "if_version": 1}, {"if_version": 1}, {"if_exists": "append"}):
        descriptor = by_command({"put": put})
        with pytest.raises(pa.ArrowException):
            writer, _ = own_remote.client.do_put(descriptor, TABLE.schema)
            writer.write_table(TABLE)
            writer.close()
    assert own_remote.flights() == []
