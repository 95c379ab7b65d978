"""Attributes of pyarrow.Table that give something else than a table: that very thing.

They download what they need, unless that is more than `options.max_implicit_download`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from remote_arrow.arguments import column_argument, row_range, slice_arguments
from remote_arrow.base import Source
from remote_arrow.download import Download, at_most
from remote_arrow.errors import DownloadTooLarge
from remote_arrow.options import options

if TYPE_CHECKING:
    from remote_arrow.table import RemoteTable


def _downloaded(name: str, instead: str = "to_table()") -> Callable[..., Any]:
    """A method of pyarrow.Table that works on the downloaded rows."""
    local = getattr(pa.Table, name)

    @functools.wraps(local)
    def method(self: LocalAttributes, *args: Any, **kwargs: Any) -> Any:
        table = self._implicit(name, instead)
        return getattr(table, name)(*args, **kwargs)

    method.__doc__ = f"As pyarrow.Table.{name}, of the downloaded table."
    return method


class LocalAttributes(Source):
    """What a handle knows or downloads by itself when it is used as a pyarrow.Table."""

    to_pydict = _downloaded("to_pydict")
    to_pylist = _downloaded("to_pylist")
    to_batches = _downloaded("to_batches", "iter_batches()")
    to_struct_array = _downloaded("to_struct_array")
    to_tensor = _downloaded("to_tensor")
    __array__ = _downloaded("__array__")
    __dataframe__ = _downloaded("__dataframe__")
    __arrow_c_stream__ = _downloaded("__arrow_c_stream__", "to_reader()")

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
        names: list[str] = self.schema.names
        return names

    @property
    def is_cpu(self) -> bool:
        """True, as of any table that can be downloaded."""
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of all columns as the server stores them."""
        return self.total_bytes

    def get_total_buffer_size(self) -> int:
        """The same as nbytes."""
        return self.nbytes

    def validate(self, *, full: bool = False) -> None:
        """Nothing to do: the server checks every value when a table is uploaded."""

    def field(self, i: int | str) -> pa.Field:
        """A field by name or position. KeyError, IndexError."""
        return self.schema.field(i)

    def column(self, i: int | str) -> pa.ChunkedArray:
        """A column by name or position, downloaded. KeyError, IndexError.

        >>> ds.column("zone").to_pylist()
        ['A', 'B', 'A']
        """
        position = self._position(i)
        n_bytes = self._column_bytes(position)
        table = self._small(self._download([position]), n_bytes, "column", "to_table(columns)")
        return table.column(0)

    def itercolumns(self) -> Iterator[pa.ChunkedArray]:
        """The columns, each downloaded when it is its turn."""
        for i in range(self.num_columns):
            yield self.column(i)

    @property
    def columns(self) -> list[pa.ChunkedArray]:
        """All columns, downloaded."""
        columns: list[pa.ChunkedArray] = self._implicit("columns", "to_table()").columns
        return columns

    def to_reader(self, max_chunksize: int | None = None) -> pa.RecordBatchReader:
        """A reader that downloads while it is read; no limit, as it holds a batch at a time."""
        batches = self._download().batches()
        if max_chunksize is not None:
            batches = at_most(batches, max_chunksize)
        return pa.RecordBatchReader.from_batches(self.schema, batches)

    def to_string(self, *, show_metadata: bool = False, preview_cols: int = 0) -> str:
        """Schema, and values of the first `preview_cols` columns, as pyarrow writes them."""
        if preview_cols:
            table = self._implicit("to_string", "to_table()")
            text: str = table.to_string(show_metadata=show_metadata, preview_cols=preview_cols)
            return text
        schema = self.schema.to_string(
            show_field_metadata=show_metadata, show_schema_metadata=show_metadata
        )
        return f"pyarrow.Table\n{schema}"

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, key: int | str | slice) -> pa.ChunkedArray | RemoteTable:
        """A column, downloaded; or for a slice its rows, as a handle.

        >>> ds[1:].num_rows
        2
        """
        if not isinstance(key, slice):
            return self.column(key)
        rows = row_range(key, self.num_rows)
        if isinstance(rows, tuple):
            return self._run("slice", slice_arguments(*rows))
        return self.take(rows)

    def take(self, indices: Any) -> RemoteTable:
        """The rows at the given positions."""
        raise NotImplementedError

    def _position(self, key: Any) -> int:
        """The position of a column that is looked up as pyarrow does, with its errors."""
        key = column_argument(key)
        if isinstance(key, str):
            positions = self.schema.get_all_field_indices(key)
            if len(positions) == 1:
                return int(positions[0])
            times = f"exists {len(positions)} times" if positions else "does not exist"
            raise KeyError(f'Field "{key}" {times} in schema')
        if not -self.num_columns <= key < self.num_columns:
            raise IndexError("index out of bounds")
        return key % self.num_columns

    def _column_bytes(self, position: int) -> int:
        """Bytes of a column: exact if its type tells, else all that other columns leave."""
        widths = [_row_bits(field.type) for field in self.schema]
        own = widths[position]
        if own is not None:
            return own * self.num_rows // 8
        if self.total_bytes < 0:
            return -1
        others = sum(width for width in widths if width is not None)
        return max(self.total_bytes - others * self.num_rows // 8, 0)

    def _implicit(self, name: str, instead: str) -> pa.Table:
        """The whole table for the attribute `name`. DownloadTooLarge tells to call `instead`."""
        return self._small(self._download(), self.total_bytes, name, instead)

    def _small(self, download: Download, n_bytes: int, name: str, instead: str) -> pa.Table:
        """What is downloaded, if that is no more than implicit downloads may be; `n_bytes` < 0:
        only the download will tell.
        """

        def check(n_bytes: int) -> None:
            limit = options.max_implicit_download
            if n_bytes > limit:
                raise DownloadTooLarge(
                    f"{name} would download {n_bytes:,} bytes, more than remote_arrow.options."
                    f"max_implicit_download ({limit:,}); ask for them by {instead}"
                )

        check(n_bytes)
        table = download.table(check if n_bytes < 0 else None)
        return table.combine_chunks() if self._is_combined() else table


def _row_bits(kind: pa.DataType) -> int | None:
    """Bits of a value without nulls; None: it depends on the value."""
    try:
        return int(kind.bit_width)
    except ValueError:
        return None
