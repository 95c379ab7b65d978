"""Fixtures: a server of each test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PYTHON), str(PYTHON.parent / "tests")]

import remote_arrow as ra  # noqa: E402 - found through the line above
from serving import Server  # noqa: E402


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with an empty data directory; ends with exit code 0."""
    running = Server(data_dir=tmp_path / "data", log_path=tmp_path / "log")
    yield running
    running.stop()


@pytest.fixture
def hostname(server: Server) -> str:
    """Where that server is, as RemoteDataset takes it."""
    return f"localhost:{server.port}"


@pytest.fixture
def con(server: Server) -> Iterator[ra.Connection]:
    """A connection to that server."""
    with ra.connect(server.uri) as made:
        yield made
