"""A client that waits to be killed in the middle of a call: `killed_client.py WHAT URI NAME`.

Writes "half" when the call is under way and half done, and then goes on for ever. NAME is the
Flight that it uploads, or the big one that it downloads, exports or takes from.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.flight as flight

BATCH_ROWS = 250_000
N_BATCHES = 8


def half_done() -> None:
    """Tells, and waits for the end."""
    sys.stdout.write("half\n")
    sys.stdout.flush()
    time.sleep(3600)


def batch() -> pa.RecordBatch:
    """2 MB."""
    return pa.record_batch({"n": pa.nulls(BATCH_ROWS, pa.int64()).fill_null(7)})


def upload(client: flight.FlightClient, name: str) -> None:
    """Several batches of an upload that never ends."""
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), batch().schema)
    for _ in range(N_BATCHES):
        writer.write_batch(batch())
    half_done()


def one_message(client: flight.FlightClient, name: str) -> None:
    """The first bytes of a message of 64 MB, which the server spools."""
    rows = 8_000_000
    big = pa.record_batch({"n": pa.nulls(rows, pa.int64()).fill_null(7)})
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), big.schema)
    writing = threading.Thread(target=writer.write_batch, args=(big,), daemon=True)
    writing.start()
    half_done()


def download(client: flight.FlightClient, name: str) -> None:
    """The first batch of a download."""
    info = client.get_flight_info(flight.FlightDescriptor.for_path(name))
    reader = client.do_get(info.endpoints[0].ticket)
    reader.read_chunk()
    half_done()


def exchange(client: flight.FlightClient, name: str) -> None:
    """Some of the indices of a take, streamed."""
    command = {"from": {"name": name}, "do": [{"take": {"indices": {"stream": True}}}]}
    descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
    writer, _ = client.do_exchange(descriptor)
    writer.begin(batch().schema)
    for _ in range(N_BATCHES):
        writer.write_batch(batch())
    half_done()


def export(client: flight.FlightClient, name: str) -> None:
    """A file that the server has begun."""
    action = flight.Action("export", json.dumps({"name": name, "file": "killed.parquet"}).encode())
    calling = threading.Thread(target=lambda: list(client.do_action(action)), daemon=True)
    calling.start()
    half_done()


def watch(client: flight.FlightClient, name: str) -> None:
    """Events, of which the first has come."""
    results = client.do_action(flight.Action("watch", json.dumps({"after": 0}).encode()))
    next(iter(results))
    half_done()


WHAT: dict[str, Callable[[flight.FlightClient, str], None]] = {
    "upload": upload,
    "message": one_message,
    "download": download,
    "exchange": exchange,
    "export": export,
    "watch": watch,
}

if __name__ == "__main__":
    WHAT[sys.argv[1]](flight.FlightClient(sys.argv[2]), sys.argv[3])
