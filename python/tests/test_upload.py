"""upload: every kind of source arrives whole, in bounded memory, or not at all."""

from __future__ import annotations

import gzip
import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.fs
import pyarrow.parquet
import pytest

import remote_arrow as ra
from serving import Server

PYTHON = Path(__file__).resolve().parent.parent
T = pa.table({"a": [3, 1, None, 4], "b": ["x", "ü,y", 'say "z"', "w"]})
MEMORY_LIMIT = 256 << 20
TRIES = 3  # on a busy machine allocators and gRPC now and then hold more for a moment
UPLOADS = """
import re, sys, pyarrow as pa, pyarrow.dataset, remote_arrow as ra
url, path, kind = sys.argv[1:]
source = path if kind == "path" else pa.dataset.dataset(path)
with ra.connect(url) as con:
    ds = con.upload(source, kind, if_exists="replace")
status = open("/proc/self/status").read()  # ru_maxrss would count whoever started this
print(ds.num_rows, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024)
"""


@pytest.fixture
def con(server: Server) -> Iterator[ra.Connection]:
    with ra.connect(server.uri) as connection:
        yield connection


def write_all_kinds(folder: Path) -> dict[str, Path]:
    """T in files of every kind, by what they show."""
    names = ("t.parquet", "t.PQ", "t.csv", "t.csv.gz", "t.tsv", "t.feather", "t.arrow", "s.arrow")
    files = {name: folder / name for name in names}
    pyarrow.parquet.write_table(T, files["t.parquet"], row_group_size=1)
    pyarrow.parquet.write_table(T, files["t.PQ"])
    pyarrow.csv.write_csv(T, files["t.csv"])
    files["t.csv.gz"].write_bytes(gzip.compress(files["t.csv"].read_bytes()))
    tabs = pyarrow.csv.WriteOptions(delimiter="\t")
    pyarrow.csv.write_csv(T, files["t.tsv"], tabs)
    pyarrow.feather.write_feather(T, files["t.feather"], compression="zstd")
    with pa.ipc.new_file(files["t.arrow"], T.schema) as writer:
        writer.write_table(T, max_chunksize=3)
    with pa.ipc.new_stream(files["s.arrow"], T.schema) as writer:
        writer.write_table(T, max_chunksize=3)
    return files


def test_files_of_every_kind(con: ra.Connection, tmp_path: Path) -> None:
    for path in write_all_kinds(tmp_path).values():
        for source in (path, str(path), path.as_uri()):
            assert con.upload(source).to_table().equals(T), source
    odd = (tmp_path / "t.csv").rename(tmp_path / "odd.txt")
    with pytest.raises(ValueError, match="odd.txt"):
        con.upload(odd)
    assert con.upload(odd, format="csv").to_table().equals(T)


def batches() -> Iterator[pa.RecordBatch]:
    yield from T.to_batches(max_chunksize=1)


OBJECTS: list[Callable[[], object]] = [
    lambda: T,
    lambda: T.to_reader(max_chunksize=3),
    lambda: T.combine_chunks().to_batches()[0],
    lambda: pyarrow.dataset.dataset(T),
    lambda: T.to_pydict(),
    batches,
    lambda: list(batches()),
    lambda: iter([T.slice(0, 1), T.slice(1)]),
    lambda: (frame for frame in (T.slice(0, 2).to_batches()[0], T.slice(2))),
]


@pytest.mark.parametrize("make", OBJECTS)
def test_objects_of_every_kind(con: ra.Connection, make: Callable[[], object]) -> None:
    assert con.upload(make(), "t").to_table().equals(T)
    assert [ds.num_rows for ds in con.flights()] == [T.num_rows]


def test_frames_of_pandas_and_polars(con: ra.Connection) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    assert con.upload(frame).to_pandas().equals(frame)
    theirs = polars.DataFrame(T)
    assert polars.from_arrow(con.upload(theirs).to_table()).equals(theirs)
    parts = pd.read_csv(io.StringIO("n\n1\n2\n3\n"), chunksize=1)
    assert con.upload(parts).to_table()["n"].to_pylist() == [1, 2, 3]


