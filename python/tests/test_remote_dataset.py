"""RemoteDataset: the README's story, every method, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet
import pytest

from RemoteArrow import RemoteDataset
from serving import Server

PEOPLE = pa.table(
    {
        "name": ["Ann", "Bob", "Eve", None, "Dan"],
        "age": [31, 9, None, 45, 9],
        "at": [{"x": 1, "y": "p"}, None, {"x": 2, "y": None}, {"x": None, "y": "q"}, None],
    }
)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    pyarrow.csv.write_csv(PEOPLE.drop(["at"]), path)
    return path


@pytest.fixture
def people(hostname: str) -> RemoteDataset:
    return RemoteDataset(PEOPLE, hostname)


def test_story_of_two_clients(csv_file: Path, hostname: str) -> None:
    first = RemoteDataset(str(csv_file), hostname)
    local = pyarrow.csv.read_csv(csv_file)
    assert first.fetch().equals(local)
    assert first.take([0, 1, 2, 3]).equals(local.take([0, 1, 2, 3]))
    with RemoteDataset(hostname=hostname) as second:
        assert [f.name for f in second.list_flights()] == [
            "people.csv",
            "0$take${0: [0, 1, 2, 3]}${}",
        ]
        second.connect(0)
        assert second.sort_by("age").equals(local.sort_by("age"))
        assert len(first.list_flights()) == 3


def test_sources(csv_file: Path, tmp_path: Path, hostname: str) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    parquet = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(PEOPLE, parquet)
    assert RemoteDataset(frame, hostname).fetch().equals(pa.Table.from_pandas(frame))
    assert RemoteDataset(parquet, hostname).fetch().equals(PEOPLE)
    assert RemoteDataset(PEOPLE, hostname).id == 2
    with pytest.raises(ValueError, match="notes.txt"):
        RemoteDataset(tmp_path / "notes.txt", hostname)
    with pytest.raises(FileNotFoundError):
        RemoteDataset(tmp_path / "nowhere.csv", hostname)


def test_same_file_twice_is_the_same_flight_and_another_one_is_refused(
    csv_file: Path, hostname: str
) -> None:
    assert RemoteDataset(csv_file, hostname).id == RemoteDataset(csv_file, hostname).id == 0
    csv_file.write_text("name,age\nZoe,1\n")
    with pytest.raises(pa.ArrowException, match="people.csv"):
        RemoteDataset(csv_file, hostname)
    replaced = RemoteDataset(csv_file, hostname, if_exists="replace")
    assert replaced.id == 0
    assert replaced.fetch().num_rows == 1


def test_inspect_and_connect(people: RemoteDataset) -> None:
    told = people.inspect(0)
    assert (told.id, told.name, told.kind, told.rows) == (0, "#0", "dataset", 5)
    assert told.schema == PEOPLE.schema
    assert told.bytes > 0
    with pytest.raises(KeyError, match="7"):
        people.inspect(7)
    with pytest.raises(KeyError, match="7"):
        people.connect(7)
    assert people.id == 0


CALLS: list[Callable[[object], pa.Table]] = [
    lambda t: t.take([4, 0, None]),
    lambda t: t.take(pa.array([1, 1])),
    lambda t: t.take(np.array([2, 3])),
    lambda t: t.slice(1, 2),
    lambda t: t.slice(3),
    lambda t: t.slice(offset=2),
    lambda t: t.select(["age", "name"]),
    lambda t: t.select([-1, 0]),
    lambda t: t.filter([True, False, None, True, False]),
    lambda t: t.filter(pa.array([True, None, True, True, False]), "emit_null"),
    lambda t: t.filter(np.array([True, False, True, True, False])),
    lambda t: t.drop_null(),
    lambda t: t.sort_by("age"),
    lambda t: t.sort_by([("age", "descending"), ("name", "ascending")]),
    lambda t: t.drop("age"),
    lambda t: t.drop_columns(["age", "at"]),
    lambda t: t.remove_column(1),
    lambda t: t.rename_columns(["a", "it's $", 'q"']),
    lambda t: t.rename_columns({"age": "years"}),
    lambda t: t.replace_schema_metadata({"k": "v"}),
    lambda t: t.replace_schema_metadata(),
    lambda t: t.flatten(),
    lambda t: t.combine_chunks(),
    lambda t: t.unify_dictionaries(),
]


@pytest.mark.parametrize("call", CALLS)
def test_methods_give_what_a_local_table_gives(
    people: RemoteDataset, call: Callable[[object], pa.Table]
) -> None:
    assert call(people).equals(call(PEOPLE), check_metadata=True)


def test_combined_chunks_are_one(hostname: str) -> None:
    parts = pa.concat_tables([PEOPLE, PEOPLE, PEOPLE])
    combined = RemoteDataset(parts, hostname).combine_chunks()
    assert combined.equals(parts)
    assert [column.num_chunks for column in combined.columns] == [1, 1, 1]


ERRORS: list[Callable[[object], pa.Table]] = [
    lambda t: t.take([9]),
    lambda t: t.take(["a"]),
    lambda t: t.slice(-1),
    lambda t: t.select(["nobody"]),
    lambda t: t.filter([True]),
    lambda t: t.sort_by("nobody"),
    lambda t: t.sort_by([("age", "up")]),
    lambda t: t.drop(["nobody"]),
    lambda t: t.remove_column(-1),
    lambda t: t.rename_columns(["a"]),
    lambda t: t.rename_columns({"nobody": "x"}),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors_are_of_the_class_that_a_local_table_raises(
    people: RemoteDataset, call: Callable[[object], pa.Table]
) -> None:
    with pytest.raises(Exception) as local:  # noqa: B017 - any class: it is what is compared
        call(PEOPLE)
    with pytest.raises(type(local.value)):
        call(people)


def test_methods_need_a_connection(hostname: str) -> None:
    unconnected = RemoteDataset(hostname=hostname)
    assert "not connected" in repr(unconnected)
    for use in (unconnected.fetch, unconnected.drop_null, lambda: unconnected.id):
        with pytest.raises(ValueError, match="connect"):
            use()


def test_actions(people: RemoteDataset) -> None:
    assert {"delete", "clear", "shutdown"} <= set(people.list_actions())
    people.slice(1)
    [told] = people.action("delete", "1")
    assert "1" in told
    assert people.action("keep", {"id": 0})
    people.action("clear")
    assert people.list_flights() == []


def test_deleted_flights_keep_their_place_in_the_list(people: RemoteDataset) -> None:
    people.slice(1)
    people.slice(2)
    people.action("delete", {"id": 1})
    listed = people.list_flights()
    assert [f.id for f in listed] == [0, 1, 2]
    assert (listed[1].name, listed[1].kind) == ("DELETED", "deleted")


def test_big_table_is_stored_in_the_batches_that_were_sent(hostname: str) -> None:
    table = pa.table({"n": np.arange(2_000_000)})
    big = RemoteDataset(table, hostname)
    got = big.fetch()
    assert got.equals(table)
    assert all(chunk.nbytes <= 2 * 1024 * 1024 for chunk in got["n"].chunks)


def test_server_that_is_not_there_is_told() -> None:
    with pytest.raises(flight.FlightUnavailableError):
        RemoteDataset(hostname="localhost:1").list_flights()


def test_masks_and_indices_of_any_length_are_sent(hostname: str) -> None:
    table = pa.table({"n": pa.array(range(300_000))})
    with RemoteDataset(table, hostname=hostname) as big:
        mask = [i % 3 == 0 for i in range(table.num_rows)]
        assert big.filter(mask).equals(table.filter(pa.array(mask)))
        indices = list(range(table.num_rows - 1, -1, -2))
        assert big.take(indices).equals(table.take(indices))


def test_tutorial_with_save_and_restart(csv_file: Path, hostname: str, server: Server) -> None:
    people = RemoteDataset(str(csv_file), hostname)
    local = pyarrow.csv.read_csv(csv_file)
    assert people.take([0, 2]).equals(local.take([0, 2]))
    assert [summary.id for summary in people.list_flights()] == [0, 1]
    other = RemoteDataset(hostname=hostname).connect(0)
    assert other.inspect(0).rows == local.num_rows
    by_age = other.sort_by([("age", "descending")])
    assert other.action("save", "2 oldest") == ["Flight 2 saved as oldest.parquet"]
    assert pyarrow.parquet.read_table(server.data_dir / "oldest.parquet").equals(by_age)
    other.action("clear")
    assert people.list_flights() == []
    other.action("shutdown")
    server.wait()
    server.start()
    again = RemoteDataset(hostname=f"localhost:{server.port}").connect(1)
    assert [summary.name for summary in again.list_flights()] == [csv_file.name, "oldest"]
    assert again.fetch().equals(by_age)
    for flight_id in ("0", "1"):
        again.action("delete", flight_id)
    assert again.list_flights() == []
