"""hypothesis strategies for random tables over all Arrow types."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from zoo import ALL_TYPES, FLAT, random_array

MAX_DEPTH = 4
_NAMES = st.text(max_size=6)
_METADATA = st.none() | st.dictionaries(st.binary(max_size=5), st.binary(max_size=9), max_size=3)


def _fields(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.Field]:
    return st.builds(
        lambda name, kind, nullable, metadata: pa.field(
            name, kind, nullable or pa.types.is_null(kind), metadata=metadata
        ),
        *(_NAMES, types, st.booleans(), _METADATA),
    )


def _union(members: list[pa.Field], sparse: bool) -> pa.DataType:
    members = [field.with_nullable(True) for field in members]
    return pa.sparse_union(members) if sparse else pa.dense_union(members)


def _extend(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    """Types with one level of nesting more than `types`."""
    fields = _fields(types)
    makers = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]
    return st.one_of(
        st.builds(lambda make, field: make(field), st.sampled_from(makers), fields),
        st.builds(pa.list_, fields, st.integers(0, 3)),
        st.builds(lambda members: pa.struct(members), st.lists(fields, max_size=3)),
        st.builds(_union, st.lists(fields, min_size=1, max_size=3), st.booleans()),
        st.builds(pa.map_, st.sampled_from([pa.string(), pa.int32()]), types, st.booleans()),
    )


def _depth(kind: pa.DataType) -> int:
    children = [kind.field(i).type for i in range(kind.num_fields)]
    return 1 + max((_depth(child) for child in children), default=0)


def _one_of_types(kinds: list[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    """As sampled_from, without a repr of all types in each message."""
    return st.integers(0, len(kinds) - 1).map(lambda i: kinds[i])


def types() -> st.SearchStrategy[pa.DataType]:
    """Any type of the zoo, and nestings of them up to MAX_DEPTH."""
    leaves = _one_of_types([kind for kind in ALL_TYPES if not pa.types.is_nested(kind)])
    nested = st.recursive(leaves, _extend, max_leaves=4)
    return _one_of_types(ALL_TYPES) | nested.filter(lambda kind: _depth(kind) <= MAX_DEPTH)


def schemas(
    kinds: st.SearchStrategy[pa.DataType] | None = None, min_columns: int = 0
) -> st.SearchStrategy[pa.Schema]:
    """Schemas of up to five columns; names may repeat, everything may have metadata."""
    columns = st.lists(_fields(kinds or types()), min_size=min_columns, max_size=5)
    return st.builds(lambda fields, metadata: pa.schema(fields, metadata), columns, _METADATA)


def batch(schema: pa.Schema, n: int, seed: int, nulls: float) -> pa.RecordBatch:
    """n random rows; columns without nulls where the schema says so."""
    if len(schema) == 0:
        rows = pa.record_batch([pa.nulls(n)], names=["gone"]).select([])
        return rows.replace_schema_metadata(schema.metadata)
    rng = np.random.default_rng(seed)
    arrays = [random_array(f.type, n, rng, nulls if f.nullable else 0.0) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def batches(schema: pa.Schema) -> st.SearchStrategy[list[pa.RecordBatch]]:
    """Up to four batches of up to 100 rows, some of them slices of longer ones."""
    one = st.builds(
        lambda n, cut, seed, nulls: batch(schema, n + cut, seed, nulls).slice(cut),
        *(st.integers(0, 100), st.integers(0, 9), st.integers(0, 2**32), st.floats(0, 1)),
    )
    return st.lists(one, max_size=4)


def tables(
    kinds: st.SearchStrategy[pa.DataType] | None = None, min_columns: int = 0
) -> st.SearchStrategy[pa.Table]:
    """Tables over any types."""
    return schemas(kinds, min_columns).flatmap(
        lambda schema: st.builds(lambda rows: pa.Table.from_batches(rows, schema), batches(schema))
    )


def flat_tables() -> st.SearchStrategy[pa.Table]:
    """Tables with at least one column, of types without children."""
    return tables(_one_of_types(FLAT), min_columns=1)