def test_patterns_and_lists_of_files(con: ra.Connection, tmp_path: Path) -> None:
    monthly = pa.schema({"a": pa.int64(), "b": pa.string()})
    for i in range(4):
        folder = tmp_path / f"m{i % 2}"
        folder.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(T.slice(i, 1), folder / f"{i}.parquet")
    (tmp_path / "m0/.3.parquet").write_text("hidden")
    (tmp_path / "m0/[x].parquet").write_bytes((tmp_path / "m0/0.parquet").read_bytes())
    rows = T.to_pylist()
    patterns = {
        "m0/[0-9].parquet": [0, 2],
        "m0/[x].parquet": [0],  # a file of that very name goes first
        "m?/[0-9]*.parquet": [0, 2, 1, 3],
        "*/3.parquet": [3],
    }
    for pattern, expected in patterns.items():
        got = con.upload(tmp_path / pattern, schema=monthly).to_table()
        assert got.to_pylist() == [rows[i] for i in expected], pattern
    both = [tmp_path / "m1/3.parquet", tmp_path / "m0/0.parquet"]
    assert con.upload(both).to_table().to_pylist() == [rows[3], rows[0]]
    with pytest.raises(FileNotFoundError, match="z"):
        con.upload(tmp_path / "z*.parquet")
    with pytest.raises(IsADirectoryError, match="m0"):
        con.upload(tmp_path / "m0")


def test_relative_pattern(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all_kinds(tmp_path)
    monkeypatch.chdir(tmp_path)
    with ra.connect(server.uri) as con:
        assert con.upload("t.p*").to_table().equals(T)
        assert con.upload("./t.p*").to_table().equals(T)
        assert con.upload("t.parquet").to_table().equals(T)


def test_open_files(con: ra.Connection, tmp_path: Path) -> None:
    for name, path in write_all_kinds(tmp_path).items():
        format_ = {"t.PQ": "parquet", "feather": "arrow"}.get(name, name.partition(".")[2])
        if format_ in ("parquet", "csv", "arrow"):
            with path.open("rb") as file:
                assert con.upload(file, format=format_).to_table().equals(T), name
    with pa.OSFile(str(tmp_path / "t.csv")) as file:
        assert con.upload(file, format="csv").to_table().equals(T)
    with (tmp_path / "t.csv").open("rb") as file, pytest.raises(ValueError, match="format="):
        con.upload(file)


def test_file_systems(con: ra.Connection, tmp_path: Path) -> None:
    write_all_kinds(tmp_path)
    memory = fsspec.filesystem("memory")
    for name in ("t.parquet", "t.csv.gz", "t.arrow"):
        memory.pipe(f"/bucket/{name}", (tmp_path / name).read_bytes())
        assert con.upload(f"memory://bucket/{name}").to_table().equals(T)
        assert con.upload(f"/bucket/{name}", filesystem=memory).to_table().equals(T)
        inside = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
        assert con.upload(name, filesystem=inside).to_table().equals(T)
    assert con.upload("memory://bucket/*.parquet").to_table().equals(T)
    with pytest.raises(ValueError, match="no-such"):
        con.upload("no-such://bucket/t.parquet")


def test_csv_options(con: ra.Connection, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("# comment\n1;x\n2;y\n")
    got = con.upload(
        path,
        read_options=pyarrow.csv.ReadOptions(skip_rows=1, column_names=["n", "s"]),
        parse_options=pyarrow.csv.ParseOptions(delimiter=";"),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"n": pa.int8()}),
    )
    assert got.to_table().equals(pa.table({"n": pa.array([1, 2], pa.int8()), "s": ["x", "y"]}))


