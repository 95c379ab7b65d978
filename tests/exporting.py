"""Asking a server to export a table, and what it leaves in its directory."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight

from serving import Server

OPTIONS = flight.FlightCallOptions(timeout=60)


def export(server: Server, table: pa.Table, **request: object) -> dict[str, object]:
    """Uploads the table as "t" and exports it; the answer."""
    with server.client() as client:
        writer, _ = client.do_put(
            flight.FlightDescriptor.for_command(
                json.dumps({"put": {"name": "t", "if_exists": "replace"}})
            ),
            table.schema,
            OPTIONS,
        )
        with writer:
            writer.write_table(table, max_chunksize=15_000)
        body = json.dumps({"name": "t"} | request).encode()
        (answer,) = client.do_action(flight.Action("export", body), OPTIONS)
        return json.loads(answer.body.to_pybytes())


def files_of(server: Server) -> list[Path]:
    """Files at the top of the data directory and temporary ones."""
    inside = server.data_dir / ".remote-arrow" / "tmp"
    return [p for p in server.data_dir.iterdir() if p.is_file()] + list(inside.iterdir())
