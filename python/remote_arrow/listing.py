"""What Connection.flights() gives: a list of handles that shows a line for each."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote_arrow.table import RemoteTable

    _Handles = list[RemoteTable]
else:
    _Handles = list

_HEADS = ("id", "name", "kind", "version", "rows", "columns", "bytes")
_MAX_LINES = 60


class Flights(_Handles):
    """Handles, shown without a call to the server; a list in all else."""

    def __repr__(self) -> str:
        from remote_arrow.output import display_width

        rows = [_HEADS, *self._rows()]
        widths = [max(map(display_width, column)) for column in zip(*rows)]
        padded = (
            [text + " " * (width - display_width(text)) for text, width in zip(row, widths)]
            for row in rows
        )
        lines = ["  ".join(texts).rstrip() for texts in padded]
        return "\n".join([*lines, *self._more()])

    def _repr_html_(self) -> str:
        head = _html_row("th", _HEADS)
        body = "".join(f"\n{_html_row('td', row)}" for row in self._rows())
        table = f"<table><thead>{head}</thead><tbody>{body}\n</tbody></table>"
        return "\n".join([f"<div>{table}", *self._more(), "</div>"])

    def _rows(self) -> list[tuple[str, ...]]:
        from remote_arrow.output import cell

        return [
            (f"#{ds.id}", cell(ds.name), ds.kind, str(ds.version))
            + tuple(f"{n:,}" for n in (*ds.shape, ds.total_bytes))
            for ds in self[:_MAX_LINES]
        ]

    def _more(self) -> list[str]:
        left = len(self) - _MAX_LINES
        return [f"… {left:,} more"] if left > 0 else []


def _html_row(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{html.escape(text)}</{kind}>' for text in cells)}</tr>"
