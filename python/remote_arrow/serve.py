"""serve(): a server of this process's own, on a free port, in a temporary directory."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from remote_arrow.closing import Closing
from remote_arrow.connection import Connection, connect

_NAME = "remote-arrow-server"
_READY = "Server online: grpc+tcp://"
_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 40.0  # the server gives running calls 30 s


def find_server() -> Path:
    """The server to run: REMOTE_ARROW_SERVER, else one in the package, in a checkout's build
    folder, or on PATH. FileNotFoundError when there is none.
    """
    named = os.environ.get("REMOTE_ARROW_SERVER")
    package = Path(__file__).resolve().parent
    own = [package / "_bin" / _NAME, package.parents[1] / "build" / _NAME]
    places = [Path(named)] if named else own
    on_path = None if named else shutil.which(_NAME)
    for place in [*places, *([Path(on_path)] if on_path else [])]:
        if os.access(place, os.X_OK):
            return place
    where = f"at {named}" if named else "in this package, which is the client alone, or on PATH"
    raise FileNotFoundError(f"no {_NAME} {where}: REMOTE_ARROW_SERVER may name one")


class LocalServer(Closing):
    """A running server that ends with `close`, with the `with` block, or with this process.

    `url` is what `connect` takes; `data_dir` holds its tables. Without a data directory of the
    caller's it is temporary and removed by `close`.
    """

    def __init__(self, data_dir: str | os.PathLike[str] | None, options: tuple[str, ...]) -> None:
        self._temporary = None if data_dir else tempfile.TemporaryDirectory(prefix="remote-arrow-")
        self.data_dir = Path(data_dir or self._temporary.name)  # type: ignore[union-attr]
        command = [str(find_server()), "--port", "0", "--data-dir", str(self.data_dir), *options]
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended in between
                os._exit(1)

        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(_READY):
            self.close()
            raise RuntimeError(f"{_NAME} did not start (exit code {self._process.returncode})")
        self.url = f"grpc://localhost:{line.rstrip().rpartition(':')[2]}"

    def __repr__(self) -> str:
        return f"<LocalServer {self.url}>"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def connect(self) -> Connection:
        """A new connection to it."""
        return connect(self.url)

    def close(self) -> None:
        """Lets running calls finish, ends the server, removes a temporary data directory."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        if self._temporary:
            self._temporary.cleanup()


def serve(data_dir: str | os.PathLike[str] | None = None, *options: str) -> LocalServer:
    """Starts a server on a free port of localhost; it ends with this process at the latest.

    `data_dir`: where tables are stored; None: a temporary directory. `options` are added to its
    command line (docs/server.md). The thread that calls must live as long as the server is to.
    Raises FileNotFoundError without a server, RuntimeError when it does not start (its words are
    on stderr), OSError off Linux.
    """
    if sys.platform != "linux":
        raise OSError("the server runs on Linux")
    return LocalServer(data_dir, options)
