"""Reading without publishing leaves nothing behind: no Flight, version, lineage or memory."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

from conftest import Report
from remote import Remote, by_name, command_bytes
from serving import Server
from settings import READS

N_READERS = 8
ROWS = 10_000
N_SEGMENTS = 2
MAX_GROWTH_BYTES = 8 << 20
LAST_USE_INTERVAL_S = 60.0
# The first interval begins with the server, at most so long before the test.
SERVER_START_S = 5.0
# Goes on until the times of last use have been written.
IS_LONG = READS >= 100_000


class Catalog:
    """The catalog's files: what is in them, and when they change."""

    def __init__(self, server: Server, copies: Path) -> None:
        self.folder = server.data_dir / ".remote-arrow"
        self.copies = copies

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of the last change of each."""
        stats = {path.name: path.stat() for path in self.folder.glob("catalog.db*")}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}

    def bytes(self) -> int:
        """Their size."""
        return sum(size for size, _ in self.files().values())

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all tables but the times of last use, from a copy."""
        copy = self.copies / f"catalog {time.monotonic_ns()}"
        shutil.copytree(self.folder, copy, ignore=lambda _, names: set(names) - set(self.files()))
        catalog = sqlite3.connect(copy / "catalog.db")
        try:
            catalog.execute("UPDATE flight SET last_used_ns = 0")
            tables = catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            return {
                name: catalog.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
                for (name,) in tables.fetchall()
            }
        finally:
            catalog.close()


class Writes(threading.Thread):
    """Counts how often the catalog is written: changes of its files between looks at them."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.ended = threading.Event()
        self.count = 0

    def run(self) -> None:
        before = self.catalog.files()
        while not self.ended.wait(0.2):
            after = self.catalog.files()
            self.count += after != before
            before = after


class Reader(threading.Thread):
    """A client that reads without publishing, by command and by ticket in turns."""

    def __init__(self, uri: str, table: pa.Table, number: int, n_reads: int) -> None:
        super().__init__()
        self.uri, self.table, self.n_reads = uri, table, n_reads
        self.rng = random.Random(number)
        self.failure = ""

    def run(self) -> None:
        try:
            with Remote(self.uri) as remote:
                ticket = remote.info(by_name("ten")).endpoints[0].ticket
                ten = self.table.slice(0, 10)
                for n in range(self.n_reads):
                    if n % 2:
                        assert remote.client.do_get(ticket).read_all().equals(ten)
                    else:
                        self._ask(remote)
        except Exception:
            self.failure = traceback.format_exc()

    def _ask(self, remote: Remote) -> None:
        offset = self.rng.randrange(ROWS - 20)
        steps, expected = self.rng.choice(
            [
                ([{"slice": {"offset": offset, "length": 5}}], self.table.slice(offset, 5)),
                (
                    [{"take": {"indices": [offset, 0]}}],
                    pa.concat_tables([self.table.slice(offset, 1), self.table.slice(0, 1)]),
                ),
                (
                    [{"slice": {"offset": offset, "length": 5}}, {"sort_by": {"sorting": "m"}}],
                    self.table.slice(offset, 5)[::-1],
                ),
            ]
        )
        command = {"from": {"name": "table"}, "do": steps, "publish": False}
        got = remote.client.do_get(flight.Ticket(command_bytes(command))).read_all()
        assert got.equals(expected)


def read_many(uri: str, table: pa.Table, n_reads: int) -> None:
    """So many reads by all readers together."""
    readers = [Reader(uri, table, n, n_reads // N_READERS) for n in range(N_READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [reader.failure for reader in readers if reader.failure] == []


def without_last_use(remote: Remote) -> list[tuple[object, ...]]:
    """The list, all that it tells but the times of last use; and the versions of each Flight."""
    listed = []
    for info in remote.flights():
        about = {**json.loads(info.app_metadata), "last_used": ""}
        versions = remote.action("versions", id=about["id"])
        listed.append((info.descriptor.path, info.total_records, info.total_bytes, about, versions))
    return listed


def closes_files(server: Server, n_files: int) -> bool:
    """Whether no more than so many are open once the server has seen its clients go."""
    deadline = time.monotonic() + 10
    while server.open_files() > n_files and time.monotonic() < deadline:
        time.sleep(0.05)
    return server.open_files() <= n_files


def test_unpublished_reads_leave_nothing_behind(
    own_server: Server, tmp_path: Path, report: Report
) -> None:
    begun = time.monotonic() - SERVER_START_S
    numbers = np.random.default_rng(1).integers(0, 1 << 60, ROWS)
    table = pa.table({"n": numbers, "m": np.arange(ROWS)[::-1]})
    catalog = Catalog(own_server, tmp_path)
    with Remote(own_server.uri) as remote:
        remote.upload(table, "table")
        remote.about({"from": {"name": "table"}, "do": [{"slice": {"length": 10}}], "as": "ten"})
        files = own_server.open_files() + N_SEGMENTS
        # Threads, their heaps and the segments' mappings are there after the first reads.
        read_many(own_server.uri, table, max(READS // 10, 800))
        listed, rows = without_last_use(remote), catalog.rows()
        info = remote.action("server-info")["store"]
        memory, size = own_server.anonymous_bytes(), catalog.bytes()
        writes = Writes(catalog)
        writes.start()
        started = time.monotonic()
        n_reads = 0
        while n_reads == 0 or (IS_LONG and time.monotonic() < started + LAST_USE_INTERVAL_S + 5):
            read_many(own_server.uri, table, READS)
            n_reads += READS
        seconds = time.monotonic() - started
        writes.ended.set()
        writes.join()
        assert without_last_use(remote) == listed
        assert catalog.rows() == rows
        for key in ("flights", "segments", "segment_bytes"):
            assert remote.action("server-info")["store"][key] == info[key]
        grown, catalog_grown = own_server.anonymous_bytes() - memory, catalog.bytes() - size
        report(
            f"{n_reads:,} reads in {seconds:.0f} s; catalog written {writes.count} times, "
            f"{catalog_grown:+,} bytes; memory {grown / 1e6:+.1f} MB of {memory / 1e6:.1f} MB"
        )
        most_writes = int((time.monotonic() - begun) / LAST_USE_INTERVAL_S)
        assert IS_LONG <= writes.count <= most_writes
        # A write of the log is at least a page and its header.
        assert catalog_grown <= most_writes * 3 * (4096 + 24)
        assert grown < MAX_GROWTH_BYTES
        assert closes_files(own_server, files), f"{own_server.open_files()} are open, not {files}"
        assert list((catalog.folder / "tmp").iterdir()) == []
    own_server.restart()
    with Remote(own_server.uri) as remote:
        assert without_last_use(remote) == listed
