"""Clients and servers that are killed in the middle: nothing half-made is seen, nothing is kept."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import remote_arrow as ra
from conftest import MakeServer
from remote import Remote, by_name
from serving import REPOSITORY, Server
from test_http import metrics

PROGRAM = str(REPOSITORY / "tests" / "killed_client.py")
ROWS = 4_000_000
GONE_S = 20.0
# What is done, and what of `held` shows that the server is in the middle of it.
KILLED = {
    "upload": "temporary files",
    "message": "spool_bytes",
    "download": "calls_open",
    "exchange": "memory_used_bytes",
    "export": "children",
    "watch": "calls_open",
}


def big_table() -> pa.Table:
    """Long enough for whatever is done with it to be under way when the client is killed."""
    n = np.random.default_rng(1).integers(0, 1 << 60, ROWS)
    return pa.table({"n": n, "m": n[::-1], "s": pa.array(n % 1000).cast(pa.string())})


def held(server: Server) -> dict[str, float]:
    """What clients hold on the server: all of it goes with them."""
    told = metrics(server)
    names = ("connections", "calls_open", "jobs_running", "spool_bytes", "memory_used_bytes")
    return {
        **{name: told[f"remote_arrow_{name}"] for name in names},
        **{name: told[f"remote_arrow_{name}"] for name in ("flights", "segments", "stored_bytes")},
        "descriptors": told["process_open_fds"] - told["remote_arrow_open_segments"],
        "temporary files": len(list((server.data_dir / ".remote-arrow" / "tmp").iterdir())),
        "files": len([path for path in server.data_dir.iterdir() if path.is_file()]),
        "children": sum(
            len(children.read_text().split())
            for children in Path(f"/proc/{server.pid}/task").glob("*/children")
        ),
    }


@pytest.mark.parametrize("what", KILLED)
def test_a_client_killed_in_the_middle_leaves_nothing(own_server: Server, what: str) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(big_table(), "big")
        assert remote.get({"from": {"name": "big"}, "publish": False}).num_rows == ROWS
    deadline = time.monotonic() + GONE_S
    while (before := held(own_server))["connections"] > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    name = "half" if what in ("upload", "message") else "big"
    client = subprocess.Popen(
        [sys.executable, PROGRAM, what, own_server.uri, name], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "half\n"
    deadline = time.monotonic() + GONE_S
    while held(own_server)[KILLED[what]] <= before[KILLED[what]]:
        assert time.monotonic() < deadline
    client.kill()
    client.communicate()
    deadline = time.monotonic() + GONE_S
    while held(own_server) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held(own_server) == before
    with Remote(own_server.uri) as remote:
        assert [info.descriptor.path for info in remote.flights()] == [[b"big"]]
        assert remote.upload(pa.table({"n": [1]}), "half")["version"] == 1
        assert remote.get(by_name("big")).num_rows == ROWS


class Session:
    """A user's session with a server that is killed and started again in the middle of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.con = ra.connect(server.uri)
        self.table = pa.table({"n": np.random.default_rng(2).integers(0, 1 << 60, 500_000)})
        self.handle = self.con.upload(self.table, "t")

    def crash(self) -> None:
        self.server.kill()
        self.server.start()

    def upload_through_crash(self) -> None:
        """An upload whose server is killed when half of it is sent."""

        def batches() -> Iterator[pa.RecordBatch]:
            for n, batch in enumerate(self.table.to_batches(10_000)):
                if n == 25:
                    self.crash()
                yield batch

        source = pa.RecordBatchReader.from_batches(self.table.schema, batches())
        self.con.upload(source, "in flight")


@pytest.fixture
def session(make_server: MakeServer) -> Iterator[Session]:
    """A session with a server of its own."""
    made = Session(make_server())
    with made.con:
        yield made


def test_an_upload_through_a_crash_fails_clearly_and_the_session_goes_on(session: Session) -> None:
    with pytest.raises(ra.ServerUnavailable) as failed:
        session.upload_through_crash()
    assert failed.value.reason == "UNAVAILABLE"
    assert [flight.name for flight in session.con.flights()] == ["t"]
    assert session.handle.to_table().equals(session.table)
    assert session.handle.sort_by("n").to_table().equals(session.table.sort_by("n"))
    assert session.con.upload(session.table, "in flight").version == 1
    assert list((session.server.data_dir / ".remote-arrow" / "tmp").iterdir()) == []


def test_a_watch_through_a_crash_ends_clearly_and_can_go_on(session: Session) -> None:
    events = session.con.watch(after=0)
    first = next(events)
    assert (first["event"], first["name"]) == ("created", "t")
    session.crash()
    with pytest.raises(ra.ServerUnavailable):
        next(events)
    session.con.server_info()
    again = session.con.watch(after=first["sequence"])
    session.con.upload(session.table, "u")
    seen = [next(again)]
    while seen[-1].get("name") != "u":
        seen.append(next(again))
    assert [event["event"] for event in seen] == ["lost", "created"]
    again.close()


def test_a_query_through_a_crash_is_asked_again(session: Session) -> None:
    big = session.con.upload(big_table(), "big")
    answers: list[ra.RemoteTable | Exception] = []

    def ask() -> None:
        try:
            answers.append(big.sort_by("m"))
        except ra.RemoteArrowError as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + GONE_S
    while metrics(session.server)["remote_arrow_jobs_running"] == 0:
        assert time.monotonic() < deadline and not answers
    session.crash()
    asking.join()
    [answer] = answers
    assert isinstance(answer, ra.RemoteTable), answer
    assert answer.head(3).equals(big_table().sort_by("m").slice(0, 3))
