"""Files that appear in the data directory become datasets."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

from file_types import children, fate_of, unique_keys
from serving import Server, wait_for_worker
from zoo import ALL_TYPES, all_tables, table_of

OPTIONS = flight.FlightCallOptions(timeout=60)
LONG_AGO = 1_600_000_000


def write_arrow(path: Path, table: pa.Table, compression: str | None = None) -> None:
    """Writes an Arrow file at once, as something long finished."""
    part = path.with_name(f".{path.name}.part")
    options = pa.ipc.IpcWriteOptions(compression=compression, unify_dictionaries=True)
    with pa.ipc.new_file(part, table.schema, options=options) as file:
        file.write_table(table)
    put(part, path)


def put(part: Path, path: Path) -> None:
    """Puts a file in place that has not been changed for long."""
    os.utime(part, (LONG_AGO, LONG_AGO))
    part.rename(path)


def put_bytes(path: Path, data: bytes, when: int = LONG_AGO) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.utime(part, (when, when))
    part.rename(path)


def wait_for_log(server: Server, words: str, times: int = 1) -> None:
    until = time.monotonic() + 20
    while server.log.count(words) < times:
        assert time.monotonic() < until, f"no {words!r} in:\n{server.log[-3000:]}"
        time.sleep(0.05)


def names(server: Server) -> list[str]:
    with server.client() as client:
        return [info.descriptor.path[0].decode() for info in client.list_flights(options=OPTIONS)]


def read(server: Server, name: str) -> pa.Table:
    with server.client() as client:
        info = client.get_flight_info(flight.FlightDescriptor.for_path(name), OPTIONS)
        return client.do_get(info.endpoints[0].ticket, OPTIONS).read_all()


def two_scans(server: Server) -> None:
    """Waits until the directory has been looked at again."""
    path = server.data_dir / "mark.arrow"
    n = server.log.count("'mark.arrow'")
    put_bytes(path, os.urandom(20))
    wait_for_log(server, "'mark.arrow'", n + 1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def test_arrow_files_of_every_table(make_server: Callable[..., Server], data_dir: Path) -> None:
    tables = {}
    for i, maker in enumerate(all_tables().values()):
        name, table = f"t{i}", maker()
        try:
            write_arrow(data_dir / f"{name}.arrow", table)
        except pa.ArrowNotImplementedError:
            continue  # dictionaries that pyarrow cannot unify for a file
        tables[name] = table
    assert len(tables) > 90
    server = make_server(data_dir=data_dir)
    wait_for_log(server, "INFO import: file", len(tables))
    assert sorted(names(server)) == sorted(tables)
    for name, table in tables.items():
        back = read(server, name)
        assert back.schema.equals(table.schema, check_metadata=True)
        assert back.num_rows == table.num_rows
        assert repr(back.to_pylist()) == repr(table.to_pylist())


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_arrow_files(own_server: Server, compression: str) -> None:
    table = pa.table({"i": range(100_000), "s": ["text"] * 100_000})
    write_arrow(own_server.data_dir / "x.arrow", table, compression)
    wait_for_log(own_server, "'x.arrow' is Flight 0, version 1: 100000 rows")
    assert read(own_server, "x").equals(table)


def test_a_stream_and_a_message_over_the_batch_limit(own_server: Server) -> None:
    table = pa.table({"s": ["x" * 1000] * 20_000})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    put_bytes(own_server.data_dir / "x.arrow", sink.getvalue().to_pybytes())
    wait_for_log(own_server, "'x.arrow' is Flight 0")
    assert read(own_server, "x").equals(table)


def test_a_file_is_imported_once_and_again_when_it_changes(own_server: Server) -> None:
    path = own_server.data_dir / "x.arrow"
    write_arrow(path, pa.table({"i": [1]}))
    wait_for_log(own_server, "version 1: 1 rows")
    own_server.restart()
    os.utime(path)  # another time, the same bytes
    two_scans(own_server)
    write_arrow(path, pa.table({"i": [1, 2]}))
    wait_for_log(own_server, "version 2: 2 rows")
    assert read(own_server, "x").to_pydict() == {"i": [1, 2]}
    assert own_server.log.count("INFO import: file 'x.arrow'") == 2


def test_what_was_deleted_does_not_come_back(own_server: Server) -> None:
    write_arrow(own_server.data_dir / "x.arrow", pa.table({"i": [1]}))
    wait_for_log(own_server, "version 1: 1 rows")
    with own_server.client() as client:
        list(client.do_action(flight.Action("delete", b'{"id": 0}'), OPTIONS))
    own_server.restart()
    two_scans(own_server)
    assert names(own_server) == []


def test_exports_are_not_imported(own_server: Server) -> None:
    with own_server.client() as client:
        table = pa.table({"i": [1]})
        writer, _ = client.do_put(flight.FlightDescriptor.for_path("t"), table.schema, OPTIONS)
        with writer:
            writer.write_table(table)
        for suffix in ("arrow", "parquet", "csv"):
            body = f'{{"id": 0, "file": "x.{suffix}"}}'.encode()
            list(client.do_action(flight.Action("export", body), OPTIONS))
    time.sleep(1.1)  # until an import would take them
    own_server.restart()
    two_scans(own_server)
    assert names(own_server) == ["t"]


def test_a_taken_name_is_left_alone(own_server: Server) -> None:
    with own_server.client() as client:
        table = pa.table({"mine": [1]})
        writer, _ = client.do_put(flight.FlightDescriptor.for_path("x"), table.schema, OPTIONS)
        with writer:
            writer.write_table(table)
    write_arrow(own_server.data_dir / "x.arrow", pa.table({"i": [1]}))
    wait_for_log(own_server, "file 'x.arrow' was not imported")
    own_server.restart()
    write_arrow(own_server.data_dir / "x.arrow", pa.table({"i": [1, 2]}))
    wait_for_log(own_server, "file 'x.arrow' was not imported", 2)
    assert read(own_server, "x").equals(table)


def arrow_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue().to_pybytes()


GOOD = arrow_bytes(pa.table({"i": range(1000), "s": ["abc"] * 1000}))
BAD_ARROW = {
    "empty": b"",
    "noise": os.urandom(5000),
    "half": GOOD[: len(GOOD) // 2],
    "no footer": GOOD[:-10],
    "huge footer": GOOD[:-10] + b"\xff\xff\xff\x7f" + GOOD[-6:],
    "negative footer": GOOD[:-10] + b"\x00\x00\x00\x80" + GOOD[-6:],
    "huge message": GOOD[:8] + b"\xff\xff\xff\xff\xff\xff\xff\x0f" + GOOD[16:],
    "bad string": GOOD.replace(b"abcabc", b"\xff\xffcabc", 1),
}


def export_all(server: Server, table: pa.Table, path: Path) -> None:
    """Exports a table and moves the file elsewhere, as something long finished."""
    with server.client() as client:
        put_it = flight.FlightDescriptor.for_path("t")
        writer, _ = client.do_put(put_it, table.schema, OPTIONS)
        with writer:
            writer.write_table(table)
        body = b'{"name": "t", "file": "t.parquet"}'
        list(client.do_action(flight.Action("export", body), OPTIONS))
    put(server.data_dir / "t.parquet", path)


def kept_whole(kind: pa.DataType) -> bool:
    """Whether a column comes back from one of our Parquet files as it was, type included."""
    within = children(kind)
    if pa.types.is_run_end_encoded(kind) or fate_of(kind).parquet != "kept":
        return False
    if any(pa.types.is_dictionary(child) for child in within):
        return False
    return all(kept_whole(child) for child in within)


def test_our_parquet_comes_back_as_it_was(make_server: Callable[..., Server]) -> None:
    kinds = [kind for kind in ALL_TYPES if kept_whole(kind)]
    assert len(kinds) > 60
    columns = [unique_keys(table_of(kind, rows=4000)).select(["v"]) for kind in kinds]
    fields = [table.schema.field(0).with_name(f"c{i}") for i, table in enumerate(columns)]
    schema = pa.schema(fields, {"of": "all"})
    n = 2000
    chunks = [
        next(chunk for chunk in column["v"].chunks if len(chunk) >= n).slice(0, n)
        for column in columns
    ]
    table = pa.Table.from_arrays(chunks, schema=schema)
    first, second = make_server(), make_server()
    export_all(first, table, second.data_dir / "x.parquet")
    wait_for_log(second, "'x.parquet' is Flight 0")
    back = read(second, "x")
    back.validate(full=True)
    assert back.schema.equals(schema, check_metadata=True)
    for name in schema.names:
        assert repr(back[name].to_pylist()) == repr(table[name].to_pylist()), schema.field(name)


def test_parquet_of_pyarrow(make_server: Callable[..., Server], data_dir: Path) -> None:
    tables = {}
    for i, kind in enumerate(ALL_TYPES):
        if kind == pa.list_(pa.int8(), 0):
            continue  # pyarrow cannot read its own file
        table, part = unique_keys(table_of(kind, rows=400)), data_dir / f".{i}"
        try:
            pq.write_table(table, part)
        except (pa.ArrowException, OSError):
            continue
        put(part, data_dir / f"t{i}.parquet")
        tables[f"t{i}"] = table
    assert len(tables) > 75
    server = make_server(data_dir=data_dir)
    wait_for_log(server, "import: file", len(tables))
    there = names(server)
    for name, table in tables.items():
        kind = table.schema.field("v").type
        if name not in there:
            assert fate_of(kind).parquet == "lossy", kind
            assert f"'{name}.parquet' was not imported: column " in server.log
            continue
        back = read(server, name)
        assert repr(back.to_pydict()) == repr(table.to_pydict())
        if kept_whole(kind):
            assert back.schema.equals(table.schema, check_metadata=True)


def test_parquet_without_an_arrow_schema(own_server: Server) -> None:
    table = pa.table(
        {
            "i": pa.array([1, None], pa.uint16()),
            "b": [True, None],
            "when": pa.array([1, 2], pa.timestamp("us", "UTC")),
            "list": [[1.5], []],
        }
    )
    part = own_server.data_dir / ".part"
    pq.write_table(table, part, store_schema=False)
    put(part, own_server.data_dir / "x.parquet")
    wait_for_log(own_server, "'x.parquet' is Flight 0")
    assert read(own_server, "x").equals(table)


def test_csv(own_server: Server) -> None:
    text = b"i,f,s,b,d,t\n1,1.5,abc,true,2020-01-01,2020-01-01 10:00:00\n2,,'x,false,,\n"
    put_bytes(own_server.data_dir / "x.csv", text)
    wait_for_log(own_server, "'x.csv' is Flight 0, version 1: 2 rows")
    kinds = [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us")]
    back = read(own_server, "x")
    assert back.schema == pa.schema(list(zip("ifsbdt", kinds)))
    assert back["s"].to_pylist() == ["abc", "'x"]


PARQUET = pa.BufferOutputStream()
pq.write_table(pa.table({"i": range(1000), "s": ["abc"] * 1000}), PARQUET)
PARQUET_BYTES = PARQUET.getvalue().to_pybytes()
BAD_OTHERS = {
    "empty.parquet": b"",
    "noise.parquet": b"PAR1" + os.urandom(5000) + b"PAR1",
    "half.parquet": PARQUET_BYTES[: len(PARQUET_BYTES) // 2],
    "text.parquet": b"not a Parquet file at all",
    "empty.csv": b"",
    "noise.csv": b"\x00\xff\xfe" * 1000,
}


def test_bad_files_are_one_line_each(own_server: Server) -> None:
    bad = {f"{name}.arrow": data for name, data in BAD_ARROW.items()} | BAD_OTHERS
    for name, data in bad.items():
        put_bytes(own_server.data_dir / name, data)
    wait_for_log(own_server, "was not imported: ", len(bad))
    write_arrow(own_server.data_dir / "good.arrow", pa.table({"i": [1]}))
    wait_for_log(own_server, "'good.arrow' is Flight 0")
    own_server.restart()
    two_scans(own_server)
    for name in bad:
        assert own_server.log.count(f"'{name}'") == 1
    assert names(own_server) == ["good"]
    assert list((own_server.data_dir / ".remote-arrow" / "tmp").iterdir()) == []


def test_damaged_parquet_never_hurts_the_server(own_server: Server) -> None:
    rng = random.Random(7)
    for i in range(40):
        data = bytearray(PARQUET_BYTES)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        put_bytes(own_server.data_dir / f"x{i}.parquet", bytes(data))
    wait_for_log(own_server, "import: file", 40)
    assert own_server.is_running


def bomb_of_parquet(path: Path) -> None:
    """Some kilobytes that say 200 million rows."""
    rows = pa.array([1], pa.int64()).take(pa.array(np.zeros(20_000_000, np.int8)))
    with pq.ParquetWriter(path, pa.schema({"i": pa.int64()})) as writer:
        for _ in range(10):
            writer.write_table(pa.table({"i": rows}), row_group_size=20_000_000)


def bomb_of_arrow(path: Path) -> None:
    """Some kilobytes that say a batch of 400 MB."""
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    zeros = pa.table({"i": np.zeros(50_000_000, np.int64)})
    with pa.ipc.new_file(path, zeros.schema, options=options) as file:
        file.write_table(zeros)


@pytest.mark.parametrize(
    ("suffix", "make", "why"),
    [("parquet", bomb_of_parquet, "quota"), ("arrow", bomb_of_arrow, "memory limit")],
    ids=["parquet", "arrow"],
)
def test_a_small_file_that_says_much(
    own_server: Server, suffix: str, make: Callable[[Path], None], why: str
) -> None:
    own_server.stop()
    own_server.args = ("--disk-quota", "100M", "--memory-limit", "256M")
    own_server.start()
    part = own_server.data_dir / ".part"
    make(part)
    assert part.stat().st_size < 2_000_000
    put(part, own_server.data_dir / f"x.{suffix}")
    wait_for_log(own_server, "import: file 'x.")
    (line,) = [line for line in own_server.log.splitlines() if "import: file 'x." in line]
    assert "was not imported" in line and why in line, line
    assert own_server.anonymous_bytes() < 200 << 20
    assert names(own_server) == []
    assert list((own_server.data_dir / ".remote-arrow" / "tmp").iterdir()) == []


def test_a_file_that_is_too_large_for_the_disk(make_server: Callable[..., Server]) -> None:
    server = make_server("--disk-quota", "1M")
    write_arrow(server.data_dir / "x.arrow", pa.table({"i": range(1_000_000)}))
    wait_for_log(server, "file 'x.arrow' was not imported")
    two_scans(server)
    assert server.log.count("file 'x.arrow'") == 1
    assert names(server) == []


@pytest.fixture
def large_csv(data_dir: Path) -> Path:
    rows = pa.table({"i": range(1_500_000), "s": ["some text of a row"] * 1_500_000})
    part = data_dir / ".part"
    csv.write_csv(rows, part)
    put(part, data_dir / "x.csv")
    return data_dir


def test_an_import_holds_nobody_up(make_server: Callable[..., Server], large_csv: Path) -> None:
    started = time.monotonic()
    server = make_server(data_dir=large_csv)
    assert time.monotonic() - started < 3
    took = []
    with server.client() as client:
        while "'x.csv' is Flight" not in server.log:
            before = time.monotonic()
            list(client.do_action(flight.Action("server-info", b""), OPTIONS))
            took.append(time.monotonic() - before)
            assert time.monotonic() - started < 60
    assert len(took) > 20
    assert sorted(took)[int(len(took) * 0.99)] < 0.5
    assert server.log.count("'x.csv' is Flight 0, version 1: 1500000 rows") == 1


def test_a_server_that_stops_gives_an_import_up(
    make_server: Callable[..., Server], large_csv: Path
) -> None:
    server = make_server(data_dir=large_csv)
    worker = wait_for_worker(server)
    before = time.monotonic()
    server.stop()
    assert time.monotonic() - before < 5
    assert not worker.exists()
    server.start()
    wait_for_log(server, "'x.csv' is Flight 0, version 1: 1500000 rows")
    assert list((large_csv / ".remote-arrow" / "tmp").iterdir()) == []


def test_a_killed_server_imports_once(make_server: Callable[..., Server], large_csv: Path) -> None:
    server = make_server(data_dir=large_csv)
    for pause in (0.0, 0.1, 0.3, 0.6):
        if names(server):
            break
        worker = wait_for_worker(server)
        time.sleep(pause)
        server.kill()
        until = time.monotonic() + 5
        while worker.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not worker.exists()
        server.start()
    until = time.monotonic() + 30
    while not names(server) and time.monotonic() < until:
        time.sleep(0.1)
    two_scans(server)
    assert names(server) == ["x"]
    assert read(server, "x").num_rows == 1_500_000
    with server.client() as client:
        (versions,) = client.do_action(flight.Action("versions", b'{"name": "x"}'), OPTIONS)
    assert len(json.loads(versions.body.to_pybytes())["versions"]) == 1
    assert list((large_csv / ".remote-arrow" / "tmp").iterdir()) == []


def test_what_is_left_alone(make_server: Callable[..., Server], data_dir: Path) -> None:
    write_arrow(data_dir / "real.arrow", pa.table({"i": [1]}))
    (data_dir / "link.arrow").symlink_to(data_dir / "real.arrow")
    (data_dir / "folder.arrow").mkdir()
    os.mkfifo(data_dir / "pipe.arrow")
    write_arrow(data_dir / ".hidden.arrow", pa.table({"i": [1]}))
    write_arrow(data_dir / "x.feather", pa.table({"i": [1]}))
    write_arrow(data_dir / "#7.arrow", pa.table({"i": [1]}))
    server = make_server(data_dir=data_dir)
    wait_for_log(server, "'real.arrow' is Flight 0")
    two_scans(server)
    assert names(server) == ["real"]
    assert "'#7.arrow' was not imported" in server.log


@pytest.mark.parametrize("option", [("--import", "no"), ("--read-only",)], ids=" ".join)
def test_no_import(
    make_server: Callable[..., Server], data_dir: Path, option: tuple[str, ...]
) -> None:
    write_arrow(data_dir / "x.arrow", pa.table({"i": [1]}))
    server = make_server(*option, data_dir=data_dir)
    time.sleep(0.5)
    assert names(server) == []


def test_a_file_that_is_being_written_waits(own_server: Server) -> None:
    path = own_server.data_dir / "x.arrow"
    until = time.monotonic() + 4
    with path.open("wb") as file:
        for i in range(len(GOOD)):
            file.write(GOOD[i : i + 1])
            if i % 100 == 0 and time.monotonic() < until:
                file.flush()
                time.sleep(0.1)
    wait_for_log(own_server, "'x.arrow' is Flight 0, version 1: 1000 rows")
    assert "not imported" not in own_server.log


@pytest.mark.parametrize("seconds", [4_000_000_000, 2**40, -(2**40)], ids=["2096", "far", "past"])
def test_a_file_of_any_time_is_taken(own_server: Server, seconds: int) -> None:
    """Also of one to come, by the clock of the machine that wrote it, or beyond 64 bits."""
    put_bytes(own_server.data_dir / "x.arrow", GOOD, seconds)
    wait_for_log(own_server, "'x.arrow' is Flight 0, version 1: 1000 rows")
    own_server.restart()
    two_scans(own_server)
    assert own_server.log.count("file 'x.arrow'") == 1


def test_a_file_of_holes_larger_than_the_disk_is_refused_unread(own_server: Server) -> None:
    part = own_server.data_dir / ".part"
    with part.open("wb") as file:
        file.truncate(4 << 40)
    put(part, own_server.data_dir / "holes.csv")
    wait_for_log(own_server, "file 'holes.csv' was not imported: ")
    assert own_server.cpu_seconds() < 10


@pytest.mark.parametrize("name", ["nl\nERROR x.csv", "a\\b.csv", "\udcff.csv"], ids=ascii)
def test_a_file_of_a_strange_name_is_one_line(own_server: Server, name: str) -> None:
    put_bytes(own_server.data_dir / name, b"i\n1\n")
    wait_for_log(own_server, "' was not imported: ")
    own_server.restart()
    two_scans(own_server)
    lines = [line for line in own_server.log.splitlines() if " import: " in line]
    assert len([line for line in lines if "'mark.arrow'" not in line]) == 1
    assert names(own_server) == []


def nested_lists(depth: int) -> pa.Table:
    kind, value = pa.int8(), [1, None]
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    return pa.table({"nested": pa.array(value, kind)})


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_lists_within_lists(own_server: Server) -> None:
    """DuckDB takes twice as long for each level; what would hold up all imports is refused."""
    put_bytes(own_server.data_dir / "a.parquet", parquet_bytes(nested_lists(30)))
    put_bytes(own_server.data_dir / "b.parquet", parquet_bytes(nested_lists(16)))
    wait_for_log(own_server, "'b.parquet' is Flight 0")
    assert read(own_server, "b").to_pydict() == nested_lists(16).to_pydict()
    assert "'a.parquet' was not imported: column 'nested': lists nested more than" in own_server.log


class PlainServer(Server):
    """A server that may not read what its mode forbids, though root runs the tests."""

    def command_line(self) -> list[str]:
        command = super().command_line()
        if os.geteuid() != 0:
            return command
        return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]


def test_a_file_that_may_not_be_read_is_one_line(data_dir: Path, tmp_path: Path) -> None:
    """It is imported once it may be."""
    write_arrow(data_dir / "x.arrow", pa.table({"i": [1]}))
    (data_dir / "x.arrow").chmod(0)
    server = PlainServer(data_dir=data_dir, log_path=tmp_path / "log")
    wait_for_log(server, "WARNING import: file 'x.arrow' was not imported: ")
    two_scans(server)
    (data_dir / "x.arrow").chmod(0o644)
    wait_for_log(server, "'x.arrow' is Flight 0, version 1: 1 rows")
    assert server.log.count("file 'x.arrow'") == 2
    server.stop()


def test_large_message_is_charged_before_it_is_read(own_server: Server) -> None:
    own_server.stop()
    own_server.args = ("--memory-limit", "128M")
    own_server.start()
    size = 100 << 20
    head = b"\xff\xff\xff\xff" + size.to_bytes(4, "little")
    put_bytes(own_server.data_dir / "big.arrow", head + os.urandom(1 << 20) * (size >> 20))
    wait_for_log(own_server, "'big.arrow' was not imported: memory limit of an import")
    put_bytes(own_server.data_dir / "short.arrow", head + bytes(100))
    wait_for_log(own_server, "'short.arrow' was not imported")
