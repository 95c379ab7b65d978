"""Two network namespaces and a wire between them that delays, loses, reorders and breaks.

The wire is made of two TUN devices whose packets this process carries, so that it needs no kernel
module for bad networks. Needs root; `reason_to_skip` says what is missing.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from serving import Server

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MAX_PACKET_BYTES = 65536
PACKETS_AT_ONCE = 64
SERVER_ADDRESS, CLIENT_ADDRESS = "10.77.0.1", "10.77.0.2"
T = TypeVar("T")
_numbers = itertools.count()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Runs `work` in a thread that is in a namespace; sockets made there stay there."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Path(f"/run/netns/{namespace}").open() as file:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def reason_to_skip() -> str:
    """Why there can be no such network here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    name = f"ra-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot make a network namespace: {getattr(error, 'stderr', error)}"
    try:
        os.close(inside(name, _open_tun))
    except OSError as error:
        return f"cannot make a TUN device: {error}"
    finally:
        _ip("netns", "del", name)
    return ""


def _open_tun() -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", b"wire", IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


@dataclass(frozen=True)
class Condition:
    """What the wire does in each direction.

    Delays in seconds, `jitter` to either side; `loss` and `reorder` are shares of the packets, of
    which a reordered one is not delayed; `rate` in bytes a second, with a queue of so many bytes.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    rate: float = 0.0
    queue_bytes: int = 256 * 1024
    is_down: bool = False


@dataclass
class _Way:
    """One direction: where packets come from and go to, and when the last of them arrives."""

    source: int
    sink: int
    n_bytes: int = 0
    free_at: float = 0.0
    last_at: float = 0.0


class Network:
    """The two namespaces and the wire, from `with` on. A server is started in one of them."""

    def __init__(self, seed: int = 1) -> None:
        name = f"ra-{os.getpid()}-{next(_numbers)}"
        self.server_side, self.client_side = f"{name}-s", f"{name}-c"
        self.condition = Condition()
        self._rng = random.Random(seed)
        self._stop = threading.Event()

    def __enter__(self) -> Network:
        fds = []
        for name, address in [
            (self.server_side, SERVER_ADDRESS),
            (self.client_side, CLIENT_ADDRESS),
        ]:
            _ip("netns", "add", name)
            fds.append(inside(name, _open_tun))
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "wire")
            for device in ("lo", "wire"):
                _ip("-n", name, "link", "set", device, "up")
        self.down, self.up = _Way(fds[0], fds[1]), _Way(fds[1], fds[0])
        self._carrier = threading.Thread(target=self._carry)
        self._carrier.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._carrier.join()
        for way in (self.down, self.up):
            os.close(way.source)
        for name in (self.server_side, self.client_side):
            _ip("netns", "del", name)

    def become(self, **changes: float | bool) -> None:
        """Changes the condition from now on."""
        self.condition = replace(self.condition, **changes)

    def command(self, *arguments: str, on_server_side: bool = False) -> list[str]:
        """The command line that runs another one on one of the sides."""
        name = self.server_side if on_server_side else self.client_side
        return ["ip", "netns", "exec", name, *arguments]

    def _carry(self) -> None:
        on_the_way: list[tuple[float, int, int, bytes]] = []
        poll = select.poll()
        ways = {way.source: way for way in (self.down, self.up)}
        for fd in ways:
            poll.register(fd, select.POLLIN)
        number = 0
        while not self._stop.is_set():
            now = time.monotonic()
            while on_the_way and on_the_way[0][0] <= now:
                _, _, sink, packet = heapq.heappop(on_the_way)
                self._hand_over(sink, packet)
            wait_s = min(0.1, on_the_way[0][0] - now) if on_the_way else 0.1
            for fd, _ in poll.poll(max(0.0, wait_s * 1000)):
                for packet in _read_packets(fd):
                    at = self._arrival(ways[fd], len(packet))
                    if at is not None:
                        number += 1
                        heapq.heappush(on_the_way, (at, number, ways[fd].sink, packet))

    def _hand_over(self, sink: int, packet: bytes) -> None:
        if self.condition.is_down:
            return
        try:
            os.write(sink, packet)
        except BlockingIOError:
            return  # the device is full: lost, as on any wire

    def _arrival(self, way: _Way, n_bytes: int) -> float | None:
        """When a packet that was just sent arrives; None: never."""
        c, now = self.condition, time.monotonic()
        way.n_bytes += n_bytes
        if c.is_down or self._rng.random() < c.loss:
            return None
        at = now
        if c.rate:
            if (way.free_at - now) * c.rate > c.queue_bytes:
                return None
            way.free_at = at = max(way.free_at, now) + n_bytes / c.rate
        if self._rng.random() < c.reorder:
            return at
        at += max(0.0, c.delay + self._rng.uniform(-c.jitter, c.jitter))
        way.last_at = max(way.last_at, at)
        return way.last_at


def _read_packets(fd: int) -> list[bytes]:
    packets: list[bytes] = []
    try:
        while len(packets) < PACKETS_AT_ONCE:
            packets.append(os.read(fd, MAX_PACKET_BYTES))
    except BlockingIOError:
        pass
    return packets


class FarServer(Server):
    """A server on the server's side of a network, and the processes of its clients."""

    def __init__(self, network: Network, data_dir: Path, log_path: Path) -> None:
        self.network = network
        self.clients: list[subprocess.Popen[str]] = []
        super().__init__(
            *("--host", SERVER_ADDRESS, "--insecure", "--drain-timeout", "1s"),
            data_dir=data_dir,
            log_path=log_path,
        )

    def command_line(self) -> list[str]:
        return self.network.command(*super().command_line(), on_server_side=True)

    def kill_clients(self) -> None:
        """Ends the clients that are still there."""
        for client in self.clients:
            client.kill()
            client.communicate()
