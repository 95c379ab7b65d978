"""Ctrl-C while the command line loads ends it at once: with its exit code, without a traceback.

Imported first by the package, as loading pyarrow is what takes long.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

INTERRUPTED = 130


def is_command_line() -> bool:
    """Whether this process runs `remote-arrow` or `python -m remote_arrow`."""
    if sys.argv[:1] == ["-m"]:  # so it is called while its package loads
        return "remote_arrow" in sys.orig_argv
    return bool(sys.argv) and Path(sys.argv[0]).name == "remote-arrow"


def exit_at_once() -> None:
    """From now on Ctrl-C ends the process; nothing is to be tidied up."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))


def raise_again() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as usual."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command_line():
    exit_at_once()
