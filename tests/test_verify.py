"""--verify: what is damaged is found and named, and nothing is changed."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from conftest import MakeServer
from remote import Remote, by_name
from serving import Server, server_binary
from zoo import all_tables

SMALL = pa.table({"n": [1, 2, 3]})
WORDS = pa.table({"w": pa.array(["a", "b", "a"]).dictionary_encode(), "n": [1, 2, 3]})
SORTED = {"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "n"}}]}
# Between bytes that are flipped in the file of a table: below 8, the least between messages.
STEP = 7


def verify(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs the check."""
    return subprocess.run(
        [str(server_binary()), "--data-dir", str(folder), "--verify", *args],
        capture_output=True,
        text=True,
        timeout=60,
    )


def damages(folder: Path) -> list[str]:
    """What the check says is damaged; its exit code has to say so too."""
    ended = verify(folder)
    *lines, summary = ended.stdout.splitlines()
    assert ended.stderr == ""
    assert summary.startswith("checked: ")
    assert summary.endswith(f" damages: {len(lines)}")
    assert all(line.startswith("damaged: ") for line in lines)
    assert ended.returncode == (1 if lines else 0)
    return [line.removeprefix("damaged: ") for line in lines]


def files(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file: its hash and when it was written."""
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def flipped(path: Path, at: int) -> Iterator[None]:
    """A byte of a file is wrong meanwhile."""
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[at] ^= 0x10
    path.write_bytes(changed)
    yield
    path.write_bytes(whole)


def spread(path: Path, step: int) -> list[int]:
    """Places all over a file, the first and the last byte among them."""
    size = path.stat().st_size
    return sorted({*range(0, size, step), size - 1})


def segments(folder: Path) -> list[Path]:
    """The files of tables."""
    return list((folder / ".remote-arrow" / "segments").iterdir())


def file_of(folder: Path, table: pa.Table) -> Path:
    """The file that holds a table with these columns and so many rows."""
    for path in segments(folder):
        found = pa.ipc.open_file(path).read_all()
        if (found.column_names, found.num_rows) == (table.column_names, table.num_rows):
            return path
    raise LookupError(table)


@pytest.fixture
def stored(make_server: MakeServer) -> Path:
    """A data directory that was left cleanly: Flight 0 't' of two versions, 1 'w', 2 a result."""
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
        remote.upload(SMALL.slice(1), "t", if_exists="append")
        remote.upload(WORDS, "w")
        remote.info(SORTED)
    server.stop()
    return server.data_dir


def test_a_sound_directory_is_all_right_and_stays_as_it_is(stored: Path) -> None:
    before = files(stored)
    ended = verify(stored)
    assert ended.returncode == 0
    sizes = sum(path.stat().st_size for path in segments(stored))
    assert ended.stdout == (f"checked: 3 Flights, 4 versions, 4 files, {sizes} bytes; damages: 0\n")
    assert ended.stderr == ""
    assert files(stored) == before


def test_every_type_of_table_is_all_right(make_server: MakeServer) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        for name, make_table in all_tables().items():
            remote.upload(make_table(), name)
        remote.action("clear", purge=False)  # hidden ones are checked as well
        remote.upload(SMALL, "t")
    server.stop()
    ended = verify(server.data_dir)
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"checked: {len(all_tables()) + 1} Flights, ")


def test_a_flipped_byte_in_a_file_is_found_and_named(stored: Path) -> None:
    first, words = file_of(stored, SMALL), file_of(stored, WORDS)
    for at in spread(first, STEP):
        with flipped(first, at):
            lines = damages(stored)
        assert len(lines) == 2, at
        for line, version in zip(lines, (1, 2), strict=True):
            assert line.startswith(f"Flight 0 't' version {version}: segment {first.name}: ")
    for at in spread(words, STEP):
        with flipped(words, at):
            [line] = damages(stored)
        assert line.startswith(f"Flight 1 'w' version 1: segment {words.name}: ")
    assert damages(stored) == []


@pytest.mark.parametrize("harm", ["missing", "cut", "longer"])
def test_a_file_of_another_size_is_found(stored: Path, harm: str) -> None:
    result = file_of(stored, pa.concat_tables([SMALL, SMALL.slice(1)]))
    if harm == "missing":
        result.unlink()
    elif harm == "cut":
        result.write_bytes(result.read_bytes()[:-1])
    else:
        result.write_bytes(result.read_bytes() + b"x")
    [line] = damages(stored)
    assert line.startswith("Flight 2 version 1: ")
    assert result.name in line


def test_a_flipped_byte_in_the_catalog_is_found(stored: Path) -> None:
    catalog = stored / ".remote-arrow" / "catalog.db"
    n_pages = catalog.stat().st_size // 4096
    for at in {*spread(catalog, 1031), *(4096 * page + 4090 for page in range(n_pages))}:
        with flipped(catalog, at):
            lines = damages(stored)
        assert lines, at
        assert all("catalog" in line for line in lines), (at, lines)
    assert damages(stored) == []


def test_pages_of_the_catalog_that_nothing_uses_are_checked_too(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        noted = [(batch, b"x" * 100_000) for batch in SMALL.to_batches()]
        remote.put(by_name("noted"), SMALL.schema, noted)
        remote.action("delete", name="noted")
    own_server.stop()
    catalog = own_server.data_dir / ".remote-arrow" / "catalog.db"
    n_pages = catalog.stat().st_size // 4096
    assert n_pages > 100_000 // 4096
    for page in range(0, n_pages, 3):
        with flipped(catalog, 4096 * page + 100):
            assert damages(own_server.data_dir), page
    assert damages(own_server.data_dir) == []


def test_a_missing_catalog_is_damage(stored: Path) -> None:
    (stored / ".remote-arrow" / "catalog.db").unlink()
    [line] = damages(stored)
    assert "catalog is missing" in line


def test_what_a_crash_left_is_all_right_and_stays_as_it_is(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
        own_server.kill()
    log = own_server.data_dir / ".remote-arrow" / "catalog.db-wal"
    assert log.stat().st_size > 0
    before = files(own_server.data_dir)
    ended = verify(own_server.data_dir)
    assert re.match(r"checked: 1 Flights, 1 versions, 1 files, ", ended.stdout)
    assert ended.returncode == 0
    assert files(own_server.data_dir) == before


def test_what_cannot_be_checked_is_told(own_server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    reasons = {
        own_server.data_dir: "in use",
        tmp_path / "empty": "holds no tables of a server",
        tmp_path / "nowhere": "No such file",
    }
    for folder, reason in reasons.items():
        ended = verify(folder)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert f"{folder}" in ended.stderr
        assert reason in ended.stderr
    assert not (tmp_path / "nowhere").exists()
    with Remote(own_server.uri) as remote:
        assert remote.flights() == []


def test_no_copy_of_the_catalog_is_left(stored: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    catalog = stored / ".remote-arrow" / "catalog.db"
    environment = {"TMPDIR": str(folder)}
    command = [str(server_binary()), "--data-dir", str(stored), "--verify"]
    for exit_code in (0, 1):
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=60)
        assert ended.returncode == exit_code
        assert list(folder.iterdir()) == []
        whole = catalog.read_bytes()
        catalog.write_bytes(whole[:8200] + bytes([whole[8200] ^ 1]) + whole[8201:])
