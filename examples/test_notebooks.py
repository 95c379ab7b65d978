"""Executes the notebooks as a reader would, and checks that they are committed without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from serving import REPOSITORY, server_binary

EXAMPLES = REPOSITORY / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
CELL_TIMEOUT_S = 120


def name_of(path: Path) -> str:
    """The notebook as a reader names it."""
    return path.name


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook; ValidationError when its format is wrong."""
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_runs_from_its_first_to_its_last_cell_and_leaves_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "python"))
    monkeypatch.setenv("REMOTE_ARROW_SERVER", str(server_binary()))
    before = sorted(os.listdir(EXAMPLES))
    place = {"metadata": {"path": str(EXAMPLES)}}
    notebook = read(path)
    NotebookClient(notebook, timeout=CELL_TIMEOUT_S, resources=place).execute()
    ran = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert ran == list(range(1, len(ran) + 1))
    assert sorted(os.listdir(EXAMPLES)) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_is_committed_without_outputs(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_explains_before_it_shows(path: Path) -> None:
    cells = read(path).cells
    n_texts = sum(cell.cell_type == "markdown" for cell in cells)
    assert cells[0].cell_type == "markdown"
    assert 2 * n_texts >= len(cells) - 2


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["sharing.ipynb", "tutorial.ipynb"]