def test_large_csv_is_read_in_blocks_and_a_late_surprise_is_explained(
    con: ra.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "large.csv"
    n_rows = 2_500_000
    pyarrow.csv.write_csv(pa.table({"n": np.arange(10_000_000, 10_000_000 + n_rows)}), path)
    assert path.stat().st_size > 20 << 20
    assert con.upload(path).to_table().equals(pyarrow.csv.read_csv(path))
    with path.open("a") as file:
        file.write("late\n")
    with pytest.raises(pa.ArrowInvalid, match="column_types"):
        con.upload(path, "bad")
    kinds = pyarrow.csv.ConvertOptions(column_types={"n": pa.string()})
    assert con.upload(path, "good", convert_options=kinds).num_rows == n_rows + 1
    assert [ds.name for ds in con.flights()] == [None, "good"]


def test_schema_is_what_columns_are_converted_to(con: ra.Connection, tmp_path: Path) -> None:
    schema = pa.schema({"a": pa.float32(), "b": pa.large_string()})
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(T, path)
    for source in (T, path, T.to_pandas(), batches(), T.to_pydict()):
        got = con.upload(source, schema=schema)
        assert got.schema.remove_metadata() == schema
        assert got.to_table().equals(T.cast(schema))
    text = tmp_path / "t.csv"
    text.write_text("a,b\n1,007\n")
    assert con.upload(text, schema=schema).to_table()["b"].to_pylist() == ["007"]
    assert con.upload(iter(()), schema=schema).shape == (0, 2)
    with pytest.raises(ValueError, match="schema="):
        con.upload(iter(()))


def failing() -> Iterator[pa.RecordBatch]:
    yield from batches()
    raise ZeroDivisionError("of the source")


def other_types() -> Iterator[pa.RecordBatch]:
    yield from batches()
    yield pa.record_batch({"a": ["1"], "b": ["x"]})


FAILURES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (failing, ZeroDivisionError, "of the source"),
    (lambda: pa.RecordBatchReader.from_batches(T.schema, failing()), ZeroDivisionError, "of the"),
    (other_types, ValueError, "'a' of string"),
    (lambda: iter([T, T.select(["b"])]), ValueError, r"\['b'\]"),
    (lambda: [T, 7], TypeError, "int"),
    (lambda: b"bytes", TypeError, "bytes"),
    (lambda: 7, TypeError, "int"),
]


