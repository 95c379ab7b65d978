"""Downloads: the batches of an unpublished read, which goes on at its row when it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.calls import Calls
from remote_arrow.waiting import cancellable, interruptible, is_given_up_by_others

_MAX_BREAKS = 5  # of a download that brings no batch in between


class Download:
    """Batches of one read. `ticket_at(row)` tells what to ask for to begin at a row.

    `is_long`: the server computes before it sends, which Ctrl-C may end.
    """

    def __init__(
        self, calls: Calls, ticket_at: Callable[[int], flight.Ticket], is_long: bool
    ) -> None:
        self._calls = calls
        self._ticket_at = ticket_at
        self._is_long = is_long or is_given_up_by_others()
        self._n_seen = 0
        self._reader: Any = None

    def schema(self) -> pa.Schema:
        """The schema of all batches."""
        if self._reader is None:
            self._open()
        return self._reader.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches in order, once. Leaving off early ends the call on the server."""
        n_breaks = 0
        try:
            while True:
                if self._reader is None:
                    self._open()
                try:
                    with self._calls.translated(), cancellable(self._reader.cancel):
                        batch = self._reader.read_chunk().data
                except StopIteration:
                    self._reader = None
                    return
                except flight.FlightUnavailableError:
                    n_breaks += 1
                    if n_breaks == _MAX_BREAKS:
                        raise
                    self._reader = None
                    continue
                n_breaks = 0
                self._n_seen += batch.num_rows
                yield batch
        finally:
            if self._reader is not None:
                self._reader.cancel()

    def table(self) -> pa.Table:
        """All batches as a table."""
        schema = self.schema()
        return pa.Table.from_batches(list(self.batches()), schema)

    def _open(self) -> None:
        ticket = self._ticket_at(self._n_seen)
        if self._is_long and ticket.ticket.startswith(b"{"):
            self._reader = interruptible(lambda: self._calls.read(lambda: self._run(ticket)))
        else:
            options = self._calls.options(bounded=False)
            self._reader = self._calls.read(lambda: self._calls.client.do_get(ticket, options))

    def _run(self, ticket: flight.Ticket) -> Any:
        """A command's answer, by a call that can be cancelled before it comes."""
        descriptor = flight.FlightDescriptor.for_command(ticket.ticket)
        options = self._calls.options(bounded=False)
        writer, reader = self._calls.client.do_exchange(descriptor, options)
        with cancellable(reader.cancel):
            writer.done_writing()
            reader.read_chunk()  # the Flight's JSON, if there were one; then the rows
        return reader


def of_size(batches: Iterator[pa.RecordBatch], batch_size: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `batch_size` rows; the last may have fewer."""
    parts: list[pa.RecordBatch] = []
    n_parts = 0
    for batch in batches:
        offset = 0
        while n_parts + batch.num_rows - offset >= batch_size:
            parts.append(batch.slice(offset, batch_size - n_parts))
            offset += batch_size - n_parts
            yield _joined(parts)
            parts, n_parts = [], 0
        if offset < batch.num_rows:
            parts.append(batch.slice(offset))
            n_parts += batch.num_rows - offset
    if parts:
        yield _joined(parts)


def at_most(batches: Iterator[pa.RecordBatch], max_rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows, batches with more than `max_rows` cut."""
    for batch in batches:
        for offset in range(0, max(batch.num_rows, 1), max_rows):
            yield batch.slice(offset, max_rows)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
