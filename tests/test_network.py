"""Bad networks: the right table or a clear error in bounded time, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import Report
from network import SERVER_ADDRESS, FarServer, Network, inside, reason_to_skip
from serving import REPOSITORY
from settings import IS_LONG

PROGRAM = str(REPOSITORY / "tests" / "network_client.py")
PYTHON_PATH = os.pathsep.join([str(REPOSITORY / "python"), str(REPOSITORY / "tests")])
# How long a client waits for a server that says nothing.
TIMEOUT_S, SHORT_TIMEOUT_S = 30.0, 4.0
# A broken download is tried again before it ends.
END_S = 4 * SHORT_TIMEOUT_S
# After which the server takes a client that is silent for gone (docs/limits.md), and some.
SILENCE_S = 180 * 1.25 + 10
# What a client does, and what it tells while it is in the middle of that.
KINDS = {"upload": "sent", "download": "got", "watch": "event"}


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    """Skips all with the reason when the machine cannot have such networks."""
    if reason := reason_to_skip():
        pytest.skip(reason)


@contextmanager
def far_server(folder: Path) -> Iterator[FarServer]:
    """A server at the other end of a wire that does nothing bad yet; ends with exit code 0."""
    with Network() as network:
        server = FarServer(network, folder / "data", folder / "log")
        try:
            yield server
        finally:
            server.kill_clients()
            server.stop()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarServer]:
    """A server at the other end of a wire of the test's own."""
    with far_server(tmp_path) as server:
        yield server


class Client:
    """A client process on a side of the wire; `lines` is what it has told so far."""

    def __init__(
        self,
        far: FarServer,
        what: str,
        name: str,
        near: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        program = [sys.executable, PROGRAM, what, far.uri, str(timeout_s), name]
        self.process = subprocess.Popen(
            far.network.command(*program, on_server_side=near),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": PYTHON_PATH},
            text=True,
        )
        far.clients.append(self.process)
        self.lines: list[dict[str, Any]] = []

    def go_on(self) -> None:
        """Tells a client that waits for it."""
        assert self.process.stdin is not None
        self.process.stdin.write("on\n")
        self.process.stdin.flush()

    def read_until(self, key: str) -> None:
        """Reads lines until one has the key."""
        while not self.lines or key not in self.lines[-1]:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, f"ended: {self.lines[-3:]}"
            self.lines.append(json.loads(line))

    def end(self, timeout_s: float) -> dict[str, Any]:
        """The last line; fails when the client takes longer."""
        try:
            text, _ = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there after {timeout_s} s; told {self.lines[-3:]}")
        self.lines += [json.loads(line) for line in text.splitlines()]
        assert self.process.returncode == 0
        return self.lines[-1]


def metrics(far: FarServer) -> dict[str, float]:
    """The server's metrics without labels, and the broken downloads as "DoGet CANCELLED"."""

    def ask() -> str:
        connection = http.client.HTTPConnection(SERVER_ADDRESS, far.port, timeout=10)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    lines = [line.split() for line in inside(far.network.server_side, ask).splitlines()]
    samples = {line[0]: float(line[1]) for line in lines if line[0] != "#"}
    broken = [n for name, n in samples.items() if "DoGet" in name and "CANCELLED" in name]
    plain = {name: n for name, n in samples.items() if "{" not in name}
    return plain | {"DoGet CANCELLED": sum(broken)}


def listed(far: FarServer) -> list[str]:
    """Names of the Flights, asked on the server's side."""
    script = "import sys, remote_arrow as ra\n"
    script += "print([flight.name for flight in ra.connect(sys.argv[1]).flights()])"
    told = subprocess.run(
        far.network.command(sys.executable, "-c", script, far.uri, on_server_side=True),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PYTHON_PATH},
        check=True,
    )
    return json.loads(told.stdout.replace("'", '"'))


WIRES: dict[str, dict[str, float]] = {
    "far": {"delay": 0.05, "jitter": 0.02},
    "lossy": {"delay": 0.005, "loss": 0.02},
    "reordering": {"delay": 0.01, "jitter": 0.005, "reorder": 0.2},
    "slow": {"rate": 1e6},
    "all of it": {"delay": 0.05, "jitter": 0.02, "loss": 0.01, "reorder": 0.05, "rate": 1e6},
}


def tell_story(far: FarServer, wire: str) -> str:
    """Every kind of call over a bad wire: no answer changes."""
    far.network.become(**WIRES[wire])
    told = Client(far, "story", "t").end(60)
    assert told.get("ok"), told
    return f"{told['seconds']:.1f} s; {far.network.up.n_bytes:,} bytes up"


def go_through_a_break(far: FarServer, what: str) -> str:
    """The network is away for seconds in the middle, which costs only time."""
    far.network.become(delay=0.005, rate=4e6)
    if what != "upload":
        assert Client(far, "upload", "t", near=True).end(60).get("ok")
    client = Client(far, what, "t")
    client.read_until(KINDS[what])
    far.network.become(is_down=True)
    time.sleep(2.5)
    if what == "watch":
        assert Client(far, "upload", "t end", near=True).end(60).get("ok")
    far.network.become(is_down=False)
    told = client.end(60)
    assert told.get("ok"), told
    assert "t" in listed(far)
    return f"{told['seconds']:.1f} s"


