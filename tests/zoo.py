"""Tables of every Arrow type, and of every odd shape that a table can have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa


class Celsius(pa.ExtensionType):
    """An extension type that no server can know."""

    def __init__(self) -> None:
        super().__init__(pa.float32(), "test.celsius")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"\x00not json\xff"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Celsius:
        return cls()


pa.register_extension_type(Celsius())

INTEGERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
DECIMALS = [
    *(pa.decimal32(7, 2), pa.decimal64(16, 4), pa.decimal128(38, 10), pa.decimal256(76, 5)),
    pa.decimal128(5, -2),
]
STRINGS = [pa.string(), pa.large_string(), pa.string_view()]
BINARIES = [
    *(pa.binary(), pa.large_binary(), pa.binary_view()),
    *(pa.binary(5), pa.binary(1)),
]
UNITS = ["s", "ms", "us", "ns"]
TEMPORALS = [
    *(pa.date32(), pa.date64()),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp(unit) for unit in UNITS),
    *(pa.timestamp(unit, "UTC") for unit in UNITS),
    *(pa.timestamp("us", "Europe/Berlin"), pa.timestamp("ns", "+05:30")),
    *(pa.duration(unit) for unit in UNITS),
    pa.month_day_nano_interval(),
]
FLAT = [pa.null(), pa.bool_(), *INTEGERS, *FLOATS, *DECIMALS, *STRINGS, *BINARIES, *TEMPORALS]

_STRUCT = pa.struct(
    [
        pa.field("x", pa.int32(), nullable=False, metadata={"unit": "m"}),
        pa.field("y", pa.string()),
        pa.field("z", pa.list_(pa.float64())),
    ]
)
_MEMBERS = [pa.field("i", pa.int64()), pa.field("s", pa.string()), pa.field("n", pa.null())]
NESTED = [
    *(pa.list_(pa.int32()), pa.large_list(pa.string()), pa.list_(pa.field("e", pa.int8(), False))),
    *(pa.list_view(pa.int16()), pa.large_list_view(pa.string())),
    *(pa.list_(pa.float32(), 3), pa.list_(pa.int8(), 0), pa.list_(pa.list_(pa.int16(), 2), 2)),
    *(pa.map_(pa.string(), pa.int64()), pa.map_(pa.int32(), pa.list_(pa.string()), True)),
    *(_STRUCT, pa.struct([]), pa.struct([pa.field("s", _STRUCT)])),
    *(pa.dense_union(_MEMBERS), pa.sparse_union(_MEMBERS)),
    *(pa.dense_union(_MEMBERS, [5, 0, 127]), pa.sparse_union(_MEMBERS, [7, 3, 9])),
    pa.list_(pa.struct([pa.field("u", pa.dense_union(_MEMBERS)), pa.field("v", pa.binary_view())])),
    pa.list_(pa.list_(pa.list_(pa.large_list(pa.string())))),
    pa.struct([pa.field("l", pa.list_view(pa.string_view())), pa.field("m", pa.decimal256(40, 3))]),
]
DICTIONARIES = [
    *(pa.dictionary(index, pa.string()) for index in INTEGERS),
    pa.dictionary(pa.int32(), pa.string(), ordered=True),
    *(pa.dictionary(pa.int8(), value) for value in (pa.int64(), pa.float64(), pa.date32())),
    *(pa.dictionary(pa.int16(), value) for value in (pa.large_binary(), pa.decimal128(9, 2))),
    pa.list_(pa.dictionary(pa.int8(), pa.string())),
    pa.struct(
        [
            pa.field("a", pa.dictionary(pa.int8(), pa.string())),
            pa.field("b", pa.dictionary(pa.int16(), pa.string())),
        ]
    ),
    pa.dictionary(pa.int32(), pa.list_(pa.int16())),
    pa.dictionary(pa.int8(), pa.struct([pa.field("d", pa.dictionary(pa.int8(), pa.string()))])),
    pa.map_(pa.string(), pa.dictionary(pa.int32(), pa.string())),
]
RUN_ENDS = [
    *(pa.run_end_encoded(end, pa.string()) for end in (pa.int16(), pa.int32(), pa.int64())),
    pa.run_end_encoded(pa.int32(), pa.float64()),
    pa.run_end_encoded(pa.int32(), pa.list_(pa.int8())),
    pa.struct([pa.field("r", pa.run_end_encoded(pa.int32(), pa.bool_()))]),
]
EXTENSIONS = [
    *(pa.uuid(), pa.json_(), pa.bool8(), Celsius()),
    pa.opaque(pa.int32(), "thing", "vendor"),
    pa.fixed_shape_tensor(pa.float32(), [2, 2]),
    pa.list_(pa.uuid()),
]
ALL_TYPES = [*FLAT, *NESTED, *DICTIONARIES, *RUN_ENDS, *EXTENSIONS]

_TEXTS = [
    "",
    "a",
    "abc",
    "Zürich",
    "日本語",
    "\U0001f600",
    "nul\0inside",
    "x" * 40,
    "longer than 12",
]
SPECIAL_FLOATS = [0.0, -0.0, 1.5, -2.25, 65504.0, float("inf"), float("-inf")]


def _validity(n: int, rng: np.random.Generator, nulls: float) -> np.ndarray:
    """n booleans, true where a value is valid."""
    return rng.random(n) >= nulls


def _integers(kind: pa.DataType, n: int, rng: np.random.Generator) -> np.ndarray:
    numbers = np.iinfo(kind.to_pandas_dtype())
    values = rng.integers(numbers.min, numbers.max, n, numbers.dtype, endpoint=True)
    edges = np.array([numbers.min, numbers.max, 0, 1], numbers.dtype)
    at_edge = rng.random(n) < 0.2
    values[at_edge] = edges[rng.integers(0, len(edges), int(at_edge.sum()))]
    return values


def _fixed_bytes(kind: pa.DataType, n: int, rng: np.random.Generator) -> list[bytes]:
    return [rng.bytes(kind.byte_width) for _ in range(n)]


def _temporal_integers(kind: pa.DataType, n: int, rng: np.random.Generator) -> np.ndarray:
    """Storage integers that are legal and fit into what Python's datetime can hold."""
    day_parts = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    if pa.types.is_date32(kind):
        return rng.integers(-100_000, 100_000, n, np.int32)
    if pa.types.is_date64(kind):
        return rng.integers(-100_000, 100_000, n, np.int64) * 86_400_000
    per_second = day_parts[kind.unit]
    if pa.types.is_time(kind):
        storage = np.int32 if pa.types.is_time32(kind) else np.int64
        return rng.integers(0, 86_400 * per_second, n, storage)
    limit = min(8 * 10**9 * per_second, 2**62)
    return rng.integers(-limit, limit, n, np.int64)


