"""The package for asyncio: the same names, as awaitables; the calls wait in threads.

    con = await ra.aio.connect("grpc://localhost:5005")
    ds = await con["taxi"]
    top = await ds.sort_by([("fare", "descending")])
    async for batch in top.iter_batches(batch_size=4096):
        ...

What a handle knows (`id`, `name`, `schema`, `shape` …) is there without waiting. Cancelling a
coroutine cancels its call on the server. There is no `watch`: its thread could not be ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from remote_arrow import connection
from remote_arrow.connection import Connection
from remote_arrow.pipeline import Pipeline
from remote_arrow.table import RemoteTable
from remote_arrow.waiting import Cancel, started

T = TypeVar("T")
_ITERATORS = ("iter_batches", "itercolumns")
_DOWNLOADS = ("columns",)  # properties that do
_BLOCKS = ("pipeline",)
_ABSENT = ("watch", "to_reader")
_END = object()


async def connect(
    url: str | None = None, *, timeout: float | None = 30.0, token: str | None = None
) -> AsyncConnection:
    """As remote_arrow.connect."""
    con = await _in_thread(lambda: connection.connect(url, timeout=timeout, token=token))
    return AsyncConnection(con)


async def _in_thread(work: Callable[[], T]) -> T:
    """What `work` gives, run in a thread; being cancelled ends its call on the server."""
    cancel = Cancel()
    try:
        return await asyncio.wrap_future(started(work, cancel))
    except asyncio.CancelledError:
        cancel.request()
        raise


class _Async:
    """An object of the package whose methods are awaitables."""

    def __init__(self, sync: Any) -> None:
        self._sync = sync

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _ABSENT:
            raise AttributeError(name)
        if name in _DOWNLOADS:
            return _in_thread(lambda: getattr(self._sync, name))
        value = getattr(self._sync, name)
        if not callable(value):
            return value
        if name in _ITERATORS:
            return lambda *args, **kwargs: _iterate(value(*args, **kwargs))
        if name in _BLOCKS:
            return lambda *args, **kwargs: _wrapped(value(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            given = [_plain(arg) for arg in args]
            named = {key: _plain(arg) for key, arg in kwargs.items()}
            return _wrapped(await _in_thread(lambda: value(*given, **named)))

        return call

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._sync) if name not in _ABSENT]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {type(self._sync).__name__}>"


class AsyncTable(_Async):
    """A RemoteTable whose methods are awaitables."""

    def __getitem__(self, key: int | str | slice) -> Coroutine[Any, Any, Any]:
        return _wrapping(lambda: self._sync[key])

    def __repr__(self) -> str:
        return f"<AsyncTable #{self._sync.id} @{self._sync.version}>"


class AsyncConnection(_Async):
    """A Connection whose methods are awaitables; `async with` closes it."""

    def __getitem__(self, key: int | str) -> Coroutine[Any, Any, AsyncTable]:
        return _wrapping(lambda: self._sync[key])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _in_thread(self._sync.close)


class AsyncPipeline:
    """The block of `RemoteTable.pipeline`, entered by `async with`."""

    def __init__(self, sync: Pipeline) -> None:
        self._sync = sync

    async def __aenter__(self) -> AsyncTable:
        return AsyncTable(self._sync.__enter__())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _in_thread(lambda: self._sync.__exit__(kind, error, trace))


async def _wrapping(work: Callable[[], Any]) -> Any:
    return _wrapped(await _in_thread(work))


async def _iterate(items: Iterator[T]) -> AsyncIterator[T]:
    try:
        while (item := await _in_thread(lambda: next(items, _END))) is not _END:
            yield item  # type: ignore[misc]
    finally:
        with suppress(ValueError):  # a thread is in it, whose call was cancelled
            items.close()  # type: ignore[attr-defined]


def _wrapped(value: Any) -> Any:
    if isinstance(value, RemoteTable):
        return AsyncTable(value)
    if isinstance(value, Connection):
        return AsyncConnection(value)
    if isinstance(value, Pipeline):
        return AsyncPipeline(value)
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    return value._sync if isinstance(value, _Async) else value
