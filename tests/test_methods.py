"""Every method, in JSON and legacy form, gives what local pyarrow gives; for all types."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from remote import Json, Remote, arrow_argument
from serving import Server
from settings import EXAMPLES
from strategies import tables
from zoo import ALL_TYPES, NESTED, all_tables, random_array, table_of

EACH_TYPE = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=str(kind)) for kind in ALL_TYPES]
)
N_ROWS = 35  # of table_of


@dataclass(frozen=True)
class Call:
    """One method with arguments by name, as pyarrow's Table takes them."""

    method: str
    arguments: dict[str, Any]

    def step(self) -> Json:
        """The step of a JSON command."""
        return {self.method: {name: as_json(value) for name, value in self.arguments.items()}}

    def legacy(self, number: int, *, positional: bool) -> str:
        """The legacy command on a Flight."""
        by_position = dict(enumerate(self.arguments.values())) if positional else {}
        by_name = {} if positional else self.arguments
        return f"{number}${self.method}${by_position!r}${by_name!r}"

    def local(self, table: pa.Table) -> pa.Table:
        """What pyarrow gives."""
        return getattr(table, self.method)(*self.arguments.values())


def as_json(value: object) -> object:
    """An argument as JSON."""
    return arrow_argument(value) if isinstance(value, pa.Array | pa.ChunkedArray) else value


def call(method: str, **arguments: object) -> Call:
    """Call with arguments by name."""
    return Call(method, arguments)


def values(table: pa.Table) -> list[str]:
    """What is in each column, as text: tells -0.0 from 0.0, does not tell dictionaries apart."""
    return [repr(column.to_pylist()) for column in table.columns]


def assert_same(got: pa.Table, expected: pa.Table) -> None:
    """Equal schemas with metadata, equal values; `got` holds what full validation wants."""
    got.validate(full=True)
    assert got.schema.equals(expected.schema, check_metadata=True), (got.schema, expected.schema)
    assert got.num_rows == expected.num_rows
    assert values(got) == values(expected)


def picked(table: pa.Table, rows: list[int | None]) -> list[str]:
    """The values of some rows, by way of Python: pyarrow cannot take rows of every type."""
    columns = [column.to_pylist() for column in table.columns]
    return [repr([None if i is None else column[i] for i in rows]) for column in columns]


def assert_rows(got: pa.Table, table: pa.Table, rows: list[int | None]) -> None:
    """`got` is valid, has the schema of `table` and exactly these rows of it."""
    got.validate(full=True)
    assert got.schema.equals(table.schema, check_metadata=True), (got.schema, table.schema)
    assert got.num_rows == len(rows)
    assert values(got) == picked(table, rows)


class Uploaded:
    """A table on the server, to be asked."""

    def __init__(self, remote: Remote, table: pa.Table) -> None:
        self.remote = remote
        self.table = table
        self.id = remote.upload(table, uuid.uuid4().hex)["id"]

    def ask(self, *calls: Call) -> pa.Table:
        """The result of a JSON command that publishes nothing."""
        command = {"from": {"id": self.id}, "do": [c.step() for c in calls], "publish": False}
        return self.remote.get(command)

    def ask_legacy(self, what: Call, *, positional: bool = True) -> pa.Table:
        """The result of the legacy command."""
        return self.remote.get(self.remote.info(what.legacy(self.id, positional=positional)))