def _decimals(kind: pa.DataType, n: int, rng: np.random.Generator) -> list[Decimal]:
    values = []
    for _ in range(n):
        digits = rng.integers(0, 10, rng.integers(1, kind.precision + 1))
        values.append(Decimal((int(rng.integers(0, 2)), tuple(digits.tolist()), -kind.scale)))
    return values


def _random_flat(
    kind: pa.DataType, n: int, rng: np.random.Generator, valid: np.ndarray
) -> pa.Array:
    if pa.types.is_null(kind):
        return pa.nulls(n)
    if pa.types.is_boolean(kind):
        return pa.array(rng.random(n) < 0.5, kind, mask=~valid)
    if pa.types.is_integer(kind):
        return pa.array(_integers(kind, n, rng), kind, mask=~valid)
    if pa.types.is_floating(kind):
        picked = np.array(SPECIAL_FLOATS)[rng.integers(0, len(SPECIAL_FLOATS), n)]
        values = np.where(rng.random(n) < 0.3, picked, rng.normal(size=n))
        return pa.array(values.astype(kind.to_pandas_dtype()), kind, mask=~valid)
    if pa.types.is_interval(kind):
        parts = [pa.MonthDayNano([int(v) for v in rng.integers(-500, 500, 3)]) for _ in range(n)]
        return pa.array([v if ok else None for v, ok in zip(parts, valid)], kind)
    if pa.types.is_temporal(kind):
        integers = pa.array(_temporal_integers(kind, n, rng), mask=~valid)
        return integers.view(kind)
    if pa.types.is_decimal(kind):
        values = _decimals(kind, n, rng)
    elif pa.types.is_fixed_size_binary(kind):
        values = _fixed_bytes(kind, n, rng)
    else:
        values = [_TEXTS[i] for i in rng.integers(0, len(_TEXTS), n)]
        if kind in BINARIES:
            values = [v.encode() + b"\xff" * (i % 3) for i, v in enumerate(values)]
    return pa.array([v if ok else None for v, ok in zip(values, valid)], kind)


