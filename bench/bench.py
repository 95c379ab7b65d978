"""Measures the server against its peers, side by side in one run; prints ratios and verdicts.

    python bench/bench.py [R1 R8 …]       all measurements, or some
    python bench/bench.py --check         exits with 1 when a limit is missed

RA_BENCH_QUICK=1 uses small data and few rounds: it shows that everything runs, not how fast. What
each id means stands beside its function; figures are for this machine, only ratios travel.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.flight as flight
import pyarrow.parquet

import package_cases  # noqa: F401 - its cases
from conditions import keep_client_memory
from harness import (
    CASES,
    CROWD_PROCESSES,
    CROWD_SECONDS,
    FEW_FLIGHTS,
    FIXED_HEAP_BYTES,
    LOAD_SECONDS,
    MAKERS,
    MANY_FLIGHTS,
    QUICK,
    ROUNDS,
    ROWS,
    SMALL_CALLS,
    TABLE_BYTES,
    UPLOAD_ROUNDS,
    Bench,
    call_times,
    case,
    drain,
    random_batches,
    read_all,
    upload,
    wide_table,
)
from measure import (
    HEADER,
    Goal,
    Row,
    Turns,
    at_least,
    at_most,
    millis,
    quantile,
    rate,
    timed,
)
from processes import CpuOf, downloading, peak_heap, run_tool
from remote import Json, Remote, by_command, by_id, by_name
from serving import Server
from side_by_side import WINDOW_S, gather


def downloads(
    bench: Bench,
    name: str,
    batch_bytes: int,
    read: Callable[[flight.FlightClient, flight.Ticket], int],
    goal: Goal,
    cpu_goal: Goal | None = None,
) -> Iterator[Row]:
    """DoGet of the same batches from both servers with the same client."""
    batches = random_batches(batch_bytes)
    total = sum(batch.nbytes for batch in batches)
    tickets = bench.upload_both(name, batches)
    table = pa.Table.from_batches(batches)
    assert bench.ours.client.do_get(tickets[0]).read_all().equals(table)
    our_cpu, peer_cpu = CpuOf(bench.server), CpuOf(bench.peer)

    def ours() -> float:
        with our_cpu.counted():
            return timed(lambda: read(bench.ours.client, tickets[0]))

    def peer() -> float:
        with peer_cpu.counted():
            return timed(lambda: read(bench.theirs.client, tickets[1]))

    turns = Turns.of(ROUNDS, ours, peer)
    bench.delete_both(name)
    label = f"{read.__name__}, batches of {batch_bytes // 1000:,} KB"
    ours_text, peer_text = rate(total, turns.ours), rate(total, turns.peer)
    yield Row(name, label, ours_text, peer_text, turns.speedups(), goal)
    if cpu_goal is not None:
        total *= ROUNDS + 1
        yield cpu_row(name, "its server CPU per GB", our_cpu, peer_cpu, total, cpu_goal)


def cpu_row(name: str, what: str, ours: CpuOf, peer: CpuOf, size_bytes: int, goal: Goal) -> Row:
    """CPU per GB of both; `size_bytes` is what each sent or received in all."""
    gigabytes = size_bytes / 1e9
    texts = [f"{cpu.seconds / gigabytes:.3f} s/GB" for cpu in (ours, peer)]
    return Row(name, what, *texts, [ours.seconds / max(peer.seconds, 1e-9)], goal)


@case("R1")
def drain_of_2_mb_batches(bench: Bench) -> Iterator[Row]:
    yield from downloads(bench, "R1", 2_097_152, drain, at_least(1.5, 1.15), at_most(0.45, 0.65))


@case("R2")
def read_all_of_2_mb_batches(bench: Bench) -> Iterator[Row]:
    yield from downloads(bench, "R2", 2_097_152, read_all, at_least(1.4, 1.15))


@case("R3")
def read_all_of_what_came_in_32_mb_batches(bench: Bench) -> Iterator[Row]:
    yield from downloads(bench, "R3", 32_000_000, read_all, at_least(2, 1.25))


@case("R4")
def drain_of_128_kb_batches(bench: Bench) -> Iterator[Row]:
    yield from downloads(bench, "R4", 131_072, drain, at_least(2, 1.4))


@case("R5")
def cpu_of_sending_against_the_floor(bench: Bench) -> Iterator[Row]:
    """Server CPU per GB with a bare receiver, against a bare program with the same system call."""
    batches = random_batches(2_097_152)
    total = sum(batch.nbytes for batch in batches)
    upload(bench.ours.client, "R5", batches)
    ticket = bench.ours.info(by_name("R5")).endpoints[0].ticket.ticket.hex()
    image = bench.folder / "image"
    image.write_bytes(b"".join(batch.serialize() for batch in batches))
    cpu = CpuOf(bench.server)
    our_rates, floors = [], []
    for _ in range(ROUNDS):
        before = cpu.seconds
        with cpu.counted():
            received, _ = run_tool(bench.tools, "bare_client", "get", bench.server.port, ticket)
        assert received >= total
        our_rates.append((cpu.seconds - before) / total * 1e9)
        sent, _, used = run_tool(bench.tools, "sendfile_floor", image, 2 << 20, "sendfile")
        floors.append(used / sent * 1e9)
    image.unlink()
    bench.ours.action("delete", name="R5")
    ours, floor = statistics.fmean(our_rates), statistics.fmean(floors)
    texts = [f"{value:.3f} s/GB" for value in (ours, floor)]
    yield Row("R5", "server CPU against bare sendfile", *texts, [ours / floor], at_most(1.2, 1.6))


@case("R6")
def cpu_over_a_unix_socket(bench: Bench) -> Iterator[Row]:
    """The server's CPU per GB over a Unix socket, against the peer over its own."""
    paths = [bench.folder / "ours.sock", bench.folder / "peer.sock"]
    server = bench.start("unix", "--socket", str(paths[0]), "--durability", "none")
    peer = bench.start_peer(str(paths[1]))
    batches = random_batches(2_097_152)
    total = sum(batch.nbytes for batch in batches)
    cpus = [CpuOf(server), CpuOf(peer)]
    with Remote(f"grpc+unix://{paths[0]}") as ours, Remote(f"grpc+unix://{paths[1]}") as theirs:
        works = []
        for remote, cpu in zip((ours, theirs), cpus):
            upload(remote.client, "R6", batches)
            ticket = remote.info(by_name("R6")).endpoints[0].ticket

            def work(remote: Remote = remote, cpu: CpuOf = cpu, ticket: object = ticket) -> float:
                with cpu.counted():
                    return timed(lambda: drain(remote.client, ticket))

            works.append(work)
        turns = Turns.of(ROUNDS, *works)
    server.stop()
    peer.stop()
    texts = rate(total, turns.ours), rate(total, turns.peer)
    yield Row("R6", "drain over a Unix socket", *texts, turns.speedups(), None)
    total *= ROUNDS + 1
    yield cpu_row("R6", "its server CPU per GB", *cpus, total, at_most(0.35, 0.5))


