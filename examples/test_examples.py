"""Runs the example of every language, as its reader would, against one real server.

A language whose tools are missing is skipped, or fails with RA_REQUIRE_ALL=1, which CI sets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from remote import Remote
from serving import REPOSITORY, Server

BUILD = REPOSITORY / "build" / "examples"
NPM_CI = "npm ci --silent --no-audit --no-fund --ignore-scripts"
COMMANDS = {
    "go": "go run . {url}",
    "javascript": f"{NPM_CI} && node example.js {{url}}",
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


def copy_of_javascript() -> Path:
    """The folder of the JavaScript examples, copied, as npm installs beside the programs."""
    return shutil.copytree(
        REPOSITORY / "examples" / "javascript",
        BUILD / "javascript",
        ignore=shutil.ignore_patterns("node_modules"),
        dirs_exist_ok=True,
    )


@pytest.mark.parametrize("language", COMMANDS)
def test_example_finds_what_it_expects_and_leaves_nothing(server: Server, language: str) -> None:
    require_tools(language)
    command = COMMANDS[language].format(url=f"grpc://localhost:{server.port}")
    folder: Path = REPOSITORY / "examples" / language
    if language == "javascript":
        folder = copy_of_javascript()
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


@contextmanager
def node_backend(url: str) -> Iterator[str]:
    """The JavaScript backend while it runs; where it listens."""
    folder = copy_of_javascript()
    subprocess.run(NPM_CI.split(), cwd=folder, check=True, timeout=RUN_TIMEOUT_S)
    with subprocess.Popen(
        ["node", "backend.js", url, "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def get_json(url: str) -> tuple[int, Any]:
    """HTTP status and JSON of a page."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_node_backend_pages_through_a_version_of_a_table(server: Server) -> None:
    require_tools("javascript")
    big = 2**60
    rows = pa.table({"i": pa.array([big, None, 2]), "zone": ["A", "B", "C"]})
    url = f"grpc://localhost:{server.port}"
    with Remote(server.uri) as remote, node_backend(url) as backend:
        remote.upload(rows, "pages of rides")
        page = f"{backend}/tables/pages%20of%20rides"
        status, first = get_json(f"{page}?limit=2")
        assert status == 200
        assert first["rows"] == [[str(big), "A"], [None, "B"]]
        assert first["columns"][0] == {"name": "i", "type": "Int64"}
        assert (first["version"], first["offset"], first["total"]) == (1, 0, 3)
        remote.upload(rows.slice(0, 1), "pages of rides", if_exists="replace")
        assert get_json(f"{page}?offset=2&version=1")[1]["rows"] == [["2", "C"]]
        assert get_json(page)[1]["total"] == 1
        assert get_json(f"{page}?offset=7")[1]["rows"] == []
        status, fault = get_json(f"{page}?offset=-1")
        assert (status, fault["reason"]) == (400, "INDEX_OUT_OF_BOUNDS")
        status, fault = get_json(f"{page}?offset=ten")
        assert (status, fault["reason"]) == (400, "TYPE_ERROR")
        status, fault = get_json(f"{backend}/tables/nothing")
        assert (status, fault["reason"]) == (404, "FLIGHT_NOT_FOUND")
        status, fault = get_json(f"{backend}/tables/%")
        assert (status, fault["reason"]) == (400, "INVALID_ARGUMENT")
        assert get_json(page)[0] == 200
        remote.action("delete", name="pages of rides")
