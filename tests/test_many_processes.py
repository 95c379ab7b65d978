"""A hundred client processes share one server: right answers, and nothing left when they go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from conftest import Report
from many_processes import counts, is_killed, own_table, start_table
from remote import Remote, by_name
from serving import REPOSITORY, Server
from settings import CLIENT_ROUNDS
from test_http import metrics

N_PROCESSES = 100
START_AT_ONCE = 10
TIMEOUT_S = 1800.0
KEPT_VERSIONS = 10
# Gauges that tell what clients hold; zero when there are none.
HELD = ("remote_arrow_calls_open", "remote_arrow_jobs_running", "remote_arrow_spool_bytes")


@contextmanager
def processes(uri: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """So many clients, connected; started in groups, so that they do not starve each other."""
    program = str(REPOSITORY / "tests" / "many_processes.py")
    path = os.pathsep.join([str(REPOSITORY / "python"), str(REPOSITORY / "tests")])
    started: list[subprocess.Popen[str]] = []
    try:
        for first in range(0, count, START_AT_ONCE):
            group = [
                subprocess.Popen(
                    [sys.executable, program, uri, str(number), str(CLIENT_ROUNDS)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
                    text=True,
                )
                for number in range(first, min(first + START_AT_ONCE, count))
            ]
            started += group
            for process in group:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def answers_of(started: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What each process was told; that it ended well, or was killed where it had to be."""
    deadline = time.monotonic() + TIMEOUT_S
    answers = []
    for number, process in enumerate(started):
        text, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
        assert process.returncode == (-9 if is_killed(number) else 0), text
        answers.append(json.loads(text))
    assert [answer["failure"] for answer in answers if "failure" in answer] == []
    return answers


def idle_metrics(server: Server) -> dict[str, float]:
    """The metrics once nothing is open but the request itself; as they are after 20 s."""
    deadline = time.monotonic() + 20
    while True:
        now = metrics(server)
        idle = now["remote_arrow_connections"] == 1 and not any(now[name] for name in HELD)
        if idle or time.monotonic() > deadline:
            return now
        time.sleep(0.1)


def own_events(number: int) -> list[list[Any]]:
    """The events of a process' own names, in order."""
    events: list[list[Any]] = []
    for turn in range(CLIENT_ROUNDS):
        name = f"p{number} {turn}"
        events += [["created", name, 1], ["version", name, 2], ["renamed", f"{name} b", 2]]
        events += [["deleted", f"{name} b", 2]]
    return [*events, ["created", f"p{number} kept", 1]]


def check_answers(answers: list[dict[str, Any]]) -> None:
    """What was told to one agrees with what was told to the others."""
    assert {answer["sorted"] for answer in answers} == {3}
    assert Counter(answer["first"] for answer in answers)[True] == 1
    assert Counter(answer["deleted"] for answer in answers)[True] == 1
    assert len({tuple(answer["same"]) for answer in answers}) == 1
    for answer in answers:
        if not is_killed(answer["number"]):
            assert answer["events"] == own_events(answer["number"])


def check_list(remote: Remote, answers: list[dict[str, Any]]) -> None:
    """What is listed is what was promised, whole."""
    numbers = [answer["number"] for answer in answers]
    living = [number for number in numbers if not is_killed(number)]
    counting = [number for number in numbers if counts(number)]
    listed = remote.flights(deleted=False)
    names = Counter(info.descriptor.path[0].decode() for info in listed)
    results = [name for name in names if name.startswith("#")]
    # The sort, and the slices of the start that were counted with.
    assert len(results) == 1 + len(counting)
    assert names - Counter(results) == Counter(
        ["start", "counter", "first", "same", "common", "last"] + [f"p{n} kept" for n in living]
    )
    for number in living:
        assert remote.get(by_name(f"p{number} kept")).equals(own_table(number, 0))
    assert remote.info(by_name("counter")).total_records == 1 + len(counting)
    common = remote.get(by_name("common"))
    rows = zip(common["p"].to_pylist(), common["turn"].to_pylist())
    assert Counter(rows) == Counter((n, turn) for n in numbers for turn in range(CLIENT_ROUNDS))
    versions = remote.action("versions", name="last")["versions"]
    assert versions[-1]["version"] == len(numbers) * CLIENT_ROUNDS
    assert len(versions) <= KEPT_VERSIONS
    assert remote.get(by_name("last")).num_rows == 1


def test_a_hundred_processes_share_one_server(own_server: Server, report: Report) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(pa.table({"n": [0]}), "counter")
        remote.upload(pa.table({"n": [1]}), "for all to delete")
    before = idle_metrics(own_server)
    begun = time.monotonic()
    with processes(own_server.uri, N_PROCESSES) as started:
        assert metrics(own_server)["remote_arrow_connections"] == N_PROCESSES + 1
        working = time.monotonic()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        with Remote(own_server.uri) as remote:
            remote.upload(start_table(), "start")
        answers = answers_of(started)
    ended = time.monotonic()
    after = idle_metrics(own_server)
    check_answers(answers)
    with Remote(own_server.uri) as remote:
        check_list(remote, answers)
    assert [after[name] for name in HELD] == [0] * len(HELD)
    assert after["remote_arrow_connections"] == 1
    assert after["process_open_fds"] - after["remote_arrow_open_segments"] == (
        before["process_open_fds"] - before["remote_arrow_open_segments"]
    )
    assert list((own_server.data_dir / ".remote-arrow" / "tmp").iterdir()) == []
    calls = sum(n for name, n in after.items() if name.startswith("grpc_server_handled_total"))
    report(
        f"{N_PROCESSES} processes, {CLIENT_ROUNDS} rounds: {working - begun:.0f} s to start, "
        f"{ended - working:.0f} s for {calls:,.0f} calls; at most "
        f"{max(answer.get('tries', 0) for answer in answers)} tries to count; memory charged "
        f"{after['remote_arrow_memory_used_bytes']:,.0f} bytes "
        f"({before['remote_arrow_memory_used_bytes']:,.0f} before)"
    )
