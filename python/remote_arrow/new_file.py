"""Files that are there whole or stay as they were."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_unfinished: set[Path] = set()


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write; it gets its name at the end of the block, or is removed if that fails.

    Devices and pipes are written directly.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(target.parent)!r} for {target.name!r}")
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex}.part")
    _unfinished.add(part)
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        _unfinished.discard(part)


def remove_unfinished() -> None:
    """Removes what was begun; for whoever ends the process without an end of the blocks."""
    for part in list(_unfinished):
        part.unlink(missing_ok=True)
