"""Explicit reads: exact batches, files, resumption; nothing is published."""

from __future__ import annotations

import builtins
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import remote_arrow as ra
from serving import Server

PYTHON = Path(__file__).resolve().parent.parent
T = pa.table(
    {"a": [3, 1, None], "d": pa.array(["p", "q", "p"]).dictionary_encode(), "s": [{"x": 1}] * 3}
)
WRITES_A_FILE = """
import resource, sys
import remote_arrow as ra
ds = ra.connect(sys.argv[1])["long"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
getattr(ds, sys.argv[2])(sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def batches_of(n_batches: int, n_rows: int) -> Iterator[pa.RecordBatch]:
    for i in range(n_batches):
        values = pa.array(np.arange(i * n_rows, (i + 1) * n_rows))
        yield pa.record_batch({"i": values, "j": values})


def test_rows_and_columns_are_chosen(con: ra.Connection) -> None:
    ds = con.upload(T)
    assert ds.to_table(["d", 0], offset=1, limit=1).equals(T.select(["d", "a"]).slice(1, 1))
    assert ds.to_table(indices=[2, None, 0], offset=1).equals(T.take(pa.array([None, 0])))
    assert ds.to_table([]).num_rows == 3 and ds.to_table(offset=99).num_rows == 0
    assert ds.to_table(limit=0).schema.equals(T.schema)
    assert ds.to_polars().equals(polars.from_arrow(T))
    assert ds.to_pandas(types_mapper=None).equals(T.to_pandas())
    with pytest.raises(ra.RemoteArrowError, match="z"):
        ds.to_table(["z"])
    with pytest.raises(TypeError, match="list of names"):
        ds.to_table("a")
    assert len(con.flights()) == 1


def test_polars_may_be_missing(con: ra.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_polars(name: str, *rest: object) -> object:
        if name == "polars":
            raise ImportError(name)
        return real(name, *rest)

    ds = con.upload(T)
    monkeypatch.setattr(builtins, "__import__", without_polars)
    with pytest.raises(ImportError, match="pip install polars"):
        ds.to_polars()


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000, 5000])
def test_batches_have_the_size_that_was_asked_for(con: ra.Connection, batch_size: int) -> None:
    table = pa.Table.from_batches(batches_of(11, 100))
    ds = con.upload(table)
    batches = list(ds.iter_batches(["j"], batch_size))
    assert {batch.num_rows for batch in batches[:-1]} <= {batch_size}
    assert 0 < batches[-1].num_rows <= batch_size
    assert pa.Table.from_batches(batches).equals(table.select(["j"]))
    with pytest.raises(ValueError, match="batch_size"):
        ds.iter_batches(batch_size=0)


def test_empty_tables_and_tables_without_columns(con: ra.Connection) -> None:
    empty = con.upload(T.slice(0, 0))
    assert list(empty.iter_batches(batch_size=2)) == [] and empty.to_table().equals(T.slice(0, 0))
    narrow = con.upload(T).select([])
    assert [batch.num_rows for batch in narrow.iter_batches(batch_size=2)] == [2, 1]


def test_broken_download_of_exact_batches_goes_on(con: ra.Connection, server: Server) -> None:
    table = pa.Table.from_batches(batches_of(40, 100_000))
    ds = con.upload(table)
    batches = []
    for batch in ds.iter_batches(batch_size=77_777):
        if len(batches) in (3, 20):
            server.kill()
            server.start()
        batches.append(batch)
    assert {batch.num_rows for batch in batches[:-1]} == {77_777}
    assert pa.Table.from_batches(batches).combine_chunks().equals(table.combine_chunks())


def test_batches_left_off_end_the_call(con: ra.Connection, server: Server) -> None:
    ds = con.upload(
        pa.RecordBatchReader.from_batches(next(batches_of(1, 1)).schema, batches_of(30, 100_000))
    )
    batches = ds.iter_batches()
    next(batches)
    batches.close()
    deadline = time.monotonic() + 10
    while "DoGet" not in server.log and time.monotonic() < deadline:
        time.sleep(0.02)
    ended = [line for line in server.log.splitlines() if "DoGet" in line]
    assert len(ended) == 1 and "code=CANCELLED" in ended[0]


def test_files_hold_the_table(con: ra.Connection, tmp_path: Path) -> None:
    changing = pa.chunked_array(
        [pa.array(["p", "q"]).dictionary_encode()] * 1 + [pa.array(["r", "q"]).dictionary_encode()]
    )
    table = pa.table({"a": [1, 2, None, 4], "d": changing}, metadata={"k": "v"})
    ds = con.upload(table)
    ds.write_parquet(tmp_path / "t.parquet", compression="zstd")
    ds.write_arrow(str(tmp_path / "t.arrow"), compression="lz4")
    ds.write_csv(tmp_path / "t.csv", delimiter=";")
    ds.slice(0, 0).write_parquet(tmp_path / "empty.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist() == table.to_pylist()
    arrow = pyarrow.feather.read_table(tmp_path / "t.arrow")
    assert arrow.to_pylist() == table.to_pylist() and arrow.schema.equals(table.schema, True)
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == ['"a";"d"', '1;"p"']
    assert pyarrow.parquet.read_table(tmp_path / "empty.parquet").num_rows == 0
    assert len(list(tmp_path.glob("*.*"))) == 4  # none of them temporary
    assert len(con.flights()) == 2


def test_file_that_cannot_be_written_stays_as_it_was(
    con: ra.Connection, server: Server, tmp_path: Path
) -> None:
    ds = con.upload(T)
    out = tmp_path / "out.csv"
    out.write_text("before")
    with pytest.raises(pa.ArrowException):  # CSV has no structs
        ds.write_csv(out)
    ds.delete()
    with pytest.raises(ra.FlightNotFound):
        ds.write_parquet(out)
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.csv"]
    with pytest.raises(FileNotFoundError):
        ds.write_arrow(tmp_path / "no folder" / "x.arrow")


@pytest.mark.parametrize("method", ["write_parquet", "write_csv", "write_arrow"])
def test_files_are_written_in_bounded_memory(
    con: ra.Connection, tmp_path: Path, method: str
) -> None:
    n_batches, n_rows = 160, 131_072
    schema = next(batches_of(1, 1)).schema
    source = pa.RecordBatchReader.from_batches(schema, batches_of(n_batches, n_rows))
    ds = con.upload(source, "long")
    assert ds.total_bytes >= n_batches * n_rows * 16
    command = [sys.executable, "-c", WRITES_A_FILE, con.url, method, str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(PYTHON)}
    )
    kilobytes = int(done.stdout)
    assert kilobytes * 1024 < ds.total_bytes * 0.75


def test_broken_run_of_an_unpublished_pipeline_goes_on(con: ra.Connection, server: Server) -> None:
    table = pa.Table.from_batches(batches_of(40, 100_000))
    with con.upload(table).pipeline(publish=False) as p:
        backwards = p.sort_by([("i", "descending")])
    batches = []
    for batch in backwards.iter_batches():
        if len(batches) == 2:
            server.kill()
            server.start()
        batches.append(batch)
    assert len(batches) > 4
    assert pa.Table.from_batches(batches).equals(table.sort_by([("i", "descending")]))


def test_errors_of_runs_reach_the_reader(con: ra.Connection) -> None:
    with con.upload(T).pipeline(publish=False) as p:
        outside = p.take([99])
    with pytest.raises(pa.ArrowIndexError) as error:
        outside.to_table()
    assert isinstance(error.value, ra.RemoteArrowError) and "99" in str(error.value)


def test_missing_columns_are_told_as_of_a_local_table(con: ra.Connection) -> None:
    with pytest.raises(KeyError) as local:
        T.select(["nothing"])
    with pytest.raises(KeyError) as remote:
        con.upload(T).to_table(["nothing"])
    assert str(remote.value) == local.value.args[0]


def test_file_in_no_folder_is_told_by_its_own_name(con: ra.Connection, tmp_path: Path) -> None:
    ds = con.upload(T)
    with pytest.raises(FileNotFoundError, match=r"no folder '.*/none' for 't\.csv'$"):
        ds.write_csv(tmp_path / "none/t.csv")
