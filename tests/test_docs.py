"""Every code block of README.md and docs/*.md does what the page says, in the order of the page.

A page gets a server and a folder of its own. Its python blocks share one namespace; sh and bash
blocks run in the folder; a text block after either is what it wrote (`...` stands for anything);
json blocks are JSON, and commands where they look like one. A block that cannot be run has a
comment `<!-- not run: why -->` before it; at `<!-- restart -->` the server is restarted. In blocks
localhost's port 5005 is the server's, 8000 a free one. No page leaves a named table behind.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from conftest import MakeServer, Report
from remote import Remote
from serving import REPOSITORY, server_binary

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$|^<!-- (restart) -->$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: [^\n]*\w[^\n]* -->\n+\Z")
PORT = re.compile(r"(localhost\W{1,3})(5005|8000)\b")
LEGACY = re.compile(r"`0\$(\w+\$\{.*?\}\$\{.*?\})`")
METHOD = re.compile(r"^### (\w+)$", re.MULTILINE)
STEP = re.compile(r'^`(\{"\w+": .*\})` ·', re.MULTILINE)
BLOCK_TIMEOUT_S = 120
OUTPUT_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, text, the line of its first line, whether it is marked."""

    kind: str
    text: str
    line: int
    marked: bool


class Wrong(Exception):
    """What is wrong with a block."""


def page_id(page: Path) -> str:
    """The page as a reader names it."""
    return str(page.relative_to(REPOSITORY))


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page, in order. Wrong when a fence stays open."""
    found = [
        Block(
            match[3] or match[1],
            match[2] or "",
            text.count("\n", 0, match.start()) + 2,
            NOT_RUN.search(text, 0, match.start()) is not None,
        )
        for match in FENCE.finditer(text)
    ]
    n_fences = sum(block.kind != "restart" for block in found)
    if len(re.findall(r"^```", text, re.MULTILINE)) != 2 * n_fences:
        raise Wrong("a fence has no end, or text behind its end")
    return found


def json_values(text: str) -> Iterator[Any]:
    """The JSON values of a text, one after the other."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()


def command_schema() -> dict[str, Any]:
    """The published schema of commands."""
    return json.loads((REPOSITORY / "docs" / "command.schema.json").read_text())


def check_json(text: str) -> None:
    """Commands are as docs/command.schema.json says; all else is JSON."""
    schema = command_schema()
    for value in json_values(text):
        if isinstance(value, dict) and value.keys() & {"from", "concat", "do"}:
            jsonschema.validate(value, schema)


