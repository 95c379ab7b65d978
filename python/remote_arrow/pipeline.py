"""Pipelines: chains of methods that are one run on the server."""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import pyarrow.flight as flight

from remote_arrow.base import Step, inline_step, is_long
from remote_arrow.calls import Calls, calls_of
from remote_arrow.table import RemoteTable, run


class Planned(RemoteTable):
    """A table that is not computed: steps on a Flight. A method adds a step; reading runs them.

    It has no id; `publish_as` gives it one.
    """

    def __init__(
        self, calls: Calls, source: dict[str, Any], steps: Sequence[Step], pipeline: Pipeline | None
    ) -> None:
        self._calls = calls
        self.__dict__["_from"] = source
        self._steps = steps
        self._pipeline = pipeline

    @functools.cached_property
    def _info(self) -> flight.FlightInfo:
        command = self._command([], publish=False)
        return self._calls.info(flight.FlightDescriptor.for_command(command))

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """Raises AttributeError, as all that only Flights have."""
        raise AttributeError("a planned table is no Flight: it has no id until it is published")

    @property
    def id(self) -> int:
        """Raises AttributeError."""
        return int(self.about["id"])

    @property
    def version(self) -> int:
        """Raises AttributeError."""
        return int(self.about["version"])

    @functools.cached_property
    def num_rows(self) -> int:
        """Number of rows; the steps are run for it."""
        return sum(batch.num_rows for batch in self._download([]).batches())

    @property
    def nbytes(self) -> int:
        """Bytes of all columns; the steps are run for it."""
        return sum(batch.nbytes for batch in self._download().batches())

    def __repr__(self) -> str:
        names = ", ".join(name for step in self._steps for name in step)
        return f"<Planned on #{self._from['id']} @{self._from['version']}: {names}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"  # rows would have to be computed

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._calls.url, self._from, list(self._steps))

    def _is_combined(self) -> bool:
        return bool(self._steps) and "combine_chunks" in self._steps[-1]

    def _whole(self) -> flight.Ticket:
        return flight.Ticket(self._command([], publish=False))

    def _run(self, method: str, arguments: Mapping[str, Any]) -> RemoteTable:
        steps = [*self._steps, inline_step(method, arguments)]
        planned = Planned(self._calls, self._from, steps, self._pipeline)
        if self._pipeline is not None:
            self._pipeline.add(planned, self)
        return planned

    def publish(self, source_bytes: int) -> None:
        """Runs the steps; from then on this is a handle as any other."""
        table = run(self._calls, self._command([]), is_long(self._steps, source_bytes))
        self.__class__ = RemoteTable  # type: ignore[assignment]
        self.__dict__ = table.__dict__


class Pipeline:
    """The block of `RemoteTable.pipeline`."""

    def __init__(self, source: RemoteTable, publish: bool) -> None:
        self._source = source
        self._publish = publish
        self._ends: list[Planned] = []  # tables on which no other was planned

    def add(self, planned: Planned, before: Planned) -> None:
        """Takes note of a table planned on another."""
        self._ends = [end for end in self._ends if end is not before] + [planned]

    def __enter__(self) -> Planned:
        source = self._source
        pipeline = self if self._publish else None
        return Planned(source._calls, source._from, source._steps, pipeline)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ends, self._ends = self._ends, []
        if kind is None:
            for end in ends:
                end.publish(self._source.total_bytes)


def _unpickled(url: str, source: dict[str, Any], steps: list[Step]) -> Planned:
    return Planned(calls_of(url), source, steps, None)
