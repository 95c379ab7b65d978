"""The command line `remote-arrow`: one function a command; exit codes as below."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from remote_arrow import __version__, completion, interrupts, top
from remote_arrow.connection import Connection, connect
from remote_arrow.errors import (
    FlightExists,
    FlightNotFound,
    NotPermitted,
    RemoteArrowError,
    ServerUnavailable,
    Unauthenticated,
)
from remote_arrow.interrupts import INTERRUPTED
from remote_arrow.new_file import new_file, remove_unfinished
from remote_arrow.output import FORMATS, SUFFIXES, cell, table_lines, to_json, write
from remote_arrow.progress import watched, watching
from remote_arrow.serve import find_server
from remote_arrow.sources import SourceOptions
from remote_arrow.table import RemoteTable

OK, FAILED, USAGE, NOT_FOUND, AUTH, UNAVAILABLE = 0, 1, 2, 3, 4, 5
_LOCAL_ERRORS = (OSError, ValueError, TypeError, OverflowError)  # of files, values, sources


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code: 0 ok, 1 failed, 2 usage, 3 not found, 4 not authenticated
    or not permitted, 5 unavailable, 130 interrupted. Errors are one line on stderr.
    """
    parser = _parser()
    asked, rest = parser.parse_known_args(arguments)
    usage: argparse.ArgumentParser = asked.usage
    if asked.run is _serve:  # REMAINDER takes no option in the first place
        asked.options = rest[1:] if rest[:1] == ["--"] else rest
    elif rest:
        usage.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        _interruptible(asked.run, asked)
        sys.stdout.flush()
        return OK
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        remove_unfinished()
        return INTERRUPTED
    except _Usage as error:
        usage.error(str(error))
    except (RemoteArrowError, pa.ArrowException, *_LOCAL_ERRORS) as error:
        words = str(error).splitlines() or [type(error).__name__]
        line = re.sub(r"^do\[\d+\]: ", "", words[0])  # a step of a command that nobody wrote
        sys.stderr.write(f"remote-arrow: {line}{_hint(error, asked)}\n")
        return _code_of(error)


def _interruptible(run: Callable[[Any], None], asked: argparse.Namespace) -> None:
    """Runs a command by a thread: Ctrl-C does not reach one that waits for the server."""
    if run is _serve:
        run(asked)  # becomes the server
        return
    ended: Future[None] = Future()

    def work() -> None:
        try:
            run(asked)
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    ended.result()


class _Usage(Exception):
    """Arguments that do not go together."""


def _hint(error: Exception, asked: argparse.Namespace) -> str:
    """What to do about an error, in words of the command line."""
    if isinstance(error, FlightExists) and asked.run is _put:
        return "; --if-exists replace or append makes its next version"
    is_guess = asked.run is _put and asked.file == ["-"] and not asked.format
    if is_guess and isinstance(error, pa.ArrowInvalid) and not isinstance(error, RemoteArrowError):
        return "; give --format csv or parquet when it is that"
    if isinstance(error, Unauthenticated) and not _token(asked):
        return ": give --token or REMOTE_ARROW_TOKEN"
    return ""


def _code_of(error: Exception) -> int:
    if isinstance(error, FlightNotFound):
        return NOT_FOUND
    if isinstance(error, Unauthenticated | NotPermitted):
        return AUTH
    return UNAVAILABLE if isinstance(error, ServerUnavailable) else FAILED


def _connect(asked: argparse.Namespace) -> Connection:
    return connect(asked.url, timeout=asked.timeout, token=_token(asked))


def _token(asked: argparse.Namespace) -> str | None:
    return asked.token or os.environ.get("REMOTE_ARROW_TOKEN")


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
    source: Any = asked.file if len(asked.file) > 1 else asked.file[0]
    options: SourceOptions = {"format": asked.format} if asked.format else {}
    if source == "-":
        source, options = sys.stdin.buffer, {"format": asked.format or "arrow"}
    elif "-" in asked.file:
        raise _Usage("standard input (-) cannot be one of several files")
    if asked.delimiter or asked.encoding:
        from pyarrow import csv

        if asked.delimiter:
            options["parse_options"] = csv.ParseOptions(delimiter=asked.delimiter)
        if asked.encoding:
            options["read_options"] = csv.ReadOptions(encoding=asked.encoding)
    with _connect(asked) as con:
        ds = con.upload(source, asked.name, if_exists=asked.if_exists, **options)
        _write_line(f"#{ds.id} @{ds.version}: {ds.num_rows} rows")


def _get(asked: argparse.Namespace) -> None:
    is_stdout = asked.output == "-"
    format_ = asked.format or ("table" if is_stdout else _format_of(asked.output))
    with _connect(asked) as con, ExitStack() as stack:
        ds = _flight(con, asked.flight)
        columns = asked.columns.split(",") if asked.columns else None
        schema = ds.to_table(columns, limit=0).schema
        is_seen = is_stdout and sys.stdout.isatty()  # a bar would be between the rows
        watcher = stack.enter_context(watching(False if is_seen else None))
        n_rows = ds.num_rows if asked.limit is None else min(asked.limit, ds.num_rows)
        batches = watched(_first_rows(ds.iter_batches(columns), n_rows), n_rows, watcher)
        file = sys.stdout.buffer if is_stdout else stack.enter_context(new_file(asked.output))
        write(schema, batches, format_, file, is_file=not is_stdout)


