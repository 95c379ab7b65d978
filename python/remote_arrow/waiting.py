"""Calls that somebody waits for and may give up: by Ctrl-C, or by cancelling a coroutine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")
_END_TIMEOUT_S = 5.0  # a cancelled call ends in a round trip


class Cancel:
    """What ends the calls of one piece of work, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancels: list[Callable[[], object]] = []
        self.is_requested = False

    def request(self) -> bool:
        """Ends the calls that run, and those that begin from now on. Whether any ran."""
        with self._lock:
            self.is_requested = True
            cancels = list(self._cancels)
        for cancel in cancels:
            cancel()
        return bool(cancels)

    def _add(self, cancel: Callable[[], object]) -> None:
        with self._lock:
            self._cancels.append(cancel)
            is_late = self.is_requested
        if is_late:
            cancel()

    def _remove(self, cancel: Callable[[], object]) -> None:
        with self._lock:
            self._cancels.remove(cancel)


_current: ContextVar[Cancel | None] = ContextVar("remote_arrow_cancel", default=None)


@contextmanager
def cancelled_by(cancel: Cancel) -> Iterator[None]:
    """Work inside, and in threads that take over this context, is ended by `cancel`."""
    token = _current.set(cancel)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def cancellable(cancel: Callable[[], object]) -> Iterator[None]:
    """A call inside is ended by `cancel()` when whoever waits for it gives up."""
    current = _current.get()
    if current is None:
        yield
        return
    current._add(cancel)
    try:
        yield
    finally:
        current._remove(cancel)


def until_given_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, but an error for the next when whoever waits has given up."""
    current = _current.get()
    for batch in batches:
        if current is not None and current.is_requested:
            raise pa.ArrowCancelled("the upload was cancelled")
        yield batch


def started(work: Callable[[], T], cancel: Cancel) -> Future[T]:
    """Work that begins in a thread, whose calls are ended by `cancel`. A call that cannot be ended
    does not keep the process from ending.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    with cancelled_by(cancel):
        context = copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    return future


def interruptible(work: Callable[[], T]) -> T:
    """Runs work that Ctrl-C ends at once, which no call into gRPC lets it: `cancellable` calls end
    on the server too, of others nobody waits for the end.

    In the main thread only, where Python handles signals; elsewhere it just runs.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    cancel = Cancel()
    future = started(work, cancel)
    try:
        return future.result()
    except KeyboardInterrupt:
        if cancel.request():
            wait([future], _END_TIMEOUT_S)
        raise
