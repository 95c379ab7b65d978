"""DoExchange: a command whose array argument is streamed by the client."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest

from remote import Json, Remote, by_command, by_id

TABLE = pa.table({"n": range(1000), "s": [f"row {i}" for i in range(1000)]})


@pytest.fixture
def with_table(own_remote: Remote) -> Remote:
    """A client of a server that has TABLE as Flight 0."""
    own_remote.upload(TABLE, "t")
    return own_remote


def exchange(remote: Remote, command: Json, chunks: Iterable[pa.Array]) -> tuple[Json, pa.Table]:
    """Streams the chunks of the argument; the FlightInfo JSON and the result."""
    writer, reader = remote.client.do_exchange(by_command(command), remote.options())
    with writer:
        begun = False
        for chunk in chunks:
            batch = pa.record_batch([chunk], names=["argument"])
            if not begun:
                writer.begin(batch.schema)
                begun = True
            writer.write_batch(batch)
        writer.done_writing()
        first = reader.read_chunk()
        assert first.data is None
        return json.loads(first.app_metadata.to_pybytes()), reader.read_all()


def test_take_with_streamed_indices(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"take": {"indices": {"stream": True}}}]}
    chunks = [pa.array(range(0, 500, 3)), pa.array([], pa.int64()), pa.array([999, None, 0])]
    about, table = exchange(with_table, command, chunks)
    expected = TABLE.take(pa.chunked_array(chunks))
    assert table.equals(expected)
    assert about["kind"] == "result"
    assert with_table.get(by_id(about["id"])).equals(expected)


def test_filter_with_streamed_mask(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"filter": {"mask": {"stream": True}}}]}
    mask = pa.array((np.arange(1000) % 7) == 0)
    _, table = exchange(with_table, command, [mask.slice(0, 300), mask.slice(300)])
    assert table.equals(TABLE.filter(mask))


def test_named_result_of_a_streamed_argument(with_table: Remote) -> None:
    step = {"take": {"indices": {"stream": True}}}
    command = {"from": {"name": "t"}, "do": [step], "as": "picked"}
    about, _ = exchange(with_table, command, [pa.array([5])])
    assert about["names"] == ["picked"]


def test_unpublished_result_of_a_streamed_argument(with_table: Remote) -> None:
    step = {"take": {"indices": {"stream": True}}}
    command = {"from": {"name": "t"}, "do": [step], "publish": False}
    _, table = exchange(with_table, command, [pa.array([5, 6])])
    assert table.equals(TABLE.take([5, 6]))
    assert len(with_table.flights()) == 1


def test_big_stream_of_indices(with_table: Remote) -> None:
    rng = np.random.default_rng(3)
    chunks = [pa.array(rng.integers(0, 1000, 300_000)) for _ in range(5)]
    command = {
        "from": {"name": "t"},
        "do": [{"take": {"indices": {"stream": True}}}, {"select": {"columns": ["n"]}}],
    }
    _, table = exchange(with_table, command, chunks)
    assert table.equals(TABLE.select(["n"]).take(pa.chunked_array(chunks)))


def test_wrong_stream_is_told_by_its_class(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"take": {"indices": {"stream": True}}}]}
    with pytest.raises(pa.ArrowIndexError, match="1000"):
        exchange(with_table, command, [pa.array([0, 1000])])
    with pytest.raises(pa.ArrowNotImplementedError):
        exchange(with_table, command, [pa.array(["a"])])
    assert len(with_table.flights()) == 1


def test_stream_is_refused_outside_an_exchange(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"take": {"indices": {"stream": True}}}]}
    with pytest.raises(pa.ArrowInvalid, match="stream"):
        with_table.info(command)
    twice = {"from": {"name": "t"}, "do": [command["do"][0], command["do"][0]]}
    with pytest.raises(pa.ArrowInvalid, match="stream"):
        exchange(with_table, twice, [pa.array([0])])


def test_command_without_a_stream_is_answered_too(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"slice": {"length": 3}}]}
    writer, reader = with_table.client.do_exchange(by_command(command), with_table.options())
    with writer:
        writer.done_writing()
        assert json.loads(reader.read_chunk().app_metadata.to_pybytes())["id"] == 1
        assert reader.read_all().equals(TABLE.slice(0, 3))


def test_argument_with_app_metadata_is_not_acknowledged(with_table: Remote) -> None:
    command = {"from": {"name": "t"}, "do": [{"take": {"indices": {"stream": True}}}]}
    batch = pa.record_batch([pa.array([3, 1])], names=["argument"])
    writer, reader = with_table.client.do_exchange(by_command(command), with_table.options())
    with writer:
        writer.begin(batch.schema)
        writer.write_with_metadata(batch, b"note")
        writer.done_writing()
        assert json.loads(reader.read_chunk().app_metadata.to_pybytes())["kind"] == "result"
        assert reader.read_all().equals(TABLE.take([3, 1]))