def uploads(
    bench: Bench, name: str, servers: tuple[Server, Server], clients: tuple[Remote, Remote]
) -> tuple[Turns, list[CpuOf], int]:
    """The same upload to two servers in turns; both keep all tables until the rounds are over.

    Together the tables stay below what the kernel leaves unwritten (a tenth of the memory), or the
    disk would be measured. They are not deleted round by round: the pages of a deleted file are
    free and may be gone to the machine's host before the next round, those of the peer's heap not.
    """
    batches = random_batches(2_097_152, TABLE_BYTES * 2 // 5)
    total = sum(batch.nbytes for batch in batches)
    cpus = [CpuOf(server) for server in servers]
    kept: list[tuple[int, str]] = []
    bench.occupy_memory()

    def work(i: int) -> float:
        kept.append((i, f"{name} {len(kept)}"))
        with cpus[i].counted():
            return timed(lambda: upload(clients[i].client, kept[-1][1], batches))

    turns = Turns.of(UPLOAD_ROUNDS, lambda: work(0), lambda: work(1))
    for i, table in kept:
        clients[i].action("delete", name=table)
    return turns, cpus, total


@case("R7")
def uploads_that_are_kept(bench: Bench) -> Iterator[Row]:
    """DoPut without durability against the peer, and with it against ourselves."""
    # Of their own: a peer that has deleted tables before still has its heap, and touches none of
    # the fresh memory that is measured here.
    servers = bench.start("kept", "--durability", "none"), bench.start_peer()
    with Remote(servers[0].uri) as ours, Remote(servers[1].uri) as theirs:
        turns, cpus, total = uploads(bench, "R7", servers, (ours, theirs))
    for server in servers:
        server.stop()
    texts = rate(total, turns.ours), rate(total, turns.peer)
    yield Row("R7", "DoPut, kept", *texts, turns.speedups(), at_least(2.2, 1.4))
    total *= UPLOAD_ROUNDS + 1
    yield cpu_row("R7", "its server CPU per GB", *cpus, total, at_most(0.35, 0.6))
    durable = bench.start("durable")
    with Remote(durable.uri) as client:
        turns, _, total = uploads(bench, "R7", (durable, bench.server), (client, bench.ours))
    durable.stop()
    texts = rate(total, turns.ours), rate(total, turns.peer)
    yield Row("R7c", "DoPut, durable / not durable", *texts, turns.speedups(), at_least(0.7, 0.5))


@case("R8")
def small_calls(bench: Bench) -> Iterator[Row]:
    """p50 of small calls against the peer; p99 beside a big download against idle."""
    bench.upload_both("R8", random_batches(32_000, 32_000))
    ten = pa.record_batch({"n": range(10)})
    tickets = bench.upload_both("R8 ten", [ten])
    actions = [flight.Action("server-info", b""), flight.Action("noop", b"")]
    clients = [bench.ours.client, bench.theirs.client]
    calls: dict[str, list[Callable[[], object]]] = {
        "DoAction": [lambda i=i: list(clients[i].do_action(actions[i])) for i in (0, 1)],
        "GetFlightInfo": [lambda i=i: clients[i].get_flight_info(by_name("R8")) for i in (0, 1)],
        "DoGet of 10 rows": [lambda i=i: read_all(clients[i], tickets[i]) for i in (0, 1)],
    }
    for name, (ours, peer) in calls.items():
        n = SMALL_CALLS // ROUNDS
        turns = Turns.of(
            ROUNDS,
            lambda ours=ours: statistics.median(call_times(ours, n)),
            lambda peer=peer: statistics.median(call_times(peer, n)),
        )
        texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
        yield Row("R8", f"p50 of {name}", *texts, turns.shares(), at_most(0.55, 0.7))
    for name in ("R8", "R8 ten"):
        bench.delete_both(name)


@case("R8b")
def small_calls_beside_a_download(bench: Bench) -> Iterator[Row]:
    """p99 of GetFlightInfo while another process downloads, against the idle p99."""
    upload(bench.ours.client, "R8b", random_batches(2_097_152))
    ticket = bench.ours.info(by_name("R8b")).endpoints[0].ticket

    def p99() -> float:
        work = lambda: bench.ours.client.get_flight_info(by_name("R8b"))  # noqa: E731
        return quantile(call_times(work), 0.99)

    ratios, idle_times, busy_times = [], [], []
    for _ in range(ROUNDS):
        idle_times.append(p99())
        with downloading(bench.server.uri, ticket):
            busy_times.append(p99())
        ratios.append(busy_times[-1] / idle_times[-1])
    bench.ours.action("delete", name="R8b")
    texts = [millis(statistics.median(times)) for times in (busy_times, idle_times)]
    yield Row("R8b", "p99 beside a download / idle", *texts, ratios, at_most(5, 10))


@case("R9")
def calls_per_second(bench: Bench) -> Iterator[Row]:
    """GetFlightInfo on 16 connections of a bare client: rate, and server CPU per call."""
    bench.upload_both("R9", [pa.record_batch({"n": range(10)})])
    cpu = CpuOf(bench.server)
    n_ours, ratios, rates = 0.0, [], ([], [])
    for _ in range(ROUNDS):
        for i, server in enumerate((bench.server, bench.peer)):
            before = cpu.seconds
            with cpu.counted():
                args = ("calls", server.port, "R9", 16, LOAD_SECONDS)
                n_calls, seconds = run_tool(bench.tools, "bare_client", *args)
            rates[i].append(n_calls / seconds)
            if i == 0:
                n_ours += n_calls
            else:
                cpu.seconds = before  # what ours used while the peer was asked does not count
        ratios.append(rates[0][-1] / rates[1][-1])
    bench.delete_both("R9")
    texts = [f"{statistics.median(values):,.0f} /s" for values in rates]
    yield Row("R9", "GetFlightInfo per second, 16 clients", *texts, ratios, at_least(3.5, 2))
    per_call = cpu.seconds / n_ours * 1e6
    row_text = f"{per_call:.1f} us"
    yield Row("R9", "server CPU per call, us", row_text, "", [per_call], at_most(12, 25))


@case("R10")
def heap_of_stored_tables(bench: Bench) -> Iterator[Row]:
    """RssAnon beyond a fixed part, per GB stored."""
    server = bench.start("heap", "--durability", "none")
    with Remote(server.uri) as client:
        n_tables = 2 if QUICK else 4
        batches = random_batches(2_097_152)
        stored = sum(batch.nbytes for batch in batches) * n_tables
        for i in range(n_tables):
            upload(client.client, f"R10 {i}", batches)
            drain(client.client, client.info(by_name(f"R10 {i}")).endpoints[0].ticket)
        used = server.anonymous_bytes()
    server.stop()
    beyond = max(0, used - FIXED_HEAP_BYTES) / 1e6 / (stored / 1e9)
    text = f"{used / 1e6:.0f} MB in all"
    yield Row("R10", "heap beyond 64 MB, MB per stored GB", text, "", [beyond], at_most(20, 100))


@case("R10b")
def peak_heap_of_operations(bench: Bench) -> Iterator[Row]:
    """Most RssAnon during an operation, beyond what was there before, per byte of its result."""
    batches = random_batches(2_097_152)
    n_rows = sum(batch.num_rows for batch in batches)
    upload(bench.ours.client, "R10b", batches)
    rows = np.random.default_rng(5).permutation(n_rows)[: n_rows // 2]
    upload(bench.ours.client, "R10b rows", pa.table({"i": np.sort(rows)}).to_batches(65_536))
    column = {"from": {"name": "R10b rows"}, "column": "i"}
    steps = {
        "sort_by": ({"sort_by": {"sorting": "a"}}, at_most(2.2, 3)),
        "take": ({"take": {"indices": column}}, at_most(1.5, 3)),
    }
    for name, (step, goal) in steps.items():
        command = {"from": {"name": "R10b"}, "do": [step]}
        before = bench.server.anonymous_bytes()
        with peak_heap(bench.server) as peak:
            info = bench.ours.info(command)
        used = max(peak) - before
        text = f"{used / 1e6:.0f} of {info.total_bytes / 1e6:.0f} MB"
        share = used / info.total_bytes
        yield Row("R10b", f"peak heap of {name} / result", text, "", [share], goal)
        bench.ours.action("delete", id=json.loads(info.app_metadata)["id"])
    for name in ("R10b", "R10b rows"):
        bench.ours.action("delete", name=name)


@case("R14")
def take_of_few_rows(bench: Bench) -> Iterator[Row]:
    """take of 10 rows from 77 chunks, asked and downloaded, against local pyarrow."""
    table = wide_table(ROWS, 77)
    upload(bench.ours.client, "R14", table.to_batches())
    # Checksums are verified at the first use of a batch; that is not what is measured here.
    drain(bench.ours.client, bench.ours.info(by_name("R14")).endpoints[0].ticket)
    rng = np.random.default_rng(1)

    def ours() -> float:
        command = few_rows("R14", rng.integers(0, ROWS, 10).tolist())
        return timed(lambda: bench.ours.get(command))

    def local() -> float:
        indices = pa.array(rng.integers(0, ROWS, 10))
        return timed(lambda: table.take(indices))

    # The median of several calls, as of the other small calls: the first one after a pause mostly
    # measures how long idle cores of a virtual machine take to wake (0.5 ms for any call).
    turns = Turns.of(
        ROUNDS,
        lambda: statistics.median(ours() for _ in range(50)),
        lambda: statistics.median(local() for _ in range(10)),
    )
    rows = [5, 0, ROWS - 1]
    assert bench.ours.get(few_rows("R14", rows)).equals(table.take(rows))
    bench.ours.action("delete", name="R14")
    texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
    yield Row("R14", "take of 10 rows / local pyarrow", *texts, turns.speedups(), at_least(100, 40))


def few_rows(name: str, rows: list[int]) -> Json:
    """A command that takes rows and publishes nothing."""
    return {"from": {"name": name}, "do": [{"take": {"indices": rows}}], "publish": False}


@case("R15")
def take_of_many_rows(bench: Bench) -> Iterator[Row]:
    """take of 1 M random rows, the result kept on the server, against local pyarrow."""
    table = wide_table(ROWS, 77)
    n = ROWS // 10
    upload(bench.ours.client, "R15", table.to_batches())
    indices = pa.table({"i": np.random.default_rng(3).integers(0, ROWS, n)})
    upload(bench.ours.client, "R15 rows", indices.to_batches())
    column = {"from": {"name": "R15 rows"}, "column": "i"}
    command = {"from": {"name": "R15"}, "do": [{"take": {"indices": column}}]}
    made: list[int] = []

    def ours() -> float:
        # Each run is made anew: what the last one left is deleted first.
        while made:
            bench.ours.action("delete", id=made.pop())
        return timed(lambda: made.append(bench.ours.about(command)["id"]))

    turns = Turns.of(ROUNDS, ours, lambda: timed(lambda: table.take(indices["i"])))
    assert bench.ours.get(made[-1]).equals(table.take(indices["i"]))
    for name in ("R15", "R15 rows"):
        bench.ours.action("delete", name=name)
    texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
    what = f"take of {n:,} rows / local pyarrow"
    yield Row("R15", what, *texts, turns.speedups(), at_least(2.3, 1.5))


@case("R23")
def same_question_again(bench: Bench) -> Iterator[Row]:
    """GetFlightInfo of a command that was answered before, against one by name."""
    upload(bench.ours.client, "R23", random_batches(2_097_152, TABLE_BYTES // 4))
    command = {"from": {"name": "R23"}, "do": [{"sort_by": {"sorting": "a"}}]}
    first = timed(lambda: bench.ours.info(command))
    result = bench.ours.info(command)
    again = by_command(command)
    turns = Turns.of(
        ROUNDS,
        lambda: statistics.median(call_times(lambda: bench.ours.info(again), 100)),
        lambda: statistics.median(call_times(lambda: bench.ours.info(by_name("R23")), 100)),
    )
    bench.ours.action("delete", name="R23")
    size = f"{result.total_bytes / 1e6:.0f} MB kept"
    texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
    what = f"same command again (first {first:.2f} s, {size})"
    yield Row("R23", what, *texts, turns.shares(), at_most(1.5, 2))


@case("rows")
def growth_in_rows(bench: Bench) -> Iterator[Row]:
    """Seconds per row of upload, sort and download at a size, against a tenth of it."""
    bench.occupy_memory()
    sizes = [ROWS // 10, ROWS]
    per_row: dict[str, list[float]] = {"upload": [], "sort_by": [], "download": []}
    for rows in sizes:
        batches = random_batches(2_097_152, rows * 32)
        name = f"rows {rows}"
        times: dict[str, list[float]] = {key: [] for key in per_row}
        for _ in range(ROUNDS):
            times["upload"].append(timed(lambda: upload(bench.ours.client, name, batches)))
            command = {"from": {"name": name}, "do": [{"sort_by": {"sorting": "a"}}]}
            times["sort_by"].append(timed(lambda: bench.ours.info(command)))
            ticket = bench.ours.info(by_name(name)).endpoints[0].ticket
            times["download"].append(timed(lambda: drain(bench.ours.client, ticket)))
            bench.ours.action("delete", id=bench.ours.about(command)["id"])
            bench.ours.action("delete", name=name)
        for key, values in times.items():
            per_row[key].append(statistics.median(values) / rows)
    for key, (small, large) in per_row.items():
        texts = [f"{value * 1e9:.1f} ns/row" for value in (large, small)]
        what = f"{key}: {sizes[1]:,} rows / {sizes[0]:,}"
        yield Row("rows", what, *texts, [large / small], at_most(1.2, 1.5))


def make_flights(uri: str, numbers: range) -> None:
    """Uploads a table of three rows for each number, over several connections."""
    batch = pa.record_batch({"n": [1, 2, 3]})

    def some(first: int) -> None:
        with Remote(uri) as client:
            for i in numbers[first::MAKERS]:
                upload(client.client, f"flight {i}", [batch])

    with ThreadPoolExecutor(MAKERS) as pool:
        list(pool.map(some, range(MAKERS)))


def beside_few(n: int, many: Remote, one: Remote, few: Remote) -> Iterator[Row]:
    """Small calls of a server with n Flights and of one with 1 or FEW_FLIGHTS, in turns."""

    def list_page(client: Remote, after: int) -> int:
        return len(client.flights(after=after, limit=100))

    # In a list the last page is the one that is furthest from the beginning.
    assert list_page(many, n - 101) == list_page(few, 0) == 100
    last = by_name(f"flight {n - 1}")
    calls: dict[str, list[Callable[[], object]]] = {
        f"GetFlightInfo, {n:,} Flights / 1": [
            *(lambda: many.info(by_id(n - 1)), lambda: one.info(by_id(0)))
        ],
        f"GetFlightInfo by name, {n:,} Flights / 1": [
            *(lambda: many.info(last), lambda: one.info(by_name("flight 0")))
        ],
        f"ListFlights of 100, {n:,} Flights / {FEW_FLIGHTS}": [
            *(lambda: list_page(many, n - 101), lambda: list_page(few, 0))
        ],
    }
    for what, (ours, peer) in calls.items():
        n_calls = SMALL_CALLS // ROUNDS // 3
        turns = Turns.of(
            ROUNDS,
            lambda ours=ours: statistics.median(call_times(ours, n_calls)),
            lambda peer=peer: statistics.median(call_times(peer, n_calls)),
        )
        texts = [millis(statistics.median(times)) for times in (turns.ours, turns.peer)]
        yield Row("many", what, *texts, turns.shares(), at_most(1.5, 2))


@case("many")
def growth_in_flights(bench: Bench) -> Iterator[Row]:
    """Small calls with many Flights against few; how long a start with them takes."""
    servers = [bench.start(name, "--durability", "none") for name in ("many", "one", "few")]
    server, one, few = servers
    make_flights(one.uri, range(1))
    make_flights(few.uri, range(FEW_FLIGHTS))
    made = 0
    for n, limit in zip(MANY_FLIGHTS, (at_most(2, 2), None)):
        seconds = timed(lambda made=made, n=n: make_flights(server.uri, range(made, n)))
        text = f"{(n - made) / seconds:,.0f} /s"
        made = n
        yield Row("many", f"uploads up to {n:,} Flights, s", text, "", [seconds], None)
        with Remote(server.uri) as many, Remote(one.uri) as single, Remote(few.uri) as some:
            yield from beside_few(n, many, single, some)
        server.stop()
        seconds = timed(server.start)
        with Remote(server.uri) as client:
            assert client.info(by_name(f"flight {n - 1}")).total_records == 3
        text = f"{seconds:.2f} s"
        yield Row("many", f"start with {n:,} Flights, s", text, "", [seconds], limit)
    for running in servers:
        running.stop()


@case("beside")
def small_calls_beside_a_crowd(bench: Bench) -> Iterator[Row]:
    """p99 of small calls beside 16 clients that upload, ask and download, and a slow reader."""
    server = bench.start("beside")
    outcome = gather(server.uri, CROWD_SECONDS, n_people=16, n_processes=CROWD_PROCESSES)
    server.stop()
    if outcome.failures:
        raise RuntimeError("\n".join(outcome.failures))
    windows = [seconds * 1e3 for seconds in outcome.p99_by_window()]
    times = outcome.seconds()
    what = f"p99 of small calls in the worst {WINDOW_S:.0f} s, ms"
    text = f"{quantile(times, 0.99) * 1e3:.1f} ms in all"
    rounds = f"{sum(outcome.rounds):,} rounds"
    yield Row("beside", what, text, rounds, [max(windows)], at_most(50, 50))
    for name, calls in outcome.times.items():
        seconds = [seconds for _, seconds in calls]
        text = f"p50 {statistics.median(seconds) * 1e3:.1f} ms"
        p99 = quantile(seconds, 0.99) * 1e3
        yield Row("beside", f"p99 of {name}, ms", text, "", [p99], None)


def describe_machine() -> str:
    """Kernel, congestion control, versions: what the figures depend on."""
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    mode = "quick: small data, figures mean little" if QUICK else f"{TABLE_BYTES / 1e6:.0f} MB"
    return (
        f"Linux {platform.release()}, {os.cpu_count()} cores, tcp {control}; "
        f"pyarrow {pa.__version__}, Python {platform.python_version()}; {mode}, {ROUNDS} rounds"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    options = parser.parse_args()
    keep_client_memory()
    unknown = set(options.ids) - set(CASES)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    print(describe_machine())
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="remote-arrow-bench-") as folder:
        bench = Bench(Path(folder))
        try:
            for name in options.ids or CASES:
                for row in CASES[name](bench):
                    print(row.text(), flush=True)
                    rows.append(row)
            bench.stop()
        finally:
            bench.kill()
    missed = [row for row in rows if row.goal and row.goal.verdict(row.ratio) == "MISSED"]
    print(f"{len(rows) - len(missed)} of {len(rows)} within their limits")
    if options.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
