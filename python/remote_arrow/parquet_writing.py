"""Parquet files made of batches, a row group at a time in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

_GROUP_BYTES = 16 << 20  # the writer takes some times as much
_GROUP_ROWS = 1 << 20


def write_parquet(
    file: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch], **options: Any
) -> None:
    """Writes all batches; `options` as of pyarrow.parquet.ParquetWriter."""
    with pyarrow.parquet.ParquetWriter(file, schema, **options) as writer:
        for group in _row_groups(batches):
            writer.write_table(group, row_group_size=_GROUP_ROWS)


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    parts: list[pa.RecordBatch] = []
    n_bytes = n_rows = 0
    for batch in batches:
        parts.append(batch)
        n_bytes += batch.nbytes
        n_rows += batch.num_rows
        if n_bytes >= _GROUP_BYTES or n_rows >= _GROUP_ROWS:
            yield pa.Table.from_batches(parts)
            parts, n_bytes, n_rows = [], 0, 0
    if parts:
        yield pa.Table.from_batches(parts)
