"""Runs the server under test as a process: start, stop, kill, restart.

Knows nothing of pytest, so that benchmarks and other test folders use it too.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow.flight as flight

REPOSITORY = Path(__file__).resolve().parent.parent
READY_LINE = re.compile(r"^Server online: (grpc\+tcp://(.+):(\d+))$")
# What the sanitizers and the server's own asserts write before they end the process.
FAULT_MARKS = (
    "AddressSanitizer",
    "LeakSanitizer",
    "ThreadSanitizer",
    "runtime error:",
    "assertion failed",
)
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 60.0


class ServerFailed(Exception):
    """The server ended, or never said that it was ready.

    `exit_code` is None when it was still running; `log` holds what it wrote to stderr.
    """

    def __init__(self, what: str, exit_code: int | None, log: str) -> None:
        super().__init__(f"{what} (exit code {exit_code})\n{log[-4000:]}")
        self.exit_code = exit_code
        self.log = log


def server_binary() -> Path:
    """The server to run: environment variable RA_SERVER, or what `make` builds."""
    return Path(os.environ.get("RA_SERVER", REPOSITORY / "build" / "remote-arrow-server")).resolve()


class Server:
    """A running server on a free port; `args` are added to its command line."""

    def __init__(
        self,
        *args: str,
        data_dir: Path,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.args = args
        self.data_dir = data_dir
        self.log_path = log_path
        self.env = {**os.environ, **(env or {})}
        self.env.setdefault("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
        self.process: subprocess.Popen[str] | None = None
        self.host = ""
        self.port = port
        self.uri = ""
        self.start()

    def command_line(self) -> list[str]:
        """The command that `start` runs."""
        return [
            str(server_binary()),
            *("--port", str(self.port), "--data-dir", str(self.data_dir)),
            *self.args,
        ]

    def start(self) -> None:
        """Starts the process and waits for its ready line.

        Raises ServerFailed when it ends first or takes longer than START_TIMEOUT_S.
        """
        log_start = self.begin_start()
        line = self._read_line(START_TIMEOUT_S)
        match = READY_LINE.match(line)
        if match is None:
            exit_code = self._end_process()
            log_text = self.log_path.read_bytes()[log_start:].decode(errors="replace")
            raise ServerFailed(f"no ready line but {line!r}", exit_code, log_text)
        self.uri, self.host, self.port = match[1], match[2], int(match[3])

    def begin_start(self) -> int:
        """Starts the process and leaves it alone; the length of the log before it."""
        if not server_binary().exists():
            raise ServerFailed(f"{server_binary()} is not there: run make", None, "")
        with self.log_path.open("ab") as log:
            log_start = log.tell()
            self.process = subprocess.Popen(
                self.command_line(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.env,
                text=True,
            )
        return log_start

    @property
    def pid(self) -> int:
        """Process id; the server must be running."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that the server wrote to stderr, restarts included."""
        return self.log_path.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether the process is there and has not ended."""
        return self.process is not None and self.process.poll() is None

    def client(self, **options: object) -> flight.FlightClient:
        """A plain pyarrow client of this server."""
        return flight.FlightClient(self.uri, **options)

    def stop(self) -> None:
        """Ends the server by SIGTERM and checks how it ended: exit code 0, no fault in its log."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> None:
        """Waits for the server's own end (after SIGTERM or `shutdown`) and checks how it ended."""
        assert self.process is not None
        try:
            exit_code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._end_process()
            raise ServerFailed("did not end after SIGTERM", None, self.log) from None
        self._forget_process()
        if exit_code != 0:
            raise ServerFailed("did not end well", exit_code, self.log)
        if any(mark in self.log for mark in FAULT_MARKS):
            raise ServerFailed("fault in the log", exit_code, self.log)

    def kill(self) -> None:
        """Ends the server by SIGKILL, as a crash would."""
        self._end_process()

    def restart(self) -> None:
        """Stops the server and starts it again with the same options, data and port."""
        self.stop()
        self.start()

    def anonymous_bytes(self) -> int:
        """Anonymous resident memory (RssAnon) in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
        assert match is not None
        return int(match[1]) * 1024

    def cpu_seconds(self) -> float:
        """User and system time that the server has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        """Number of open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _read_line(self, timeout_s: float) -> str:
        assert self.process is not None and self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return ""
        return self.process.stdout.readline().rstrip("\n")

    def _end_process(self) -> int | None:
        if self.process is None:
            return None
        try:
            exit_code = self.process.wait(0.5 if self.process.stdout is None else 0)
        except subprocess.TimeoutExpired:
            exit_code = None
            self.process.kill()
            self.process.wait()
        self._forget_process()
        return exit_code

    def _forget_process(self) -> None:
        assert self.process is not None
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


def refused_start(*args: str, **options: object) -> tuple[int, str]:
    """Runs the server, which must end by itself; its exit code and stderr."""
    ended = subprocess.run(
        [str(server_binary()), *args], capture_output=True, text=True, timeout=30, **options
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def assert_one_clear_line(log: str, *words: str) -> None:
    """One line of text says why, and names what it is about."""
    lines = log.strip().splitlines()
    assert len(lines) == 1, log
    for word in words:
        assert word in lines[0]


def workers_of(server: Server) -> list[Path]:
    """The folders in /proc of the workers that the server has now, once they run their program."""
    found = []
    for children in Path(f"/proc/{server.pid}/task").glob("*/children"):
        try:
            processes = [Path("/proc") / pid for pid in children.read_text().split()]
            found += [p for p in processes if p.joinpath("comm").read_text() == "remote-arrow-sq\n"]
        except OSError:
            continue  # a thread or a worker that has just ended
    return found


def wait_for_worker(server: Server) -> Path:
    """The folder in /proc of the worker that the server has started."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for worker in workers_of(server):
            return worker
        time.sleep(0.001)
    raise AssertionError("no worker was started")
