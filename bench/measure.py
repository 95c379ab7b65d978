"""Ratios of two things measured in turns, and the table of verdicts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """What a ratio should reach, and what it must not miss."""

    target: float
    must: float
    higher_is_better: bool

    def verdict(self, value: float) -> str:
        """`target`, `ok` (between target and limit) or `MISSED`."""
        sign = 1 if self.higher_is_better else -1
        if sign * value >= sign * self.target:
            return "target"
        return "ok" if sign * value >= sign * self.must else "MISSED"


def at_least(target: float, must: float) -> Goal:
    """Higher is better."""
    return Goal(target, must, True)


def at_most(target: float, must: float) -> Goal:
    """Lower is better."""
    return Goal(target, must, False)


@dataclass(frozen=True)
class Row:
    """One line of the result: ours and the peer's figures, their ratio over the rounds."""

    id: str
    what: str
    ours: str
    peer: str
    ratios: list[float]
    goal: Goal | None

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.ratios)

    def text(self) -> str:
        """The line, in columns."""
        spread = f"({min(self.ratios):.2f}-{max(self.ratios):.2f})" if len(self.ratios) > 1 else ""
        if self.goal is None:
            goal, verdict = "", ""
        else:
            sign = ">=" if self.goal.higher_is_better else "<="
            goal = f"{sign} {self.goal.target:g} / {self.goal.must:g}"
            verdict = self.goal.verdict(self.ratio)
        columns = f"{self.id:<5} {self.what:<50} {self.ours:>16} {self.peer:>16}"
        return f"{columns} {self.ratio:>7.2f} {spread:<13} {goal:<15} {verdict}"


HEADER = (
    f"{'id':<5} {'what':<50} {'ours':>16} {'peer':>16} {'ratio':>7} {'min-max':<13} "
    f"{'target / must':<15} verdict"
)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass
class Turns:
    """Times of two works done in turns, A B A B, after one round that does not count."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> Turns:
        """Both work functions give the seconds of one round."""
        ours(), peer()
        turns = cls()
        for _ in range(rounds):
            turns.ours.append(ours())
            turns.peer.append(peer())
        return turns

    def speedups(self) -> list[float]:
        """The peer's time by ours, round by round."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer)]

    def shares(self) -> list[float]:
        """Our time by the peer's, round by round."""
        return [ours / peer for ours, peer in zip(self.ours, self.peer)]


def rate(size_bytes: int, times: list[float]) -> str:
    """GB/s at the median time."""
    return f"{size_bytes / statistics.median(times) / 1e9:.2f} GB/s"


def millis(seconds: float) -> str:
    """A time in milliseconds."""
    return f"{seconds * 1e3:.3f} ms"


def quantile(times: list[float], q: float) -> float:
    """The time that a share q of all calls stay under."""
    return sorted(times)[min(len(times) - 1, int(q * len(times)))]
