"""Files on the server: what `export` writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

from serving import Server
from zoo import all_tables, table_of

OPTIONS = flight.FlightCallOptions(timeout=60)
KEPT = [
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
    pa.uint32(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.large_binary(),
    pa.date32(),
    pa.timestamp("us"),
]
REFUSED = [
    pa.float16(),
    pa.decimal256(50, 3),
    pa.time64("ns"),
    pa.timestamp("ns", "UTC"),
    pa.list_(pa.int32()),
    pa.dictionary(pa.int32(), pa.string()),
]


def export(server: Server, table: pa.Table, **request: object) -> dict[str, object]:
    with server.client() as client:
        writer, _ = client.do_put(
            flight.FlightDescriptor.for_command(
                json.dumps({"put": {"name": "t", "if_exists": "replace"}})
            ),
            table.schema,
            OPTIONS,
        )
        with writer:
            writer.write_table(table, max_chunksize=15_000)
        body = json.dumps({"name": "t"} | request).encode()
        (answer,) = client.do_action(flight.Action("export", body), OPTIONS)
        return json.loads(answer.body.to_pybytes())


def files_of(server: Server) -> list[Path]:
    inside = server.data_dir / ".remote-arrow" / "tmp"
    return [p for p in server.data_dir.iterdir() if p.is_file()] + list(inside.iterdir())


def test_parquet_of_many_rows(own_server: Server) -> None:
    table = pa.table({"i": range(100_000), "s": [str(i) for i in range(100_000)]})
    answer = export(own_server, table, file="x.parquet")
    path = own_server.data_dir / "x.parquet"
    assert pq.read_table(path).equals(table)
    size = path.stat().st_size
    assert answer == {"file": "x.parquet", "format": "parquet", "rows": 100_000, "bytes": size}
    assert files_of(own_server) == [path]


@pytest.mark.parametrize("kind", KEPT, ids=str)
def test_types_that_come_back(server: Server, kind: pa.DataType) -> None:
    table = table_of(kind, rows=5000)
    export(server, table, file="kept.parquet", if_exists="replace")
    back = pq.read_table(server.data_dir / "kept.parquet")
    # A Parquet file of DuckDB's says of every column that it may have nulls.
    fields = [field.with_nullable(True) for field in table.schema]
    assert back.schema.equals(pa.schema(fields, table.schema.metadata), check_metadata=True)
    assert repr(back.to_pydict()) == repr(table.to_pydict())


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_types_that_are_refused(server: Server, kind: pa.DataType) -> None:
    table = table_of(kind)
    with pytest.raises(pa.ArrowNotImplementedError, match=f"column '{table.column_names[0]}'"):
        export(server, table, file="refused.parquet")
    assert not (server.data_dir / "refused.parquet").exists()


@pytest.mark.parametrize("maker", all_tables().values(), ids=all_tables().keys())
def test_arrow_keeps_every_table(server: Server, maker: Callable[[], pa.Table]) -> None:
    table = maker()
    answer = export(server, table, file="x.arrow", if_exists="replace")
    path = server.data_dir / "x.arrow"
    assert answer["format"] == "arrow" and answer["bytes"] == path.stat().st_size
    with pa.ipc.open_file(path) as file:
        back = file.read_all()
    assert back.schema.equals(table.schema, check_metadata=True)
    back.validate(full=True)
    assert back.num_rows == table.num_rows
    assert repr(back.to_pylist()) == repr(table.to_pylist())


def test_arrow_unifies_dictionaries_of_many_segments(own_server: Server) -> None:
    chunks = [pa.array([f"{i}", "x", None]).dictionary_encode() for i in range(200)]
    table = pa.table({"d": pa.chunked_array(chunks), "i": range(600)})
    export(own_server, table, file="x.arrow")
    with pa.ipc.open_file(own_server.data_dir / "x.arrow") as file:
        assert file.read_all().to_pydict() == table.to_pydict()


def test_arrow_names_the_column_whose_dictionaries_do_not_fit(own_server: Server) -> None:
    indices = pa.array(range(100), pa.int8())
    chunks = [
        pa.DictionaryArray.from_arrays(indices, [f"{i}-{n}" for n in range(100)]) for i in range(3)
    ]
    with pytest.raises(pa.ArrowException, match="'wide'"):
        export(own_server, pa.table({"wide": pa.chunked_array(chunks)}), file="x.arrow")
    assert files_of(own_server) == []


def test_save_as_arrow(own_server: Server) -> None:
    table = pa.table({"a": [1], "A": [2]})  # names that Parquet would not tell apart
    with own_server.client() as client:
        writer, _ = client.do_put(flight.FlightDescriptor.for_path("t"), table.schema, OPTIONS)
        with writer:
            writer.write_table(table)
        (answer,) = client.do_action(flight.Action("save", b"0 x.arrow"), OPTIONS)
    assert answer.body.to_pybytes() == b"Flight 0 saved as x.arrow"
    with pa.ipc.open_file(own_server.data_dir / "x.arrow") as file:
        assert file.read_all().equals(table)
    assert files_of(own_server) == [own_server.data_dir / "x.arrow"]


def test_csv(own_server: Server) -> None:
    table = pa.table({"i": [1, 2, None], "s": ["a", 'b"c', "d,e"]})
    export(own_server, table, file="x.csv")
    assert csv.read_csv(own_server.data_dir / "x.csv").equals(table)


def test_a_file_is_not_overwritten_unasked(own_server: Server) -> None:
    path = own_server.data_dir / "x.parquet"
    path.write_text("mine")
    table = pa.table({"i": [1]})
    with pytest.raises(pa.ArrowInvalid, match="exists"):
        export(own_server, table, file="x.parquet")
    assert path.read_text() == "mine" and files_of(own_server) == [path]
    export(own_server, table, file="x.parquet", if_exists="replace")
    assert pq.read_table(path).equals(table)


@pytest.mark.parametrize("file", ["../x.parquet", "/tmp/x.parquet", ".x.parquet", "a/b.csv", ""])
def test_hostile_names(own_server: Server, file: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match="plain name"):
        export(own_server, pa.table({"i": [1]}), file=file, format="parquet")
    assert files_of(own_server) == []


def worker_of(server: Server) -> Path:
    """The folder in /proc of the worker that the server has started; waits for it."""
    assert server.process is not None
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for children in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
            for pid in children.read_text().split():
                return Path("/proc") / pid
        time.sleep(0.001)
    pytest.fail("no worker was started")


def test_a_killed_worker_is_a_clear_error(own_server: Server) -> None:
    table = pa.table({"s": [str(i) * 20 for i in range(2_000_000)]})
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export, own_server, table, file="x.parquet")
        os.kill(int(worker_of(own_server).name), signal.SIGKILL)
        with pytest.raises(flight.FlightUnavailableError, match="worker was ended"):
            job.result()
    assert files_of(own_server) == []
    export(own_server, pa.table({"i": [1]}), file="x.parquet")


def test_a_worker_has_given_up_its_rights(own_server: Server) -> None:
    table = pa.table({"s": [str(i) * 20 for i in range(2_000_000)]})
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export, own_server, table, file="x.parquet")
        worker = worker_of(own_server)
        until = time.monotonic() + 20
        status = ""
        while "Seccomp:\t2" not in status and time.monotonic() < until:
            status = (worker / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert {fd.name for fd in (worker / "fd").iterdir()} <= {"0", "1", "2", "3", "4", "5", "6"}
        job.result()


def test_save_names_keeps_and_exports(own_server: Server) -> None:
    table = pa.table({"i": [1, 2, 3]})
    with own_server.client() as client:
        writer, _ = client.do_put(flight.FlightDescriptor.for_path("t"), table.schema, OPTIONS)
        with writer:
            writer.write_table(table)
        command = flight.FlightDescriptor.for_command("0$slice${0: 1}${}")
        assert client.get_flight_info(command, OPTIONS).total_records == 2
        (answer,) = client.do_action(flight.Action("save", b"1 rest"), OPTIONS)
        assert answer.body.to_pybytes() == b"Flight 1 saved as rest.parquet"
        info = client.get_flight_info(flight.FlightDescriptor.for_path("rest"), OPTIONS)
        about = json.loads(info.app_metadata)
        assert about["kept"] is True and about["names"] == ["rest"]
        for body in (b"", b"rest", b"1 ../x", b"1 ", b"x y"):
            with pytest.raises(pa.ArrowInvalid):
                list(client.do_action(flight.Action("save", body), OPTIONS))
    assert pq.read_table(own_server.data_dir / "rest.parquet").equals(table.slice(1))
    (line,) = re.findall("audit: change=keep .*", own_server.log)
    assert re.search(r"by=(127\.0\.0\.1|\[::1\]) ", line), line


def test_the_documentation_names_the_types() -> None:
    page = Path(__file__).parent.parent / "docs" / "files.md"
    rows = [line.split(" | ")[0] for line in page.read_text().splitlines() if " | yes | " in line]
    assert rows == [f"| {kind}" for kind in KEPT]


@pytest.mark.parametrize("kind", KEPT, ids=str)
def test_types_of_csv(server: Server, kind: pa.DataType) -> None:
    table = pa.table({"v": table_of(kind)["v"]})
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        with pytest.raises(pa.ArrowNotImplementedError, match="CSV"):
            export(server, table, file="kept.csv", if_exists="replace")
    else:
        assert export(server, table, file="kept.csv", if_exists="replace")["rows"] == len(table)


def test_an_export_leaves_the_reserve_alone(make_server: Callable[..., Server]) -> None:
    server = make_server()
    table = pa.table({"i": [1, 2]})
    assert export(server, table, file="before.parquet")["rows"] == 2
    server.stop()
    server.args = ("--disk-reserve", "100%")
    server.start()
    with server.client() as client:
        for name, body in (("export", b'{"id": 0, "file": "x.parquet"}'), ("save", b"0 x")):
            with pytest.raises(OSError, match="kept in reserve"):
                list(client.do_action(flight.Action(name, body), OPTIONS))
        info = client.get_flight_info(flight.FlightDescriptor.for_path("#0"), OPTIONS)
        assert "x" not in json.loads(info.app_metadata)["names"]
    assert [file.name for file in files_of(server)] == ["before.parquet"]


@pytest.mark.needs_root
def test_a_full_disk_is_told_and_nothing_is_left(
    make_server: Callable[..., Server], small_disk: Path
) -> None:
    server = make_server(data_dir=small_disk)
    numbers = np.random.default_rng(1).integers(0, 1 << 60, 4_100_000)
    with pytest.raises(OSError, match="no room for the file"):
        export(server, pa.table({"i": numbers}), file="x.parquet")
    assert files_of(server) == []
