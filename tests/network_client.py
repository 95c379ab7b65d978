"""A client at the far end of a wire: `network_client.py WHAT URI TIMEOUT_S NAME`.

Writes what it sees as lines of JSON; the last one has "ok" or "error".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

import remote_arrow as ra

SMALL_ROWS, BIG_ROWS, BATCH_ROWS = 50_000, 1_000_000, 50_000


def table(rows: int) -> pa.Table:
    """The same numbers everywhere; they do not compress."""
    return pa.table({"n": np.random.default_rng(rows).integers(0, 1 << 60, rows)})


def tell(**what: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def story(con: ra.Connection, name: str) -> None:
    """Every kind of call once, with the right answers."""
    local = table(SMALL_ROWS)
    handle = con.upload(local, name)
    assert handle.to_table().equals(local)
    assert handle.sort_by("n").to_table().equals(local.sort_by("n"))
    longer = con.upload(local, name, if_exists="append")
    assert longer.to_table().equals(pa.concat_tables([local, local]))
    assert [version["version"] for version in longer.versions()] == [1, 2]
    assert name in [flight.name for flight in con.flights()]
    events = con.watch(name, after=0)
    assert [next(events)["event"] for _ in range(2)] == ["created", "version"]
    events.close()
    longer.delete()
    try:
        con.dataset(name)
    except ra.FlightNotFound as error:
        assert error.reason == "FLIGHT_NOT_FOUND"


def upload(con: ra.Connection, name: str) -> None:
    """A table of 8 MB, batch by batch."""
    local = table(BIG_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        for n, batch in enumerate(local.to_batches(BATCH_ROWS)):
            tell(sent=n)
            yield batch

    handle = con.upload(pa.RecordBatchReader.from_batches(local.schema, batches()), name)
    assert handle.num_rows == BIG_ROWS


def download(con: ra.Connection, name: str) -> None:
    """The same table, which another has uploaded."""
    got = []
    for batch in con[name].iter_batches():
        got.append(batch)
        tell(got=len(got))
    assert pa.Table.from_batches(got).equals(table(BIG_ROWS))


def watch(con: ra.Connection, name: str) -> None:
    """Events until one tells of a Flight "NAME end"."""
    for event in con.watch(f"{name}*", after=0):
        tell(event=event["name"])
        if event["name"] == f"{name} end":
            return


def pause(con: ra.Connection, name: str) -> None:
    """Reads one batch, then nothing for so long, then the rest."""
    batches = con[name].iter_batches()
    got = [next(batches)]
    tell(got=1)
    sys.stdin.readline()
    got.extend(batches)
    assert pa.Table.from_batches(got).equals(table(BIG_ROWS))


def ask(con: ra.Connection, name: str) -> None:
    """A small call, when it is told to."""
    tell(ready=True)
    sys.stdin.readline()
    assert name in [flight.name for flight in con.flights()]


WHAT: dict[str, Callable[[ra.Connection, str], None]] = {
    "story": story,
    "upload": upload,
    "download": download,
    "watch": watch,
    "pause": pause,
    "ask": ask,
}


def main() -> None:
    what, uri, timeout_s, name = sys.argv[1:]
    started = time.monotonic()
    try:
        with ra.connect(uri, timeout=float(timeout_s)) as con:
            WHAT[what](con, name)
    except Exception as error:
        told = {"error": type(error).__name__, "reason": getattr(error, "reason", None)}
        tell(**told, message=str(error)[:300], seconds=time.monotonic() - started)
        return
    tell(ok=True, seconds=time.monotonic() - started)


if __name__ == "__main__":
    main()
