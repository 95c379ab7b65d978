"""docs/command.schema.json says of a command what the server says of it."""

from __future__ import annotations

import json
from functools import cache

import jsonschema
import pyarrow as pa
import pytest

from remote import Json, Remote, arrow_argument
from serving import REPOSITORY
from test_methods import CALLS, PEOPLE, Call, call_id


@cache
def schema() -> jsonschema.Draft202012Validator:
    """The published schema, itself checked."""
    told = json.loads((REPOSITORY / "docs" / "command.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(told)
    return jsonschema.Draft202012Validator(told)


def as_sent(command: Json) -> Json:
    """The command as the server reads it: tuples are lists, for one."""
    return json.loads(json.dumps(command))


@pytest.mark.parametrize("what", CALLS, ids=call_id)
def test_schema_takes_what_the_server_takes(what: Call) -> None:
    schema().validate(as_sent({"from": {"id": 0}, "do": [what.step()]}))


GOOD: list[Json] = [
    {"from": {"name": "people"}},
    {"from": {"name": "people", "version": 1}, "do": []},
    {"concat": {"tables": [{"from": {"name": "people"}}, {"from": {"name": "people"}}]}},
    {"from": {"name": "people"}, "do": [], "publish": False},
    {"from": {"name": "people"}, "do": [{"take": {"indices": arrow_argument(pa.array([1]))}}]},
    {"from": {"name": "people"}, "do": [{"slice": {}}], "as": "cut", "if_exists": "replace"},
    {"from": {"name": "people"}, "do": [{"slice": {}}, {"drop_null": {}}]},
]
BAD: list[Json] = [
    {},
    {"do": []},
    {"from": {}},
    {"from": "people"},
    {"from": {"id": 0, "name": "people"}},
    {"from": {"id": -1}},
    {"from": {"name": "people"}, "colour": "red"},
    {"from": {"name": "people", "colour": "red"}},
    {"from": {"name": "people"}, "do": {"slice": {}}},
    {"from": {"name": "people"}, "do": ["slice"]},
    {"from": {"name": "people"}, "do": [{"fly": {}}]},
    {"from": {"name": "people"}, "do": [{"slice": {}, "drop_null": {}}]},
    {"from": {"name": "people"}, "do": [{"slice": {"start": 1}}]},
    {"from": {"name": "people"}, "do": [{"slice": {"offset": "1"}}]},
    {"from": {"name": "people"}, "do": [{"take": {}}]},
    {"from": {"name": "people"}, "do": [{"remove_column": {"i": "name"}}]},
    {"from": {"name": "people"}, "as": ""},
    {"from": {"name": "people"}, "as": "x", "if_exists": "maybe"},
    {"from": {"name": "people"}, "if_exists": "replace"},
    {"from": {"name": "people"}, "as": "x", "publish": False},
    {"from": {"name": "people"}, "publish": "no"},
]


@pytest.fixture
def with_people(own_remote: Remote) -> Remote:
    """A client of a server that has PEOPLE under that name."""
    own_remote.upload(PEOPLE, "people")
    return own_remote


@pytest.mark.parametrize("command", GOOD, ids=json.dumps)
def test_good_command_is_taken_by_both(with_people: Remote, command: Json) -> None:
    schema().validate(command)
    assert with_people.info(command).total_records > 0 or command.get("publish") is False


@pytest.mark.parametrize("command", BAD, ids=json.dumps)
def test_bad_command_is_refused_by_both(with_people: Remote, command: Json) -> None:
    assert not schema().is_valid(command)
    with pytest.raises((pa.ArrowInvalid, TypeError)):
        with_people.info(command)
    assert len(with_people.flights()) == 1
