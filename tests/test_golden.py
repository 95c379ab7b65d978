"""Golden files come back as pyarrow reads them, or are refused where it calls them invalid."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from remote import Remote, by_name
from serving import REPOSITORY

# Laid beside the project; without them pytest skips these tests.
DATA = REPOSITORY.parent / "shared" / "data" / "arrow-testing" / "data"
GOLDEN = sorted(DATA.glob("arrow-ipc-stream/integration/*/*.stream"))


def fault(table: pa.Table) -> str | None:
    """What pyarrow's full validation says, None when the table is valid."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", [pytest.param(p, id=f"{p.parent.name}/{p.stem}") for p in GOLDEN])
def test_golden_stream_comes_back_or_is_refused(remote: Remote, path: Path) -> None:
    with pa.ipc.open_stream(path.read_bytes()) as reader:
        schema = reader.schema
        batches = list(reader)
    local = pa.Table.from_batches(batches, schema)
    name = f"golden {path.parent.name} {path.stem}"
    refusal = fault(local)
    if refusal is None:
        remote.put(by_name(name), schema, batches)
        back = remote.get(by_name(name))
        assert back.schema.equals(schema, check_metadata=True)
        back.validate(full=True)
        assert back.equals(local, check_metadata=True)
    else:
        column = schema.field(int(refusal.split(":")[0].removeprefix("Column "))).name
        with pytest.raises(pa.ArrowInvalid, match=column):
            remote.put(by_name(name), schema, batches)
        with pytest.raises(pa.ArrowKeyError):
            remote.info(by_name(name))
