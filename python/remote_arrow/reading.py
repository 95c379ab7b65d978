"""Explicit reads: they download as much as is asked for and publish nothing."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from remote_arrow.base import Source, Step
from remote_arrow.download import of_size
from remote_arrow.new_file import new_file
from remote_arrow.parquet_writing import write_parquet


class Reading(Source):
    """The explicit reads of a handle."""

    def to_table(
        self,
        columns: Iterable[str | int] | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        indices: Any = None,
    ) -> pa.Table:
        """Downloads the rows, or some of them.

        `columns` by name or position; `indices`: only the rows at these positions, in that order;
        `offset` and `limit` then choose among those.

        >>> ds.to_table(["fare"], offset=1, limit=1).to_pylist()
        [{'fare': 3.0}]
        >>> ds.to_table(["zone"], indices=[2, 0]).to_pylist()
        [{'zone': 'A'}, {'zone': 'A'}]
        """
        table = self._download(columns, offset=offset, limit=limit, indices=indices).table()
        return table.combine_chunks() if self._is_combined() else table

    def head(self, n: int = 10) -> pa.Table:
        """The first `n` rows.

        >>> ds.head(1).to_pylist()
        [{'fare': 7.5, 'zone': 'A'}]
        """
        return self.to_table(limit=n)

    @functools.wraps(pa.Table.to_pandas)
    def to_pandas(self, *args: Any, **options: Any) -> Any:
        return self.to_table().to_pandas(*args, **options)

    to_pandas.__doc__ = "Downloads as a pandas DataFrame; parameters as of pyarrow.Table.to_pandas."

    def to_polars(self) -> Any:
        """Downloads as a polars DataFrame. ImportError when polars is not installed."""
        try:
            import polars
        except ImportError as error:
            raise ImportError("to_polars needs polars: pip install polars") from error
        return polars.from_arrow(self.to_table())

    def iter_batches(
        self, columns: Iterable[str | int] | None = None, batch_size: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The batches as they come from the server; a broken download goes on at its row.

        `batch_size`: each batch has exactly so many rows, but the last.

        >>> [batch.num_rows for batch in ds.iter_batches(batch_size=2)]
        [2, 1]
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        batches = self._download(columns).batches()
        return batches if batch_size is None else of_size(batches, batch_size)

    def write_parquet(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Downloads into a Parquet file; `options` as of pyarrow.parquet.ParquetWriter.

        As the other `write_` methods: some batches are in memory at a time, and when it fails
        the file is what it was before.
        """
        download = self._download()
        schema = self.schema
        with new_file(path) as file:
            write_parquet(file, schema, download.batches(), **options)

    def write_csv(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Downloads into a CSV file; `options` as of pyarrow.csv.WriteOptions."""
        download = self._download()
        write_options = pyarrow.csv.WriteOptions(**options)
        schema = self.schema
        with (
            new_file(path) as file,
            pyarrow.csv.CSVWriter(file, schema, write_options=write_options) as writer,
        ):
            for batch in download.batches():
                writer.write_batch(batch)

    def write_arrow(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Downloads into an Arrow IPC file (also named Feather); `options` as of
        pyarrow.ipc.IpcWriteOptions. Such a file has one dictionary a column.
        """
        unify: list[Step] = [{"unify_dictionaries": {}}] if _has_dictionary(self.schema) else []
        download = self._download(more=unify)
        write_options = pa.ipc.IpcWriteOptions(**options)
        schema = self.schema
        with (
            new_file(path) as file,
            pa.ipc.new_file(file, schema, options=write_options) as writer,
        ):
            for batch in download.batches():
                writer.write_batch(batch)


def _has_dictionary(kind: Any) -> bool:
    """Whether a schema or type holds a dictionary at any depth."""
    if isinstance(kind, pa.Schema):
        return any(_has_dictionary(field.type) for field in kind)
    if isinstance(kind, pa.BaseExtensionType):
        return _has_dictionary(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return True
    if pa.types.is_run_end_encoded(kind):
        return _has_dictionary(kind.value_type)
    return any(_has_dictionary(kind.field(i).type) for i in range(kind.num_fields))