@pytest.mark.parametrize(("make", "kind", "words"), FAILURES)
def test_failing_source_leaves_nothing(
    con: ra.Connection, make: Callable[[], object], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        con.upload(make(), "t")
    assert con.flights() == []
    assert con.upload(T, "t").version == 1


def test_damaged_parquet_file_leaves_nothing(con: ra.Connection, tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    values = np.random.default_rng(1).random(1_000_000)
    pyarrow.parquet.write_table(pa.table({"x": values}), path, row_group_size=200_000)
    whole = bytearray(path.read_bytes())
    place = len(whole) * 3 // 4
    whole[place : place + 400_000] = bytes(400_000)
    path.write_bytes(whole)
    n_threads = threading.active_count()
    with pytest.raises((pa.ArrowException, OSError)):
        con.upload(path, "t")
    assert con.flights() == [] and threading.active_count() == n_threads


def test_refused_upload_tells_the_server_s_reason(con: ra.Connection, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    values = np.random.default_rng(1).random(4_000_000)
    pyarrow.parquet.write_table(pa.table({"x": values}), path, row_group_size=100_000)
    con.upload(T, "t")
    n_threads = threading.active_count()
    with pytest.raises(ra.FlightExists, match="'t'") as told:
        con.upload(path, "t")
    assert told.value.reason == "FLIGHT_EXISTS" and threading.active_count() == n_threads


@pytest.mark.parametrize("group_rows", [50_000, 10_000_000])
def test_parquet_file_larger_than_the_memory_it_needs(
    server: Server, tmp_path: Path, group_rows: int
) -> None:
    n_columns, n_rows = 12, 6_000_000  # 576 MB
    path = tmp_path / "big.parquet"
    schema = pa.schema({f"c{i}": pa.int64() for i in range(n_columns)})
    rng = np.random.default_rng(2)
    columns = [pa.array(rng.integers(0, 1 << 62, n_rows)) for _ in range(2)] * (n_columns // 2)
    table = pa.table(columns, schema=schema)
    pyarrow.parquet.write_table(table, path, row_group_size=group_rows, use_dictionary=False)
    assert path.stat().st_size > 2 * MEMORY_LIMIT
    # A Dataset holds a row group: that is how pyarrow scans.
    for kind in ("path", "dataset") if group_rows < n_rows else ("path",):
        assert_little_memory(server, path, kind, n_rows)


def assert_little_memory(server: Server, path: Path, kind: str, n_rows: int) -> None:
    command = [sys.executable, "-c", UPLOADS, server.uri, str(path), kind]
    environment = {**os.environ, "PYTHONPATH": str(PYTHON)}
    peaks = []
    for _ in range(TRIES):
        told = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        rows, peak = map(int, told.stdout.split())
        assert rows == n_rows
        peaks.append(peak >> 20)
        if peak < MEMORY_LIMIT:
            return
    pytest.fail(f"{kind}: {peaks} MB")


def test_csv_file_larger_than_the_memory_it_needs(server: Server, tmp_path: Path) -> None:
    line = b"123456789,0.123456789,some words in a string\n"
    path = tmp_path / "big.csv"
    with path.open("wb") as file:
        file.write(b"a,b,c\n")
        for _ in range(600):
            file.write(line * 20_000)
    assert path.stat().st_size > 2 * MEMORY_LIMIT
    assert_little_memory(server, path, "path", 12_000_000)


def test_wide_values_are_read_few_at_a_time(con: ra.Connection, tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    table = pa.table({"s": [f"{i:d}" * 500_000 for i in range(10)]})
    pyarrow.parquet.write_table(table, path)
    got = con.upload(path).to_table()
    assert got.equals(table) and max(chunk.nbytes for chunk in got["s"].chunks) <= 2 << 20


def test_callable_is_told_rows_and_bytes(con: ra.Connection, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"n": np.arange(1_000_000)})
    pyarrow.parquet.write_table(table, path)
    for source, total in ((path, 1_000_000), (table.to_reader(), None)):
        told: list[ra.Progress] = []
        con.upload(source, progress=told.append)
        assert [p.rows for p in told] == sorted(p.rows for p in told) and len(told) > 2
        assert (told[-1].rows, told[-1].total_rows) == (1_000_000, total)
        assert 8_000_000 <= told[-1].bytes <= 8_200_000

    def stop(progress: ra.Progress) -> None:
        raise KeyboardInterrupt

    n_before = len(con.flights())
    with pytest.raises(KeyboardInterrupt):
        con.upload(path, progress=stop)
    assert len(con.flights()) == n_before


def on_terminal(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> str:
    """What is written to a stderr that is a terminal."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        work()
        monkeypatch.undo()
        terminal.write("end")
        terminal.flush()
        seen = b""
        while not seen.endswith(b"end"):
            seen += os.read(master, 65536)
    os.close(master)
    return seen.decode()[:-3]


def test_bar_is_drawn_on_a_terminal_when_it_takes_long(
    con: ra.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_terminal(lambda: con.upload(T), monkeypatch) == ""
    assert on_terminal(lambda: con.upload(T, progress=False), monkeypatch) == ""
    seen = on_terminal(lambda: con.upload(T, progress=True), monkeypatch)
    assert "of 4 rows" in seen and seen.endswith("\r")
    monkeypatch.setattr("remote_arrow.progress._QUIET_S", 0.0)
    assert "of 4 rows" in on_terminal(lambda: con.upload(T), monkeypatch)
    con.upload(T)
    assert capsys.readouterr().err == ""


def test_what_is_no_table_is_told_so(con: ra.Connection, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"n\xe4me\n1\n")
    (tmp_path / "text.arrow").write_bytes(b"a,b\n1,2\n")
    for source, error, words in (
        (pd.Series([1.0]), TypeError, "to_frame"),
        (np.zeros(3), TypeError, "ndarray is not a table"),
        ([{"a": 1}, {"a": 2}], TypeError, "for rows take pa.Table.from_pylist"),
        (tmp_path / "latin.csv", ValueError, "not UTF-8, give its encoding: "),
        (tmp_path / "text.arrow", ValueError, "this is no Arrow data"),
    ):
        with pytest.raises(error, match=words):
            con.upload(source, "t")
    with pytest.raises(TypeError, match="'delimiter' is no option of an upload; there are schema,"):
        con.upload(T, "t", delimiter=";")  # type: ignore[call-arg]
    assert con.flights() == []
    read = pyarrow.csv.ReadOptions(encoding="latin-1")
    assert con.upload(tmp_path / "latin.csv", read_options=read).column_names == ["n\xe4me"]
