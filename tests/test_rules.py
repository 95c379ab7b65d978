"""docs/rules.md: every id that is used is explained, every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from serving import REPOSITORY

ID = re.compile(r"\b[FGI]-\d+\b")
ROW = re.compile(r"^\| ([FGI]-\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
SOURCES = ("src/*/*.[ch]", "tests/*.py", "tests/interop/go/*.go", "fuzz/*.c")
# What is not here yet, and what only clients can do.
WITHOUT_TEST = {"F-45", "G-1", "G-32"}


def rows() -> dict[str, str]:
    """The tests that each id names."""
    return {number: shown for number, _, shown in ROW.findall(text_of("docs/rules.md"))}


def text_of(path: str | Path) -> str:
    """A file of the repository."""
    return (REPOSITORY / path).read_text()


def sources() -> dict[str, list[Path]]:
    """The files that may hold ids and tests, by name."""
    found: dict[str, list[Path]] = {}
    for path in (p for pattern in SOURCES for p in REPOSITORY.glob(pattern)):
        found.setdefault(path.name, []).append(path)
    return found


def named_tests(shown: str) -> Iterator[tuple[str, str]]:
    """File and test of a cell such as "`a.py`: `x`, `y`; `b.c`"; a file alone has test ""."""
    for part in shown.split("; "):
        file, *tests = re.findall("`([^`]+)`", part)
        for test in tests or [""]:
            yield file, test


def test_ids_in_code_and_tests_are_explained() -> None:
    used = {
        (number, name)
        for name, paths in sources().items()
        for number in ID.findall("".join(map(text_of, paths)))
    }
    assert len(used) > 50
    known = rows()
    assert {(number, name) for number, name in used if number not in known} == set()


def test_tests_named_by_rules_are_there() -> None:
    texts = {name: "".join(map(text_of, paths)) for name, paths in sources().items()}
    for number, shown in rows().items():
        if number in WITHOUT_TEST:
            continue
        named = list(named_tests(shown))
        assert named, number
        for file, test in named:
            assert file in texts, f"{number}: {file}"
            assert re.search(rf"\b{test}\(", texts[file]), f"{number}: {file}: {test}"


def test_tests_that_name_a_rule_are_named_by_it() -> None:
    known = rows()
    for path in sorted((REPOSITORY / "tests").glob("test_protocol*.py")):
        for node in ast.parse(text_of(path)).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in ID.findall(ast.get_docstring(node) or ""):
                    assert (path.name, node.name) in named_tests(known[number]), number
