"""The peer of the measurements: a pyarrow.flight server that keeps uploaded tables in memory.

    python bench/peer_server.py [SOCKET]

Prints `Server online: grpc+tcp://HOST:PORT` and serves until SIGTERM; on a port of its own, or on a
Unix socket (then HOST:PORT is localhost:0).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight as flight


class PeerServer(flight.FlightServerBase):
    """Tables by path name; tickets are names."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.tables: dict[bytes, pa.Table] = {}

    def _info(self, name: bytes) -> flight.FlightInfo:
        table = self.tables[name]
        endpoint = flight.FlightEndpoint(name, [])
        descriptor = flight.FlightDescriptor.for_path(name)
        return flight.FlightInfo(table.schema, descriptor, [endpoint], table.num_rows, -1)

    def list_flights(
        self, context: flight.ServerCallContext, criteria: bytes
    ) -> Iterator[flight.FlightInfo]:
        return (self._info(name) for name in list(self.tables))

    def get_flight_info(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        return self._info(descriptor.path[0])

    def do_get(
        self, context: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.FlightDataStream:
        return flight.RecordBatchStream(self.tables[ticket.ticket])

    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        self.tables[descriptor.path[0]] = reader.read_all()

    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> list[bytes]:
        if action.type == "delete":
            self.tables.pop(json.loads(action.body.to_pybytes())["name"].encode(), None)
        return [b"{}"]


def main() -> None:
    socket = sys.argv[1] if len(sys.argv) > 1 else None
    server = PeerServer(f"grpc+unix://{socket}" if socket else "grpc://127.0.0.1:0")
    # A shutdown in good order would wait for the clients' connections.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.stdout.write(f"Server online: grpc+tcp://localhost:{0 if socket else server.port}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
