"""Uploads: a source's batches by DoPut, all of them or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.calls import Calls
from remote_arrow.progress import Watcher, watched, watching
from remote_arrow.sources import Source, SourceOptions, bytes_per_row, open_source
from remote_arrow.waiting import until_given_up

IfExists = Literal["error", "replace", "append", "reuse"]
_ABORT = b"remote-arrow-abort"
_BATCH_BYTES = 2 * 1024 * 1024  # the server stores batches of this size as they come


def upload(
    calls: Calls,
    source: Any,
    name: str | None,
    if_exists: IfExists = "error",
    *,
    if_version: int | None = None,
    progress: bool | Watcher | None = None,
    options: SourceOptions | None = None,
) -> dict[str, Any]:
    """Sends a source of any kind; the Flight's JSON."""
    with open_source(source, options or {}) as opened, watching(progress) as watcher:
        return put(calls, opened, name, if_exists, if_version=if_version, watcher=watcher)


def put(
    calls: Calls,
    source: Source,
    name: str | None,
    if_exists: IfExists,
    *,
    if_version: int | None = None,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Sends all batches; the Flight's JSON. Never tried again: it may have been acknowledged.

    A source that fails in the middle leaves nothing on the server, which is told so: closing the
    writer alone would complete the upload.
    """
    asked: dict[str, Any] = {} if name is None else {"name": name, "if_exists": if_exists}
    if if_version is not None:
        asked["if_version"] = if_version
    descriptor = flight.FlightDescriptor.for_command(json.dumps({"put": asked}))
    with calls.translated():
        writer, _ = calls.client.do_put(descriptor, source.schema, calls.options(bounded=False))
    pieces = (piece for batch in until_given_up(source.batches) for piece in _pieces(batch))
    try:  # only calls are translated: the answer to an abort is no reason for the source's error
        for piece in watched(pieces, source.n_rows, watcher):
            with calls.translated():
                _write(writer, piece)
    except BaseException:
        _give_up(writer)
        raise
    with calls.translated():
        writer.close()
    return calls.told.flight


def _write(writer: flight.FlightStreamWriter, piece: pa.RecordBatch) -> None:
    try:
        writer.write_batch(piece)
    except pa.ArrowException:  # the server has answered; what it said comes at the end
        _give_up(writer)
        raise


def _give_up(writer: flight.FlightStreamWriter) -> None:
    with suppress(pa.ArrowException):
        writer.write_metadata(_ABORT)
        writer.close()


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of about _BATCH_BYTES; one without rows as it is."""
    n_rows = max(1, _BATCH_BYTES // bytes_per_row(batch))
    for offset in range(0, max(1, batch.num_rows), n_rows):
        yield batch.slice(offset, n_rows)
