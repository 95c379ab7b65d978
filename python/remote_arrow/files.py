"""Files as sources: found by path, pattern or URL, read batch by batch in bounded memory."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet

from remote_arrow.sources import Source, SourceOptions, bytes_per_row

_KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")
_WILD = "*?["
_FILE_MAGIC = b"ARROW1"  # a stream begins otherwise
_WHOLE_CSV_BYTES = 16 << 20  # a smaller one is read as a whole: its types come from all rows
_CSV_BLOCK_BYTES = 1 << 20  # those of a larger one come from this much
_COLUMN_BUFFER_BYTES = 256 << 10
_DECODED_BYTES = 4 << 20  # of a batch as it is decoded from Parquet
_MOST_ROWS = 128 << 10
_PROBED_ROWS = 1024
_AHEAD = 2  # batches decoded while another is sent


def find(path: str, filesystem: Any) -> tuple[pyarrow.fs.FileSystem, list[str]]:
    """The file system and the paths there, in order of names, of a path, pattern or URL.

    In a pattern `*`, `?` and `[…]` stand for characters of one name. FileNotFoundError,
    IsADirectoryError.
    """
    if filesystem is not None:
        found, inner = _arrow_filesystem(filesystem), path
    elif "://" in path:
        found, inner = _of_url(path)
    else:
        found, inner = pyarrow.fs.LocalFileSystem(), str(Path(path).expanduser())
    kind = found.get_file_info(inner).type
    if kind is pyarrow.fs.FileType.Directory:
        raise IsADirectoryError(f"{path!r} is a folder: name its files, as {path.rstrip('/')}/*")
    if kind is not pyarrow.fs.FileType.NotFound:
        return found, [inner]
    paths = sorted(_matching(found, inner)) if any(c in inner for c in _WILD) else []
    if not paths:
        raise FileNotFoundError(f"no file {path!r}")
    return found, paths


def _arrow_filesystem(filesystem: Any) -> pyarrow.fs.FileSystem:
    if isinstance(filesystem, pyarrow.fs.FileSystem):
        return filesystem
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem))


def _of_url(url: str) -> tuple[pyarrow.fs.FileSystem, str]:
    try:
        return pyarrow.fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        refusal = str(error)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        words = f"{refusal}; fsspec, which may know more, is not installed"
        raise ValueError(f"cannot open {url!r}: {words}") from None
    filesystem, path = url_to_fs(url)
    return _arrow_filesystem(filesystem), path


def _matching(filesystem: pyarrow.fs.FileSystem, pattern: str) -> Iterator[str]:
    """Paths whose names match those of the pattern one by one; `*` finds no hidden ones."""
    names = pattern.split("/")
    n_plain = next(i for i, name in enumerate(names) if any(c in name for c in _WILD))
    shapes = names[n_plain:]
    folder = "/".join(names[:n_plain]) or ("/" if n_plain else ".")
    selector = pyarrow.fs.FileSelector(folder, allow_not_found=True, recursive=len(shapes) > 1)
    n_names = len(PurePosixPath(folder).parts) + len(shapes)
    for info in filesystem.get_file_info(selector):
        found = PurePosixPath(info.path).parts
        if info.type is pyarrow.fs.FileType.File and len(found) == n_names:
            pairs = zip(found[-len(shapes) :], shapes)
            if all(fnmatchcase(n, s) and (n[0] != "." or s[0] == ".") for n, s in pairs):
                yield info.path


def kind_of(path: str, options: SourceOptions) -> str:
    """csv, parquet or arrow, as the suffix or `format` says. ValueError when neither does."""
    suffix, is_compressed = _suffix_of(path)
    kind = options.get("format") or _KINDS.get(suffix, "")
    if kind not in _KINDS.values() or (is_compressed and kind != "csv"):
        known = ", ".join(_KINDS)
        raise ValueError(f"cannot read {path!r}: not {known} or compressed .csv; or give format=")
    return kind


def _suffix_of(path: str) -> tuple[str, bool]:
    """The suffix of the data, and whether one of a compression stands behind it."""
    name = PurePosixPath(path.partition("?")[0] if "://" in path else path)
    suffixes = [suffix.lower() for suffix in name.suffixes]
    is_compressed = bool(suffixes) and suffixes[-1] in _COMPRESSED
    return "".join(suffixes[-2:-1] if is_compressed else suffixes[-1:]), is_compressed


def open_file(filesystem: pyarrow.fs.FileSystem, path: str, options: SourceOptions) -> Any:
    """A context manager that gives the file's Source. ValueError for an unknown kind."""
    kind = kind_of(path, options)
    if kind == "parquet":
        return _open_parquet(filesystem, path)
    if kind == "arrow":
        return _open_arrow(filesystem, path)
    if _suffix_of(path)[0] == ".tsv" and "parse_options" not in options:
        options = {**options, "parse_options": pyarrow.csv.ParseOptions(delimiter="\t")}
    return _open_csv_file(filesystem, path, options)


@contextmanager
def open_stream(stream: BinaryIO, options: SourceOptions) -> Iterator[Source]:
    """The Source that an open file brings, from where it stands, in the `format` given. Parquet and
    Arrow's file format, whose end is read first, are held in memory.
    """
    kind = options.get("format")
    if kind == "csv":
        yield _of_csv(pa.PythonFile(stream, "r"), options)
    elif kind == "parquet":
        with _parquet_source(pa.BufferReader(stream.read())) as source:
            yield source
    elif kind == "arrow":
        head = stream.read(len(_FILE_MAGIC))
        if head == _FILE_MAGIC:  # the file format, whose end is read first, too
            yield _of_ipc_file(pa.BufferReader(head + stream.read()))
        else:
            reader = _stream_reader(pa.PythonFile(_Replayed(head, stream), "r"))
            yield Source(reader.schema, reader)
    else:
        raise ValueError(f"cannot read an open file as {kind}: give format=csv, parquet or arrow")


