"""RemoteTable: a handle on one version of a Flight."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.flight as flight

from remote_arrow.calls import Calls

_MAX_BREAKS = 5  # of a download that brings no batch in between
MAX_JSON_ITEMS = 10_000  # a command may have 1 MiB of text


class RemoteTable:
    """A version of a Flight; never changes. Methods that give a table run on the server, and each
    result is one more Flight. Reading (`to_table`, `head` …) downloads and publishes nothing.
    """

    def __init__(self, calls: Calls, info: flight.FlightInfo) -> None:
        self._calls = calls
        self.schema: pa.Schema = info.schema
        self.num_rows: int = info.total_records
        self.total_bytes: int = info.total_bytes
        self.about: dict[str, Any] = json.loads(info.app_metadata)
        self.id: int = self.about["id"]
        self.version: int = self.about["version"]
        self.kind: str = self.about["kind"]

    @property
    def name(self) -> str | None:
        """Name of the Flight when the handle was made; None: it has none."""
        return next(iter(self.about["names"]), None)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.num_rows, self.num_columns

    @property
    def num_columns(self) -> int:
        """Number of columns."""
        return len(self.schema)

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return self.schema.names

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        line = f"<RemoteTable #{self.id}{name} @{self.version}: {self.num_rows} rows>"
        return f"{line}\n{self.schema}"

    def take(self, indices: Any) -> RemoteTable:
        """The rows at the given positions; None gives a row of nulls."""
        return self._run("take", indices=array_argument(indices))

    def filter(self, mask: Any, null_selection_behavior: str = "drop") -> RemoteTable:
        """The rows at which the mask, one boolean a row, is true."""
        behavior = null_selection_behavior
        return self._run("filter", mask=array_argument(mask), null_selection_behavior=behavior)

    def slice(self, offset: int = 0, length: int | None = None) -> RemoteTable:
        """At most `length` rows from `offset` on; None: all that follow."""
        return self._run("slice", offset=offset, length=length)

    def select(self, columns: Iterable[str | int]) -> RemoteTable:
        """Columns by name or position, in the given order."""
        return self._run("select", columns=list(columns))

    def drop_null(self) -> RemoteTable:
        """The rows without a null in any column."""
        return self._run("drop_null")

    def sort_by(self, sorting: str | Sequence[tuple[str, ...]]) -> RemoteTable:
        """The rows in stable order of a column, or of (column, order[, null placement]) keys."""
        return self._run("sort_by", sorting=sorting)

    def drop_columns(self, columns: str | Iterable[str]) -> RemoteTable:
        """All columns but the given ones."""
        listed = columns if isinstance(columns, str) else list(columns)
        return self._run("drop_columns", columns=listed)

    def drop(self, columns: str | Iterable[str]) -> RemoteTable:
        """The same as drop_columns."""
        return self.drop_columns(columns)

    def remove_column(self, i: int) -> RemoteTable:
        """All columns but the one at position `i`."""
        return self._run("remove_column", i=i)

    def rename_columns(self, names: Sequence[str] | Mapping[str, str]) -> RemoteTable:
        """The same rows under new names: one for each column, or some by their old name."""
        return self._run("rename_columns", names=names)

    def replace_schema_metadata(self, metadata: Mapping[str, str] | None = None) -> RemoteTable:
        """The same rows under other schema metadata; None removes it."""
        return self._run("replace_schema_metadata", metadata=metadata)

    def flatten(self, memory_pool: None = None) -> RemoteTable:
        """Struct columns replaced by their children, one level."""
        return self._run("flatten")

    def combine_chunks(self, memory_pool: None = None) -> RemoteTable:
        """The same rows, each column in one chunk after download."""
        return self._run("combine_chunks")

    def unify_dictionaries(self, memory_pool: None = None) -> RemoteTable:
        """The same rows with one dictionary for each dictionary column."""
        return self._run("unify_dictionaries")

    def equals(self, other: RemoteTable, check_metadata: bool = False) -> bool:
        """Whether both tables have the same content; compared on the server."""
        if not isinstance(other, RemoteTable):
            raise TypeError(f"expected a RemoteTable, not {type(other).__name__}")
        body = {"left": self._from, "right": other._from, "check_metadata": check_metadata}
        return self._calls.action("equals", body)[0]["equal"]

    def publish_as(
        self,
        name: str,
        *,
        if_exists: Literal["error", "replace", "append"] = "error",
        if_version: int | None = None,
    ) -> RemoteTable:
        """Gives this content a name, or makes it the next version of that name.

        Raises FlightExists when the name is taken, Conflict when `if_version` is stale.
        """
        command: dict[str, Any] = {"from": self._from, "do": [], "as": name, "if_exists": if_exists}
        if if_version is not None:
            command["if_version"] = if_version
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
        # Not tried again: the first attempt may have been done.
        with self._calls.translated():
            info = self._calls.client.get_flight_info(descriptor, self._calls.options())
        return RemoteTable(self._calls, info)

    def latest(self) -> RemoteTable:
        """The newest version of this Flight."""
        return RemoteTable(self._calls, self._calls.info(_by_id(self.id)))

    def versions(self) -> list[dict[str, Any]]:
        """All versions: number, state, rows, bytes, time."""
        return self._calls.action("versions", {"id": self.id})[0]["versions"]

    def keep(self) -> None:
        """Makes a result durable."""
        self._calls.action("keep", {"id": self.id})

    def unkeep(self) -> None:
        """Makes a kept result a result again."""
        self._calls.action("unkeep", {"id": self.id})

    def rename(self, to: str, *, if_exists: Literal["error", "replace"] = "error") -> None:
        """Gives the Flight another name. FlightExists."""
        body = {"id": self.id, "to": to, "if_exists": if_exists}
        self.about = self._calls.action("rename", body)[0]

    def delete(self) -> dict[str, Any]:
        """Ends the Flight; `bytes_freed` now and `bytes_later`."""
        return self._calls.action("delete", {"id": self.id})[0]

    def export(
        self,
        file: str,
        *,
        format: Literal["parquet", "csv", "arrow"] | None = None,
        lossy: bool = False,
    ) -> dict[str, Any]:
        """Writes this version to a file in the server's data directory."""
        body: dict[str, Any] = {"id": self.id, "version": self.version, "file": file}
        body |= {"format": format} if format else {}
        body |= {"lossy": True} if lossy else {}
        return self._calls.action("export", body)[0]

    def save(self, name: str) -> str:
        """Names the Flight, makes it durable, and exports its newest version as NAME.parquet (or
        to NAME itself if that ends so, or with .csv). What the server answers.
        """
        return self._calls.action_text("save", f"{self.id} {name}")

    def to_table(
        self,
        columns: Sequence[str | int] | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        indices: Any = None,
    ) -> pa.Table:
        """Downloads the rows, or some of them; publishes nothing."""

        def download() -> pa.Table:
            ticket = self._ticket(columns, offset, limit, indices)
            return self._calls.client.do_get(ticket, self._calls.options(bounded=False)).read_all()

        table = self._calls.read(download)
        return table.combine_chunks() if self.about.get("combined") else table

    def head(self, n: int = 10) -> pa.Table:
        """The first `n` rows."""
        return self.to_table(limit=n)

    def to_pandas(self, **options: Any) -> Any:
        """Downloads as a pandas DataFrame; `options` as of pyarrow.Table.to_pandas."""
        return self.to_table().to_pandas(**options)

    def iter_batches(
        self, columns: Sequence[str | int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The batches as they come from the server; a broken download goes on at its row."""
        n_seen, n_breaks, reader = 0, 0, None
        while True:
            if reader is None:
                ticket = self._ticket(columns, n_seen, None, None)
                options = self._calls.options(bounded=False)
                reader = self._calls.read(lambda t=ticket: self._calls.client.do_get(t, options))
            try:
                with self._calls.translated():
                    batch = reader.read_chunk().data
            except StopIteration:
                return
            except flight.FlightUnavailableError:
                n_breaks += 1
                if n_breaks == _MAX_BREAKS:
                    raise
                reader = None
                continue
            n_breaks = 0
            n_seen += batch.num_rows
            yield batch

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_table().__arrow_c_stream__(requested_schema)

    @property
    def _from(self) -> dict[str, Any]:
        return {"id": self.id, "uid": self.about["uid"], "version": self.version}

    def _run(self, method: str, **arguments: Any) -> RemoteTable:
        command = {"from": self._from, "do": [{method: arguments}]}
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
        return RemoteTable(self._calls, self._calls.info(descriptor))

    def _ticket(
        self, columns: Sequence[str | int] | None, offset: int, limit: int | None, indices: Any
    ) -> flight.Ticket:
        steps: list[dict[str, Any]] = []
        if columns is not None:
            steps.append({"select": {"columns": list(columns)}})
        if indices is not None:
            steps.append({"take": {"indices": array_argument(indices)}})
        if offset or limit is not None:
            steps.append({"slice": {"offset": offset, "length": limit}})
        return flight.Ticket(json.dumps({"from": self._from, "do": steps, "publish": False}))


def _by_id(flight_id: int) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(f"#{flight_id}")


def array_argument(values: Any) -> Any:
    """An array argument: a short list as it is, all else as Arrow data."""
    if isinstance(values, list | tuple) and len(values) <= MAX_JSON_ITEMS:
        return list(values)
    column = values if isinstance(values, pa.ChunkedArray) else pa.array(values)
    stream = pa.BufferOutputStream()
    table = pa.table({"": column})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {"arrow": base64.b64encode(stream.getvalue()).decode()}
