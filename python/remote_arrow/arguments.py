"""Arguments of methods as JSON of a command, and the errors that pyarrow raises for wrong ones."""

from __future__ import annotations

import base64
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from remote_arrow.not_yet import not_yet

MAX_JSON_ITEMS = 10_000  # a command may have 1 MiB of text
_MAX_INLINE_BYTES = 32 << 20  # of Arrow data: with it, in base64, a command may have 64 MiB
_MAX_INT64 = 2**63 - 1
_ARRAY_PROTOCOLS = ("__array__", "__arrow_array__", "__arrow_c_array__", "__arrow_c_stream__")


def array_argument(values: Any) -> Any:
    """An array argument: a short list as it is, all else as Arrow data."""
    if isinstance(values, list | tuple) and len(values) <= MAX_JSON_ITEMS:
        plain = (int, bool, float, str, type(None))
        if all(type(value) in plain for value in values):
            return list(values)
    stream = pa.BufferOutputStream()
    table = pa.table({"": _column(values)})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {"arrow": base64.b64encode(stream.getvalue()).decode()}


def _long_array_argument(values: Any) -> Any:
    """An array argument; as a column what is too long for a command and must be streamed."""
    if isinstance(values, list | tuple) and len(values) <= MAX_JSON_ITEMS:
        return array_argument(values)
    column = _column(values)
    return column if column.nbytes > _MAX_INLINE_BYTES else array_argument(column)


def _column(values: Any) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    if hasattr(values, "__arrow_c_stream__"):  # polars, pandas
        return pa.chunked_array(values)
    array = pa.array(values)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def streamed(arguments: Mapping[str, Any]) -> pa.ChunkedArray | None:
    """The argument that must be streamed, if there is one."""
    return next((a for a in arguments.values() if isinstance(a, pa.ChunkedArray)), None)


def indices_argument(indices: Any) -> Any:
    """The positions of a take."""
    if isinstance(indices, pc.Expression):
        raise TypeError("the positions of a take are an array, not an Expression")
    if not _is_array(indices):
        raise pa.ArrowNotImplementedError(f"take with {type(indices).__name__} for positions")
    return _long_array_argument(indices)


def mask_argument(mask: Any) -> Any:
    """The mask of a filter, one boolean a row."""
    if not _is_array(mask):
        raise pa.ArrowTypeError("Filter should be array-like")
    return _long_array_argument(mask)


def _is_array(values: Any) -> bool:
    return isinstance(values, list | tuple | range) or (
        any(hasattr(values, name) for name in _ARRAY_PROTOCOLS)
    )


def slice_arguments(offset: Any, length: Any) -> dict[str, int | None]:
    """Offset and length of a slice; an offset beyond all rows is one like the other."""
    first = min(operator.index(offset), _MAX_INT64)
    if first < 0:
        raise IndexError("Offset must be non-negative")
    n_rows = None if length is None else operator.index(length)
    if n_rows is not None and n_rows > _MAX_INT64:
        raise OverflowError("length does not fit 64 bits")
    return {"offset": first, "length": n_rows if n_rows is None else max(n_rows, 0)}


def column_argument(key: Any) -> str | int:
    """A column's name or position."""
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode()
    if isinstance(key, int):
        return int(key)
    raise TypeError("Index must either be string or integer")


def columns_argument(columns: Iterable[Any]) -> list[str | int]:
    """Names and positions of columns."""
    return [column_argument(key) for key in columns]


def name_argument(name: Any) -> str:
    """A name: str, or bytes of UTF-8."""
    if isinstance(name, bytes):
        return name.decode()
    if not isinstance(name, str):
        raise TypeError(f"a name is str or bytes, not {type(name).__name__}")
    return name


def names_argument(names: Any) -> list[str] | dict[str, str]:
    """New names of columns: one for each, or some by their old names."""
    if isinstance(names, Mapping):
        return {name_argument(old): name_argument(new) for old, new in names.items()}
    if not isinstance(names, list | tuple):
        raise TypeError(f"names must be a list or dict not {type(names)}")
    return [name_argument(name) for name in names]


def metadata_argument(metadata: Any) -> Any:
    """Schema metadata: pairs, in order; {} is not None."""
    if metadata is None:
        return None
    pairs = metadata.items() if hasattr(metadata, "items") else metadata
    listed = [[_text(key), _text(value)] for key, value in pairs]
    return listed or {}


def _text(value: Any) -> str | dict[str, str]:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return name_argument(value)


def sorting_arguments(sorting: Any, **options: Any) -> dict[str, Any]:
    """Keys of a sort: a name, or (key, order[, null placement]) of any iterable."""
    null_placement = options.pop("null_placement", None)
    for name in options:
        raise TypeError(f"sort_by() got an unexpected keyword argument {name!r}")
    keys = sorting if isinstance(sorting, str) else [_sort_key(key) for key in sorting]
    asked = {"sorting": keys}
    return asked if null_placement is None else asked | {"null_placement": null_placement}


def _sort_key(key: Any) -> list[Any]:
    if isinstance(key, str | Mapping) or not isinstance(key, Iterable):
        raise ValueError("a sort key is (key, order) or (key, order, null placement)")
    parts = list(key)
    if parts and isinstance(parts[0], pc.Expression):
        raise not_yet("sort_by with an Expression")
    return [part.decode() if isinstance(part, bytes) else part for part in parts]


def row_range(key: slice, n_rows: int) -> tuple[int, int] | Sequence[int]:
    """Offset and length of a slice of rows, or all positions when its step is not 1."""
    start, stop, step = key.indices(n_rows)
    return (start, max(stop - start, 0)) if step == 1 else range(start, stop, step)
