"""Backups made while the server works: whole, of one moment, in the operator's folder only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from conftest import MakeServer
from remote import Json, Remote, by_id, by_name
from serving import Server, refused_start, server_binary
from zoo import all_tables

SMALL = pa.table({"n": [1, 2, 3]})
SORTED = {"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "n"}}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    path = tmp_path / "backups"
    path.mkdir()
    return path


@pytest.fixture
def saved(make_server: MakeServer, folder: Path) -> Server:
    """A server that makes backups."""
    return make_server("--backup-dir", str(folder))


def contents(remote: Remote) -> dict[int, tuple[Json, dict[int, list[object]]]]:
    """All live Flights: what is said about each, and the batches of each of its versions."""
    found = {}
    for info in remote.flights():
        about = json.loads(info.app_metadata)
        if about.get("state") == "deleted":
            continue
        numbers = [v["version"] for v in remote.action("versions", id=about["id"])["versions"]]
        tables = {
            n: [
                (batch.serialize().to_pybytes(), batch.schema, extra)
                for batch, extra in remote.batches(by_id(about["id"], n))
            ]
            for n in numbers
        }
        del about["last_used"]
        about.pop("expires", None)
        found[about["id"]] = (about, tables)
    return found


def parts(path: Path) -> set[str]:
    """Every file of a backup, relative to it."""
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def test_a_server_started_on_a_backup_has_everything(
    saved: Server, make_server: MakeServer, folder: Path
) -> None:
    with Remote(saved.uri) as remote:
        for name, make_table in all_tables().items():
            remote.upload(make_table(), name)
        remote.upload(SMALL, "t")
        remote.upload(SMALL, "t", if_exists="append")
        remote.upload(SMALL.slice(1), "t", if_exists="replace")
        remote.put(
            by_name("noted"),
            SMALL.schema,
            [(batch, b"about this") for batch in SMALL.to_batches()],
        )
        remote.upload(SMALL, "gone")
        remote.action("delete", name="gone")
        remote.info({**SORTED, "as": "named"})
        remote.info(SORTED)
        before = contents(remote)
        answer = remote.action("backup", name="monday")
        assert answer["name"] == "monday"
        assert answer["flights"] == len(before)
        assert answer["files_missing"] == 0
        files = [file for file in parts(folder / "monday") if file.endswith(".arrow")]
        assert answer["files"] == len(files) > len(before)
        sizes = [(folder / "monday" / file).stat().st_size for file in files]
        assert answer["bytes"] == sum(sizes)
        assert answer["bytes_linked"] in (0, answer["bytes"])
        # What happens afterwards does not reach it.
        remote.upload(SMALL, "later")
        remote.action("clear", purge=True)
    copy = make_server(data_dir=folder / "monday")
    with Remote(copy.uri) as remote:
        assert contents(remote) == before
        remote.upload(SMALL, "new")
        assert remote.about(SORTED)["id"] in before  # a result is found, not made again
    copy.restart()
    assert " aside" not in copy.log


def test_hidden_datasets_are_in_a_backup(
    saved: Server, make_server: MakeServer, folder: Path
) -> None:
    with Remote(saved.uri) as remote:
        remote.upload(SMALL, "t")
        remote.action("clear", purge=False)
        assert remote.action("backup", name="b")["files"] == 1
    with Remote(make_server(data_dir=folder / "b").uri) as remote:
        assert remote.get(by_name("t")).equals(SMALL)


def test_a_backup_is_of_one_moment_while_others_write(
    saved: Server, make_server: MakeServer, folder: Path
) -> None:
    """Each writer's uploads are there up to one, all that were acknowledged before among them."""
    acknowledged = [0] * 3
    stop = threading.Event()

    def write(writer: int) -> None:
        with Remote(saved.uri) as remote:
            while not stop.is_set():
                n = acknowledged[writer]
                remote.upload(pa.table({"n": [n] * 1000}), f"{writer}-{n}")
                acknowledged[writer] = n + 1
                with pytest.raises(pa.ArrowException):
                    remote.upload(SMALL, f"{writer}-{n}")  # undone requests disturb no backup
                if n % 3 == 2:
                    remote.action("delete", name=f"{writer}-{n - 1}")

    threads = [threading.Thread(target=write, args=[w]) for w in range(len(acknowledged))]
    with Remote(saved.uri) as remote:
        half_sent = remote.begin_upload("half", SMALL.to_batches()[0])
        for thread in threads:
            thread.start()
        seen = []
        for k in range(5):
            least = list(acknowledged)
            remote.action("backup", name=f"b{k}")
            seen.append((least, [n + 1 for n in acknowledged]))
        stop.set()
        for thread in threads:
            thread.join()
        half_sent.write_table(SMALL)
        half_sent.close()
        assert remote.get(by_name("half")).num_rows == 6
    for k, (least, most) in enumerate(seen):
        with Remote(make_server(data_dir=folder / f"b{k}").uri) as remote:
            about = [json.loads(info.app_metadata) for info in remote.flights()]
            there = {name for one in about for name in one.get("names", [])}
            for writer in range(len(acknowledged)):
                numbers = sorted(int(n.split("-")[1]) for n in there if n.startswith(f"{writer}-"))
                last = numbers[-1] if numbers else -1
                assert least[writer] - 1 <= last < most[writer]
                # Of every three the second is deleted once the third is there.
                assert {n for n in range(last) if n % 3 != 1} <= set(numbers)
            assert "half" not in there
            for name in there:
                n = int(name.split("-")[1])
                assert remote.get(by_name(name)).equals(pa.table({"n": [n] * 1000}))
    assert sorted(path.name for path in folder.iterdir()) == [f"b{k}" for k in range(5)]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/tmp/x", "a\\b", ".hid", "a\nb", "a\0b", "x" * 256, 7, None],
)
def test_hostile_names_are_refused(saved: Server, folder: Path, name: object) -> None:
    outside = set(folder.parent.iterdir())
    with Remote(saved.uri) as remote, pytest.raises(pa.ArrowInvalid):
        remote.action("backup", name=name)
    assert list(folder.iterdir()) == []
    assert set(folder.parent.iterdir()) == outside


