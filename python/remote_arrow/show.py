"""How a handle shows itself: never raises, and takes half a second at most."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from remote_arrow.table import RemoteTable

_TIMEOUT_S = 0.5
_N_ROWS = 10
_MAX_COLUMNS = 20
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # a terminal would obey them
_MAX_CHARACTERS = 80  # of a value or a type


def text_of(table: RemoteTable) -> str:
    """Name, id, shape, and the first rows as pyarrow shows them."""
    shown = _shown(table, _text, lambda title, problem: f"<RemoteTable {title}>\n{problem}")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", shown)


def html_of(table: RemoteTable) -> str:
    """The same as a table of HTML; everything from the data is escaped."""

    def failed(title: str, problem: str) -> str:
        head = f"<div><b>RemoteTable</b> {html.escape(title)}"
        return f"{head}\n<pre>{html.escape(problem)}</pre></div>"

    return _shown(table, _html, failed)


def _shown(
    table: RemoteTable,
    show: Callable[[RemoteTable, str, pa.Table], str],
    failed: Callable[[str, str], str],
) -> str:
    title = "?"
    try:
        hurried = _hurried(table)
        title = _title(hurried)
        columns = range(min(hurried.num_columns, _MAX_COLUMNS))
        return show(hurried, title, hurried._download(columns, limit=_N_ROWS).table())
    except Exception as error:  # whoever looks at a handle is no judge of it
        return failed(title, f"{type(error).__name__}: {error}"[:1000])


def _text(table: RemoteTable, title: str, rows: pa.Table) -> str:
    body = rows.to_string(preview_cols=_MAX_COLUMNS).partition("\n")[2]
    left = table.num_columns - rows.num_columns
    more = f"\n… {left} more columns" if left > 0 else ""
    return f"<RemoteTable {title}>\n{body}{more}"


def _html(table: RemoteTable, title: str, rows: pa.Table) -> str:
    heads = (f"<th>{_cell(f.name)}<br><small>{_cell(f.type)}</small></th>" for f in rows.schema)
    lines = [
        f"<div><b>RemoteTable</b> {html.escape(title)}",
        f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>",
    ]
    for i in range(rows.num_rows):
        cells = (f"<td>{_cell(_value(column[i]))}</td>" for column in rows.columns)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    left = (table.num_rows - rows.num_rows, table.num_columns - rows.num_columns)
    lines += [f"… {n:,} more {what}" for n, what in zip(left, ("rows", "columns")) if n > 0]
    return "\n".join([*lines, "</div>"])


def _hurried(table: RemoteTable) -> RemoteTable:
    """The same handle, whose calls end by the deadline."""
    hurried = object.__new__(type(table))
    hurried.__dict__.update(table.__dict__)
    deadline = time.monotonic() + _TIMEOUT_S
    hurried._calls = table._calls.hurried(_TIMEOUT_S)
    hurried.num_rows  # noqa: B018 - of an unpickled handle this is a call
    hurried._calls = table._calls.hurried(max(deadline - time.monotonic(), 0.001))
    return hurried


def _title(table: RemoteTable) -> str:
    names = "" if table.name is None else f" {table.name!r}"
    rows, columns = table.shape
    return f"#{table.id}{names} @{table.version}: {rows:,} rows, {columns:,} columns"


def _value(scalar: pa.Scalar) -> Any:
    try:
        value = scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):  # beyond what Python's type holds
        return getattr(scalar, "value", scalar.type)
    return "" if value is None else value


def _cell(value: Any) -> str:
    text = str(value)
    if len(text) > _MAX_CHARACTERS:
        text = text[:_MAX_CHARACTERS] + "…"
    return html.escape(text)
