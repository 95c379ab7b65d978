"""What docs/files.md says of each type in a file, read from its table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

PAGE = Path(__file__).parent.parent / "docs" / "files.md"
SAME, VALUES, STORAGE = "the same", "the values", "as its storage"
LOSSY, REFUSED = "lossy", "refused"
MAX_DIGITS = 38


@dataclass(frozen=True)
class Fate:
    """What becomes of a column in a file: refused, lossy or kept; and the type that comes back."""

    parquet: str  # "refused", "lossy", "kept"
    csv: str
    back: str  # a type's name, perhaps with * for what stays, or one of the words above


def _words(cell: str) -> tuple[str, str]:
    """The first word of a cell's meaning, and the type it names."""
    named = re.search(r"`(.*)`", cell)
    back = named[1] if named else cell.split(": ")[-1]
    if cell.startswith((LOSSY, REFUSED)):
        return cell.split(":")[0], back
    return "kept", back


def rows() -> list[tuple[list[str], Fate]]:
    """The table's rows in order: patterns of type names, and what becomes of those types."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        parquet, back = _words(cells[1])
        found.append((re.findall(r"`([^`]*)`", cells[0]), Fate(parquet, _words(cells[2])[0], back)))
    return found


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None


def _row_of(kind: pa.DataType) -> Fate:
    name = str(kind)
    for patterns, fate in rows():
        if not any(_matches(pattern, name) for pattern in patterns):
            continue
        if patterns == ["decimal256(*)"] and kind.precision <= MAX_DIGITS:
            continue
        return fate
    raise AssertionError(f"docs/files.md does not speak of {name}")


def children(kind: pa.DataType) -> list[pa.DataType]:
    """The types within a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return [kind.value_type]
    if pa.types.is_map(kind):
        return [kind.key_type, kind.item_type]
    return [kind.field(i).type for i in range(kind.num_fields)]


def _worst(words: list[str]) -> str:
    return next(word for word in (REFUSED, LOSSY, "kept") if word in words)


def fate_of(kind: pa.DataType) -> Fate:
    """What the page says of a type, those within it included."""
    own = _row_of(kind)
    within = [fate_of(child) for child in children(kind)]
    return Fate(
        _worst([own.parquet, *(fate.parquet for fate in within)]),
        _worst([own.csv, *(fate.csv for fate in within)]),
        own.back,
    )


def comes_back_as(kind: pa.DataType, back: pa.DataType, decoded: bool = False) -> bool:
    """Whether the page allows `back` as what a reader sees of a column of type `kind`.

    `decoded`: within what has become its values, where no dictionary is left.
    """
    said = _row_of(kind).back
    if said == VALUES or (decoded and pa.types.is_dictionary(kind)):
        return comes_back_as(kind.value_type, back, decoded=True)
    if said == STORAGE:
        return kind == back or comes_back_as(kind.storage_type, back, decoded)
    if said != SAME:
        return _matches(said, str(back)) and getattr(kind, "tz", None) == getattr(back, "tz", None)
    within, seen = children(kind), children(back)
    if isinstance(kind, pa.BaseExtensionType) or not within:
        return kind == back
    return (
        kind.id == back.id
        and len(within) == len(seen)
        and all(comes_back_as(child, other, decoded) for child, other in zip(within, seen))
    )


def unique_keys(table: pa.Table) -> pa.Table:
    """The table with maps in which no key comes twice: Parquet's writer refuses those."""
    columns = []
    for column in table.columns:
        if pa.types.is_map(column.type):
            rows = [row and list(dict(row).items()) for row in column.to_pylist()]
            column = pa.chunked_array([pa.array(rows, column.type)])
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=table.schema)