def test_what_is_there_is_not_replaced(saved: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "file").write_text("mine")
    (folder / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    with Remote(saved.uri) as remote:
        for name in ("file", "empty", "link", "dangling"):
            with pytest.raises(pa.ArrowInvalid, match="exists"):
                remote.action("backup", name=name)
        for wrong in ({}, {"name": "b", "to": "c"}):
            with pytest.raises(pa.ArrowInvalid):
                remote.action("backup", **wrong)
    assert (folder / "file").read_text() == "mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert {path.name for path in folder.iterdir()} == {"file", "empty", "link", "dangling"}


def test_without_a_folder_there_are_no_backups(own_remote: Remote) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="--backup-dir"):
        own_remote.action("backup", name="b")


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return s.getsockname()[0]


def test_other_machines_need_consent(make_server: MakeServer, folder: Path) -> None:
    options = ("--host", "0.0.0.0", "--insecure", "--backup-dir", str(folder))
    address = own_address()
    refusal = pytest.raises(flight.FlightUnauthorizedError, match="local")
    with Remote(f"grpc://{address}:{make_server(*options).port}") as remote, refusal:
        remote.action("backup", name="b")
    allowed = make_server(*options, "--allow-remote-action", "backup")
    with Remote(f"grpc://{address}:{allowed.port}") as remote:
        assert remote.action("backup", name="b")["flights"] == 0


@pytest.mark.parametrize("what", ["missing", "file"])
def test_a_folder_that_is_none_is_told_at_start(tmp_path: Path, what: str) -> None:
    path = tmp_path / "b"
    if what == "file":
        path.write_text("")
    data = str(tmp_path / "data")
    code, log = refused_start("--port", "0", "--data-dir", data, "--backup-dir", str(path))
    assert code == 2
    assert f"--backup-dir {path}" in log


def test_a_full_disk_leaves_nothing(make_server: MakeServer, small_disk: Path) -> None:
    server = make_server("--backup-dir", str(small_disk))
    with Remote(server.uri) as remote:
        remote.upload(pa.table({"n": range(6_000_000)}), "fits")
        answer = remote.action("backup", name="copied")
        assert answer["bytes_linked"] == 0
        assert answer["bytes"] > 48_000_000
        with pytest.raises(OSError, match="No space|no room"):
            remote.action("backup", name="too-much")
        assert [path.name for path in small_disk.iterdir()] == ["copied"]
    copy = make_server(data_dir=small_disk / "copied", env={"REMOTE_ARROW_DISK_RESERVE": "none"})
    with Remote(copy.uri) as remote:
        assert remote.get(by_name("fits")).equals(pa.table({"n": range(6_000_000)}))
    copy.stop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_meanwhile_leaves_whole_backups_or_none(
    saved: Server, folder: Path, how: signal.Signals
) -> None:
    flights = 60
    with Remote(saved.uri) as remote:
        remote.upload(pa.table({"n": range(flights)}), "t")
        for n in range(flights - 1):  # results, each of which a backup has to sync
            remote.info({"from": {"name": "t"}, "do": [{"slice": {"offset": n}}]})
    saved.restart()  # a result is written to the catalog a moment after it is answered
    for delay_ms in (0, 2, 5, 10, 20, 50):
        name = f"after-{delay_ms}"

        def ask(name: str = name) -> None:
            with contextlib.suppress(pa.ArrowException, OSError), Remote(saved.uri) as remote:
                remote.action("backup", name=name)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(delay_ms / 1000)
        os.kill(saved.pid, how)
        asking.join()
        if how == signal.SIGKILL:
            saved.kill()
        else:
            saved.wait()
        saved.start()
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    for path in folder.iterdir():
        checked = subprocess.run(
            [str(server_binary()), "--data-dir", str(path), "--verify"],
            capture_output=True,
            text=True,
        )
        assert checked.stdout.startswith(f"checked: {flights} Flights, ")
        assert checked.returncode == 0


def test_what_a_killed_server_left_is_removed_at_start(saved: Server, folder: Path) -> None:
    leftover = folder / ".partial-0123456789abcdef"
    other = folder / ".partial-of-another-server"
    for path in (leftover, other):
        (path / ".remote-arrow" / "segments").mkdir(parents=True)
        (path / ".remote-arrow" / "segments" / "x.arrow").write_bytes(b"x")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    (leftover / "link").symlink_to(outside)
    (folder / ".partial-link").symlink_to(outside)
    lock = os.open(other, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    saved.kill()
    saved.start()
    os.close(lock)
    assert not leftover.exists()
    assert parts(other)
    assert (outside / "kept").read_text() == "mine"


def test_a_read_only_server_makes_backups(make_server: MakeServer, folder: Path) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
    server.stop()
    still = make_server("--read-only", "--backup-dir", str(folder), data_dir=server.data_dir)
    with Remote(still.uri) as remote:
        assert remote.action("backup", name="b")["flights"] == 1
    with Remote(make_server(data_dir=folder / "b").uri) as remote:
        assert remote.get(by_name("t")).equals(SMALL)
