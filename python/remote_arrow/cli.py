"""The command line `remote-arrow`: one function a command; exit codes as below."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from remote_arrow.connection import Connection, connect
from remote_arrow.errors import (
    FlightNotFound,
    NotPermitted,
    RemoteArrowError,
    ServerUnavailable,
    Unauthenticated,
)
from remote_arrow.serve import find_server
from remote_arrow.table import RemoteTable

OK, FAILED, USAGE, NOT_FOUND, AUTH, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_FORMATS = ("arrow", "parquet", "csv", "json", "table")
_LOCAL_ERRORS = (OSError, ValueError, TypeError, OverflowError)  # of files, values, sources
_MAX_CELL = 40  # characters of a value in a table on a terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code: 0 ok, 1 failed, 2 usage, 3 not found, 4 not authenticated
    or not permitted, 5 unavailable, 130 interrupted. Errors are one line on stderr.
    """
    parser = _parser()
    asked, rest = parser.parse_known_args(arguments)
    if asked.run is _serve:  # REMAINDER takes no option in the first place
        asked.options = rest[1:] if rest[:1] == ["--"] else rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        asked.run(asked)
        sys.stdout.flush()
        return OK
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except (RemoteArrowError, pa.ArrowException, *_LOCAL_ERRORS) as error:
        words = str(error).splitlines() or [type(error).__name__]
        sys.stderr.write(f"remote-arrow: {words[0]}\n")
        return _code_of(error)


def _code_of(error: Exception) -> int:
    if isinstance(error, FlightNotFound):
        return NOT_FOUND
    if isinstance(error, Unauthenticated | NotPermitted):
        return AUTH
    return UNAVAILABLE if isinstance(error, ServerUnavailable) else FAILED


def _connect(asked: argparse.Namespace) -> Connection:
    token = asked.token or os.environ.get("REMOTE_ARROW_TOKEN")
    return connect(asked.url, timeout=asked.timeout, token=token)


def _flight(con: Connection, text: str) -> RemoteTable:
    """NAME, ID or #ID, each perhaps with @VERSION; what begins with a digit is an id only if it is
    one as a whole.
    """
    key, at, version = text.rpartition("@")
    if not at or not version.isdigit():
        key, version = text, ""
    number = key.removeprefix("#")
    wanted = int(number) if number.isdigit() else key
    return con.dataset(wanted, version=int(version) if version else None)


def _put(asked: argparse.Namespace) -> None:
    source: Any = asked.file
    if source == "-":
        source = _read_stdin(asked.format)
    with _connect(asked) as con:
        ds = con.upload(source, asked.name, if_exists=asked.if_exists)
        _write_line(f"#{ds.id} @{ds.version}: {ds.num_rows} rows")


def _read_stdin(format_: str | None) -> pa.Table:
    stream = pa.PythonFile(sys.stdin.buffer, "r")
    if format_ == "csv":
        return pyarrow.csv.read_csv(stream)
    if format_ == "parquet":
        return pyarrow.parquet.read_table(pa.BufferReader(sys.stdin.buffer.read()))
    if format_ in (None, "arrow"):
        return pa.ipc.open_stream(stream).read_all()
    raise ValueError(f"cannot read {format_} from standard input")


