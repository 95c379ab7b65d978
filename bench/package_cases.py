"""Cases of the Python package, of files and of many appends."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet

from harness import (
    QUICK,
    ROUNDS,
    ROWS,
    SMALL_CALLS,
    TABLE_BYTES,
    UPLOAD_ROUNDS,
    Bench,
    call_times,
    case,
    drain,
    random_batches,
    read_all,
    upload,
    wide_table,
)
from measure import (
    Row,
    Turns,
    at_least,
    at_most,
    millis,
    rate,
    timed,
)
from remote import Remote, by_name
from remote_arrow import connect

APPENDS, APPENDED_ROWS = (300 if QUICK else 10_000), 100


@case("P1")
def handles_beside_bare_calls(bench: Bench) -> Iterator[Row]:
    """Calls of the Python package against the same calls by pyarrow.flight alone."""
    bare = bench.ours.client
    with connect(bench.server.uri) as con:
        ds = con.upload(pa.table({"n": range(1000)}), "P1")

        def command(**others: object) -> bytes:
            step = {"slice": {"offset": 0, "length": 10}}
            return json.dumps({"from": ds._from, "do": [step], **others}).encode()

        def bare_run() -> flight.FlightInfo:
            return bare.get_flight_info(flight.FlightDescriptor.for_command(command()))

        def bare_read() -> pa.Table:
            return bare.do_get(flight.Ticket(command(publish=False))).read_all()

        calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "a method of a handle": (lambda: ds.slice(0, 10), bare_run),
            "a read of 10 rows": (lambda: ds.to_table(limit=10), bare_read),
        }
        n = SMALL_CALLS // ROUNDS
        for name, (ours, peer) in calls.items():
            turns = Turns.of(
                ROUNDS,
                lambda ours=ours: statistics.median(call_times(ours, n)),
                lambda peer=peer: statistics.median(call_times(peer, n)),
            )
            texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
            yield Row("P1", f"p50 of {name} / bare", *texts, turns.shares(), at_most(1.2, 1.3))
        bench.ours.action("delete", name="P1")


@case("P2")
def to_table_beside_read_all(bench: Bench) -> Iterator[Row]:
    """A whole table by its handle against DoGet and read_all by pyarrow.flight alone."""
    batches = random_batches(2_097_152, TABLE_BYTES * 8 // 5)
    total = sum(batch.nbytes for batch in batches)
    with connect(bench.server.uri) as con:
        ds = con.upload(pa.RecordBatchReader.from_batches(batches[0].schema, batches), "P2")
        ticket = bench.ours.info(by_name("P2")).endpoints[0].ticket
        turns = Turns.of(
            ROUNDS,
            lambda: timed(ds.to_table),
            lambda: timed(lambda: read_all(bench.ours.client, ticket)),
        )
        bench.ours.action("delete", name="P2")
    texts = rate(total, turns.ours), rate(total, turns.peer)
    yield Row("P2", "to_table / bare read_all", *texts, turns.speedups(), at_least(1, 0.95))


@case("R21p")
def upload_of_a_parquet_file(bench: Bench) -> Iterator[Row]:
    """The Python package's upload of a file, against reading it by pyarrow and DoPut."""
    path = bench.folder / "R21p.parquet"
    table = wide_table(ROWS // 2, 1)
    pyarrow.parquet.write_table(table, path)
    server = bench.start("files", "--durability", "none")
    bench.occupy_memory()
    made: list[str] = []

    def name() -> str:
        made.append(f"R21p {len(made)}")
        return made[-1]

    with Remote(server.uri) as client, connect(server.uri) as con:
        turns = Turns.of(
            UPLOAD_ROUNDS,
            lambda: timed(lambda: con.upload(path, name(), progress=False)),
            lambda: timed(
                lambda: upload(client.client, name(), pyarrow.parquet.read_table(path).to_batches())
            ),
        )
        assert con[made[0]].to_table().equals(table)
    server.stop()
    path.unlink()
    texts = rate(table.nbytes, turns.ours), rate(table.nbytes, turns.peer)
    what = "upload of a Parquet file / read_table, DoPut"
    yield Row("R21p", what, *texts, turns.speedups(), at_least(1.2, 0.9))


WRITERS = {"csv": pyarrow.csv.write_csv, "parquet": pyarrow.parquet.write_table}
READERS = {"csv": pyarrow.csv.read_csv, "parquet": pyarrow.parquet.read_table}
FILE_GOALS = {"csv": at_least(1.0, 0.7), "parquet": at_least(1.2, 0.7)}


@case("R21")
def files_in_the_data_directory(bench: Bench) -> Iterator[Row]:
    """Import, from the ready line to the listed Flight, against pyarrow's read into memory; export
    against pyarrow's write of a table in memory.
    """
    table = wide_table(ROWS // 2, 1)
    for kind, write in WRITERS.items():
        name = f"files {kind}"
        path = bench.folder / name / f"t.{kind}"
        path.parent.mkdir()
        write(table, path)
        os.utime(path, (0, 0))  # not as one that may still be written

        def load() -> float:
            shutil.rmtree(path.parent / ".remote-arrow", ignore_errors=True)
            server = bench.start(name, "--durability", "none")
            with Remote(server.uri) as client:
                seconds = timed(lambda: wait_until_listed(client))
                assert client.get(by_name("t")).num_rows == table.num_rows
            server.stop()
            return seconds

        turns = Turns.of(UPLOAD_ROUNDS, load, lambda: timed(lambda: READERS[kind](path)))
        texts = rate(table.nbytes, turns.ours), rate(table.nbytes, turns.peer)
        yield Row("R21", f"import of {kind} / read", *texts, turns.speedups(), FILE_GOALS[kind])
        server = bench.start(name, "--durability", "none", "--import", "no")
        with Remote(server.uri) as client:
            asked = {"name": "t", "file": f"out.{kind}", "if_exists": "replace"}
            turns = Turns.of(
                UPLOAD_ROUNDS,
                lambda: timed(lambda: client.action("export", **asked)),
                lambda: timed(lambda: write(table, bench.folder / f"peer.{kind}")),
            )
        server.stop()
        texts = rate(table.nbytes, turns.ours), rate(table.nbytes, turns.peer)
        yield Row("R21", f"export of {kind} / write", *texts, turns.speedups(), FILE_GOALS[kind])


def wait_until_listed(client: Remote) -> None:
    """Returns when there is a Flight."""
    while not client.flights():
        time.sleep(0.002)


@case("appends")
def table_made_of_appends(bench: Bench) -> Iterator[Row]:
    """Many small appends to one table, and its download against that of the same rows at once."""
    rng = np.random.default_rng(5)
    columns = {name: rng.integers(0, 1 << 60, APPENDS * APPENDED_ROWS) for name in "ab"}
    whole = pa.table(columns)
    client = bench.ours

    def append(numbers: range) -> None:
        for n in numbers:
            piece = whole.slice(n * APPENDED_ROWS, APPENDED_ROWS)
            client.upload(piece, "appended", if_exists="append")

    tenth = APPENDS // 10
    first = timed(lambda: append(range(tenth)))
    append(range(tenth, 9 * tenth))
    last = timed(lambda: append(range(9 * tenth, APPENDS)))
    texts = [millis(seconds / tenth) for seconds in (last, first)]
    what = f"append to {APPENDS - tenth:,} parts / to none"
    yield Row("appends", what, *texts, [last / first], at_most(1.5, 2))
    client.upload(whole, "at once")
    assert client.get(by_name("appended")).equals(whole)
    tickets = [client.info(by_name(name)).endpoints[0].ticket for name in ("appended", "at once")]
    read = [lambda ticket=ticket: timed(lambda: drain(client.client, ticket)) for ticket in tickets]
    turns = Turns.of(ROUNDS, *read)
    texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
    what = f"DoGet of {APPENDS:,} appends / one upload"
    yield Row("appends", what, *texts, turns.shares(), at_most(1.2, 1.3))
    for name in ("appended", "at once"):
        client.action("delete", name=name)
