"""What the command line writes: tables for a terminal, files of every format batch by batch."""

from __future__ import annotations

import base64
import datetime
import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from remote_arrow.parquet_writing import write_parquet

FORMATS = ("arrow", "parquet", "csv", "json", "table")
SUFFIXES = {
    ".arrow": "arrow",
    ".feather": "arrow",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_MAX_CELL = 40  # columns of a terminal that a value takes
_MIN_CELL = 6
_KEPT_CELL = 16  # where columns are left out, the others can be read
_GAP = "  "
_MEASURED_ROWS = 1000  # of a long table: they set the widths


def write(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    format_: str,
    file: BinaryIO,
    *,
    is_file: bool,
) -> None:
    """All batches in a format, in bounded memory. Arrow's file format when it `is_file`, else the
    stream format. ValueError for what the format cannot hold.
    """
    if format_ == "csv":
        with pyarrow.csv.CSVWriter(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    elif format_ == "parquet":
        write_parquet(file, schema, batches)
    elif format_ == "arrow":
        with (pa.ipc.new_file if is_file else pa.ipc.new_stream)(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    elif format_ == "json":
        for line in _json_lines(schema, batches):
            file.write(line.encode() + b"\n")
    else:
        rows = (row for batch in batches for row in _text_rows(batch))
        for line in table_lines(schema.names, rows):
            file.write(line.encode() + b"\n")
    file.flush()


def _json_lines(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    """One object a row."""
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("columns of the same name cannot be keys of a JSON object")
    for batch in batches:
        columns = [_with_nanoseconds(column).to_pylist() for column in batch.columns]
        for row in zip(*columns):
            yield to_json(dict(zip(schema.names, row)))


def _with_nanoseconds(column: pa.Array) -> pa.Array:
    """Times that Python's classes would round, as ISO text."""
    if column.type not in (pa.time64("ns"),) and not (
        pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    ):
        return column
    text = pc.replace_substring(column.cast(pa.string()), " ", "T")
    return pc.replace_substring_regex(text, r"([+-]\d\d)(\d\d)$", r"\1:\2")


def to_json(value: Any) -> str:
    """Valid JSON of any value: NaN and infinities are null, bytes base64, dates and times ISO 8601,
    durations seconds, decimals and all else text.
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _text_rows(batch: pa.RecordBatch) -> Iterator[Sequence[str]]:
    return zip(*(map(cell, column.to_pylist()) for column in batch.columns))


def cell(value: object) -> str:
    """A value on one line, without control characters that a terminal would obey."""
    text = "" if value is None else str(value)
    text = "".join(c if c.isprintable() else "\ufffd" for c in text[: _MAX_CELL * 2])
    return clipped(text, _MAX_CELL)


def display_width(text: str) -> int:
    """Columns that a terminal gives the text: two for wide characters, none for marks."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def clipped(text: str, width: int) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if display_width(text) <= width:
        return text
    kept, room = [], width - 1
    for character in text:
        room -= _char_width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows in columns, which on a terminal fit its width: the widest are clipped first, then those
    at the right left out. The first rows set the widths.
    """
    is_terminal = sys.stdout.isatty()
    names = [cell(name) for name in header]
    rest = iter(rows)
    first = list(islice(rest, _MEASURED_ROWS))
    widths = [max(map(display_width, column)) for column in zip(names, *first)]
    if is_terminal:
        widths = _fitted(widths, shutil.get_terminal_size().columns)
    head = _line(names, widths)
    if len(widths) < len(names):
        head += f"{_GAP}… {len(names) - len(widths)} more"
    yield f"\x1b[1m{head}\x1b[0m" if is_terminal and colors() else head
    for row in first:
        yield _line(row, widths)
    for row in rest:
        yield _line(row, widths)


def _fitted(widths: list[int], room: int) -> list[int]:
    """The widths of as many columns as there is room for."""
    for most in range(_MAX_CELL, _MIN_CELL - 1, -1):
        clipped_widths = [min(width, most) for width in widths]
        if sum(clipped_widths) + len(_GAP) * (len(widths) - 1) <= room:
            return clipped_widths
    clipped_widths = [min(width, _KEPT_CELL) for width in widths]
    room -= len(_GAP + "… 99999 more")
    kept: list[int] = []
    for width in clipped_widths:
        room -= width + len(_GAP)
        if room < 0:
            break
        kept.append(width)
    return kept


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """As many cells as there are widths, in columns."""
    texts = [clipped(text, width) for text, width in zip(cells, widths)]
    padded = [text + " " * (w - display_width(text)) for text, w in zip(texts, widths)]
    return _GAP.join(padded).rstrip()


def colors() -> bool:
    """Whether the terminal wants more than plain text."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "dumb")
