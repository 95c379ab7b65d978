"""The process that reads and writes files for the server: its rights, its end, its memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from exporting import export, files_of
from serving import Server, wait_for_worker, workers_of

LARGE = pa.table({"s": [str(i) * 20 for i in range(2_000_000)]})


def test_a_killed_worker_is_a_clear_error(own_server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export, own_server, LARGE, file="x.parquet")
        os.kill(int(wait_for_worker(own_server).name), signal.SIGKILL)
        with pytest.raises(flight.FlightUnavailableError, match="worker was ended"):
            job.result()
    assert files_of(own_server) == []
    export(own_server, pa.table({"i": [1]}), file="x.parquet")


def test_a_worker_has_given_up_its_rights(own_server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export, own_server, LARGE, file="x.parquet")
        worker = wait_for_worker(own_server)
        until = time.monotonic() + 20
        status = ""
        while "Seccomp:\t2" not in status and time.monotonic() < until:
            status = (worker / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert {fd.name for fd in (worker / "fd").iterdir()} <= {"0", "1", "2", "3", "4", "5", "6"}
        job.result()


def export_uploaded(server: Server, timeout: float, file: str = "x.parquet") -> None:
    with server.client() as client:
        body = json.dumps({"name": "t", "file": file}).encode()
        options = flight.FlightCallOptions(timeout=timeout)
        list(client.do_action(flight.Action("export", body), options))


def gone(path: Path) -> bool:
    """Whether a process ends within five seconds."""
    until = time.monotonic() + 5
    while path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return not path.exists()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_client_that_goes_away_ends_its_export(own_server: Server, suffix: str) -> None:
    export(own_server, LARGE, file="first.arrow")
    (own_server.data_dir / "first.arrow").unlink()
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export_uploaded, own_server, 0.5, f"x.{suffix}")
        worker = wait_for_worker(own_server)
        os.kill(int(worker.name), signal.SIGSTOP)  # it would be done too soon
        with pytest.raises(flight.FlightTimedOutError):
            job.result()
    assert gone(worker)
    until = time.monotonic() + 5
    while files_of(own_server) and time.monotonic() < until:
        time.sleep(0.05)
    assert files_of(own_server) == []
    export_uploaded(own_server, 60)


def metric(server: Server, name: str) -> float:
    with urllib.request.urlopen(f"http://{server.host}:{server.port}/metrics") as answer:
        text = answer.read().decode()
    match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert match is not None
    return float(match[1])


def test_a_worker_counts_in_the_memory_limit(make_server: Callable[..., Server]) -> None:
    server = make_server("--memory-limit", "1G")
    export(server, LARGE, file="first.arrow")
    share = (1 << 30) // 4
    with ThreadPoolExecutor() as pool:
        job = pool.submit(export_uploaded, server, 60)
        worker = wait_for_worker(server)
        os.kill(int(worker.name), signal.SIGSTOP)
        assert metric(server, "remote_arrow_memory_used_bytes") >= share
        limits = (worker / "limits").read_text()
        os.kill(int(worker.name), signal.SIGCONT)
        job.result()
    assert metric(server, "remote_arrow_memory_used_bytes") < share
    match = re.search(r"^Max data size +(\d+|unlimited) ", limits, re.MULTILINE)
    assert match is not None
    if match[1] != "unlimited":  # it had not yet come to its sandbox
        assert int(match[1]) == share + (512 << 20)


def test_exports_beyond_the_memory_limit_fail_alone(make_server: Callable[..., Server]) -> None:
    server = make_server("--memory-limit", "512M")
    export(server, LARGE, file="first.arrow")
    stopped: list[int] = []
    with ThreadPoolExecutor(10) as pool:
        jobs = []
        for i in range(10):
            jobs.append(pool.submit(export_uploaded, server, 60, f"x{i}.csv"))
        until = time.monotonic() + 20
        while not any(job.done() for job in jobs) and time.monotonic() < until:
            for pid in (int(worker.name) for worker in workers_of(server)):
                if pid not in stopped:
                    stopped.append(pid)
                    os.kill(pid, signal.SIGSTOP)
        for pid in stopped:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)
        failures = [job.exception() for job in jobs]
    refused = [failure for failure in failures if failure is not None]
    assert 0 < len(refused) < 10
    assert all("memory limit of the server" in str(failure) for failure in refused), refused
    assert sum(file.name.startswith("x") for file in files_of(server)) == 10 - len(refused)


SHIM = r"""
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd) {
    if (access(getenv("FAIL_FSYNC"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}
"""


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_a_failed_fsync_leaves_no_file(
    make_server: Callable[..., Server], tmp_path: Path, suffix: str
) -> None:
    source, library, switch = (tmp_path / name for name in ("shim.c", "shim.so", "fail"))
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    server = make_server(
        env={
            "LD_PRELOAD": str(library),
            "FAIL_FSYNC": str(switch),
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
    )
    export(server, pa.table({"i": [1]}), file=f"good.{suffix}")
    switch.touch()
    with pytest.raises(flight.FlightUnavailableError, match="after a failed fsync"):
        export_uploaded(server, 60, f"bad.{suffix}")
    assert [file.name for file in files_of(server)] == [f"good.{suffix}"]
    switch.unlink()