class Reader:
    """Someone who carries out a page from its first block to its last."""

    def __init__(
        self, folder: Path, ports: Mapping[str, int], page: str, restart: Callable[[], None]
    ) -> None:
        self._restart = restart
        self._folder = folder
        self._ports = ports
        self._page = page
        self._namespace: dict[str, Any] = {"__name__": "page"}
        self._output: str | None = None
        self.done: Counter[str] = Counter()

    def do(self, block: Block) -> None:
        """Runs or checks one block. Wrong when it is of no known kind or writes something else."""
        if block.marked:
            self.done["not run"] += 1
            self._output = None
            return
        text = PORT.sub(lambda match: f"{match[1]}{self._ports[match[2]]}", block.text)
        match block.kind:
            case "python":
                self._output = self._run_python(text, block.line)
            case "sh" | "bash":
                self._output = self._run_shell(text)
            case "json":
                check_json(text)
            case "restart":
                self._restart()
            case "text" if self._output is not None:
                self._compare(text)
            case kind:
                raise Wrong(f"a block of kind '{kind}' is neither run nor marked")
        self.done[block.kind] += 1

    def _run_python(self, text: str, line: int) -> str:
        code = compile("\n" * (line - 1) + text, self._page, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as written:
            exec(code, self._namespace)
        return written.getvalue()

    def _run_shell(self, text: str) -> str:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
        )
        if ended.returncode != 0:
            raise Wrong(f"exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def _compare(self, expected: str) -> None:
        written = self._output or ""
        self._output = None
        expected = expected.replace("…", "...")
        if not doctest.OutputChecker().check_output(expected, written, OUTPUT_OPTIONS):
            raise Wrong(f"the page shows\n{expected}\nbut it wrote\n{written}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("localhost", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader works: as the top of a checkout, with the package installed."""
    place = tmp_path / "reader"
    place.mkdir()
    for name in ("examples", "docs", "python", "build"):
        (place / name).symlink_to(REPOSITORY / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    command = tools / "remote-arrow"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m remote_arrow "$@"\n')
    command.chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "python"))
    monkeypatch.setenv("REMOTE_ARROW_SERVER", str(server_binary()))
    monkeypatch.syspath_prepend(REPOSITORY / "python")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_page_does_what_it_shows(
    page: Path,
    folder: Path,
    make_server: MakeServer,
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    blocks = blocks_of(page.read_text())
    if not blocks:
        return
    server = make_server()
    monkeypatch.setenv("REMOTE_ARROW_URL", f"grpc://localhost:{server.port}")
    ports = {"5005": server.port, "8000": free_port()}
    reader = Reader(folder, ports, page_id(page), server.restart)
    for block in blocks:
        try:
            reader.do(block)
        except Exception as error:
            error.add_note(f"in the block at {page_id(page)}:{block.line}")
            raise
    report(", ".join(f"{n} {kind}" for kind, n in sorted(reader.done.items())))
    with server.client() as client:
        left = [info.descriptor.path for info in client.list_flights(b'{"deleted": false}')]
    assert [path for path in left if path and not path[0].startswith(b"#")] == [], "named Flights"


def test_the_two_forms_of_each_method_in_commands_are_taken_by_schema_and_server(
    own_remote: Remote,
) -> None:
    """Those of sort_by name other columns than the rest."""
    text = (REPOSITORY / "docs" / "commands.md").read_text()
    letters = own_remote.upload(pa.table({name: [1, 2, 3] for name in "abc"}))["id"]
    rides = own_remote.upload(pa.table({"id": [1, 2, 3], "fare": [7.5, 3.0, 52.0]}))["id"]
    steps, legacy = STEP.findall(text), LEGACY.findall(text)
    methods = [name for name in METHOD.findall(text) if name != "concat"]  # which is JSON only
    assert [next(iter(json.loads(step))) for step in steps] == methods
    assert len(legacy) == len(methods) + 1  # two of sort_by
    for step in steps:
        source = {"id": rides if "sort_by" in step else letters}
        command = {"from": source, "do": [json.loads(step)]}
        jsonschema.validate(command, command_schema())
        assert own_remote.info(command).total_records >= 0
    for method in legacy:
        source_id = rides if "sort_by" in method else letters
        assert own_remote.info(f"{source_id}${method}").total_records >= 0


LINK = re.compile(r"\]\(([^)#\s]*)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "ARCHITECTURE.md"], ids=page_id)
def test_links_within_a_checkout_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    targets = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("```go\nx := 1\n```\n", "kind 'go' is neither run nor marked"),
        ("```\nx\n```\n", "kind '' is neither run nor marked"),
        ("<!-- not run: -->\n```go\nx := 1\n```\n", "kind 'go' is neither run nor marked"),
        ("<!-- not run: why -->\nText.\n```go\nx := 1\n```\n", "is neither run nor marked"),
        ("```text\nout of nothing\n```\n", "kind 'text' is neither run nor marked"),
        ("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", "but it wrote\n2"),
        ("```sh\necho two\n```\n\n```text\nt...e\n```\n", "but it wrote\ntwo"),
        ("```sh\nfalse\necho two\n```\n", "exit code 1"),
        ("```python\nx = 1\n", "has no end"),
        ('```json\n{"from": {"name": "x"}, "do": [{"fly": {}}]}\n```\n', "'fly'"),
        ('```json\n{"put": {}} {"from": }\n```\n', "Expecting value"),
    ],
)
def test_a_wrong_block_is_noticed(page: str, words: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path, {}, "page.md", lambda: None)
    with pytest.raises(Exception, match=re.escape(words)):
        for block in blocks_of(page):
            reader.do(block)


def test_blocks_are_run_in_one_namespace_and_told() -> None:
    page = (
        "```python\nx = 2\n```\n<!-- not run: why -->\n```go\nx := 1\n```\n<!-- restart -->\n"
        "```python\nprint(x, 'rows')\n```\n```text\n… rows\n```\n"
    )
    restarts: list[None] = []
    reader = Reader(Path(), {}, "page.md", lambda: restarts.append(None))
    for block in blocks_of(page):
        reader.do(block)
    assert reader.done == {"python": 2, "not run": 1, "text": 1, "restart": 1}
    assert len(restarts) == 1
