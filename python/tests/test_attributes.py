"""RemoteTable beside pyarrow.Table: every attribute, its signature, value and errors."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import remote_arrow as ra
from remote_arrow.not_yet import NOT_YET
from zoo import all_tables

PROTOCOLS = [
    "__array__",
    "__arrow_c_stream__",
    "__dataframe__",
    "__eq__",
    "__getitem__",
    "__len__",
    "__ne__",
    "__reduce__",
    "__repr__",
]
PUBLIC = [name for name in dir(pa.Table) if not name.startswith("_")]
METHODS = [name for name in PUBLIC if callable(getattr(pa.Table, name))]
# What needs no argument and gives no table.
GIVE_ELSE = [
    ("schema", None),
    ("shape", None),
    ("num_rows", None),
    ("num_columns", None),
    ("column_names", None),
    ("columns", None),
    ("is_cpu", None),
    ("to_pydict", ()),
    ("to_pylist", ()),
    ("to_struct_array", ()),
    ("validate", ()),
    ("__len__", ()),
    ("to_string", ()),
]
T = pa.table(
    {
        "a": pa.array([3, 1, None], pa.int32()),
        "s": [{"x": 1}, None, {"x": 2}],
        "d": pa.array(["p", "q", "p"]).dictionary_encode(),
    },
    metadata={"k": "v"},
)


def parameters(function: Any) -> list[tuple[object, ...]]:
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def test_every_attribute_is_there_with_the_signature_of_pyarrow() -> None:
    for name in PUBLIC + PROTOCOLS:
        assert hasattr(ra.RemoteTable, name), name
    assert len(METHODS) > 35
    for name in [*METHODS, "__array__", "__arrow_c_stream__", "__dataframe__"]:
        local, remote = getattr(pa.Table, name), getattr(ra.RemoteTable, name)
        assert parameters(remote) == parameters(local), name


def test_what_gives_no_table_gives_that_very_thing(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    for name, arguments in GIVE_ELSE:
        ours, local = getattr(ds, name), getattr(T, name)
        if arguments is not None:
            ours, local = ours(*arguments), local(*arguments)
        assert type(ours) is type(local) and ours == local, name
    for key in (0, -1, "s", b"d", True):
        assert ds[key].equals(T[key]) and ds.column(key).equals(T.column(key)), key
        assert ds.field(key).equals(T.field(key)), key
    assert [c.to_pylist() for c in ds] == [c.to_pylist() for c in ds.itercolumns()]
    assert [c.to_pylist() for c in ds.itercolumns()] == [c.to_pylist() for c in T.itercolumns()]
    assert pa.Table.from_batches(ds.to_batches(max_chunksize=2)).equals(T)
    reader = ds.to_reader(max_chunksize=2)
    assert [batch.num_rows for batch in reader] == [2, 1]
    assert pa.table(ds).equals(T, check_metadata=True)
    assert ds.to_string(preview_cols=2) == T.to_string(preview_cols=2)
    assert ds.nbytes == ds.get_total_buffer_size() > 0
    numbers = T.select(["a"]).drop_null()
    handle = ds.select(["a"]).drop_null()
    assert np.array_equal(np.asarray(handle), np.asarray(numbers))
    assert handle.__dataframe__().num_columns() == 1
    assert handle.to_tensor().equals(numbers.to_tensor())
    assert ds.to_pandas(strings_to_categorical=True).equals(T.to_pandas())
    n_published = 3  # the upload, select, drop_null
    assert len(con.flights()) == n_published


def test_values_of_every_type(con: ra.Connection, tmp_path: Path) -> None:
    for name, make in all_tables().items():
        table = make()
        ds = con.upload(table)
        assert ds.to_string() == table.to_string(), name
        assert ds.field(0) == table.field(0) if table.num_columns else ds.shape[1] == 0, name
        for i in range(min(table.num_columns, 3)):
            same = pa.table({"c": ds[i]}), pa.table({"c": table[i]})
            assert same[0].schema == same[1].schema and len(same[0]) == len(same[1]), name
        sizes = [batch.num_rows for batch in ds.iter_batches(batch_size=1)]
        assert sizes == [1] * table.num_rows, name
        ds.write_arrow(tmp_path / "t.arrow")
        written = pa.ipc.open_file(tmp_path / "t.arrow").read_all()
        assert written.schema.equals(table.schema, check_metadata=True), name
        assert written.num_rows == table.num_rows, name
        assert "Error" not in repr(ds) and "<pre>" not in ds._repr_html_(), name


def test_slices_of_rows_are_handles(con: ra.Connection) -> None:
    ds = con.upload(T)
    for key in (slice(None), slice(1, 2), slice(-2, None), slice(None, None, -1), slice(2, 0)):
        assert isinstance(ds[key], ra.RemoteTable)
        assert ds[key].to_table().equals(T[key]), key


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("__getitem__", ("z",)),
        ("__getitem__", (3,)),
        ("__getitem__", (0.5,)),
        ("__getitem__", (slice(None, None, 0),)),
        ("field", ("z",)),
        ("field", (9,)),
        ("column", (None,)),
        ("slice", (-1,)),
        ("slice", ("a",)),
        ("slice", (0, 2**63)),
        ("take", (5,)),
        ("take", (None,)),
        ("take", (pc.field("a"),)),
        ("take", ([0.5],)),
        ("take", ([9],)),
        ("filter", (5,)),
        ("filter", ([True],)),
        ("filter", ([1, 2, 3],)),
        ("filter", ([True] * 3, "x")),
        ("select", (5,)),
        ("select", (["z"],)),
        ("select", ([0.5],)),
        ("drop_columns", ([0],)),
        ("drop_columns", (["z"],)),
        ("remove_column", ("a",)),
        ("remove_column", (-1,)),
        ("rename_columns", (5,)),
        ("rename_columns", (["p"],)),
        ("rename_columns", ([1, 2, 3],)),
        ("replace_schema_metadata", ({1: 2},)),
        ("replace_schema_metadata", ("a",)),
        ("sort_by", (5,)),
        ("sort_by", ([("a", "up")],)),
        ("sort_by", (["a"],)),
        ("equals", (5,)),
        ("join", ()),
    ],
)
def test_errors_are_those_of_pyarrow(
    con: ra.Connection, method: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(Exception) as local:  # noqa: PT011 - the class is what is compared
        getattr(T, method)(*arguments)
    with pytest.raises(local.type):
        getattr(con.upload(T), method)(*arguments)


def test_arguments_of_every_accepted_kind(con: ra.Connection) -> None:
    ds = con.upload(T)
    many = [i % 3 for i in range(20_000)]
    for indices in (
        np.array([2, 0]),
        pa.array([1, None]),
        [np.int64(1)],
        many,
        pa.chunked_array([[1]]),
    ):
        assert ds.take(indices).to_table().equals(T.take(_array(indices)))
    for beyond in (pd.Series([2, 0]), polars.Series([2, 0]), pd.Index([2, 0]), range(2, -1, -2)):
        assert ds.take(beyond).to_table().equals(T.take([2, 0]))
    assert ds.filter(np.array([True, False, True])).to_table().equals(T.filter([True, False, True]))
    assert ds.select([b"a", True]).to_table().equals(T.select([b"a", True]))
    assert ds.slice(np.int64(1), 2**40).to_table().equals(T.slice(1))
    assert ds.slice(2**70).num_rows == 0 and ds.slice(0, -1).num_rows == 0
    assert ds.drop_columns(iter([b"a"])).column_names == ["s", "d"]
    assert ds.rename_columns({b"a": "z"}).column_names == ["z", "s", "d"]
    for metadata in ({b"\xff": b"\xfe"}, {}, None, {"a": "b"}):
        expected = T.replace_schema_metadata(metadata)
        assert ds.replace_schema_metadata(metadata).schema.equals(expected.schema, True), metadata
    keys = iter([("a", "descending")])
    assert ds.sort_by(keys).to_table().equals(T.sort_by([("a", "descending")]))
    first = ds.sort_by("a", null_placement="at_start")
    assert first.to_table().equals(T.take([2, 1, 0]))
    with pytest.raises(TypeError, match="foo"):
        ds.sort_by("a", foo=1)


def test_arguments_too_long_for_a_command_are_streamed(con: ra.Connection) -> None:
    ds = con.upload(pa.table({"n": range(100)}))
    indices = pa.array(np.arange(6_000_000) % 100)
    taken = ds.take(indices)
    assert taken.num_rows == 6_000_000 and taken["n"].combine_chunks() == indices
    with pytest.raises(pa.ArrowIndexError):
        ds.take(pa.array(np.arange(6_000_000)))
    with pytest.raises(ValueError, match="too many"):
        ds.to_table(indices=indices)
    with ds.pipeline() as p, pytest.raises(ValueError, match="too many"):
        p.take(indices)
    assert len(con.flights()) == 2


def _array(indices: Any) -> Any:
    return pa.array(indices) if isinstance(indices, list) else indices


def test_equality_is_that_of_the_content(con: ra.Connection) -> None:
    ds, same = con.upload(T), con.upload(T.replace_schema_metadata(None))
    other = con.upload(T.slice(1))
    assert ds == same == T == ds and ds != other and ds != T.slice(1)
    assert hash(ds) == hash(same) and len({ds, same, other}) == 2
    assert not ds.equals(same, check_metadata=True) and ds.equals(T, check_metadata=True)
    assert not ds.equals(None) and ds != 5 and (ds == 5) is False
    nan = pa.table({"f": [float("nan")]})
    assert con.upload(nan) != nan
    with pytest.raises(TypeError):
        ds < same  # noqa: B015


def test_constructors_upload(con: ra.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pa.table({"a": [1, 2]})
    ds = con.upload(plain)
    for made in (
        ds.from_pydict({"a": [1, 2]}),
        ds.from_pylist([{"a": 1}, {"a": 2}]),
        ds.from_arrays([pa.array([1, 2])], ["a"]),
        ds.from_batches(plain.to_batches()),
        ds.from_struct_array(plain.to_struct_array()),
        ds.from_pandas(plain.to_pandas(), preserve_index=False),
    ):
        assert isinstance(made, ra.RemoteTable) and made.kind == "dataset" and made == plain
    monkeypatch.setenv("REMOTE_ARROW_URL", con.url)
    assert ra.RemoteTable.from_pydict({"a": [1, 2]}).id == 7


def test_what_servers_cannot_do_yet_says_so(con: ra.Connection) -> None:
    ds = con.upload(T)
    right = con.upload(T)
    calls = {
        "add_column": (0, "n", [[1, 2, 3]]),
        "append_column": ("n", [[1, 2, 3]]),
        "set_column": (0, "n", [[1, 2, 3]]),
        "cast": (T.schema,),
        "group_by": ("a",),
        "join": (right, "a"),
        "join_asof": (right, "a", "d", 1),
        "filter": (pc.field("a") > 1,),
        "sort_by": ([(pc.field("a"), "ascending")],),
    }
    assert sorted(calls) == sorted(what.split(" ")[0] for what in NOT_YET)
    for name, arguments in calls.items():
        with pytest.raises(NotImplementedError, match=f"{name}.*meanwhile"):
            getattr(ds, name)(*arguments)
    assert len(con.flights()) == 2


def test_large_implicit_downloads_name_the_explicit_call(
    con: ra.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"i": pa.array(range(1000), pa.int64()), "s": ["x" * 10] * 1000})
    ds = con.upload(table)
    monkeypatch.setattr(ra.options, "max_implicit_download", 10_000)
    assert len(ds["i"]) == 1000
    for read in (
        lambda: ds["s"],
        lambda: ds.columns,
        lambda: list(ds.itercolumns()),
        lambda: ds.to_pylist(),
        lambda: ds.to_pydict(),
        lambda: ds.to_batches(),
        lambda: ds.to_struct_array(),
        lambda: ds.to_string(preview_cols=1),
        lambda: np.asarray(ds),
        lambda: pa.table(ds),
        lambda: ds.__dataframe__(),
    ):
        with pytest.raises(ra.DownloadTooLarge, match=r"max_implicit_download.*to_\w+\(|iter_b"):
            read()
    assert ds.to_table() == ds.to_reader().read_all() == table
    with ds.pipeline(publish=False) as p:
        planned = p.slice(0)
    for read in (planned.to_pylist, lambda: planned["s"], lambda: planned.columns):
        with pytest.raises(ra.DownloadTooLarge):
            read()


def test_combined_columns_are_one_chunk(con: ra.Connection) -> None:
    ds = con.upload(pa.table({"i": range(2_000_000)}))
    assert ds["i"].num_chunks > 1
    combined = ds.combine_chunks()
    with ds.pipeline(publish=False) as p:
        planned = p.combine_chunks()
    for table in (combined, planned):
        assert table["i"].num_chunks == table.columns[0].num_chunks == 1
        assert table.to_table().column(0).num_chunks == pa.table(table).column(0).num_chunks == 1


def test_docs_list_what_is_not_there_yet() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text()
    shown = text.partition("<!-- not yet -->")[2].partition("<!-- end -->")[0]
    rows = [f"| {what} | `{meanwhile}` |" for what, meanwhile in NOT_YET.items()]
    assert shown.split("\n")[3:-1] == rows
