"""The examples in the package's docstrings and in docs/python.md, run as a reader would."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import remote_arrow as ra
from serving import Server

DOCS = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in pkgutil.iter_modules(ra.__path__, "remote_arrow."):
        if module.name != "remote_arrow.__main__":
            found = finder.find(importlib.import_module(module.name))
            yield from (test for test in found if test.examples)


@pytest.mark.parametrize("example", list(examples()), ids=lambda test: test.name)
def test_docstring(example: doctest.DocTest, con: ra.Connection) -> None:
    rides = pa.table({"fare": [7.5, 3.0, 52.0], "zone": ["A", "B", "A"]})
    example.globs = {"ra": ra, "pa": pa, "con": con, "ds": con.upload(rides, "rides")}
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed
    assert failed == 0, "".join(said)


def test_there_are_examples() -> None:
    assert len(list(examples())) >= 16


def test_page_about_python(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code = DOCS.read_text().partition("```python\n")[2].partition("```")[0]
    assert "grpc://localhost:5005" in code
    exec(code.replace("grpc://localhost:5005", server.uri), {})
    assert "(0, 'rides', (3, 2))" in capsys.readouterr().out
