"""ra.aio, and giving up: cancelled coroutines and Ctrl-C end their calls on the server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import remote_arrow as ra
from serving import Server

PYTHON = Path(__file__).resolve().parent.parent
T = pa.table({"a": [3, 1, None]})
N_LONG = 5_000_000
SHORT_S = 1.0  # in which a call that was given up ends; sorting so often would take much longer
SORTS = "for i in range(20): p = p.sort_by([('s' if i % 2 else 'i', 'descending')])"


@pytest.fixture
def long(con: ra.Connection) -> ra.RemoteTable:
    values = np.random.default_rng(0).integers(0, 1 << 40, N_LONG)
    words = pa.array(values).cast(pa.string())
    table = pa.table({"i": values, "s": words})
    return con.upload(table.to_reader(max_chunksize=100_000), "long")


def ended(server: Server, method: str, seconds: float = 10.0) -> list[str]:
    """The log's lines of a method's calls, when there are some."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lines = [line for line in server.log.splitlines() if f"/{method} " in line]
        if lines:
            return lines
        time.sleep(0.02)
    return []


def is_idle(server: Server) -> bool:
    """Whether the server soon computes no more."""
    for _ in range(20):
        before = server.cpu_seconds()
        time.sleep(0.2)
        if server.cpu_seconds() - before < 0.04:
            return True
    return False


def test_names_are_awaitables(server: Server) -> None:
    async def story() -> None:
        async with await ra.aio.connect(server.uri) as con:
            ds = await con.upload(T, "t")
            top = await ds.sort_by("a")
            assert (ds.id, ds.name, top.schema, top.shape) == (0, "t", T.schema, (3, 1))
            assert (await top.to_table()).equals(T.sort_by("a"))
            assert (await (await con["t"])["a"]).to_pylist() == [3, 1, None]
            assert (await (await ds[1:]).to_pydict()) == {"a": [1, None]}
            assert await ds.equals(ds) and not await ds.equals(top) and await ds.equals(T)
            assert [c.to_pylist() for c in await ds.columns] == [[3, 1, None]]
            assert [b.num_rows async for b in ds.iter_batches(batch_size=2)] == [2, 1]
            async with ds.pipeline() as p:
                r = await (await p.slice(1)).sort_by("a")
            assert r.id == 3 and [f.id for f in await con.flights()] == [0, 1, 2, 3]
            async with await con.scratch() as session:
                await (await session["t"]).slice(2)
            assert len(await con.flights()) == 4
            results = await asyncio.gather(*(ds.take([i % 3]) for i in range(20)))
            assert len({result.id for result in results}) == 3
            assert "to_table" in dir(ds) and not hasattr(con, "watch")
            with pytest.raises(ra.FlightNotFound):
                await con["u"]

    asyncio.run(story())


def run_cancelled(work: Callable[[Any], Any], server: Server, after: float) -> float:
    """Cancels work on the long table after some seconds; how long it then took to end."""

    async def story() -> float:
        async with await ra.aio.connect(server.uri) as con:
            task = asyncio.ensure_future(work(await con["long"]))
            await asyncio.sleep(after)
            assert not task.done()
            task.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.monotonic() - started

    return asyncio.run(story())


def test_cancelled_run_ends_on_the_server(
    con: ra.Connection, server: Server, long: ra.RemoteTable
) -> None:
    async def sort_often(ds: Any) -> None:
        async with ds.pipeline() as p:
            for i in range(20):
                p = await p.sort_by([("s" if i % 2 else "i", "descending")])

    assert run_cancelled(sort_often, server, 0.4) < SHORT_S
    assert "code=CANCELLED" in ended(server, "DoExchange")[0]
    assert is_idle(server) and len(con.flights()) == 1


def test_cancelled_iteration_ends_on_the_server(server: Server, long: ra.RemoteTable) -> None:
    async def slowly(ds: Any) -> None:
        batches: AsyncIterator[pa.RecordBatch] = ds.iter_batches()
        async for _ in batches:
            await asyncio.sleep(0.1)

    assert run_cancelled(slowly, server, 0.4) < SHORT_S
    assert "code=CANCELLED" in ended(server, "DoGet")[0]


def test_cancelled_upload_leaves_nothing(con: ra.Connection, server: Server) -> None:
    taken = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        while True:
            taken += 1
            time.sleep(0.05)
            yield T.to_batches()[0]

    async def story() -> None:
        async with await ra.aio.connect(server.uri) as client:
            source = pa.RecordBatchReader.from_batches(T.schema, batches())
            task = asyncio.ensure_future(client.upload(source, "half"))
            await asyncio.sleep(0.4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.4)
            seen = taken
            await asyncio.sleep(0.3)
            assert 2 < taken == seen

    asyncio.run(story())
    assert "code=CANCELLED" in ended(server, "DoPut")[0] and con.flights() == []


def test_cancelled_read_of_a_server_that_hangs(server: Server, long: ra.RemoteTable) -> None:
    async def story() -> None:
        task = asyncio.ensure_future(ra.aio.AsyncTable(long).to_table())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    os.kill(server.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        asyncio.run(story())
        assert time.monotonic() - started < SHORT_S
    finally:
        os.kill(server.pid, signal.SIGCONT)


WORK = """
import sys, time
import remote_arrow as ra
ds = ra.connect(sys.argv[1])["long"]
print("ready", flush=True)
try:
    exec(sys.argv[2])
except KeyboardInterrupt:
    sys.exit(130)
"""


def interrupted(server: Server, code: str, after: float) -> float:
    """Interrupts a process that runs the code after some seconds; how long it took to end."""
    command = [sys.executable, "-c", WORK, server.uri, code]
    environment = {"PYTHONPATH": str(PYTHON)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    time.sleep(after)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert process.wait(30) == 130
    process.stdout.close()
    return time.monotonic() - started


def test_ctrl_c_ends_a_run_on_the_server(
    con: ra.Connection, server: Server, long: ra.RemoteTable
) -> None:
    code = f"with ds.pipeline() as p:\n    {SORTS}"
    assert interrupted(server, code, 0.4) < SHORT_S
    assert "code=CANCELLED" in ended(server, "DoExchange")[0]
    assert is_idle(server) and len(con.flights()) == 1


def test_ctrl_c_ends_a_planned_run_on_the_server(
    con: ra.Connection, server: Server, long: ra.RemoteTable
) -> None:
    planned = f"with ds.pipeline(publish=False) as p:\n    {SORTS}\n"
    for use in ("p.head()", "p.publish_as('sorted')"):
        assert interrupted(server, planned + use, 0.4) < SHORT_S
        assert "code=CANCELLED" in ended(server, "DoExchange")[-1]
    assert is_idle(server) and len(con.flights()) == 1


def test_ctrl_c_ends_a_read_on_the_server(server: Server, long: ra.RemoteTable) -> None:
    code = "for batch in ds.iter_batches(): time.sleep(0.2)"
    assert interrupted(server, code, 0.4) < SHORT_S
    assert "code=CANCELLED" in ended(server, "DoGet")[0]


def test_ctrl_c_ends_whole_reads(server: Server, long: ra.RemoteTable) -> None:
    assert interrupted(server, "while True: ds.to_table()", 0.4) < SHORT_S
    assert ended(server, "DoGet")


def test_ctrl_c_ends_what_cannot_be_cancelled(server: Server, long: ra.RemoteTable) -> None:
    watching = "for event in ra.connect(sys.argv[1]).watch('none such'): pass"
    assert interrupted(server, watching, 0.4) < SHORT_S
