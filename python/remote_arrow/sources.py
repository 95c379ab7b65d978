"""What can be uploaded: tables of every kind as a schema and a stream of record batches."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, cast

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow.csv


class SourceOptions(TypedDict, total=False):
    """How a source is read.

    `schema`: what its columns are converted to. `format` (csv, parquet, arrow) and `filesystem`
    (of pyarrow or fsspec) are for files, the last three, as pyarrow.csv has them, for CSV.
    """

    schema: pa.Schema
    format: str
    filesystem: Any
    read_options: pyarrow.csv.ReadOptions
    parse_options: pyarrow.csv.ParseOptions
    convert_options: pyarrow.csv.ConvertOptions


@dataclass(frozen=True)
class Source:
    """An open source; `n_rows` is None where only the end tells."""

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    n_rows: int | None = None


def bytes_per_row(batch: pa.RecordBatch) -> int:
    """Bytes that a row takes, at least 1; dictionaries, which all rows share, not counted."""
    columns = (c.indices if isinstance(c, pa.DictionaryArray) else c for c in batch.columns)
    return max(1, sum(column.nbytes for column in columns) // max(1, batch.num_rows))


@contextmanager
def open_source(source: Any, options: SourceOptions) -> Iterator[Source]:
    """The batches of a source, in bounded memory where the source allows it.

    FileNotFoundError, ValueError for a file of an unknown kind or for parts of different schemas,
    TypeError for what is no table or no option; reading raises what pyarrow raises.
    """
    _check_options(options)
    schema = options.get("schema")
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            opened = stack.enter_context(_open_path(os.fspath(source), options))
        elif isinstance(source, io.IOBase | pa.NativeFile):
            from remote_arrow import files

            opened = stack.enter_context(files.open_stream(cast(BinaryIO, source), options))
        elif hasattr(source, "iloc"):  # pandas: its index and metadata travel only this way
            if not hasattr(source, "columns"):
                raise TypeError("a Series is not a table: give its to_frame()")
            opened = _of_table(pa.Table.from_pandas(source, schema=schema))
        elif _is_dataset(source):
            opened = _of_dataset(source)
        elif hasattr(source, "__arrow_c_stream__"):
            is_reader = isinstance(source, pa.RecordBatchReader)  # its errors would lose their kind
            reader = source if is_reader else pa.RecordBatchReader.from_stream(source)
            n_rows = len(source) if hasattr(source, "__len__") else None
            opened = Source(reader.schema, reader, n_rows)
        elif hasattr(source, "__arrow_c_array__"):
            batch = pa.record_batch(source)
            opened = Source(batch.schema, [batch], batch.num_rows)
        elif isinstance(source, Mapping):
            opened = _of_table(_of_columns(source, schema))
        elif isinstance(source, Iterable) and not _is_values(source):
            opened = stack.enter_context(_chained(source, options))
        else:
            raise TypeError(f"{type(source).__name__} is not a table")
        yield opened if schema is None else _cast(opened, schema)


def _check_options(options: SourceOptions) -> None:
    known = SourceOptions.__annotations__
    for name in options:
        if name not in known:
            words = f"{name!r} is no option of an upload; there are {', '.join(known)}"
            raise TypeError(f"{words}, such as parse_options=pyarrow.csv.ParseOptions(delimiter=…)")


def _open_path(path: str, options: SourceOptions) -> Any:
    from remote_arrow import files  # pyarrow's readers take a while to load

    try:
        filesystem, paths = files.find(path, options.get("filesystem"))
    except FileNotFoundError:
        files.kind_of(path, options)  # that it could not be read anyway says more
        raise
    if len(paths) == 1:
        return files.open_file(filesystem, paths[0], options)
    return _chained(paths, {**options, "filesystem": filesystem})


def _of_table(table: pa.Table) -> Source:
    return Source(table.schema, table.to_reader(), table.num_rows)


def _of_columns(source: Mapping[str, Any], schema: pa.Schema | None) -> pa.Table:
    try:
        return pa.table(source, schema=schema)
    except TypeError as error:
        words = f"a dict is a table of columns: {error}; for rows take pa.Table.from_pylist(rows)"
        raise TypeError(words) from None


def _is_values(source: Iterable[Any]) -> bool:
    return isinstance(source, bytes | bytearray) or hasattr(source, "__array__")


def _is_dataset(source: Any) -> bool:
    module = sys.modules.get("pyarrow.dataset")  # whoever has one has loaded it
    return module is not None and isinstance(source, module.Dataset)


def _of_dataset(source: Any) -> Source:
    """Its rows in order, a row group or block at once: the defaults keep gigabytes in flight."""
    from pyarrow.dataset import ParquetFragmentScanOptions

    # With threads the scanner runs ahead of whoever reads, by a gigabyte.
    how: dict[str, Any] = {"use_threads": False, "batch_readahead": 0, "fragment_readahead": 0}
    if getattr(getattr(source, "format", None), "default_extname", "") == "parquet":
        buffered = {"use_buffered_stream": True, "buffer_size": 256 << 10, "pre_buffer": False}
        how["fragment_scan_options"] = ParquetFragmentScanOptions(**buffered)
    # The system's allocator gives back what Arrow's own would keep: 210 MB instead of 250.
    pool = pa.system_memory_pool()
    reader = source.scanner(batch_size=32 * 1024, memory_pool=pool, **how).to_reader()
    return Source(reader.schema, reader)


@contextmanager
def _chained(items: Iterable[Any], options: SourceOptions) -> Iterator[Source]:
    """The batches of all items, sources themselves, which must have the schema of the first."""
    iterator = iter(items)
    first = next(iterator, None)
    if first is None:
        if "schema" not in options:
            raise ValueError("an iterator without items needs schema=")
        first = options["schema"].empty_table()
    with ExitStack() as stack:
        head = stack.enter_context(open_source(first, options))

        def batches() -> Generator[pa.RecordBatch, None, None]:
            yield from head.batches
            for item in iterator:
                with open_source(item, options) as following:
                    _check_same(head.schema, following.schema, item)
                    yield from following.batches

        generator = batches()
        stack.callback(generator.close)  # closes the item that is being read
        yield Source(head.schema, generator)


def _check_same(first: pa.Schema, other: pa.Schema, item: object) -> None:
    if first.equals(other):
        return
    what = f"{item!r}" if isinstance(item, str | os.PathLike) else "a later item"
    if first.names != other.names:
        raise ValueError(f"{what} has columns {other.names}, the first one {first.names}")
    was, now = next((a, b) for a, b in zip(first, other) if not a.equals(b))
    texts = [f"{field.name!r} of {field.type}" for field in (now, was)]
    raise ValueError(f"{what} has column {texts[0]}, the first one {texts[1]}: give schema=")


def _cast(source: Source, schema: pa.Schema) -> Source:
    if source.schema.equals(schema, check_metadata=True):
        return source
    return replace(source, schema=schema, batches=(b.cast(schema) for b in source.batches))