def _get(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        columns = asked.columns.split(",") if asked.columns else None
        table = _flight(con, asked.flight).to_table(columns, limit=asked.limit)
    if asked.output == "-":
        _write_table(table, asked.format or "table", sys.stdout.buffer)
        return
    suffix = asked.output.rpartition(".")[2]
    with _new_file(Path(asked.output)) as file:
        _write_table(table, asked.format or (suffix if suffix in _FORMATS else "arrow"), file)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there whole or stays as it was; devices and pipes are written directly."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _head(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        table = _flight(con, asked.flight).head(asked.n)
        _write_table(table, asked.format, sys.stdout.buffer)


def _write_table(table: pa.Table, format_: str, file: BinaryIO) -> None:
    if format_ == "csv":
        pyarrow.csv.write_csv(table, file)
    elif format_ == "parquet":
        pyarrow.parquet.write_table(table, file)
    elif format_ == "arrow":
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    elif format_ == "json":  # one object a line
        if len(set(table.schema.names)) < table.num_columns:
            raise ValueError("columns of the same name cannot be keys of a JSON object")
        for batch in table.to_batches():
            for row in batch.to_pylist():
                file.write(json.dumps(row, default=str).encode() + b"\n")
    else:
        columns = [map(_cell, column.to_pylist()) for column in table.columns]
        rows = list(zip(*columns, strict=True))
        file.write(_columns(table.schema.names, rows).encode())
    file.flush()


def _cell(value: object) -> str:
    """A value on one line, without control characters that a terminal would obey."""
    text = "" if value is None else str(value)
    text = "".join(c if c.isprintable() else "\ufffd" for c in text[: _MAX_CELL + 1])
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [[_cell(name) for name in header], *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    joined = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines]
    return "\n".join(joined) + "\n"


def _ls(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        found = con.flights(name=asked.name)
    if asked.format == "json":
        for ds in found:
            _write_line(json.dumps(ds.about | {"rows": ds.num_rows, "bytes": ds.total_bytes}))
        return
    rows = [
        [f"#{ds.id}", ds.name or "", ds.kind, *map(str, (ds.version, ds.num_rows, ds.total_bytes))]
        for ds in found
    ]
    sys.stdout.write(_columns(["id", "name", "kind", "version", "rows", "bytes"], rows))


def _info(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        ds = _flight(con, asked.flight)
    if asked.format == "json":
        fields = [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in ds.schema]
        size = {"rows": ds.num_rows, "bytes": ds.total_bytes, "fields": fields}
        _write_line(json.dumps(ds.about | size))
        return
    size_text = f"{ds.num_rows} rows, {ds.total_bytes} bytes"
    _write_line(f"#{ds.id} {ds.name or ''} @{ds.version}: {size_text}")
    types = [[field.name, str(field.type)] for field in ds.schema]
    sys.stdout.write(_columns(["column", "type"], types))


def _versions(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        found = _flight(con, asked.flight).versions()
    keys = ["version", "state", "rows", "bytes", "created"]
    sys.stdout.write(_columns(keys, [[_cell(v.get(key)) for key in keys] for v in found]))


def _on_flight(action: Callable[[RemoteTable, argparse.Namespace], object]) -> Callable[..., None]:
    def run(asked: argparse.Namespace) -> None:
        with _connect(asked) as con:
            answer = action(_flight(con, asked.flight), asked)
            if answer is not None:
                _write_line(answer if isinstance(answer, str) else json.dumps(answer))

    return run


def _ping(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        start = time.perf_counter()
        version = con.server_info().get("version", "?")
        ms = (time.perf_counter() - start) * 1000
        _write_line(f"{con.url}: version {version}, {ms:.1f} ms")


def _serve(asked: argparse.Namespace) -> None:
    sys.stdout.flush()
    server = find_server()
    os.execv(server, [str(server), *asked.options])


def _write_line(text: str, to: TextIO | None = None) -> None:
    (to or sys.stdout).write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="remote-arrow", description="Tables of a server.")
    parser.add_argument("--url", help="default: REMOTE_ARROW_URL, then grpc://localhost:5005")
    parser.add_argument("--token", help="default: REMOTE_ARROW_TOKEN")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds a call may take (30)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, run: Callable[..., None], *positional: str) -> Any:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        for argument in positional:
            made.add_argument(argument)
        return made

    put = command("put", "upload a file; - is standard input", _put, "file")
    put.add_argument("--name")
    words = ("error", "replace", "append", "reuse")
    put.add_argument("--if-exists", choices=words, default="error")
    put.add_argument("--format", choices=("arrow", "csv", "parquet"), help="of standard input")
    get = command("get", "download a Flight: NAME or #ID, perhaps @VERSION", _get, "flight")
    get.add_argument("-o", "--output", default="-")
    get.add_argument("--format", choices=_FORMATS, help="default: the file's suffix, or table")
    get.add_argument("--columns", help="a,b")
    get.add_argument("--limit", type=int)
    head = command("head", "show the first rows", _head, "flight")
    head.add_argument("-n", type=int, default=10)
    head.add_argument("--format", choices=_FORMATS, default="table")
    ls = command("ls", "list the Flights", _ls)
    ls.add_argument("name", nargs="?", help="a name with * and ?")
    info = command("info", "show a Flight's schema and size", _info, "flight")
    for listing in (ls, info):
        listing.add_argument("--format", choices=("table", "json"), default="table")
    command("versions", "list a Flight's versions", _versions, "flight")
    export = _on_flight(lambda ds, asked: ds.export(asked.file))
    command("export", "write a file in the server's data directory", export, "flight", "file")
    command("rm", "delete a Flight", _on_flight(lambda ds, asked: ds.delete()), "flight")
    rename = _on_flight(lambda ds, asked: ds.rename(asked.to))
    command("rename", "give a Flight another name", rename, "flight", "to")
    command("keep", "make a result durable", _on_flight(lambda ds, asked: ds.keep()), "flight")
    save = _on_flight(lambda ds, asked: ds.save(asked.name))
    command("save", "name and keep a Flight, export it as Parquet", save, "flight", "name")
    command("ping", "ask the server who it is", _ping)
    command("serve", "run a server with these options", _serve).allow_abbrev = False
    return parser


def run() -> None:
    """The entry point of the installed command."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main())