def be_cut_off(far: FarServer, what: str) -> str:
    """The network goes for good in the middle: a clear error in time, and nothing half-made."""
    assert Client(far, "upload", "t", near=True).end(60).get("ok")
    far.network.become(delay=0.005, rate=4e6)
    name = "u" if what == "upload" else "t"
    client = Client(far, what, name, timeout_s=SHORT_TIMEOUT_S)
    client.read_until(KINDS[what])
    far.network.become(is_down=True)
    cut = time.monotonic()
    told = client.end(END_S)
    assert told.get("error") == "ServerUnavailable", told
    assert told["reason"] == "UNAVAILABLE"
    assert listed(far) == ["t"]
    return f"ended after {time.monotonic() - cut:.1f} s"


def ask_when_the_network_is_gone(far: FarServer, _: str) -> str:
    """A small call ends in time, too."""
    assert Client(far, "upload", "t", near=True).end(60).get("ok")
    client = Client(far, "ask", "t", timeout_s=SHORT_TIMEOUT_S)
    client.read_until("ready")
    far.network.become(is_down=True)
    cut = time.monotonic()
    client.go_on()
    told = client.end(END_S)
    assert told["reason"] in ("DEADLINE", "UNAVAILABLE"), told
    return f"ended after {time.monotonic() - cut:.1f} s"


def lose_patience_and_go_on(far: FarServer, _: str) -> str:
    """A break longer than a client's patience: its download goes on at its row on another
    connection."""
    assert Client(far, "upload", "t", near=True).end(60).get("ok")
    far.network.become(delay=0.005, rate=4e6)
    client = Client(far, "download", "t", timeout_s=2.0)
    client.read_until("got")
    far.network.become(is_down=True)
    time.sleep(4)
    far.network.become(is_down=False)
    told = client.end(60)
    assert told.get("ok"), told
    # The end of the first connection comes when TCP tries again, some seconds later.
    until = time.monotonic() + 30
    while metrics(far)["DoGet CANCELLED"] < 1:
        assert time.monotonic() < until
        time.sleep(0.1)
    return f"{told['seconds']:.1f} s"


def pause(far: FarServer, _: str) -> str:
    """A reader that pauses for longer than it would wait for a silent server is not cut off, and
    holds nobody."""
    assert Client(far, "upload", "t", near=True).end(60).get("ok")
    far.network.become(delay=0.005, rate=4e6)
    client = Client(far, "pause", "t", timeout_s=SHORT_TIMEOUT_S)
    client.read_until("got")
    paused = time.monotonic()
    story = Client(far, "story", "near", near=True).end(END_S)
    assert story.get("ok"), story
    time.sleep(max(0.0, paused + 2 * SHORT_TIMEOUT_S - time.monotonic()))
    client.go_on()
    told = client.end(60)
    assert told.get("ok"), told
    # The download was not broken off and begun again.
    assert metrics(far)["DoGet CANCELLED"] == 0
    return f"a story beside it: {story['seconds']:.1f} s"


SCENARIOS: dict[str, tuple[Callable[[FarServer, str], str], str]] = {
    **{f"story over a wire: {wire}": (tell_story, wire) for wire in WIRES},
    **{f"break in the middle: {what}": (go_through_a_break, what) for what in KINDS},
    **{f"cut off for good: {what}": (be_cut_off, what) for what in KINDS},
    "small call when the network is gone": (ask_when_the_network_is_gone, ""),
    "break longer than the patience": (lose_patience_and_go_on, ""),
    "pause": (pause, ""),
}


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """The chosen scenarios, all begun at once, as they mostly wait; each on a wire of its own."""

    def run(name: str, folder: Path) -> str:
        work, what = SCENARIOS[name]
        with far_server(folder) as far:
            return work(far, what)

    chosen = [
        item.callspec.params["scenario"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_scenario.__name__
    ]
    # Not by the threads, which pytest's counting of folders does not bear.
    folders = {name: tmp_path_factory.mktemp("far") for name in chosen}
    with ThreadPoolExecutor(len(chosen)) as pool:
        yield {name: pool.submit(run, name, folders[name]) for name in chosen}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, running: dict[str, Future[str]], report: Report) -> None:
    report(running[scenario].result())


def held(far: FarServer) -> dict[str, float]:
    """What clients hold on the server; the one that asks is not counted."""
    told = metrics(far)
    names = ("connections", "calls_open", "jobs_running", "spool_bytes", "memory_used_bytes")
    what = {name: told[f"remote_arrow_{name}"] for name in names}
    segments = told["remote_arrow_open_segments"]
    return what | {"descriptors": told["process_open_fds"] - segments}


@pytest.mark.skipif(not IS_LONG, reason="takes four minutes: RA_LONG=1; src/wire/silence_test.c")
def test_clients_that_are_cut_off_leave_nothing_on_the_server(
    far: FarServer, report: Report
) -> None:
    assert Client(far, "upload", "t", near=True).end(60).get("ok")
    before = held(far)
    far.network.become(delay=0.005, rate=1e6)
    clients = {what: Client(far, what, "u" if what == "upload" else "t") for what in KINDS}
    for what, client in clients.items():
        client.read_until(KINDS[what])
    while held(far)["calls_open"] < len(clients):
        assert all(client.process.poll() is None for client in clients.values())
    far.network.become(is_down=True)
    cut = time.monotonic()
    for client in clients.values():
        client.process.kill()
        client.process.communicate()
    assert held(far)["calls_open"] == len(clients)
    while held(far) != before and time.monotonic() < cut + SILENCE_S:
        time.sleep(1)
    report(f"gone after {time.monotonic() - cut:.0f} s")
    assert held(far) == before
    assert listed(far) == ["t"]
    assert list((far.data_dir / ".remote-arrow" / "tmp").iterdir()) == []
