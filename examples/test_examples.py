"""Runs the example of every language, as its reader would, against one real server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import REPOSITORY, Server

BUILD = REPOSITORY / "build" / "examples"
COMMANDS = {
    "go": "go run . {url}",
    "javascript": "npm ci --silent --no-audit --no-fund --ignore-scripts && node example.js {url}",
    "java": "mvn -q -B compile exec:exec -Durl={url}",
    "cpp": "make -s run URL={url}",
    "rust": "cargo run -q --locked -- {url}",
}
RUN_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all examples; ends with exit code 0."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(data_dir=folder / "data", log_path=folder / "log")
    yield running
    running.stop()


@pytest.mark.parametrize("language", COMMANDS)
def test_example_finds_what_it_expects_and_leaves_nothing(server: Server, language: str) -> None:
    command = COMMANDS[language].format(url=f"grpc://localhost:{server.port}")
    folder: Path = REPOSITORY / "examples" / language
    if language == "javascript":  # npm installs beside the program
        no_modules = shutil.ignore_patterns("node_modules")
        folder = shutil.copytree(folder, BUILD / language, ignore=no_modules, dirs_exist_ok=True)
    ended = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "CARGO_TARGET_DIR": str(BUILD / "rust")},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FLIGHT_NOT_FOUND" in ended.stdout
    with server.client() as client:
        names = [info.descriptor.path for info in client.list_flights()]
    assert not any(names), names