def _sizes(valid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lengths of lists; 0 where the list is null."""
    return np.where(valid, rng.integers(0, 4, len(valid)), 0)


def _childless(kind: pa.DataType, n: int, valid: np.ndarray, children: list[pa.Array]) -> pa.Array:
    """An array whose length no child tells."""
    bits = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(kind, n, [bits], children=children)


def _random_list(
    kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float, valid: np.ndarray
) -> pa.Array:
    item_nulls = nulls if kind.value_field.nullable else 0.0
    mask = pa.array(~valid) if n else None
    if pa.types.is_fixed_size_list(kind):
        items = random_array(kind.value_type, n * kind.list_size, rng, item_nulls)
        if kind.list_size == 0:
            return _childless(kind, n, valid, [items])
        return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=mask)
    sizes = _sizes(valid, rng)
    ends = np.cumsum(sizes)
    items = random_array(kind.value_type, int(sizes.sum()), rng, item_nulls)
    wide = pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind)
    integer = np.int64 if wide else np.int32
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        maker = pa.LargeListViewArray if wide else pa.ListViewArray
        starts = pa.array((ends - sizes).astype(integer))
        return maker.from_arrays(
            starts, pa.array(sizes.astype(integer)), items, type=kind, mask=mask
        )
    offsets = pa.array(np.concatenate([[0], ends]).astype(integer))
    maker = pa.LargeListArray if wide else pa.ListArray
    return maker.from_arrays(offsets, items, type=kind, mask=mask)


def _random_map(
    kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float, valid: np.ndarray
) -> pa.Array:
    sizes = _sizes(valid, rng)
    total = int(sizes.sum())
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    keys = random_array(kind.key_type, total, rng, 0.0)
    items = random_array(kind.item_type, total, rng, nulls)
    # Nulls are told by null offsets; the last one is never null.
    holes = np.concatenate([~valid, [False]])
    return pa.MapArray.from_arrays(pa.array(offsets, mask=holes), keys, items, type=kind)


def _random_struct(
    kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float, valid: np.ndarray
) -> pa.Array:
    if kind.num_fields == 0:
        return _childless(kind, n, valid, [])
    fields = [kind.field(i) for i in range(kind.num_fields)]
    children = [random_array(f.type, n, rng, nulls if f.nullable else 0.0) for f in fields]
    return pa.StructArray.from_arrays(children, fields=fields, mask=pa.array(~valid, pa.bool_()))


def _random_union(kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float) -> pa.Array:
    fields = [kind.field(i) for i in range(kind.num_fields)]
    picked = rng.integers(0, len(fields), n)
    codes = np.array(kind.type_codes, np.int8)
    ids = pa.array(codes[picked].astype(np.int8))
    names = [f.name for f in fields]
    if kind.mode == "sparse":
        children = [random_array(f.type, n, rng, nulls) for f in fields]
        return pa.UnionArray.from_sparse(ids, children, names, kind.type_codes)
    offsets = np.zeros(n, np.int32)
    children = []
    for i, field in enumerate(fields):
        mine = picked == i
        offsets[mine] = np.arange(int(mine.sum()), dtype=np.int32)
        children.append(random_array(field.type, int(mine.sum()), rng, nulls))
    return pa.UnionArray.from_dense(ids, pa.array(offsets), children, names, kind.type_codes)


def _random_dictionary(
    kind: pa.DataType, n: int, rng: np.random.Generator, valid: np.ndarray
) -> pa.Array:
    values = random_array(kind.value_type, 5, rng, 0.0)
    if not pa.types.is_nested(kind.value_type):
        values = values.unique()
    indices = rng.integers(0, len(values), n).astype(kind.index_type.to_pandas_dtype())
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, kind.index_type, mask=~valid), values, ordered=kind.ordered
    )


def _random_run_ends(kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float) -> pa.Array:
    ends: list[int] = []
    while (ends[-1] if ends else 0) < n:
        ends.append(min(n, (ends[-1] if ends else 0) + int(rng.integers(1, 5))))
    values = random_array(kind.value_type, len(ends), rng, nulls)
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, kind.run_end_type), values, type=kind)


def random_array(
    kind: pa.DataType, n: int, rng: np.random.Generator, nulls: float = 0.2
) -> pa.Array:
    """n random values of any Arrow type, NaN aside; a share of `nulls` is null."""
    valid = _validity(n, rng, nulls)
    if isinstance(kind, pa.BaseExtensionType):
        if kind == pa.json_():
            storage = pa.array(['{"a": [1, null]}' if ok else None for ok in valid], pa.string())
        else:
            storage = random_array(kind.storage_type, n, rng, nulls)
        return pa.ExtensionArray.from_storage(kind, storage)
    if pa.types.is_dictionary(kind):
        return _random_dictionary(kind, n, rng, valid)
    if pa.types.is_run_end_encoded(kind):
        return _random_run_ends(kind, n, rng, nulls)
    if pa.types.is_map(kind):
        return _random_map(kind, n, rng, nulls, valid)
    if pa.types.is_struct(kind):
        return _random_struct(kind, n, rng, nulls, valid)
    if pa.types.is_union(kind):
        return _random_union(kind, n, rng, nulls)
    if pa.types.is_nested(kind):
        return _random_list(kind, n, rng, nulls, valid)
    return _random_flat(kind, n, rng, valid)


def table_of(kind: pa.DataType, rows: int = 40, seed: int = 1) -> pa.Table:
    """Two columns of one type in four chunks: plain, sliced in both ends, empty, without nulls."""
    rng = np.random.default_rng(seed)
    fields = [
        pa.field("v", kind, metadata={"seen": "yes"}),
        pa.field("w", kind),
        pa.field("k", pa.int64(), nullable=False),
    ]
    schema = pa.schema(fields, metadata={"of": str(kind)})
    chunks = []
    for n, nulls, cut in ((rows // 4, 0.3, 0), (rows // 2, 0.3, 3), (0, 0.0, 0), (5, 0.0, 0)):
        columns = [random_array(kind, n + 2 * cut, rng, nulls).slice(cut, n) for _ in range(2)]
        keys = pa.array(rng.integers(0, 5, n), pa.int64())
        chunks.append(pa.RecordBatch.from_arrays([*columns, keys], schema=schema))
    return pa.Table.from_batches(chunks)


def _with_metadata() -> pa.Table:
    twice = pa.KeyValueMetadata([("key", "1"), ("other", ""), ("key", "2"), ("", "no key")])
    fields = [
        pa.field("a", pa.int64(), metadata=twice),
        pa.field("b", pa.struct([pa.field("c", pa.int8(), metadata={"deep": "\0\xff"})]), False),
    ]
    schema = pa.schema(fields, metadata=twice)
    return pa.Table.from_arrays(
        [pa.array([1, None]), pa.array([{"c": 1}, {"c": 2}])], schema=schema
    )


def _zero_columns() -> pa.Table:
    return pa.table({"gone": [1, 2, 3]}).select([])


def _every_type_at_once() -> pa.Table:
    rng = np.random.default_rng(7)
    fields = [pa.field(f"c{i}", kind) for i, kind in enumerate(ALL_TYPES)]
    batches = [
        pa.RecordBatch.from_arrays(
            [random_array(kind, n, rng) for kind in ALL_TYPES], schema=pa.schema(fields)
        )
        for n in (9, 0, 20)
    ]
    return pa.Table.from_batches(batches)


def _changing_dictionaries() -> pa.Table:
    """A dictionary that grows, one that is replaced and one that stays, over five batches."""
    batches = []
    for i in range(5):
        grows = pa.DictionaryArray.from_arrays(
            pa.array([i, 0, None], pa.int8()), pa.array([f"g{j}" for j in range(i + 1)])
        )
        other = pa.DictionaryArray.from_arrays(
            pa.array([1, 0, 1], pa.int8()), pa.array([f"x{i}", f"y{i}"])
        )
        same = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), pa.array(["p", "q"]))
        batches.append(pa.record_batch([grows, other, same], names=["grows", "other", "same"]))
    return pa.Table.from_batches(batches)


def _wide() -> pa.Table:
    return pa.table({f"column {i}": pa.array([i, None], pa.int32()) for i in range(2_000)})


def _deep() -> pa.Table:
    kind: pa.DataType = pa.int8()
    values: object = 3
    for _ in range(28):
        kind = pa.list_(kind)
        values = [values]
    return pa.table({"deep": pa.array([values, None], kind)})


def _overlapping_views() -> pa.Table:
    """List views and string views whose rows share, skip and reorder what lies beneath."""
    items = pa.array(list(range(10)), pa.int16())
    lists = pa.ListViewArray.from_arrays(
        pa.array([8, 0, 3, 3], pa.int32()), pa.array([2, 5, 5, 0], pa.int32()), items
    )
    texts = pa.array(["a text over twelve bytes", "short", None, "another long text here"])
    views = texts.cast(pa.string_view())
    turned = pa.concat_arrays([views.slice(2), views.slice(0, 2)])
    return pa.table({"lists": lists, "texts": turned})


SHAPES: dict[str, Callable[[], pa.Table]] = {
    "metadata, also twice the same key": _with_metadata,
    "duplicate column names": lambda: pa.Table.from_arrays(
        [pa.array([1, 2]), pa.array(["x", None]), pa.array([3, 4])], names=["a", "a", "b"]
    ),
    "odd column names": lambda: pa.Table.from_arrays(
        [pa.array([1])] * 6, names=["", " ", "a.b", "[0]", "日本", "quote\"$'\n"]
    ),
    "zero columns with rows": _zero_columns,
    "zero columns, zero rows": lambda: pa.schema([]).empty_table(),
    "zero rows in one batch": lambda: pa.table({"a": pa.array([], pa.string())}),
    "zero batches": lambda: pa.Table.from_batches([], pa.schema([("a", pa.int64())])),
    "zero batches of every type": lambda: pa.Table.from_batches([], _every_type_at_once().schema),
    "every type at once": _every_type_at_once,
    "changing dictionaries": _changing_dictionaries,
    "2,000 columns": _wide,
    "28 lists in one another": _deep,
    "overlapping views": _overlapping_views,
    "one long row": lambda: pa.table({"t": ["x" * 5_000_000]}),
    "dates before the epoch": lambda: pa.table({"d": [dt.date(1, 1, 1), dt.date(9999, 12, 31)]}),
}


def all_tables() -> dict[str, Callable[[], pa.Table]]:
    """The whole zoo: makers by name, names fit for test ids."""
    of_types = {str(kind): (lambda kind=kind: table_of(kind)) for kind in ALL_TYPES}
    return {**of_types, **SHAPES}
