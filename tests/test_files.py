"""Files on the server: what `export` writes, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

from exporting import OPTIONS, export, files_of
from file_types import comes_back_as, fate_of, unique_keys
from serving import Server
from zoo import ALL_TYPES, all_tables, table_of


def test_parquet_of_many_rows(own_server: Server) -> None:
    table = pa.table({"i": range(100_000), "s": [str(i) for i in range(100_000)]})
    answer = export(own_server, table, file="x.parquet")
    path = own_server.data_dir / "x.parquet"
    assert pq.read_table(path).equals(table)
    size = path.stat().st_size
    assert answer == {"file": "x.parquet", "format": "parquet", "rows": 100_000, "bytes": size}
    assert files_of(own_server) == [path]


def columns_of(kinds: list[pa.DataType]) -> pa.Table:
    """A column of each type, in chunks, with metadata."""
    tables = [unique_keys(table_of(kind, rows=5000)) for kind in kinds]
    fields = [table.schema.field("v").with_name(f"c{i}") for i, table in enumerate(tables)]
    schema = pa.schema(fields, metadata={"of": "all"})
    return pa.Table.from_arrays([table["v"] for table in tables], schema=schema)


def assert_refused(server: Server, kind: pa.DataType, file: str, words: str) -> None:
    """Refuses a column of the type, and says whether it would be taken with a loss."""
    table = table_of(kind).select(["v"])
    with pytest.raises(pa.ArrowNotImplementedError, match=f"column 'v': .*{words}") as refused:
        export(server, table, file=file)
    fate = fate_of(kind).csv if file.endswith("csv") else fate_of(kind).parquet
    assert ("lossy" in str(refused.value)) == (fate == "lossy"), kind
    if fate == "refused":
        with pytest.raises(pa.ArrowNotImplementedError, match="column 'v'"):
            export(server, table, file=file, lossy=True)
    assert not (server.data_dir / file).exists()


def test_parquet_keeps_what_the_documentation_says(own_server: Server) -> None:
    kept = [kind for kind in ALL_TYPES if fate_of(kind).parquet == "kept"]
    lossy = [kind for kind in ALL_TYPES if fate_of(kind).parquet == "lossy"]
    assert len(kept) > 80 and len(lossy) > 4
    for kind in ALL_TYPES:
        if kind not in kept:
            assert_refused(own_server, kind, "refused.parquet", "an exported Parquet file")
    for kinds, lose in ((kept, False), (lossy, True)):
        table = columns_of(kinds)
        export(own_server, table, file=f"{lose}.parquet", lossy=lose)
        back = pq.read_table(own_server.data_dir / f"{lose}.parquet")
        assert back.schema.metadata == table.schema.metadata
        assert back.num_rows == table.num_rows
        for kind, name in zip(kinds, table.schema.names):
            assert comes_back_as(kind, back.schema.field(name).type), back.schema.field(name)
            assert back.schema.field(name).metadata == table.schema.field(name).metadata
            if not lose:
                assert repr(back[name].to_pylist()) == repr(table[name].to_pylist()), kind


def test_csv_takes_what_the_documentation_says(own_server: Server) -> None:
    for fate, lose in (("kept", False), ("lossy", True)):
        table = columns_of([kind for kind in ALL_TYPES if fate_of(kind).csv == fate])
        assert table.num_columns > 15
        answer = export(own_server, table, file=f"{fate}.csv", lossy=lose)
        assert answer["rows"] == table.num_rows
    for kind in ALL_TYPES:
        if fate_of(kind).csv != "kept":
            assert_refused(own_server, kind, "refused.csv", "CSV")


def test_lossy_values(own_server: Server) -> None:
    stamp = pa.array([1_000_001_999, -1, None]).cast(pa.timestamp("ns", "Europe/Berlin"))
    numbers = [Decimal("-12345678901234567890.5"), Decimal("0.5"), None]
    long = pa.array(numbers, pa.decimal256(60, 1))
    clock = pa.array([1_999, 0, None]).cast(pa.time64("ns"))
    table = pa.table({"stamp": stamp, "long": long, "clock": clock})
    export(own_server, table, file="x.parquet", lossy=True)
    back = pq.read_table(own_server.data_dir / "x.parquet")
    assert back["stamp"].cast(pa.int64()).to_pylist() == [1_000_001, -1, None]
    assert back["long"].to_pylist() == [pytest.approx(-12345678901234567890.5), 0.5, None]
    assert back["clock"].cast(pa.int64()).to_pylist() == [1, 0, None]


def test_exact_edges(own_server: Server) -> None:
    """Signs of zeros, short long decimals, extreme times."""
    edges = pa.array([2**63 - 1, -(2**63), 0])
    table = pa.table(
        {
            "zero": pa.array([0.0, -0.0, None] * 1000).slice(0, 3),
            "decimal": pa.array([Decimal("-1.25"), None, Decimal(0)], pa.decimal256(38, 2)),
            **{unit: edges.view(pa.timestamp(unit)) for unit in ("ms", "us", "ns")},
            "utc": edges.view(pa.timestamp("us", "UTC")),
        }
    )
    table = pa.concat_tables([table] * 1000)
    export(own_server, table, file="x.parquet")
    back = pq.read_table(own_server.data_dir / "x.parquet")
    assert back.schema.equals(table.schema)
    assert repr(back["zero"].to_pylist()) == repr(table["zero"].to_pylist())
    assert back.drop_columns("zero").equals(table.drop_columns("zero"))


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ms", "UTC")], ids=str)
def test_a_time_out_of_range_names_its_column(own_server: Server, kind: pa.DataType) -> None:
    table = pa.table({"when": pa.array([0, 2**62]).view(kind)})
    with pytest.raises(pa.ArrowInvalid, match="column 'when'"):
        export(own_server, table, file="x.parquet")
    assert files_of(own_server) == []


def test_a_map_with_a_key_twice_is_refused(own_server: Server) -> None:
    kind = pa.map_(pa.string(), pa.int8())
    good = pa.array([[[("a", 1), ("b", 2)], None, []]], pa.list_(kind))
    twice = pa.array([[[("a", 1)], [("a", 1), ("a", 2)]]], pa.list_(kind))
    table = pa.table({"good": good, "m": twice})
    with pytest.raises(pa.ArrowInvalid, match="column 'm': a map has a key twice"):
        export(own_server, table, file="x.parquet")
    assert files_of(own_server) == []


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
