"""What the cases of the benchmark share: servers, tables, calls, the list of cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet

from conditions import occupy_memory
from measure import (
    Row,
    timed,
)
from processes import Peer, build_tools
from remote import Remote, by_name
from serving import Server

QUICK = os.environ.get("RA_BENCH_QUICK") == "1"
ROUNDS = 3 if QUICK else 11
UPLOAD_ROUNDS = min(ROUNDS, 7)
TABLE_BYTES = (32 if QUICK else 640) * 1_000_000
SMALL_CALLS = 300 if QUICK else 3_000
LOAD_SECONDS = 0.5 if QUICK else 3.0
ROWS = 1_000_000 if QUICK else 10_000_000
FEW_FLIGHTS = 101
MANY_FLIGHTS = (300, 600) if QUICK else (10_000, 100_000)
MAKERS = 8  # connections that make them
CROWD_SECONDS = 5.0 if QUICK else 60.0
CROWD_PROCESSES = 4
FIXED_HEAP_BYTES = 64_000_000


class Bench:
    """Our server, its peer, and clients of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder / "tools"
        self.tools.mkdir()
        build_tools(self.tools)
        self.servers: list[Server] = []
        self.server = self.start("main", "--durability", "none")
        self.peer = self.start_peer()
        self.ours = Remote(self.server.uri)
        self.theirs = Remote(self.peer.uri)

    def start(self, name: str, *args: str) -> Server:
        """One more server of ours, with a data directory of its own."""
        log_path = self.folder / f"{name}.log"
        self.servers.append(Server(*args, data_dir=self.folder / name, log_path=log_path))
        return self.servers[-1]

    def start_peer(self, *args: str) -> Peer:
        """One more peer."""
        log_path = self.folder / f"peer {len(self.servers)}.log"
        self.servers.append(peer := Peer(*args, data_dir=self.folder, log_path=log_path))
        return peer

    def occupy_memory(self) -> None:
        """Before what fills much fresh memory."""
        if not QUICK:
            occupy_memory(self.folder)

    def stop(self) -> None:
        """Ends all servers, which must end well."""
        for server in self.servers:
            server.stop()

    def kill(self) -> None:
        """Ends all servers that still run."""
        for server in self.servers:
            server.kill()

    def upload_both(self, name: str, batches: list[pa.RecordBatch]) -> tuple[flight.Ticket, ...]:
        """The same batches on both servers; the tickets, ours first."""
        upload(self.ours.client, name, batches)
        upload(self.theirs.client, name, batches)
        return tuple(
            client.get_flight_info(by_name(name)).endpoints[0].ticket
            for client in (self.ours.client, self.theirs.client)
        )

    def delete_both(self, name: str) -> None:
        """Frees what upload_both put there."""
        for remote in (self.ours, self.theirs):
            remote.action("delete", name=name)


def random_batches(batch_bytes: int, total_bytes: int = TABLE_BYTES) -> list[pa.RecordBatch]:
    """Batches of four numeric columns of distinct random values."""
    rows = batch_bytes // 32
    rng = np.random.default_rng(batch_bytes)
    return [
        pa.record_batch(
            {
                "a": rng.integers(0, 1 << 62, rows),
                "b": rng.integers(0, 1 << 62, rows),
                "x": rng.random(rows),
                "y": rng.random(rows),
            }
        )
        for _ in range(max(1, total_bytes // batch_bytes))
    ]


def upload(client: flight.FlightClient, name: str, batches: list[pa.RecordBatch]) -> None:
    """DoPut under a path name."""
    writer, _ = client.do_put(by_name(name), batches[0].schema)
    with writer:
        for batch in batches:
            writer.write_batch(batch)


def drain(client: flight.FlightClient, ticket: flight.Ticket) -> int:
    """Reads all batches and lets each go; the rows."""
    return sum(chunk.data.num_rows for chunk in client.do_get(ticket))


def read_all(client: flight.FlightClient, ticket: flight.Ticket) -> int:
    """Reads the whole table; the rows."""
    return client.do_get(ticket).read_all().num_rows


Case = Callable[[Bench], Iterator[Row]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    """Registers a measurement."""

    def register(function: Case) -> Case:
        CASES[name] = function
        return function

    return register


def call_times(work: Callable[[], object], n: int = SMALL_CALLS) -> list[float]:
    """Seconds of each of n calls."""
    return [timed(work) for _ in range(n)]


def wide_table(rows: int, n_chunks: int) -> pa.Table:
    """Five columns: two numbers, a string, a dictionary and a number with nulls, in chunks."""
    rng = np.random.default_rng(9)
    words = pa.array([f"word {i:06}" for i in range(100_000)])
    kinds = pa.array([f"kind {i}" for i in range(1_000)])
    batches = []
    for size in np.diff(np.linspace(0, rows, n_chunks + 1).astype(int)):
        kind = pa.DictionaryArray.from_arrays(
            pa.array(rng.integers(0, 1_000, size), pa.int32()), kinds
        )
        nullable = pa.array(rng.integers(0, 1 << 40, size), mask=rng.random(size) < 0.01)
        columns = {
            "i": rng.integers(0, 1 << 60, size),
            "f": rng.random(size),
            "s": words.take(pa.array(rng.integers(0, len(words), size))),
            "d": kind,
            "n": nullable,
        }
        batches.append(pa.record_batch(columns))
    return pa.Table.from_batches(batches)
