"""RemoteTable: a handle on one version of a Flight."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

from remote_arrow.arguments import (
    columns_argument,
    indices_argument,
    mask_argument,
    metadata_argument,
    name_argument,
    names_argument,
    slice_arguments,
    sorting_arguments,
    streamed,
)
from remote_arrow.base import Step, is_long
from remote_arrow.calls import Calls, calls_of
from remote_arrow.errors import FlightNotFound, not_found
from remote_arrow.local import LocalAttributes
from remote_arrow.not_yet import later, not_yet
from remote_arrow.progress import Watcher
from remote_arrow.reading import Reading
from remote_arrow.show import html_of, text_of
from remote_arrow.sources import SourceOptions
from remote_arrow.upload import IfExists, upload

if TYPE_CHECKING:
    from remote_arrow.pipeline import Pipeline


class _Constructor:
    """A constructor of pyarrow.Table whose table is uploaded: over the connection of the handle
    that it is called on; on the class, over one to REMOTE_ARROW_URL.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handle: RemoteTable | None, owner: type) -> Callable[..., RemoteTable]:
        local = getattr(pa.Table, self._name)

        @functools.wraps(local)
        def upload(*args: Any, **kwargs: Any) -> RemoteTable:
            calls = _default_calls() if handle is None else handle._calls
            return uploaded(calls, local(*args, **kwargs), None)

        return upload


