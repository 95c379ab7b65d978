"""serve(): a server of one's own starts, is used, and ends with whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

import remote_arrow as ra
from serving import server_binary

PYTHON = Path(__file__).resolve().parent.parent
STARTS_AND_WAITS = """
import sys, time
import remote_arrow as ra
server = ra.serve(sys.argv[1])
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def tested_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_ARROW_SERVER", str(server_binary()))


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_server_is_used_and_ends_with_its_block_and_folder() -> None:
    with ra.serve() as server, server.connect() as con:
        folder = server.data_dir
        assert con.upload(pa.table({"a": [2, 1]}), "t").sort_by("a").to_table()["a"][0].as_py() == 1
        assert folder.exists()
    assert not folder.exists() and not is_running(server.pid)


def test_data_directory_of_the_caller_stays(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    with ra.serve(tmp_path / "data") as server:
        server.connect().upload(table, "t")
    with ra.serve(tmp_path / "data", "--read-only") as server:
        assert server.connect()["t"].to_table().equals(table)


def test_server_ends_with_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(PYTHON), "REMOTE_ARROW_SERVER": str(server_binary())},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def test_wrong_option_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        ra.serve(None, "--no-such-option")
    monkeypatch.setenv("REMOTE_ARROW_SERVER", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="nothing: REMOTE_ARROW_SERVER may name one"):
        ra.serve()
