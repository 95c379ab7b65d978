"""Uploads: sources of every kind as a stream of record batches."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.flight as flight
import pyarrow.parquet

from remote_arrow.calls import Calls

IfExists = Literal["error", "replace", "append", "reuse"]
_ABORT = b"remote-arrow-abort"
_BATCH_BYTES = 2 * 1024 * 1024  # the server stores batches of this size as they come


@contextmanager
def open_source(source: Any) -> Iterator[pa.RecordBatchReader]:
    """The batches of a source. ValueError for a file of an unknown kind, TypeError otherwise."""
    if isinstance(source, str | os.PathLike):
        with _open_file(Path(source)) as reader:
            yield reader
    elif hasattr(source, "__arrow_c_stream__") and not hasattr(source, "iloc"):
        yield pa.RecordBatchReader.from_stream(source)
    elif hasattr(source, "iloc"):  # pandas: its index and metadata travel only this way
        yield pa.Table.from_pandas(source).to_reader()
    else:
        raise TypeError(f"{type(source).__name__} is not a table")


@contextmanager
def _open_file(path: Path) -> Iterator[pa.RecordBatchReader]:
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        with pyarrow.parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=64 * 1024)
            yield pa.RecordBatchReader.from_batches(file.schema_arrow, batches)
    elif suffix == ".csv":
        yield pyarrow.csv.read_csv(path).to_reader()
    elif suffix in (".arrow", ".feather"):
        yield pyarrow.feather.read_table(path).to_reader()
    else:
        raise ValueError(f"cannot read {str(path)!r}: not .csv, .parquet, .arrow or .feather")


def put(
    calls: Calls, reader: pa.RecordBatchReader, name: str | None, if_exists: str, **options: Any
) -> dict[str, Any]:
    """Sends all batches; the Flight's JSON. Never tried again: it may have been acknowledged.

    A source that fails in the middle leaves nothing on the server, which is told so: closing the
    writer alone would complete the upload.
    """
    asked: dict[str, Any] = dict(options)
    if name is not None:
        asked |= {"name": name, "if_exists": if_exists}
    descriptor = flight.FlightDescriptor.for_command(json.dumps({"put": asked}))
    with calls.translated():
        writer, _ = calls.client.do_put(descriptor, reader.schema, calls.options(bounded=False))
        try:
            for batch in reader:
                for piece in _pieces(batch):
                    writer.write_batch(piece)
        except BaseException:
            with suppress(pa.ArrowException):  # it answers that the upload was given up
                writer.write_metadata(_ABORT)
                writer.close()
            raise
        writer.close()
    return calls.told.flight


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of about _BATCH_BYTES; one without rows as it is."""
    row_bytes = max(1, batch.nbytes // max(1, batch.num_rows))
    n_rows = max(1, _BATCH_BYTES // row_bytes)
    for offset in range(0, max(1, batch.num_rows), n_rows):
        yield batch.slice(offset, n_rows)