def _format_of(path: str) -> str:
    found = SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        raise _Usage(f"the suffix of {path} tells no format: give --format")
    return found


def _first_rows(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if n_rows <= 0:
            return
        yield batch.slice(0, n_rows)
        n_rows -= batch.num_rows


def _head(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        table = _flight(con, asked.flight).head(asked.n)
    write(table.schema, table.to_batches(), asked.format, sys.stdout.buffer, is_file=False)


def _ls(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        found = con.flights(name=asked.name)
        deleted = _deleted(con) if asked.all else []
    if asked.format == "names":
        for ds in found:
            _write_line(ds.name or f"#{ds.id}")
    elif asked.format == "json":
        for ds in found:
            _write_line(to_json(ds.about | {"rows": ds.num_rows, "bytes": ds.total_bytes}))
        for about in deleted:
            _write_line(to_json(about))
    else:
        listed = {about["id"]: [f"#{about['id']}", "", about["state"]] for about in deleted}
        for ds in found:
            size = map(str, (ds.version, ds.num_rows, ds.total_bytes))
            listed[ds.id] = [f"#{ds.id}", cell(ds.name), ds.kind, *size]
        rows = [(row + [""] * 3)[:6] for _, row in sorted(listed.items())]
        _write_table(["id", "name", "kind", "version", "rows", "bytes"], rows)


def _deleted(con: Connection) -> list[dict[str, Any]]:
    """What is left of deleted Flights: their ids."""
    calls = con._calls
    infos = calls.read(lambda: list(calls.client.list_flights(b"", calls.options())))
    listed = [json.loads(info.app_metadata) for info in infos]
    return [about for about in listed if about.get("state") == "deleted"]


def _info(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        ds = _flight(con, asked.flight)
    if asked.format == "json":
        fields = [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in ds.schema]
        size = {"rows": ds.num_rows, "bytes": ds.total_bytes, "fields": fields}
        _write_line(to_json(ds.about | size))
        return
    size_text = f"{ds.num_rows} rows, {ds.total_bytes} bytes"
    name = f" {cell(ds.name)}" if ds.name else ""
    _write_line(f"#{ds.id}{name} @{ds.version}: {size_text}")
    types = [[cell(field.name), cell(field.type)] for field in ds.schema]
    _write_table(["column", "type"], types)


def _versions(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        found = _flight(con, asked.flight).versions()
    keys = ["version", "state", "rows", "bytes", "created"]
    _write_table(keys, [[cell(v.get(key)) for key in keys] for v in found])


def _on_flight(action: Callable[[RemoteTable, argparse.Namespace], object]) -> Callable[..., None]:
    def run(asked: argparse.Namespace) -> None:
        with _connect(asked) as con:
            answer = action(_flight(con, asked.flight), asked)
            if answer is not None:
                _write_line(answer if isinstance(answer, str) else to_json(answer))

    return run


def _ping(asked: argparse.Namespace) -> None:
    with _connect(asked) as con:
        start = time.perf_counter()
        version = con.server_info().get("version", "?")
        ms = (time.perf_counter() - start) * 1000
        _write_line(f"{con.url}: version {version}, {ms:.1f} ms")


def _top(asked: argparse.Namespace) -> None:
    is_terminal = sys.stdout.isatty()
    before = None
    with _connect(asked) as con:
        while True:
            now = top.read_metrics(con.url, _token(asked), asked.timeout)
            lines = top.screen(con.url, con.flights(), now, before)
            clear = "\x1b[H\x1b[J" if is_terminal and not asked.once else ""
            sys.stdout.write(clear + "\n".join(lines) + "\n")
            sys.stdout.flush()
            if asked.once:
                return
            before = now
            time.sleep(asked.interval)


def _completion(asked: argparse.Namespace) -> None:
    sys.stdout.write(completion.script(asked.shell, asked.parsers))


def _serve(asked: argparse.Namespace) -> None:
    sys.stdout.flush()
    server = find_server()
    os.execv(server, [str(server), *asked.options])


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")


def _write_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for line in table_lines(header, rows):
        _write_line(line)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")


def _count(text: str) -> int:
    with suppress(ValueError):
        if (value := int(text)) >= 0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")


def _character(text: str) -> str:
    if len(text.encode()) == 1:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not one character of ASCII")


def _options(**defaults: Any) -> argparse.ArgumentParser:
    """The options of every command; without a default one that is not given leaves no trace."""
    made = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    made.add_argument("--url", help="default: REMOTE_ARROW_URL, then grpc://localhost:5005")
    made.add_argument("--token", help="default: REMOTE_ARROW_TOKEN")
    made.add_argument("--timeout", type=_seconds, help="seconds a call may take (30)")
    made.set_defaults(**defaults)
    return made


def _parser() -> argparse.ArgumentParser:
    defaults = _options(url=None, token=None, timeout=30.0)
    about = "Uploads, lists and downloads tables of a Remote Arrow server, or runs one."
    parser = argparse.ArgumentParser(prog="remote-arrow", description=about, parents=[defaults])
    parser.add_argument("--version", action="version", version=f"remote-arrow {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    behind = [_options()]

    def command(name: str, text: str, run: Callable[..., None], *positional: str) -> Any:
        made = commands.add_parser(name, help=text, description=text, parents=behind)
        made.set_defaults(run=run, usage=made)
        for argument in positional:
            made.add_argument(argument)
        return made

    _add_transfers(command)
    _add_listings(command)
    _add_export(command)
    command("rm", "delete a Flight", _on_flight(lambda ds, asked: ds.delete()), "flight")
    rename = _on_flight(lambda ds, asked: ds.rename(asked.to))
    command("rename", "give a Flight another name", rename, "flight", "to")
    command("keep", "make a result durable", _on_flight(lambda ds, asked: ds.keep()), "flight")
    save = _on_flight(lambda ds, asked: ds.save(asked.name))
    command("save", "name and keep a Flight, export it as Parquet", save, "flight", "name")
    command("ping", "ask the server who it is", _ping)
    shells = command("completion", "print what a shell needs to complete commands", _completion)
    shells.add_argument("shell", choices=completion.SHELLS)
    shells.set_defaults(parsers=commands.choices)
    text = "run a server with these options"
    served = commands.add_parser("serve", help=text, description=text, add_help=False)
    served.set_defaults(run=_serve, usage=served)
    served.allow_abbrev = False
    return parser


def _add_transfers(command: Callable[..., Any]) -> None:
    put = command("put", "upload files, one after another; - is standard input", _put)
    put.add_argument("file", nargs="+", help="path, pattern or URL; csv, parquet, arrow, feather")
    put.add_argument("--name", help="what the table is called; without, it has only a number")
    words = ("error", "replace", "append", "reuse")
    text = "when the name is taken (error); reuse: take what is there if it is equal"
    put.add_argument("--if-exists", choices=words, default="error", help=text)
    formats = ("arrow", "csv", "parquet")
    put.add_argument("--format", choices=formats, help="default: the suffix; of - arrow")
    put.add_argument("--delimiter", type=_character, help="of CSV: one character (,)")
    put.add_argument("--encoding", help="of CSV (utf-8)")
    get = command("get", "download a Flight: NAME or #ID, perhaps @VERSION", _get, "flight")
    get.add_argument("-o", "--output", default="-", help="file; default: standard output")
    get.add_argument("--format", choices=FORMATS, help="default: the suffix; of - table")
    get.add_argument("--columns", help="a,b; default: all")
    get.add_argument("--limit", type=_count, help="rows at most")


def _add_export(command: Callable[..., Any]) -> None:
    def run(ds: RemoteTable, asked: argparse.Namespace) -> dict[str, Any]:
        given = {"format": asked.format, "lossy": asked.lossy, "if_exists": asked.if_exists}
        return ds.export(asked.file, **given)

    text = "write a file in the data directory of the server"
    export = command("export", text, _on_flight(run), "flight", "file")
    formats = ("parquet", "csv", "arrow")
    export.add_argument("--format", choices=formats, help="default: the suffix")
    words = ("error", "replace")
    export.add_argument("--if-exists", choices=words, default="error", help="(error)")
    export.add_argument("--lossy", action="store_true", help="allow types to lose something")


def _add_listings(command: Callable[..., Any]) -> None:
    head = command("head", "show the first rows", _head, "flight")
    head.add_argument("-n", type=_count, default=10, help="rows (10)")
    head.add_argument("--format", choices=FORMATS, default="table")
    ls = command("ls", "list the Flights", _ls)
    ls.add_argument("name", nargs="?", help="a name with * and ?")
    ls.add_argument("--all", action="store_true", help="deleted ones too")
    ls.add_argument("--format", choices=("table", "json", "names"), default="table")
    info = command("info", "show the schema and size of a Flight", _info, "flight")
    info.add_argument("--format", choices=("table", "json"), default="table")
    command("versions", "list the versions of a Flight", _versions, "flight")
    seen = command("top", "show what the server does, again and again", _top)
    seen.add_argument("--once", action="store_true", help="once only")
    seen.add_argument("--interval", type=_seconds, default=2.0, help="seconds (2)")


def _terminate(number: int, frame: object) -> None:
    """Ends the process as the signal would have, but leaves no file behind."""
    remove_unfinished()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run() -> None:
    """The entry point of the installed command."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that the terminal's encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")
    interrupts.raise_again()
    signal.signal(signal.SIGTERM, _terminate)
    code = main()
    interrupts.exit_at_once()
    if code == INTERRUPTED:
        os._exit(code)  # the interrupted call may take long to end
    sys.exit(code)