def _stream_reader(file: pa.NativeFile) -> pa.RecordBatchStreamReader:
    try:
        return pa.ipc.open_stream(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise pa.ArrowInvalid(f"this is no Arrow data: {error}") from None


class _Replayed(io.RawIOBase):
    """A stream from its beginning, the first bytes of which have been read."""

    def __init__(self, head: bytes, rest: BinaryIO | pa.NativeFile) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        head = self._head.read(size)  # Arrow takes a short answer for the stream's last block
        return head + self._rest.read(size - len(head)) if size >= 0 else head + self._rest.read()


@contextmanager
def _open_csv_file(
    filesystem: pyarrow.fs.FileSystem, path: str, options: SourceOptions
) -> Iterator[Source]:
    with filesystem.open_input_stream(path) as stream:  # decompresses by the suffix
        yield _of_csv(stream, options)


def _of_csv(stream: pa.NativeFile, options: SourceOptions) -> Source:
    """A small file with the types that all of its rows ask for, a large one in blocks."""
    given: dict[str, Any] = {
        key: options[key]
        for key in ("read_options", "parse_options", "convert_options")
        if key in options
    }
    if "schema" in options:  # not by a cast afterwards: 007 would be a number on its way to text
        types = {field.name: field.type for field in options["schema"]}
        given.setdefault("convert_options", pyarrow.csv.ConvertOptions(column_types=types))
    head = stream.read(_WHOLE_CSV_BYTES + 1)
    if len(head) <= _WHOLE_CSV_BYTES:
        table = _read_csv(head, given)
        return Source(table.schema, table.to_reader(), table.num_rows)
    given.setdefault("read_options", pyarrow.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES))
    reader = pyarrow.csv.open_csv(pa.PythonFile(_Replayed(head, stream), "r"), **given)
    return Source(reader.schema, _csv_batches(reader))


def _read_csv(text: bytes, given: dict[str, Any]) -> pa.Table:
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(text), **given)
        table.column_names  # noqa: B018 - decoded here
        return table
    except UnicodeDecodeError as error:
        raise ValueError(f"the CSV file is not UTF-8, give its encoding: {error}") from None


def _csv_batches(reader: pyarrow.csv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
        hint = "types come from its beginning: give schema= or ConvertOptions(column_types=…)"
        raise pa.ArrowInvalid(f"{error}; {hint}") from None


@contextmanager
def _open_arrow(filesystem: pyarrow.fs.FileSystem, path: str) -> Iterator[Source]:
    is_local = isinstance(filesystem, pyarrow.fs.LocalFileSystem)
    with pa.memory_map(path) if is_local else filesystem.open_input_file(path) as file:
        magic = file.read(len(_FILE_MAGIC))
        file.seek(0)
        if magic == _FILE_MAGIC:
            yield _of_ipc_file(file)
        else:
            reader = _stream_reader(file)
            yield Source(reader.schema, reader)


def _of_ipc_file(file: pa.NativeFile) -> Source:
    reader = pa.ipc.open_file(file)
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    return Source(reader.schema, batches)


@contextmanager
def _open_parquet(filesystem: pyarrow.fs.FileSystem, path: str) -> Iterator[Source]:
    with filesystem.open_input_file(path) as file, _parquet_source(file) as source:
        yield source


@contextmanager
def _parquet_source(file: pa.NativeFile) -> Iterator[Source]:
    # Either default would hold a whole row group, or all of them, in memory.
    how: dict[str, Any] = {"buffer_size": _COLUMN_BUFFER_BYTES, "pre_buffer": False}
    with pyarrow.parquet.ParquetFile(file, **how) as parquet:
        batches = _ahead(_parquet_batches(parquet))
        try:
            yield Source(parquet.schema_arrow, batches, parquet.metadata.num_rows)
        finally:
            batches.close()  # before the file: its thread reads there


def _parquet_batches(parquet: pyarrow.parquet.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Row group by row group, small ones together, in batches of about _DECODED_BYTES."""
    # What a row takes is known only from decoded ones: a dictionary may stand for long values.
    head = next(parquet.iter_batches(batch_size=_PROBED_ROWS), None)
    row_bytes = bytes_per_row(head) if head is not None else 1
    for groups in _runs(parquet.metadata):
        n_rows = min(_MOST_ROWS, max(1, _DECODED_BYTES // row_bytes))
        widest = 1
        for batch in parquet.iter_batches(batch_size=n_rows, row_groups=groups):
            widest = max(widest, bytes_per_row(batch))
            yield batch
        row_bytes = widest


def _runs(metadata: pyarrow.parquet.FileMetaData) -> Iterator[list[int]]:
    """Indices of row groups that are read together: as many as give one batch."""
    run: list[int] = []
    n_rows = 0
    for i in range(metadata.num_row_groups):
        run.append(i)
        n_rows += metadata.row_group(i).num_rows
        if n_rows >= _MOST_ROWS:
            yield run
            run, n_rows = [], 0
    if run:
        yield run


def _ahead(batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """The same batches, read by a thread while those before are used."""
    ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def put(item: pa.RecordBatch | BaseException | None) -> bool:
        while not is_over.is_set():
            try:
                ready.put(item, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=read, name="remote-arrow read ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_over.set()
        thread.join()
