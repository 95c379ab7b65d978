"""What the parts of RemoteTable share: where the rows are, and how to ask for some of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.arguments import columns_argument, indices_argument, streamed
from remote_arrow.calls import Calls
from remote_arrow.download import Download

if TYPE_CHECKING:
    from remote_arrow.table import RemoteTable

Step = dict[str, dict[str, Any]]
# Below this a run is over before anybody would cancel it, and calls are cheaper that cannot be.
LONG_RUN_BYTES = 16 << 20
_VIEWS = frozenset(
    [
        "slice",
        "select",
        "drop_columns",
        "remove_column",
        "rename_columns",
        "replace_schema_metadata",
    ]
)


def is_long(steps: Iterable[Step], n_bytes: int) -> bool:
    """Whether the server may compute for long: more than views, of many bytes or unknown (< 0)."""
    return not 0 <= n_bytes < LONG_RUN_BYTES and any(not _VIEWS.issuperset(step) for step in steps)


def inline_step(method: str, arguments: Mapping[str, Any]) -> Step:
    """A step whose arguments are part of the command. ValueError when they are too long."""
    if streamed(arguments) is not None:
        raise ValueError(f"too many values for a part of a chain: publish ds.{method}(…) by itself")
    return {method: dict(arguments)}


class Source:
    """A table that a command can start from. `_steps` are done before any other."""

    _calls: Calls
    _steps: Sequence[Step] = ()

    @property
    def schema(self) -> pa.Schema:
        """The schema."""
        raise NotImplementedError

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    @property
    def total_bytes(self) -> int:
        """Bytes of all columns as stored; -1: nobody knows yet."""
        raise NotImplementedError

    @property
    def _from(self) -> dict[str, Any]:
        raise NotImplementedError

    def _is_combined(self) -> bool:
        """Whether each column is one chunk."""
        raise NotImplementedError

    def _run(self, method: str, arguments: Mapping[str, Any]) -> RemoteTable:
        """The result of one more step."""
        raise NotImplementedError

    def _whole(self) -> flight.Ticket:
        """The ticket of all rows and columns."""
        raise NotImplementedError

    def _command(self, steps: Iterable[Step], **others: Any) -> str:
        return json.dumps({"from": self._from, "do": [*self._steps, *steps], **others})

    def _download(
        self,
        columns: Iterable[Any] | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        indices: Any = None,
        more: Sequence[Step] = (),
    ) -> Download:
        """A download of rows `offset` to `offset + limit` of the given columns, of the rows at
        `indices` if those are given, after the steps `more`.
        """
        steps = list(more)
        if isinstance(columns, str | bytes):
            raise TypeError("columns are a list of names and positions, not a str")
        if columns is not None:
            steps.append({"select": {"columns": columns_argument(columns)}})
        if indices is not None:
            steps.append(inline_step("take", {"indices": indices_argument(indices)}))

        def ticket_at(row: int) -> flight.Ticket:
            if not steps and offset + row == 0 and limit is None:
                return self._whole()
            if offset + row == 0 and limit is None:
                return flight.Ticket(self._command(steps, publish=False))
            length = None if limit is None else max(limit - row, 0)
            rows = {"slice": {"offset": offset + row, "length": length}}
            return flight.Ticket(self._command([*steps, rows], publish=False))

        may_be_long = is_long([*self._steps, *steps], self.total_bytes)
        return Download(self._calls, ticket_at, may_be_long)