PEOPLE = pa.Table.from_batches(
    [
        pa.record_batch(
            {
                "name": ["Ann", "Bob", None],
                "age": pa.array([31, None, 31], pa.int32()),
                "at": pa.array([{"x": 1, "y": "p"}, None, {"x": None, "y": "q"}]),
                "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            }
        ),
        pa.record_batch(
            {
                "name": ["Eve", "Dan"],
                "age": pa.array([5, 77], pa.int32()),
                "at": pa.array([{"x": 3, "y": None}, {"x": 4, "y": "r"}]),
                "kind": pa.array(["c", "b"]).dictionary_encode(),
            }
        ),
    ]
).replace_schema_metadata({"source": "a test"})

CALLS = [
    call("take", indices=[4, 0, 0]),
    call("take", indices=[1, None, 2]),
    call("slice"),
    call("slice", offset=1),
    call("slice", offset=1, length=3),
    call("slice", offset=99),
    call("slice", offset=2, length=-1),
    call("slice", offset=0, length=0),
    call("slice", offset=2, length=None),
    call("select", columns=["age", "name"]),
    call("select", columns=[0, -1, "age", 0]),
    call("select", columns=[]),
    call("filter", mask=[True, False, None, True, False]),
    call("filter", mask=[None, True, False, True, None], null_selection_behavior="emit_null"),
    call("drop_null"),
    call("sort_by", sorting="age"),
    call("sort_by", sorting=[("age", "descending"), ("name", "ascending")]),
    call("sort_by", sorting=[("age", "ascending", "at_start"), ("name", "descending", "at_start")]),
    call("drop", columns="age"),
    call("drop", columns=["age", "at"]),
    call("drop_columns", columns=["name"]),
    call("drop_columns", columns=[]),
    call("drop_columns", columns=["name", "age", "at", "kind"]),
    call("remove_column", i=0),
    call("remove_column", i=3),
    call("rename_columns", names=["a", "a", "", "d"]),
    call("rename_columns", names={"age": "years", "at": "place"}),
    call("combine_chunks"),
    call("flatten"),
    call("unify_dictionaries"),
    call("replace_schema_metadata", metadata={"ключ": "value"}),
    call("replace_schema_metadata", metadata={}),
    call("replace_schema_metadata", metadata=None),
    call("replace_schema_metadata"),
]


def call_id(what: Call) -> str:
    """A short test id."""
    return f"{what.method} {what.arguments}"


@pytest.fixture(scope="module")
def people(server: Server) -> Uploaded:
    """PEOPLE on the server of the session."""
    return Uploaded(Remote(server.uri), PEOPLE)


@pytest.mark.parametrize("what", CALLS, ids=call_id)
def test_method_gives_what_pyarrow_gives(people: Uploaded, what: Call) -> None:
    expected = what.local(PEOPLE)
    assert_same(people.ask(what), expected)
    assert_same(people.ask_legacy(what), expected)
    assert_same(people.ask_legacy(what, positional=False), expected)


ERRORS = [
    call("take", indices=[0, 5]),
    call("take", indices=[-1]),
    call("take", indices=[0.5]),
    call("take", indices=["a"]),
    call("take", indices=[True]),
    call("take", indices=3),
    call("take", indices="name"),
    call("take", indices=None),
    call("slice", offset=-1),
    call("slice", offset=1.5),
    call("slice", offset="1"),
    call("slice", offset=None),
    call("select", columns=["nobody"]),
    call("select", columns=[9]),
    call("select", columns=[-5]),
    call("select", columns=[1.0]),
    call("select", columns=[None]),
    call("select", columns=3),
    call("filter", mask=[True]),
    call("filter", mask=[1, 0, 1, 0, 1]),
    call("filter", mask=["a"] * 5),
    call("filter", mask=True),
    call("filter", mask="name"),
    call("filter", mask=None),
    call("filter", mask=[True] * 5, null_selection_behavior="keep"),
    call("sort_by", sorting=[]),
    call("sort_by", sorting="nobody"),
    call("sort_by", sorting=[("nobody", "ascending")]),
    call("sort_by", sorting=[("age", "up")]),
    call("sort_by", sorting=[("age", "Descending")]),
    call("sort_by", sorting=[("age", "ascending", "mid")]),
    call("sort_by", sorting=["age"]),
    call("sort_by", sorting=[("age",)]),
    call("sort_by", sorting=None),
    call("sort_by", sorting=3),
    call("drop", columns="nobody"),
    call("drop_columns", columns=["age", "nobody"]),
    call("drop_columns", columns=[0]),
    call("remove_column", i=4),
    call("remove_column", i=-1),
    call("remove_column", i="name"),
    call("remove_column", i=None),
    call("rename_columns", names=["a"]),
    call("rename_columns", names=["a", "b", "c", "d", "e"]),
    call("rename_columns", names={"nobody": "x"}),
    call("rename_columns", names="abcd"),
    call("rename_columns", names=[1, 2, 3, 4]),
    call("rename_columns", names=None),
    call("replace_schema_metadata", metadata={"a": 1}),
    call("replace_schema_metadata", metadata="ab"),
    call("take"),
    call("select"),
    call("remove_column"),
]


@pytest.mark.parametrize("what", ERRORS, ids=call_id)
def test_error_is_of_the_class_that_pyarrow_raises(people: Uploaded, what: Call) -> None:
    with pytest.raises(Exception) as local:  # noqa: B017 - any class: it is what is compared
        what.local(PEOPLE)
    for ask in (people.ask, people.ask_legacy):
        with pytest.raises(type(local.value)):
            ask(what)


def test_unknown_argument_and_method_are_named(people: Uploaded) -> None:
    with pytest.raises(TypeError, match="colour"):
        people.ask(Call("slice", {"colour": 3}))
    with pytest.raises(pa.ArrowInvalid, match="to_pandas"):
        people.ask(Call("to_pandas", {}))
    for later in ("join", "group_by", "cast"):  # known, but not of this version
        with pytest.raises(pa.ArrowNotImplementedError, match=later):
            people.ask(Call(later, {}))


def test_ambiguous_names_are_errors_as_in_pyarrow(remote: Remote) -> None:
    twice = pa.Table.from_arrays([pa.array([2, 1])] * 3, names=["a", "a", "b"])
    uploaded = Uploaded(remote, twice)
    for what in (
        call("select", columns=["a"]),
        call("drop_columns", columns=["a"]),
        call("sort_by", sorting="a"),
    ):
        with pytest.raises(Exception) as local:  # noqa: B017 - any class: it is what is compared
            what.local(twice)
        with pytest.raises(type(local.value), match="a"):
            uploaded.ask(what)
    both = call("rename_columns", names={"a": "c"})
    assert_same(uploaded.ask(both), both.local(twice))
    by_position = call("select", columns=[1, 2])
    assert_same(uploaded.ask(by_position), by_position.local(twice))


@EACH_TYPE
def test_rows_of_any_type_are_taken(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    uploaded = Uploaded(remote, table)
    rows = [34, 0, 0, 11, 29, 9, 10, 30]
    assert_rows(uploaded.ask(call("take", indices=rows)), table, rows)
    with_nulls = [None, 3, None, 33]
    assert_rows(uploaded.ask(call("take", indices=with_nulls)), table, with_nulls)
    chunks = pa.chunked_array([pa.array([5, 6], pa.uint8()), pa.array([], pa.uint8())])
    assert_rows(uploaded.ask(call("take", indices=chunks)), table, [5, 6])
    assert_rows(uploaded.ask(call("take", indices=[])), table, [])


@EACH_TYPE
def test_rows_of_any_type_are_filtered(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    uploaded = Uploaded(remote, table)
    mask = [(True, False, None, True, False, False, True)[i % 7] for i in range(N_ROWS)]
    kept = [i for i, keep in enumerate(mask) if keep]
    assert_rows(uploaded.ask(call("filter", mask=mask)), table, kept)
    emitted = [i if keep else None for i, keep in enumerate(mask) if keep is not False]
    emitting = call("filter", mask=mask, null_selection_behavior="emit_null")
    assert_rows(uploaded.ask(emitting), table, emitted)
    run_ends = pc.run_end_encode(pa.array(mask))
    assert_rows(uploaded.ask(call("filter", mask=run_ends)), table, kept)


@EACH_TYPE
def test_rows_of_any_type_are_sliced(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    uploaded = Uploaded(remote, table)
    for offset, length in ((0, 35), (3, 4), (9, 12), (29, 3), (34, 9), (35, 1)):
        rows = list(range(35))[offset : offset + length]
        assert_rows(uploaded.ask(call("slice", offset=offset, length=length)), table, rows)
    cut_twice = uploaded.ask(call("slice", offset=5), call("slice", offset=3, length=20))
    assert_rows(cut_twice, table, list(range(8, 28)))


@EACH_TYPE
def test_nulls_of_any_type_are_dropped(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    if pa.types.is_run_end_encoded(kind):
        pytest.skip("whether a null run counts is left open")
    valid = [column.is_valid().to_pylist() for column in table.columns]
    if pa.types.is_union(kind):
        valid = [[True] * N_ROWS]
    kept = [i for i in range(N_ROWS) if all(column[i] for column in valid)]
    assert_rows(Uploaded(remote, table).ask(call("drop_null")), table, kept)


@EACH_TYPE
def test_columns_of_any_type_are_chosen_renamed_and_combined(
    remote: Remote, kind: pa.DataType
) -> None:
    table = table_of(kind)
    uploaded = Uploaded(remote, table)
    for what in (
        call("select", columns=["k", "v", "v"]),
        call("drop_columns", columns=["w"]),
        call("remove_column", i=0),
        call("rename_columns", names=["x", "y", "z"]),
        call("replace_schema_metadata", metadata={"new": "one"}),
    ):
        assert_same(uploaded.ask(what), what.local(table))
    for name in ("combine_chunks", "unify_dictionaries"):
        assert_rows(uploaded.ask(call(name)), table, list(range(N_ROWS)))


STRUCTS = [kind for kind in ALL_TYPES if pa.types.is_struct(kind)]


@pytest.mark.parametrize("kind", STRUCTS, ids=str)
def test_structs_are_flattened(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    got = Uploaded(remote, table).ask(call("flatten"))
    got.validate(full=True)
    assert got.num_rows == N_ROWS
    children_fields = [
        field.with_name(f"{column}.{field.name}").with_nullable(True)
        for column in ("v", "w")
        for field in kind.fields
    ]
    expected = pa.schema([*children_fields, table.schema.field("k")], table.schema.metadata)
    assert got.schema.equals(expected, check_metadata=True)
    names = [field.name for field in kind.fields]
    for column in ("v", "w"):
        parents = table[column].to_pylist()
        for name in names:
            children = [None if parent is None else parent[name] for parent in parents]
            assert repr(got[f"{column}.{name}"].to_pylist()) == repr(children)


def sort_column(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as a type that pyarrow can sort and that has the same order; None if none has."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([c.storage for c in column.chunks], kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_nested(kind.value_type):
            return None
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_run_end_encoded(kind):
        chunks = [pc.run_end_decode(c) for c in column.chunks]
        column = pa.chunked_array(chunks, kind.value_type)
        kind = column.type
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    if kind == pa.string_view():
        return column.cast(pa.string())
    if kind == pa.binary_view():
        return column.cast(pa.binary())
    if pa.types.is_interval(kind):
        parts = column.to_pylist()
        keys = [None if p is None else "".join(f"{v + 1000:05}" for v in p) for p in parts]
        return pa.chunked_array([pa.array(keys)])
    return None if pa.types.is_nested(kind) else column


SORTABLE = [kind for kind in ALL_TYPES if kind not in NESTED and not pa.types.is_nested(kind)]


@pytest.mark.parametrize("kind", SORTABLE, ids=str)
def test_rows_are_sorted_by_any_type(remote: Remote, kind: pa.DataType) -> None:
    table = table_of(kind)
    uploaded = Uploaded(remote, table)
    key = sort_column(table["v"])
    if key is None:
        pytest.skip("pyarrow has no order to compare with")
    local = pa.table({"v": key, "k": table["k"]}).combine_chunks()
    sortings = [
        [("v", order, nulls)]
        for order in ("ascending", "descending")
        for nulls in ("at_start", "at_end")
    ]
    sortings += [
        [("k", "descending"), ("v", "ascending")],
        [("v", "descending"), ("k", "ascending")],
    ]
    for sorting in sortings:
        numbered = local.append_column("row", pa.array(range(N_ROWS)))
        rows = numbered.sort_by(sorting)["row"].to_pylist()
        assert_rows(uploaded.ask(call("sort_by", sorting=sorting)), table, rows)


def test_lists_and_structs_are_sorted_child_by_child(remote: Remote) -> None:
    lists = [[2], [], [1, 2], None, [1], [1, 1]]
    structs = [(1, "b"), (0, "z"), (1, "a"), None, (0, "a"), (1, None)]
    table = pa.table(
        {
            "l": pa.array(lists, pa.list_(pa.int8())),
            "s": pa.array([s and {"i": s[0], "t": s[1]} for s in structs]),
        }
    )
    uploaded = Uploaded(remote, table)
    by_list = uploaded.ask(call("sort_by", sorting="l"))
    assert by_list["l"].to_pylist() == [[], [1], [1, 1], [1, 2], [2], None]
    local = table.drop(["l"]).sort_by("s")
    assert uploaded.ask(call("sort_by", sorting="s"))["s"].equals(local["s"])


def test_maps_and_unions_cannot_be_sort_keys(remote: Remote) -> None:
    for kind in (pa.map_(pa.string(), pa.int64()), NESTED[-6]):
        uploaded = Uploaded(remote, table_of(kind))
        with pytest.raises(pa.ArrowNotImplementedError, match="v"):
            uploaded.ask(call("sort_by", sorting="v"))


def test_nan_stands_beside_the_nulls(remote: Remote) -> None:
    floats = [2.0, float("nan"), None, -0.0, 0.0, float("-inf"), float("nan"), -1.0, None]
    table = pa.table({"f": floats, "row": range(9)})
    uploaded = Uploaded(remote, table)
    for order in ("ascending", "descending"):
        for nulls in ("at_start", "at_end"):
            what = call("sort_by", sorting=[("f", order, nulls)])
            assert uploaded.ask(what)["row"].equals(what.local(table)["row"])


def test_sort_is_stable_over_many_rows_and_chunks(remote: Remote) -> None:
    rng = np.random.default_rng(8)
    batches = [
        pa.record_batch({"a": rng.integers(0, 9, 20_000), "b": rng.integers(0, 5, 20_000) / 2})
        for _ in range(6)
    ]
    table = pa.Table.from_batches(batches)
    table = table.append_column("row", pa.array(range(120_000)))
    uploaded = Uploaded(remote, table)
    for sorting in (
        [("a", "ascending")],
        [("b", "descending"), ("a", "ascending")],
        [("row", "descending")],
    ):
        what = call("sort_by", sorting=sorting)
        assert uploaded.ask(what).equals(what.local(table))


def test_nested_sort_keys_by_path(remote: Remote) -> None:
    what = call("sort_by", sorting=[(".at.x", "descending")])
    assert_same(Uploaded(remote, PEOPLE).ask(what), what.local(PEOPLE))


@pytest.mark.parametrize("name", ["zero batches", "zero rows in one batch"])
def test_tables_without_rows_are_asked_too(remote: Remote, name: str) -> None:
    table = all_tables()[name]()
    uploaded = Uploaded(remote, table)
    for method in ("slice", "drop_null", "combine_chunks", "flatten", "unify_dictionaries"):
        assert_same(uploaded.ask(call(method)), getattr(table, method)())
    assert_same(uploaded.ask(call("filter", mask=pa.array([], pa.bool_()))), table)
    assert_same(uploaded.ask(call("take", indices=[])), table)


def test_tables_without_columns_keep_their_number_of_rows(remote: Remote) -> None:
    uploaded = Uploaded(remote, all_tables()["zero columns with rows"]())
    rows = [
        (call("slice", offset=1), 2),
        (call("drop_null"), 3),
        (call("combine_chunks"), 3),
        (call("flatten"), 3),
        (call("filter", mask=[True, False, True]), 2),
        (call("take", indices=[0, 2, 1, 0]), 4),
        (call("select", columns=[]), 3),
    ]
    for what, n_rows in rows:
        got = uploaded.ask(what)
        assert (got.num_rows, got.num_columns) == (n_rows, 0), what


def test_unified_dictionaries_are_one_in_first_seen_order(remote: Remote) -> None:
    table = all_tables()["changing dictionaries"]()
    got = Uploaded(remote, table).ask(call("unify_dictionaries"))
    expected = table.unify_dictionaries()
    for name in table.column_names:
        dictionaries = [chunk.dictionary for chunk in got[name].chunks]
        assert all(d.equals(expected[name].chunk(0).dictionary) for d in dictionaries)
    assert_same(got, expected)


def test_combined_flight_says_so(remote: Remote) -> None:
    uploaded = Uploaded(remote, PEOPLE)
    command = {"from": {"id": uploaded.id}, "do": [{"combine_chunks": {}}]}
    assert remote.about(command)["combined"] is True
    assert remote.about({"from": {"id": uploaded.id}, "do": []})["combined"] is False


def test_metadata_pairs_keep_order_and_repeats(remote: Remote) -> None:
    pairs = [["b", "1"], ["a", "2"], ["b", "3"]]
    got = Uploaded(remote, PEOPLE).ask(call("replace_schema_metadata", metadata=pairs))
    expected = PEOPLE.schema.with_metadata(pa.KeyValueMetadata([tuple(p) for p in pairs]))
    assert got.schema.serialize() == expected.serialize()


def test_tables_are_concatenated(remote: Remote) -> None:
    first, second = Uploaded(remote, PEOPLE), Uploaded(remote, PEOPLE.slice(3))
    cut = {"from": {"id": first.id}, "do": [{"take": {"indices": [1]}}]}
    tables_ = [{"from": {"id": second.id}}, cut]
    got = first.ask(Call("concat", {"tables": tables_}))
    assert_same(got, pa.concat_tables([PEOPLE, PEOPLE.slice(3), PEOPLE.take([1])]))
    other = Uploaded(remote, pa.table({"name": [1]}))
    with pytest.raises(pa.ArrowInvalid, match="name|age"):
        first.ask(Call("concat", {"tables": [{"from": {"id": other.id}}]}))


def test_array_argument_comes_from_a_column_of_another_flight(remote: Remote) -> None:
    uploaded = Uploaded(remote, PEOPLE)
    rows = Uploaded(remote, pa.table({"x": ["a", "b"], "i": pa.array([3, 1], pa.int16())}))
    for source in ({"from": {"id": rows.id}, "column": "i"}, arrow_argument(pa.array([3, 1]))):
        got = uploaded.ask(Call("take", {"indices": source}))
        assert_rows(got, PEOPLE, [3, 1])


INTEGER_TYPES = [
    getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)
]


@pytest.mark.parametrize("kind", INTEGER_TYPES, ids=str)
def test_indices_of_any_integer_type(people: Uploaded, kind: pa.DataType) -> None:
    got = people.ask(call("take", indices=pa.array([4, None, 0], kind)))
    assert_rows(got, PEOPLE, [4, None, 0])


@pytest.mark.parametrize(
    "indices",
    [
        pa.array([0.0]),
        pa.array([True]),
        pa.array(["0"]),
        pa.array([0]).dictionary_encode(),
        pa.array([0], pa.date32()),
    ],
    ids=lambda indices: str(indices.type),
)
def test_indices_of_other_types_are_refused(people: Uploaded, indices: pa.Array) -> None:
    with pytest.raises(pa.ArrowNotImplementedError):
        people.ask(call("take", indices=indices))


def random_rows(draw: st.DrawFn, n: int) -> list[int]:
    """Row numbers of a table of n rows."""
    return draw(st.lists(st.integers(0, n - 1), max_size=30)) if n else []


def can_be_listed(table: pa.Table) -> bool:
    """Whether pyarrow can make Python values of it: not of structs with repeated names."""
    try:
        values(table)
    except ValueError:
        return False
    return True


def test_chains_on_any_table_give_the_rows_that_python_gives(server: Server) -> None:
    with Remote(server.uri) as remote:

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(tables(), st.data())
        def check(table: pa.Table, data: st.DataObject) -> None:
            assume(can_be_listed(table))
            rows: list[int] = list(range(table.num_rows))
            calls = []
            for step in data.draw(st.lists(st.sampled_from("tsf"), min_size=1, max_size=4)):
                if step == "t":
                    indices = data.draw(st.composite(random_rows)(len(rows)))
                    calls.append(call("take", indices=pa.array(indices, pa.int64())))
                    rows = [rows[i] for i in indices]
                elif step == "s":
                    offset, length = data.draw(st.tuples(st.integers(0, 120), st.integers(0, 60)))
                    calls.append(call("slice", offset=offset, length=length))
                    rows = rows[offset : offset + length]
                else:
                    mask = [data.draw(st.booleans()) for _ in rows]
                    calls.append(call("filter", mask=pa.array(mask, pa.bool_())))
                    rows = [row for row, keep in zip(rows, mask) if keep]
            uploaded = Uploaded(remote, table)
            assert_rows(uploaded.ask(*calls), table, rows)
            remote.action("delete", id=uploaded.id)

        check()


def test_sorts_of_many_random_columns(remote: Remote) -> None:
    rng = np.random.default_rng(11)
    kinds = [kind for kind in SORTABLE if not isinstance(kind, pa.BaseExtensionType)]
    for _ in range(max(4, EXAMPLES // 20)):
        chosen = [kinds[i] for i in rng.integers(0, len(kinds), 3)]
        columns = {f"c{i}": random_array(kind, 3_000, rng) for i, kind in enumerate(chosen)}
        table = pa.table({**columns, "row": np.arange(3_000)})
        keys = {name: sort_column(table[name]) for name in columns}
        usable = [name for name, key in keys.items() if key is not None]
        local = pa.table({**{name: keys[name] for name in usable}, "row": table["row"]})
        sorting = [(name, ["ascending", "descending"][int(rng.integers(0, 2))]) for name in usable]
        got = Uploaded(remote, table).ask(call("sort_by", sorting=sorting))
        assert got["row"].equals(local.combine_chunks().sort_by(sorting)["row"])
