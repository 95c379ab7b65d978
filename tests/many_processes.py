"""One of many client processes that share a server: `many_processes.py URI NUMBER ROUNDS`.

Says "ready" when it is connected, reads a line, waits for the Flight "start", works, and at its end
writes one line of JSON: what it was told, for the test to compare with what the others were told.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

import remote_arrow as ra

START_ROWS = 20_000
WAIT_S = 120.0
# Each 20th process is killed in the middle of an upload, each 5th counts.
KILLED_EVERY, COUNTS_EVERY = 20, 5
HALF_ROWS = 500_000


def start_table() -> pa.Table:
    """What all processes ask about: numbers in no order."""
    return pa.table({"n": [i * 7_919 % START_ROWS for i in range(START_ROWS)]})


def is_killed(number: int) -> bool:
    """Whether the process of this number ends in the middle of an upload."""
    return number % KILLED_EVERY == KILLED_EVERY - 1


def counts(number: int) -> bool:
    """Whether the process of this number adds one to the common counter."""
    return number % COUNTS_EVERY == 0


def own_table(number: int, turn: int) -> pa.Table:
    """The table that a process uploads in a turn."""
    rows = 1 + (number * 37 + turn * 101) % 3_000
    text = [f"{turn}/{i}" for i in range(rows)]
    return pa.table({"p": [number] * rows, "i": range(rows), "s": text})


class Watcher(threading.Thread):
    """Collects the events of this process' own names, until that of its last one."""

    def __init__(self, uri: str, number: int) -> None:
        super().__init__(daemon=True)
        self.con = ra.connect(uri)
        self.last = f"p{number} kept"
        self.pattern = f"p{number} *"
        self.seen: list[list[Any]] = []
        self.failure = ""

    def run(self) -> None:
        try:
            with self.con:
                for event in self.con.watch(self.pattern, after=0):
                    self.seen.append([event["event"], event["name"], event.get("version")])
                    if event["name"] == self.last:
                        return
        except Exception:
            self.failure = traceback.format_exc()


class Client:
    """The work of one process; `told` is what the server answered."""

    def __init__(self, uri: str, number: int, rounds: int) -> None:
        self.uri, self.number, self.rounds = uri, number, rounds
        self.con = ra.connect(uri, timeout=WAIT_S)
        self.told: dict[str, Any] = {"number": number}

    def run(self) -> None:
        """Everything that this process does, in order."""
        start = self.con.wait("start", timeout=WAIT_S)
        watcher = Watcher(self.uri, self.number)
        watcher.start()
        ordered = start.sort_by("n")
        self.told["sorted"] = ordered.id
        assert ordered.to_table().equals(start_table().sort_by("n"))
        self._compete(start)
        for turn in range(self.rounds):
            self._own_names(turn)
            self._common_names(turn)
        if counts(self.number):
            self._count(start)
        self._delete_what_others_delete()
        if is_killed(self.number):
            self._end_in_the_middle()
        self.con.upload(own_table(self.number, 0), f"p{self.number} kept")
        watcher.join(WAIT_S)
        assert not watcher.is_alive(), f"events are missing: {watcher.seen[-5:]}"
        assert watcher.failure == "", watcher.failure
        self.told["events"] = watcher.seen

    def _compete(self, start: ra.RemoteTable) -> None:
        """One name that only the first may have, one that everybody means alike."""
        try:
            self.con.upload(own_table(self.number, 0), "first")
            self.told["first"] = True
        except ra.FlightExists:
            self.told["first"] = False
        same = self.con.upload(start.head(100), "same", if_exists="reuse")
        self.told["same"] = [same.id, same.version]

    def _own_names(self, turn: int) -> None:
        """A name of its own: made, read, replaced, renamed, deleted."""
        name = f"p{self.number} {turn}"
        first, second = own_table(self.number, turn), own_table(self.number, turn + 1)
        assert self.con.upload(first, name).to_table().equals(first)
        try:
            self.con.upload(second, name)
            raise AssertionError("a taken name was given again")
        except ra.FlightExists as error:
            assert error.reason == "FLIGHT_EXISTS"
        handle = self.con.upload(second, name, if_exists="replace")
        assert handle.version == 2
        assert handle.to_table().equals(second)
        assert self.con.dataset(name, version=1).to_table().equals(first)
        tail = handle.slice(second.num_rows // 2)
        assert tail.to_table().equals(second.slice(second.num_rows // 2))
        tail.delete()
        handle.rename(f"{name} b")
        handle.delete()

    def _common_names(self, turn: int) -> None:
        """Names that all write: one that grows, one that only the last upload fills."""
        row = pa.table({"p": [self.number], "turn": [turn]})
        self.con.upload(row, "common", if_exists="append")
        last = self.con.upload(row, "last", if_exists="replace")
        assert self.con["last"].version >= last.version

    def _count(self, start: ra.RemoteTable) -> None:
        """Adds one to the number of rows of the common counter, whoever else does so too."""
        tries = 0
        while True:
            tries += 1
            counter = self.con["counter"]
            more = start.slice(0, counter.num_rows + 1)
            try:
                more.publish_as("counter", if_exists="replace", if_version=counter.version)
                break
            except ra.Conflict:
                time.sleep(0.01 * (self.number % 7))
        self.told["tries"] = tries

    def _delete_what_others_delete(self) -> None:
        try:
            self.con[1].delete()
            self.told["deleted"] = True
        except ra.FlightNotFound:
            self.told["deleted"] = False

    def _end_in_the_middle(self) -> None:
        def batches(schema: pa.Schema) -> Iterator[pa.RecordBatch]:
            piece = pa.record_batch([pa.nulls(HALF_ROWS, pa.int64())], schema=schema)
            for _ in range(4):
                yield piece
            self.tell()
            os.kill(os.getpid(), signal.SIGKILL)

        schema = pa.schema([("n", pa.int64())])
        source = pa.RecordBatchReader.from_batches(schema, batches(schema))
        self.con.upload(source, f"p{self.number} half")

    def tell(self) -> None:
        """Writes what is known so far."""
        sys.stdout.write(json.dumps(self.told) + "\n")
        sys.stdout.flush()


def main() -> None:
    uri, number, rounds = sys.argv[1:]
    client = Client(uri, int(number), int(rounds))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        client.run()
    except Exception:
        client.told["failure"] = traceback.format_exc()
    client.con.close()
    client.tell()


if __name__ == "__main__":
    main()
