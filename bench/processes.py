"""The processes that are measured, and the small programs that measure them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.flight as flight

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "python")]

from serving import Server  # noqa: E402 - found through the line above


class Peer(Server):
    """The pyarrow.flight server of peer_server.py."""

    def command_line(self) -> list[str]:
        return [sys.executable, str(BENCH / "peer_server.py"), *self.args]


def build_tools(folder: Path) -> None:
    """Compiles the small programs that need nothing of the project."""
    for name in ("bare_client", "sendfile_floor"):
        output = ["-o", str(folder / name), str(BENCH / f"{name}.c")]
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", *output], check=True)


def run_tool(folder: Path, name: str, *args: object) -> list[float]:
    """Runs one of them; the numbers that it prints."""
    done = subprocess.run(
        [str(folder / name), *map(str, args)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} {args}: {done.stderr.strip()}")
    return [float(word) for word in done.stdout.split()]


class CpuOf:
    """CPU seconds that a server uses inside `with`, added up over many uses."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Adds what the server uses meanwhile."""
        before = self.server.cpu_seconds()
        yield
        self.seconds += self.server.cpu_seconds() - before


SAMPLE_S = 0.005


@contextmanager
def peak_heap(server: Server) -> Iterator[list[int]]:
    """Anonymous memory of a server in bytes, read all the time inside `with`."""
    samples = [server.anonymous_bytes()]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            samples.append(server.anonymous_bytes())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


DOWNLOADER = """
import sys, pyarrow.flight as flight
uri, ticket = sys.argv[1], bytes.fromhex(sys.argv[2])
client = flight.FlightClient(uri)
sys.stdout.write("ready\\n"); sys.stdout.flush()
while True:
    for chunk in client.do_get(flight.Ticket(ticket)):
        pass
"""


@contextmanager
def downloading(uri: str, ticket: flight.Ticket) -> Iterator[None]:
    """A process that downloads again and again, as fast as it can."""
    process = subprocess.Popen(
        [sys.executable, "-c", DOWNLOADER, uri, ticket.ticket.hex()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
