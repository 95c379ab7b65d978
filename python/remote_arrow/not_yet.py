"""Methods of pyarrow.Table that servers do not run yet: the one list of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pyarrow as pa

# Method, and what does the same meanwhile, on the rows that it downloads.
NOT_YET = {
    "add_column": "upload(ds.to_table().add_column(…))",
    "append_column": "upload(ds.to_table().append_column(…))",
    "set_column": "upload(ds.to_table().set_column(…))",
    "cast": "upload(ds.to_table().cast(…))",
    "group_by": "ds.to_table(columns).group_by(…)",
    "join": "ds.to_table().join(…)",
    "join_asof": "ds.to_table().join_asof(…)",
    "filter with an Expression": "ds.filter(mask), or ds.to_table().filter(expression)",
    "sort_by with an Expression": "names, positions or paths as sort keys",
}


def not_yet(what: str) -> NotImplementedError:
    """The error for a key of NOT_YET."""
    return NotImplementedError(f"servers have no {what} yet; meanwhile: {NOT_YET[what]}")


def later(name: str) -> Callable[..., Any]:
    """A method of pyarrow.Table's signature that raises NotImplementedError."""
    local = getattr(pa.Table, name)
    signature = inspect.signature(local)

    @functools.wraps(local)
    def method(self: object, *args: Any, **kwargs: Any) -> Any:
        signature.bind(self, *args, **kwargs)  # TypeError as locally
        raise not_yet(name)

    method.__doc__ = f"Not yet on servers; meanwhile: {NOT_YET[name]}."
    return method
