"""kill -9 under writers: what was acknowledged is there, nothing half-made is listed."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sqlite3
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conftest import Report
from crash_writers import Change, Key, Uids, Writer, descriptor, difference
from remote import Json, Remote, by_name
from serving import Server
from settings import ROUNDS

N_WRITERS = 4
EVERYTHING_EACH = 10  # rounds
ASIDE_NAME = re.compile(r"\d+-[0-9a-f]{16}\.arrow")


def content(seed: str) -> pa.Table:
    """The table that belongs to a seed; up to a few hundred KB."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    rows = int(rng.integers(1, 20_000))
    return pa.table({"seed": [seed] * rows, "n": rng.integers(0, 1 << 60, rows)})


class Crashes:
    """A server that is killed under its writers again and again, and checked each time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.rng = random.Random(17)
        uids = Uids()
        self.writers = [Writer(number, uids) for number in range(N_WRITERS)]
        self.start_seconds = 0.1
        self.n_killed_starts = 0
        self.n_checked = 0

    def work_and_kill(self) -> None:
        """Lets the writers work for a moment, then kills the server under them."""
        killed = threading.Event()
        threads = [
            threading.Thread(target=w.run, args=(self.server.uri, self.rng.random(), killed))
            for w in self.writers
        ]
        for thread in threads:
            thread.start()
        time.sleep(self.rng.uniform(0.02, 1.0))
        killed.set()
        self.server.kill()
        for thread in threads:
            thread.join()
        assert [w.failure for w in self.writers if w.failure] == []

    def start(self) -> None:
        """Starts the server, after up to two starts that are killed as well."""
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            self.server.begin_start()
            time.sleep(self.rng.uniform(0, 1.2 * self.start_seconds))
            self.server.kill()
            self.n_killed_starts += 1
        started = time.monotonic()
        self.server.start()
        self.start_seconds = time.monotonic() - started

    def check(self, everything: bool) -> None:
        """What was touched since the last check, or all; the list and the folders in any case."""
        with Remote(self.server.uri) as remote:
            unknown = [pair for w in self.writers if (pair := settle(remote, w)) is not None]
            for writer in self.writers:
                for key in [key for key in writer.loose if is_gone(remote, key)]:
                    writer.forget(key)
                writer.loose.clear()
            check_list(remote, self.writers, unknown)
            for writer in self.writers:
                keys = {*writer.flights} if everything else writer.touched
                self.n_checked += len(keys)
                for key in keys:
                    wrong = difference(remote, key, writer.flights.get(key))
                    assert wrong is None, f"{key!r} {wrong}"
                writer.touched.clear()
            if everything:
                check_positions(remote)
        check_folders(self.server)

    def acknowledged(self) -> Counter[str]:
        """Changes of each kind."""
        return sum((w.acknowledged for w in self.writers), Counter())

    def stop_and_check(self) -> None:
        """Looks at what a clean stop leaves, and starts the server again."""
        self.server.stop()
        check_stopped(self.server.data_dir, sum(len(w.flights) for w in self.writers))
        self.server.start()

    def delete_all(self) -> None:
        """Ends what all writers have; nothing may be left of it."""
        with Remote(self.server.uri) as remote:
            for writer in self.writers:
                for key, known in list(writer.flights.items()):
                    remote.action("delete", id=known.id)
                    writer.forget(key)
            assert remote.flights(deleted=False) == []
        self.stop_and_check()


def is_gone(remote: Remote, key: Key) -> bool:
    """Whether there is no such Flight."""
    try:
        remote.about(descriptor(key))
    except pa.ArrowKeyError:
        return True
    return False


def settle(remote: Remote, writer: Writer) -> tuple[Writer, Change] | None:
    """Finds out whether the change that was on its way happened: whole, or not at all.

    An unnamed result can only be found in the list: it is given back.
    """
    change, writer.unsure = writer.unsure, None
    if change is None or change.result is not None:
        return None if change is None else (writer, change)
    if any(key in writer.loose and is_gone(remote, key) for key in change.before):
        # A result of the last moments is lost, and with it what was to be done to it.
        change = Change(change.kind, change.before, dict.fromkeys(change.after))
    as_before = [difference(remote, *item) for item in change.before.items()]
    as_after = [difference(remote, *item) for item in change.after.items()]
    assert not any(as_before) or not any(as_after), f"{change.kind}: {as_before}, {as_after}"
    writer.touched.update(change.before, change.after)
    if not any(as_after):
        live = [key for key, known in change.after.items() if known is not None]
        writer.make(change, remote.about(descriptor(live[0])) if live else {})
    return None


def check_list(
    remote: Remote, writers: list[Writer], unknown: list[tuple[Writer, Change]]
) -> None:
    """All that is known is listed, and nothing else but results whose answer was on its way."""
    listed: dict[int, Json] = {}
    for info in remote.flights(deleted=False):
        about = json.loads(info.app_metadata)
        name = about["names"][0] if about["names"] else f"#{about['id']}"
        assert info.descriptor.path == [name.encode()]
        listed[about["id"]] = about
    for writer in writers:
        for key, known in writer.flights.items():
            assert known.id in listed, f"{key!r} is not listed"
            assert listed.pop(known.id)["uid"] == known.uid
    for number, about in listed.items():
        for writer, change in unknown:
            if difference(remote, number, change.result) is None:
                writer.make(change, about)
                writer.loose.discard(number)
                unknown.remove((writer, change))
                break
        else:
            pytest.fail(f"nobody made {about}")


def check_positions(remote: Remote) -> None:
    """The position in the list is the id, tombstones included."""
    for position, info in enumerate(remote.flights()):
        about = json.loads(info.app_metadata)
        assert about["id"] == position
        assert (info.descriptor.command == b"DELETED") == (about["state"] == "deleted")


def check_folders(server: Server) -> None:
    """No files of unfinished work; segments are those of the catalog, of the sizes it has."""
    folder = server.data_dir / ".remote-arrow"
    assert list((folder / "tmp").iterdir()) == []
    with Remote(server.uri) as remote:
        store = remote.action("server-info")["store"]
    sizes = [path.stat().st_size for path in (folder / "segments").iterdir()]
    assert (len(sizes), sum(sizes)) == (store["segments"], store["segment_bytes"])
    # Files that had their names but were not committed are set aside for a day.
    assert all(ASIDE_NAME.fullmatch(path.name) for path in (folder / "aside").iterdir())


def check_stopped(data_dir: Path, n_flights: int) -> None:
    """The catalog of a server that has stopped is sound and holds nothing that nobody needs."""
    folder = data_dir / ".remote-arrow"
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert catalog.execute("SELECT count(*) FROM flight").fetchone() == (n_flights,)
        for table in ("name", "version"):
            orphans = f"SELECT * FROM {table} WHERE flight NOT IN (SELECT row FROM flight)"
            assert catalog.execute(orphans).fetchall() == []
        rows = catalog.execute("SELECT id, file_bytes FROM segment").fetchall()
    files = {path.name: path.stat().st_size for path in (folder / "segments").iterdir()}
    assert files == {f"{number & (1 << 64) - 1:016x}.arrow": size for number, size in rows}
    assert n_flights > 0 or files == {}


def test_kill_under_writers_loses_nothing_acknowledged(own_server: Server, report: Report) -> None:
    started = time.monotonic()
    crashes = Crashes(own_server)
    for n in range(1, ROUNDS + 1):
        crashes.work_and_kill()
        crashes.start()
        everything = n % EVERYTHING_EACH == 0 or n == ROUNDS
        crashes.check(everything)
        for writer in crashes.writers:
            writer.retire_some(crashes.rng)
        if everything:
            crashes.stop_and_check()
            crashes.check(everything)
    counts = crashes.acknowledged()
    n_left = sum(len(w.flights) for w in crashes.writers)
    crashes.delete_all()
    report(
        f"{ROUNDS} kills under {N_WRITERS} writers and {crashes.n_killed_starts} of starts in "
        f"{time.monotonic() - started:.0f} s; acknowledged: {dict(sorted(counts.items()))}; "
        f"{crashes.n_checked} checks of Flights, {n_left} at the end"
    )
    kinds = ("create", "append", "replace", "rename", "publish", "publish as", "keep", "delete")
    assert all(counts[kind] > 0 for kind in kinds), counts
    assert sum(counts.values()) > ROUNDS * N_WRITERS


def test_numbers_are_never_given_again_after_a_crash(own_server: Server) -> None:
    given = []
    for _ in range(3):
        with Remote(own_server.uri) as remote:
            given += [remote.upload(content("x"))["id"] for _ in range(2)]
            given.append(remote.about({"from": {"id": given[0]}, "do": [{"slice": {}}]})["id"])
            remote.action("delete", id=given[-2])
        own_server.kill()
        own_server.start()
    assert len(set(given)) >= 7
    uploads = [number for i, number in enumerate(given) if i % 3 < 2]
    assert sorted(set(uploads)) == uploads


def test_clean_restart_skips_no_number(own_server: Server) -> None:
    for expected in range(4):
        with Remote(own_server.uri) as remote:
            assert remote.upload(content("x"), f"n{expected}")["id"] == expected
        own_server.restart()


@pytest.mark.parametrize("durability", ["commit", "none"])
def test_acknowledged_upload_survives_a_kill_of_the_process(
    make_server: object, durability: str
) -> None:
    server = make_server("--durability", durability)
    with Remote(server.uri) as remote:
        remote.upload(content("kept"), "kept")
        remote.info({"from": {"id": 0}, "do": [{"slice": {"length": 5}}]})
        remote.action("keep", id=1)
    server.kill()
    server.start()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("kept")).equals(content("kept"))
        assert remote.get(1).equals(content("kept").slice(0, 5))
