"""Runs the example of every language, as its reader would, against one real server.

A language whose tools are missing is skipped, or fails with RA_REQUIRE_ALL=1, which CI sets.
"""

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
TOOLS = {
    "go": ["go"],
    "javascript": ["node", "npm"],
    "java": ["mvn", "javac"],
    "cpp": ["g++"],
    "rust": ["cargo"],
}
RUN_TIMEOUT_S = 600
ALIVE = b'{"deleted": false}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all examples; ends with exit code 0."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(data_dir=folder / "data", log_path=folder / "log")
    yield running
    running.stop()


def require_tools(language: str) -> None:
    """Skips the test when a tool that the language's example needs is not on PATH, or fails it."""
    missing = [tool for tool in TOOLS[language] if shutil.which(tool) is None]
    if not missing:
        return
    words = f"the {language} example needs {' and '.join(missing)}, which is not on PATH"
    if os.environ.get("RA_REQUIRE_ALL") == "1":
        pytest.fail(words)
    pytest.skip(words)


@pytest.mark.parametrize("language", COMMANDS)
def test_example_finds_what_it_expects_and_leaves_nothing(server: Server, language: str) -> None:
    require_tools(language)
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
    listed = [line for line in ended.stdout.splitlines() if "flight " in line]
    assert len(listed) == 1, f"only its own table is there:\n{ended.stdout}"
    assert "FLIGHT_NOT_FOUND" in ended.stdout
    with server.client() as client:
        left = [info.descriptor for info in client.list_flights(ALIVE)]
    assert left == []


@pytest.mark.parametrize("language", TOOLS)
def test_missing_tools_skip_an_example_unless_all_are_required(
    language: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RA_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match=TOOLS[language][-1]):
        require_tools(language)
    monkeypatch.setenv("RA_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=TOOLS[language][-1]):
        require_tools(language)
