"""Arrow files of every type for the JSON integration client, and the check of what it uploaded.

    python arrow_files.py write FOLDER        writes FOLDER/*.arrow
    python arrow_files.py check URI FOLDER    compares each with the Flight named like its .json

The integration client does not look at what it downloads, so `check` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import zoo  # noqa: E402 - found through the line above


def write_file(path: Path, table: pa.Table) -> None:
    """One Arrow file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write(folder: Path) -> int:
    """One file for each table of the zoo; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    zoo.SPECIAL_FLOATS = [0.0, -0.0, 1.5]  # Go's JSON has no infinity
    n_files = 0
    for number, (name, make) in enumerate(zoo.all_tables().items()):
        path = folder / f"{number:03}.arrow"
        table = make().replace_schema_metadata({"table": name})
        try:
            write_file(path, table)
        except pa.ArrowInvalid:  # dictionaries may not be replaced in the file format
            write_file(path, pa.Table.from_batches(table.to_batches()[:1]))
        n_files += 1
    return n_files


def is_same(client: flight.FlightClient, path: Path) -> str | None:
    """What differs between a file and the Flight made of its JSON; None: nothing."""
    with pa.ipc.open_file(path) as reader:
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        schema = reader.schema
    descriptor = flight.FlightDescriptor.for_path(str(path.with_suffix(".json")))
    info = client.get_flight_info(descriptor)
    chunks = list(client.do_get(info.endpoints[0].ticket))
    notes = [b"" if c.app_metadata is None else c.app_metadata.to_pybytes() for c in chunks]
    if notes != [str(i).encode() for i in range(len(batches))]:
        return f"app_metadata {notes}"
    got = pa.Table.from_batches([chunk.data for chunk in chunks], info.schema)
    if not got.schema.equals(schema):
        return f"schema {got.schema}"
    local = pa.Table.from_batches(batches, schema)
    # JSON goes through Go, which may build other dictionaries of the same values.
    if not got.equals(local) and repr(got.to_pylist()) != repr(local.to_pylist()):
        return "values"
    return None


def check(uri: str, folder: Path) -> int:
    """Compares every file that has a .json beside it; how many there are. Exits at a difference."""
    n_checked = 0
    with flight.FlightClient(uri) as client:
        for path in sorted(folder.glob("*.arrow")):
            if not path.with_suffix(".json").exists():
                continue
            difference = is_same(client, path)
            if difference is not None:
                sys.exit(f"{path.name} came back with other {difference}")
            n_checked += 1
    return n_checked


def main() -> None:
    match sys.argv[1:]:
        case ["write", folder]:
            sys.stdout.write(f"{write(Path(folder))} Arrow files written\n")
        case ["check", uri, folder]:
            sys.stdout.write(f"{check(uri, Path(folder))} tables came back equal\n")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
