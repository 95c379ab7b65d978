"""Fixtures: the server of the session, servers of a test's own, clients."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from raw_flight import FlightConnection
from remote import Remote
from serving import Server, server_binary

MakeServer = Callable[..., Server]
Report = Callable[[str], None]
MEASURED = pytest.StashKey[list[str]]()


def pytest_sessionstart() -> None:
    """Ends at once, with one message, when there is no server to test."""
    if not server_binary().exists():
        pytest.exit(f"{server_binary()} is not there: run make, or set RA_SERVER", returncode=1)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Takes lines to be shown at the end of the run, whatever becomes of the tests."""
    lines = request.config.stash.setdefault(MEASURED, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests measured."""
    lines = terminalreporter.config.stash.get(MEASURED, [])
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need not be alone on it; ends with exit code 0."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(data_dir=folder / "data", log_path=folder / "log")
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def server_survives(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blames the test in which the session's server ended, and starts it again for the others."""
    yield
    if "server" not in request.fixturenames:
        return
    shared: Server = request.getfixturevalue("server")
    if not shared.is_running:
        exit_code = shared.process and shared.process.returncode
        shared.kill()
        shared.start()
        pytest.fail(f"the server ended in this test ({exit_code}):\n{shared.log[-2000:]}")


@pytest.fixture
def remote(server: Server) -> Iterator[Remote]:
    """A client of the session's server."""
    with Remote(server.uri) as client:
        yield client


@pytest.fixture
def wire(server: Server) -> Iterator[FlightConnection]:
    """A raw connection to the session's server."""
    with FlightConnection(server) as connection:
        yield connection


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Starts servers of the test's own: make_server(*args, data_dir=None, env=None).

    Those that still run at the end of the test are stopped, and how they end is checked.
    """
    servers: list[Server] = []
    numbers = itertools.count()

    def make(
        *args: str, data_dir: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Server:
        n = next(numbers)
        running = Server(
            *args,
            data_dir=data_dir or tmp_path / f"data-{n}",
            log_path=tmp_path / f"log-{n}",
            env=env,
        )
        servers.append(running)
        return running

    yield make
    for running in servers:
        if running.process is not None:
            running.stop()


@pytest.fixture
def own_server(make_server: MakeServer) -> Server:
    """A server that only this test uses, with an empty data directory."""
    return make_server()


@pytest.fixture
def own_remote(own_server: Server) -> Iterator[Remote]:
    """A client of `own_server`."""
    with Remote(own_server.uri) as client:
        yield client


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB of its own; needs root to mount it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
