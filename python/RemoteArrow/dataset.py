"""RemoteDataset: one client's view of the Flights of a server, each result a table at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet

from remote_arrow.arguments import MAX_JSON_ITEMS, array_argument
from remote_arrow.closing import Closing
from remote_arrow.connection import Connection
from remote_arrow.table import RemoteTable
from remote_arrow.upload import IfExists, upload

if TYPE_CHECKING:
    import pandas

    Source = str | os.PathLike[str] | pa.Table | pandas.DataFrame

SortKey = tuple[str, str] | tuple[str, str, str]


@dataclass(frozen=True)
class FlightSummary:
    """What the server tells of a Flight.

    `name` is what it is listed as: its name, `#id` when it has none, or the command that made it.
    `rows` and `bytes` are its size on the server. A deleted Flight is listed as DELETED with an
    empty schema, so that positions stay ids.
    """

    id: int
    name: str
    kind: str
    rows: int
    bytes: int
    schema: pa.Schema

    @classmethod
    def of(cls, info: flight.FlightInfo) -> FlightSummary:
        """The summary of a FlightInfo of this server."""
        about = json.loads(info.app_metadata)
        descriptor = info.descriptor
        is_path = descriptor.descriptor_type == flight.DescriptorType.PATH
        name = descriptor.path[0] if is_path else descriptor.command
        return cls(
            id=about["id"],
            name=name.decode(),
            kind=about.get("kind", "deleted"),
            rows=info.total_records,
            bytes=info.total_bytes,
            schema=info.schema,
        )


def _table_of(source: Source) -> tuple[Any, str | None]:
    """What to upload of a source, and under which name (None: unnamed). The types of a CSV file
    come from all of its rows; a folder of Parquet files is one table.
    """
    if not isinstance(source, str | os.PathLike):
        return source, None
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return pyarrow.csv.read_csv(path), path.name
    if suffix in (".parquet", ".pq"):
        return pyarrow.parquet.read_table(path) if path.is_dir() else path, path.name
    raise ValueError(f"cannot read {str(path)!r}: neither .csv nor .parquet")


def _literal(value: object) -> object:
    """An argument as a Python literal, which is how a legacy command carries it."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.to_pylist()
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return value.tolist()
    if isinstance(value, Mapping):
        return {_literal(key): _literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_literal(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, Iterable):
        return [_literal(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be an argument of a remote method")


class RemoteDataset(Closing):
    """A client of a server, connected to one of its Flights or to none.

    `source` is a CSV or Parquet file, a pandas DataFrame or a pyarrow Table: it is uploaded, and
    the dataset is connected to the new Flight. A file is uploaded under its name; when the server
    has a Flight of that name, `if_exists` says what happens: "reuse" takes it if the content is
    the same and raises otherwise. Without a source call `connect`.

    The methods of pyarrow.Table run on the server. Each result becomes a Flight for all clients
    and is returned as a pyarrow.Table. Errors are those that pyarrow raises locally; a server that
    cannot be reached raises pyarrow.flight.FlightUnavailableError.
    """

    def __init__(
        self,
        source: Source | None = None,
        hostname: str = "localhost:5005",
        *,
        if_exists: IfExists = "reuse",
    ) -> None:
        uri = hostname if "://" in hostname else f"grpc://{hostname}"
        self._connection = Connection(uri, None, None)
        self._calls = self._connection._calls
        self._id: int | None = None
        if source is not None:
            table, name = _table_of(source)
            self._id = upload(self._calls, table, name, if_exists)["id"]

    def __repr__(self) -> str:
        state = "not connected" if self._id is None else f"Flight {self._id}"
        return f"<RemoteDataset {state}>"

    def close(self) -> None:
        """Closes the connection; Flights stay on the server."""
        self._connection.close()

    @property
    def id(self) -> int:
        """Id of the Flight that this dataset is connected to; ValueError when it is to none."""
        if self._id is None:
            raise ValueError("not connected to a Flight: call connect(id) first")
        return self._id

    def connect(self, flight_id: int) -> RemoteDataset:
        """Connects to a Flight by its id. KeyError when there is none."""
        self._id = self.inspect(flight_id).id
        return self

    def list_flights(self) -> list[FlightSummary]:
        """All Flights of the server; the position in the list is the id."""
        calls = self._calls
        infos = calls.read(lambda: list(calls.client.list_flights(b"", calls.options())))
        return [FlightSummary.of(info) for info in infos]

    def inspect(self, flight_id: int) -> FlightSummary:
        """What the server knows of a Flight. KeyError when there is none."""
        return FlightSummary.of(self._calls.info(self._descriptor(flight_id)))

    def fetch(self) -> pa.Table:
        """Downloads the Flight that this dataset is connected to, its newest version."""
        return self._download(self._descriptor(self.id))

    def action(self, name: str, body: str | bytes | Mapping[str, Any] = "") -> list[str]:
        """Runs an action of the server; a mapping is sent as JSON. The texts of its results."""
        if isinstance(body, Mapping):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        calls = self._calls
        with calls.translated():
            results = list(calls.client.do_action(flight.Action(name, data), calls.options()))
        return [result.body.to_pybytes().decode() for result in results]

    def list_actions(self) -> dict[str, str]:
        """Names of the server's actions, each with its description."""
        calls = self._calls
        actions = calls.read(lambda: list(calls.client.list_actions(calls.options())))
        return {action.type: action.description for action in actions}

    def take(self, indices: Sequence[int | None] | pa.Array | pa.ChunkedArray) -> pa.Table:
        """The rows at the given positions, in that order; None gives a row of nulls."""
        return self._call_with_array("take", "indices", indices)

    def slice(self, offset: int = 0, length: int | None = None) -> pa.Table:
        """At most `length` rows from `offset` on; None: all that follow."""
        return self._call("slice", offset, length)

    def select(self, columns: Iterable[str | int]) -> pa.Table:
        """Columns by name or position, in the given order."""
        return self._call("select", list(columns))

    def filter(
        self,
        mask: Sequence[bool | None] | pa.Array | pa.ChunkedArray,
        null_selection_behavior: Literal["drop", "emit_null"] = "drop",
    ) -> pa.Table:
        """The rows at which the mask, one value a row, is true."""
        return self._call_with_array(
            "filter", "mask", mask, null_selection_behavior=null_selection_behavior
        )

    def drop_null(self) -> pa.Table:
        """The rows without a null in any column."""
        return self._call("drop_null")

    def sort_by(self, sorting: str | Sequence[SortKey]) -> pa.Table:
        """The rows in stable order of a column, or of (column, order[, null placement]) keys."""
        return self._call("sort_by", sorting)

    def drop(self, columns: str | Iterable[str]) -> pa.Table:
        """The same as drop_columns."""
        return self._call("drop", columns)

    def drop_columns(self, columns: str | Iterable[str]) -> pa.Table:
        """All columns but the given ones."""
        return self._call("drop_columns", columns)

    def remove_column(self, i: int) -> pa.Table:
        """All columns but the one at position `i`."""
        return self._call("remove_column", i)

    def rename_columns(self, names: Sequence[str] | Mapping[str, str]) -> pa.Table:
        """The same rows under new names: one for each column, or some by their old name."""
        return self._call("rename_columns", names)

    def replace_schema_metadata(self, metadata: Mapping[str, str] | None = None) -> pa.Table:
        """The same rows under other schema metadata; None removes it."""
        return self._call("replace_schema_metadata", metadata)

    def flatten(self) -> pa.Table:
        """Struct columns replaced by their children, one level."""
        return self._call("flatten")

    def combine_chunks(self) -> pa.Table:
        """The same rows, each column in one chunk."""
        return self._call("combine_chunks")

    def unify_dictionaries(self) -> pa.Table:
        """The same rows with one dictionary for each dictionary column."""
        return self._call("unify_dictionaries")

    @staticmethod
    def _descriptor(flight_id: int) -> flight.FlightDescriptor:
        return flight.FlightDescriptor.for_path(f"#{flight_id}")

    def _call_with_array(self, method: str, key: str, array: object, **others: object) -> pa.Table:
        """Runs a method with an array argument, a long one sent as Arrow data instead of text."""
        if not hasattr(array, "__len__") or len(array) <= MAX_JSON_ITEMS:
            return self._call(method, array, *others.values())
        step = {method: {key: array_argument(array), **others}}
        command = json.dumps({"from": {"id": self.id}, "do": [step]})
        return self._download(flight.FlightDescriptor.for_command(command))

    def _call(self, method: str, *arguments: object) -> pa.Table:
        literals = {i: _literal(argument) for i, argument in enumerate(arguments)}
        command = f"{self.id}${method}${literals!r}${{}}"
        return self._download(flight.FlightDescriptor.for_command(command))

    def _download(self, descriptor: flight.FlightDescriptor) -> pa.Table:
        return RemoteTable(self._calls, self._calls.info(descriptor)).to_table()