class RemoteTable(Reading, LocalAttributes):
    """A version of a Flight, used as a pyarrow.Table; never changes.

    Methods that give a table run on the server, and each result is one more Flight. Reading
    (`to_table`, `head` …) downloads and publishes nothing. Pickles to its address, without a token;
    where it is unpickled it uses an open connection to that server, or a new one with the token in
    REMOTE_ARROW_TOKEN.

    >>> ds.sort_by([("fare", "descending")]).slice(0, 1).to_pylist()
    [{'fare': 52.0, 'zone': 'A'}]
    """

    add_column = later("add_column")
    append_column = later("append_column")
    set_column = later("set_column")
    cast = later("cast")
    group_by = later("group_by")
    join = later("join")
    join_asof = later("join_asof")

    from_arrays = _Constructor()
    from_batches = _Constructor()
    from_pandas = _Constructor()
    from_pydict = _Constructor()
    from_pylist = _Constructor()
    from_struct_array = _Constructor()

    def __init__(self, calls: Calls, info: flight.FlightInfo) -> None:
        self._calls = calls
        self._info = info

    @functools.cached_property
    def _info(self) -> flight.FlightInfo:
        """Of an unpickled handle: asked for at first use."""
        return self._info_of(self._from["version"])

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """The Flight's JSON (docs/actions.md) when the handle was made."""
        about: dict[str, Any] = json.loads(self._info.app_metadata)
        return about

    @functools.cached_property
    def _from(self) -> dict[str, Any]:
        return {key: self.about[key] for key in ("id", "uid", "version")}

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The schema."""
        return self._info.schema

    @functools.cached_property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self._info.total_records)

    @functools.cached_property
    def total_bytes(self) -> int:
        """Bytes of all columns as the server stores them."""
        return int(self._info.total_bytes)

    @property
    def id(self) -> int:
        """The Flight's number."""
        return int(self._from["id"])

    @property
    def version(self) -> int:
        """The version, from 1."""
        return int(self._from["version"])

    @property
    def kind(self) -> str:
        """dataset (uploaded or kept) or result."""
        return str(self.about["kind"])

    @property
    def name(self) -> str | None:
        """Name of the Flight when the handle was made; None: it has none."""
        return next(iter(self.about["names"]), None)

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._calls.url, self._from)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteTable | pa.Table):
            return NotImplemented
        return self.equals(other)

    def __hash__(self) -> int:
        # Tables of equal content have equal hashes, whatever Flights they are.
        return hash((self.num_rows, *self.column_names))

    def take(self, indices: Any) -> RemoteTable:
        """The rows at the given positions; None gives a row of nulls.

        >>> ds.take([1, 0]).to_pydict()
        {'fare': [3.0, 7.5], 'zone': ['B', 'A']}
        """
        return self._run("take", {"indices": indices_argument(indices)})

    def filter(self, mask: Any, null_selection_behavior: str = "drop") -> RemoteTable:
        """The rows at which the mask, one boolean a row, is true.

        >>> ds.filter([True, False, None]).num_rows
        1
        """
        if isinstance(mask, pc.Expression):
            raise not_yet("filter with an Expression")
        arguments = {
            "mask": mask_argument(mask),
            "null_selection_behavior": null_selection_behavior,
        }
        return self._run("filter", arguments)

    def slice(self, offset: int = 0, length: int | None = None) -> RemoteTable:
        """At most `length` rows from `offset` on; None: all that follow.

        >>> ds.slice(1, 1).to_pylist()
        [{'fare': 3.0, 'zone': 'B'}]
        """
        return self._run("slice", slice_arguments(offset, length))

    def select(self, columns: Iterable[str | int]) -> RemoteTable:
        """Columns by name or position, in the given order.

        >>> ds.select(["zone", 0]).column_names
        ['zone', 'fare']
        """
        return self._run("select", {"columns": columns_argument(columns)})

    def drop_null(self) -> RemoteTable:
        """The rows without a null in any column."""
        return self._run("drop_null", {})

    def sort_by(self, sorting: Any, **kwargs: Any) -> RemoteTable:
        """The rows in stable order of a column, or of (column, order[, null placement]) keys.

        >>> ds.sort_by([("zone", "ascending"), ("fare", "descending")]).to_pydict()
        {'fare': [52.0, 7.5, 3.0], 'zone': ['A', 'A', 'B']}
        """
        return self._run("sort_by", sorting_arguments(sorting, **kwargs))

    def drop_columns(self, columns: str | Iterable[str]) -> RemoteTable:
        """All columns but the given ones."""
        if not isinstance(columns, str):
            return self._run("drop_columns", {"columns": [name_argument(c) for c in columns]})
        return self._run("drop_columns", {"columns": columns})

    def drop(self, columns: str | Iterable[str]) -> RemoteTable:
        """The same as drop_columns."""
        return self.drop_columns(columns)

    def remove_column(self, i: int) -> RemoteTable:
        """All columns but the one at position `i`."""
        return self._run("remove_column", {"i": math.trunc(i)})

    def rename_columns(self, names: Iterable[str] | Mapping[str, str]) -> RemoteTable:
        """The same rows under new names: one for each column, or some by their old name.

        >>> ds.rename_columns({"fare": "price"}).column_names
        ['price', 'zone']
        """
        return self._run("rename_columns", {"names": names_argument(names)})

    def replace_schema_metadata(self, metadata: Mapping[str, str] | None = None) -> RemoteTable:
        """The same rows under other schema metadata; None removes it."""
        return self._run("replace_schema_metadata", {"metadata": metadata_argument(metadata)})

    def flatten(self, memory_pool: None = None) -> RemoteTable:
        """Struct columns replaced by their children, one level."""
        return self._run("flatten", {})

    def combine_chunks(self, memory_pool: None = None) -> RemoteTable:
        """The same rows, each column in one chunk after download."""
        return self._run("combine_chunks", {})

    def unify_dictionaries(self, memory_pool: None = None) -> RemoteTable:
        """The same rows with one dictionary for each dictionary column."""
        return self._run("unify_dictionaries", {})

    def equals(self, other: RemoteTable | pa.Table | None, check_metadata: bool = False) -> bool:
        """Whether both tables have the same content; two handles are compared on the server."""
        if other is None:
            return False
        if not isinstance(other, RemoteTable | pa.Table):
            raise TypeError(f"expected a table, not {type(other).__name__}")
        if self.num_rows != other.num_rows:
            return False
        if not self.schema.equals(other.schema, check_metadata=check_metadata):
            return False
        if isinstance(other, RemoteTable) and other._calls.url == self._calls.url:
            body = {
                "left": json.loads(self._command([])),
                "right": json.loads(other._command([])),
                "check_metadata": check_metadata,
            }
            return bool(self._calls.action("equals", body)[0]["equal"])
        local = other.to_table() if isinstance(other, RemoteTable) else other
        n_seen = 0
        for batch in self._download().batches():
            if not pa.Table.from_batches([batch]).equals(local.slice(n_seen, batch.num_rows)):
                return False
            n_seen += batch.num_rows
        return True

    def pipeline(self, *, publish: bool = True) -> Pipeline:
        """A block in which methods only plan; at its end a chain is run as one, and its last
        table is one Flight. With `publish=False` it is run when it is read, and is no Flight.

        >>> with ds.pipeline() as p:
        ...     top = p.sort_by([("fare", "descending")]).select(["fare"]).slice(0, 1)
        >>> top.to_pylist()
        [{'fare': 52.0}]
        """
        from remote_arrow.pipeline import Pipeline

        return Pipeline(self, publish)

    def publish_as(
        self,
        name: str,
        *,
        if_exists: Literal["error", "replace", "append"] = "error",
        if_version: int | None = None,
    ) -> RemoteTable:
        """Gives this content a name, or makes it the next version of that name.

        Raises FlightExists when the name is taken, Conflict when `if_version` is stale.

        >>> ds.slice(0, 2).publish_as("rides", if_exists="replace", if_version=ds.version).version
        2
        """
        given = {} if if_version is None else {"if_version": if_version}
        command = self._command([], **{"as": name, "if_exists": if_exists}, **given)
        # Not tried again: the first attempt may have been done.
        if is_long(self._steps, self.total_bytes):
            return self._handle(self._calls.run_once(command, None))
        descriptor = flight.FlightDescriptor.for_command(command)
        with self._calls.translated():
            info = self._calls.client.get_flight_info(descriptor, self._calls.options())
        return RemoteTable(self._calls, info)

    def append(
        self, more: Any, *, if_version: int | None = None, **options: Unpack[SourceOptions]
    ) -> RemoteTable:
        """Adds rows to the named Flight; the handle of its new version, this one stays as it is.

        `more`: a handle of the same server, or what `Connection.upload` takes, with its options:
        `schema=ds.schema` converts. Conflict when `if_version` is not the newest version;
        ValueError when the Flight has no name.

        >>> longer = ds.append(ds.slice(0, 1))
        >>> longer.num_rows, longer.version, ds.num_rows
        (4, 2, 3)
        """
        about = json.loads(self._info_of(None).app_metadata)
        name = next(iter(about["names"]), None)
        if name is None:
            raise ValueError(f"Flight {self.id} has no name to append to: rename() first")
        if isinstance(more, RemoteTable) and more._calls.url == self._calls.url:
            if options:
                raise TypeError(f"a table on the server is not read: {', '.join(options)}")
            return more.publish_as(name, if_exists="append", if_version=if_version)
        return uploaded(
            self._calls, more, name, if_exists="append", if_version=if_version, options=options
        )

    def latest(self) -> RemoteTable:
        """The newest version of this Flight."""
        return RemoteTable(self._calls, self._info_of(None))

    def versions(self) -> list[dict[str, Any]]:
        """All versions: number, state, rows, bytes, time.

        >>> [(v["version"], v["rows"]) for v in ds.versions()]
        [(1, 3)]
        """
        versions: list[dict[str, Any]] = self._action("versions")["versions"]
        return versions

    def keep(self) -> None:
        """Makes a result durable."""
        self._action("keep")

    def unkeep(self) -> None:
        """Makes a kept result a result again."""
        self._action("unkeep")

    def rename(self, to: str, *, if_exists: Literal["error", "replace"] = "error") -> None:
        """Gives the Flight another name. FlightExists."""
        self.about = self._action("rename", to=to, if_exists=if_exists)

    def delete(self) -> dict[str, Any]:
        """Ends the Flight; `bytes_freed` now and `bytes_later`."""
        return self._action("delete")

    def export(
        self,
        file: str,
        *,
        format: Literal["parquet", "csv", "arrow"] | None = None,
        lossy: bool = False,
        if_exists: Literal["error", "replace"] = "error",
    ) -> dict[str, Any]:
        """Writes this version to a file in the server's data directory."""
        given: dict[str, Any] = {"format": format} if format else {}
        given |= {"lossy": True} if lossy else {}
        given |= {"if_exists": if_exists} if if_exists != "error" else {}
        return self._action("export", version=self.version, file=file, **given)

    def save(self, name: str) -> str:
        """Names the Flight, makes it durable, and exports its newest version as NAME.parquet (or
        to NAME itself if that ends so, or with .csv or .arrow). What the server answers.
        """
        self._info_of(None)
        return self._calls.action_text("save", f"{self.id} {name}")

    def _is_combined(self) -> bool:
        return bool(self.about.get("combined"))

    def _handle(self, about: Mapping[str, Any]) -> RemoteTable:
        """The handle of the Flight that was just made."""
        return RemoteTable(self._calls, info_by_id(self._calls, about["id"], about["version"]))

    def _whole(self) -> flight.Ticket:
        return self._info.endpoints[0].ticket

    def _info_of(self, version: int | None) -> flight.FlightInfo:
        """Info of a version of this very Flight; None: the newest. FlightNotFound also when the
        number belongs to another Flight by now, as after `clear`.
        """
        info = info_by_id(self._calls, self.id, version)
        if json.loads(info.app_metadata)["uid"] != self._from["uid"]:
            raise not_found(f"Flight {self.id} is another one by now", self.id)
        return info

    def _action(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Runs an action on this Flight, which actions name by its number only."""
        self._info_of(None)
        return self._calls.action(name, {"id": self.id, **arguments})[0]

    def _run(self, method: str, arguments: Mapping[str, Any]) -> RemoteTable:
        stream = streamed(arguments)
        if stream is not None:
            named = {
                key: a if a is not stream else {"stream": True} for key, a in arguments.items()
            }
            return self._handle(self._calls.run_once(self._command([{method: named}]), stream))
        step: Step = {method: dict(arguments)}
        return run(self._calls, self._command([step]), is_long([step], self.total_bytes))


def info_by_id(calls: Calls, flight_id: int, version: int | None) -> flight.FlightInfo:
    """Info of a Flight by its number; None: of the newest version."""
    path = [f"#{flight_id}"] if version is None else [f"#{flight_id}", f"@{version}"]
    return calls.info(flight.FlightDescriptor.for_path(*path))


def run(calls: Calls, command: str, may_be_long: bool) -> RemoteTable:
    """Runs a command that publishes; the handle of its Flight. Ctrl-C ends a long run."""
    if may_be_long:
        about = calls.long_run(command)
        return RemoteTable(calls, info_by_id(calls, about["id"], about["version"]))
    return RemoteTable(calls, calls.info(flight.FlightDescriptor.for_command(command)))


def concat_tables(tables: Iterable[RemoteTable]) -> RemoteTable:
    """The rows of all tables, one after the other, as one more Flight; names and types must be
    equal, the first one's metadata stays. As pyarrow.concat_tables, for handles of one server.

    Raises ValueError without a table or for handles of several servers, TypeError for what is no
    handle: upload it first.

    >>> ra.concat_tables([ds, ds.slice(0, 1)]).num_rows
    4
    """
    handles = list(tables)
    if not handles:
        raise ValueError("concat_tables needs at least one table")
    first, *others = handles
    for table in handles:
        if not isinstance(table, RemoteTable):
            raise TypeError(f"concat_tables takes handles, not {type(table).__name__}: upload it")
        if table._calls.url != first._calls.url:
            raise ValueError("the tables are on several servers")
    commands = [json.loads(table._command([])) for table in others]
    return first._run("concat", {"tables": commands}) if commands else first


def uploaded(
    calls: Calls,
    source: Any,
    name: str | None,
    if_exists: IfExists = "error",
    *,
    if_version: int | None = None,
    progress: bool | Watcher | None = None,
    options: SourceOptions | None = None,
) -> RemoteTable:
    """The handle of what is uploaded."""
    about = upload(
        calls, source, name, if_exists, if_version=if_version, progress=progress, options=options
    )
    try:
        info = info_by_id(calls, about["id"], about["version"])
    except FlightNotFound:  # others have made so many versions since
        info = info_by_id(calls, about["id"], None)
    return RemoteTable(calls, info)


def _unpickled(url: str, source: dict[str, Any]) -> RemoteTable:
    table = RemoteTable.__new__(RemoteTable)
    table._calls = calls_of(url)
    table.__dict__["_from"] = source
    return table


def _default_calls() -> Calls:
    from remote_arrow.connection import connect

    return connect()._calls
