"""A long mix of operations: right answers, and nothing on the server grows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import Report
from serving import REPOSITORY
from settings import OPERATIONS
from soak.gauges import BOUNDS, MB, Sample, judge


def test_nothing_grows(report: Report) -> None:
    program = REPOSITORY / "tests" / "soak" / "soak.py"
    ended = subprocess.run(
        [sys.executable, str(program), "--operations", str(OPERATIONS)],
        capture_output=True,
        text=True,
    )
    for line in ended.stdout.splitlines():
        report(line)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def samples_of_a_run(gauge: str, each: float) -> list[Sample]:
    """A hundred samples of steady gauges, but one grows so much from sample to sample."""
    steady = [10.0 * MB + n % 7 * MB for n in range(100)]
    return [
        {"operations": n * 1_000, **dict.fromkeys(BOUNDS, steady[n]), gauge: steady[n] + each * n}
        for n in range(100)
    ]


@pytest.mark.parametrize("gauge", ["anonymous_bytes", "data_bytes", "catalog_bytes"])
def test_growth_is_noticed(gauge: str) -> None:
    assert judge(samples_of_a_run(gauge, 0))[1] == []
    [line] = judge(samples_of_a_run(gauge, MB / 2))[1]
    assert line.startswith(gauge)
