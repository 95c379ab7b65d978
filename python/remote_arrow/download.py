"""Downloads: the batches of an unpublished read, which goes on at its row when it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.calls import Calls, Exchange
from remote_arrow.waiting import cancellable, interruptible

_MAX_BREAKS = 5  # of a download that brings no batch in between


class Download:
    """Batches of one read. `ticket_at(row)` tells what to ask for to begin at a row.

    `is_long`: the server computes before it sends; Ctrl-C ends that at once. While batches come it
    is seen at the next one: in a thread of their own they would land in memory that malloc gives
    back each time, which costs a third of the speed.
    """

    def __init__(
        self, calls: Calls, ticket_at: Callable[[int], flight.Ticket], is_long: bool
    ) -> None:
        self._calls = calls
        self._ticket_at = ticket_at
        self._is_long = is_long
        self._n_seen = 0
        self._schema: pa.Schema = None  # known with the first answer

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches in order, once. Leaving off early ends the call on the server."""
        n_breaks = 0
        while True:
            ticket = self._ticket_at(self._n_seen)
            is_run = self._is_long and ticket.ticket.startswith(b"{")
            stream = self._begin_run(ticket) if is_run else self._begin(ticket)
            try:
                for batch in stream:
                    n_breaks = 0
                    self._n_seen += batch.num_rows
                    yield batch
                return
            except flight.FlightUnavailableError:  # in the middle: it goes on where it was
                n_breaks += 1
                if n_breaks == _MAX_BREAKS:
                    raise

    def table(self, check: Callable[[int], None] | None = None) -> pa.Table:
        """All batches as a table. `check` is told the bytes so far after each, and may raise."""
        batches, n_bytes = [], 0
        for batch in self.batches():
            batches.append(batch)
            if check is not None:
                n_bytes += batch.nbytes
                check(n_bytes)
        return pa.Table.from_batches(batches, self._schema)

    def _begin(self, ticket: flight.Ticket) -> Iterator[pa.RecordBatch]:
        def begin() -> flight.FlightStreamReader:
            reader = self._calls.get(ticket)
            self._schema = reader.schema  # that it comes tells that the server is there
            return reader

        reader = self._calls.read(begin)
        return self._batches_of(reader, lambda: None, reader.cancel)

    def _begin_run(self, ticket: flight.Ticket) -> Iterator[pa.RecordBatch]:
        exchange = interruptible(lambda: self._calls.read(lambda: self._run(ticket)))
        self._schema = exchange.reader.schema
        return self._batches_of(exchange.reader, exchange.end, exchange.close)

    def _batches_of(
        self, reader: flight.FlightStreamReader, end: Callable[[], None], close: Callable[[], None]
    ) -> Iterator[pa.RecordBatch]:
        """The batches until it breaks."""
        try:
            while True:
                with self._calls.translated(), cancellable(reader.cancel):
                    try:
                        batch = reader.read_chunk().data
                    except StopIteration:
                        end()
                        return
                yield batch
        finally:
            close()

    def _run(self, ticket: flight.Ticket) -> Exchange:
        exchange = self._calls.exchange(ticket.ticket, bounded=False)
        try:
            exchange.about()
        except BaseException:
            exchange.close()
            raise
        return exchange


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
