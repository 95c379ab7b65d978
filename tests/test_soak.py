"""A long mix of operations: right answers, and nothing on the server grows."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import Report
from serving import REPOSITORY
from settings import OPERATIONS


def test_nothing_grows(report: Report) -> None:
    program = REPOSITORY / "tests" / "soak" / "soak.py"
    ended = subprocess.run(
        [sys.executable, str(program), "--operations", str(OPERATIONS)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    for line in ended.stdout.splitlines():
        report(line)
    assert ended.returncode == 0, ended.stdout + ended.stderr
