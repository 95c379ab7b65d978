"""What the command line writes: valid JSON, tables that fit, files in bounded memory."""

from __future__ import annotations

import datetime
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import remote_arrow as ra
from remote_arrow.output import display_width, to_json
from remote_arrow.top import Sample, parse_metrics, read_metrics, size
from serving import Server
from test_cli import PYTHON, Run, run, run_command, stored

__all__ = ["run", "stored"]  # fixtures
MEMORY_LIMIT = 256 << 20
TRIES = 3
MEASURES = """
import re, sys
from remote_arrow.cli import main
assert main(sys.argv[1:]) == 0
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""
NEVER = "grpc://127.0.0.1:{}"


@pytest.fixture
def con(server: Server) -> Iterator[ra.Connection]:
    with ra.connect(server.uri) as connection:
        yield connection


def environment(url: str, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PYTHON), "REMOTE_ARROW_URL": url, **more}


def strict(text: bytes) -> list[dict]:
    """JSON lines; raises for NaN and its like."""
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_json_is_valid_and_exact(run: Run, con: ra.Connection) -> None:
    berlin = pa.timestamp("us", "Europe/Berlin")
    moment = datetime.datetime(2020, 2, 3, 4, 5, 6, 7)
    con.upload(
        pa.table(
            {
                "f": [1.5, float("nan"), float("-inf")],
                "b": [b"\xff\x00", None, b""],
                "n": pa.array([1_580_702_706_000_000_001] * 3, pa.timestamp("ns")),
                "z": pa.array([1_580_702_706_000_000_001] * 3, pa.timestamp("ns", "Europe/Berlin")),
                "t": pa.array([moment] * 3, berlin),
                "d": [datetime.date(2020, 2, 3)] * 3,
                "c": pa.array([1] * 3, pa.time64("ns")),
                "p": [datetime.timedelta(seconds=1, microseconds=500_000)] * 3,
                "x": [Decimal("1E+2"), Decimal("0.10"), None],
                "s": [{"v": [float("nan"), 1.0]}, None, {"v": None}],
                "m": pa.array([[("k", b"v")], [], None], pa.map_(pa.string(), pa.binary())),
                "i": [2**63 - 1, 0, -1],
                "ü": ["ü\u2028", "", None],
            }
        ),
        "t",
    )
    rows = strict(run("get", "t", "--format", "json").stdout)
    assert rows[0] == {
        "f": 1.5,
        "b": "/wA=",
        "n": "2020-02-03T04:05:06.000000001",
        "z": "2020-02-03T05:05:06.000000001+01:00",
        "t": "2020-02-03T05:05:06.000007+01:00",
        "d": "2020-02-03",
        "c": "00:00:00.000000001",
        "p": 1.5,
        "x": "100.00",
        "s": {"v": [None, 1.0]},
        "m": [["k", "dg=="]],
        "i": 2**63 - 1,
        "ü": "ü\u2028",
    }
    assert [rows[1]["f"], rows[2]["f"], rows[1]["b"], rows[2]["b"]] == [None, None, None, ""]
    assert rows == strict(run("head", "t", "--format", "json").stdout)
    assert to_json({1: float("inf")}) == '{"1": null}'


def on_terminal(url: str, *arguments: str, columns: int, **more: str) -> str:
    """What a command writes to a terminal of that width."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "remote_arrow", *arguments]
    shown = environment(url, COLUMNS=str(columns), TERM="xterm", **more)
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=shown):
        os.close(slave)
        seen = b""
        try:
            while block := os.read(master, 65536):
                seen += block
        except OSError:  # so a terminal ends
            pass
    os.close(master)
    return seen.decode().replace("\r\n", "\n")


def test_tables_fit_the_terminal(run: Run, con: ra.Connection, server: Server) -> None:
    wide = {"a": ["x" * 60, "漢字" * 30], "b": ["e\u0301" * 9, "👍" * 20], "c": [1, 2]}
    con.upload(pa.table(wide), "wide")
    con.upload(pa.table({f"column {i}": [i] for i in range(50)}), "many")
    for columns in (30, 45, 80):
        for name in ("wide", "many"):
            shown = on_terminal(server.uri, "head", name, columns=columns, NO_COLOR="1")
            lines = shown.splitlines()
            assert len(lines) == {"wide": 3, "many": 2}[name] and "\x1b" not in shown
            widths = [display_width(line) for line in lines]
            assert max(widths) <= columns and max(widths) > columns // 2
            assert ("more" in lines[0]) == (name == "many")
            if name == "many":  # fewer, but whole names
                assert lines[0].startswith("column 0  ")
    aligned = [line.rstrip()[-1] for line in lines_of(run("head", "wide").stdout)]
    assert aligned == ["c", "1", "2"]
    starts = [display_width(line[:-1]) for line in lines_of(run("head", "wide").stdout)]
    assert len(set(starts)) == 1
    assert "\x1b[1m" in on_terminal(server.uri, "head", "wide", columns=80)
    assert "\x1b" not in on_terminal(server.uri, "head", "wide", columns=80, NO_COLOR="1")
    assert b"\x1b" not in run("head", "wide").stdout


def lines_of(text: bytes) -> list[str]:
    return text.decode().splitlines()


def test_wrong_numbers_are_usage_errors() -> None:
    for wrong in ("0", "-1", "nan", "inf", "soon"):
        ended = run_command(f"--timeout={wrong}", "ls", url=NEVER.format(1))
        assert (ended.returncode, b"--timeout" in ended.stderr) == (2, True), wrong
    for options in (("get", "t", "--limit=-1"), ("get", "t", "--limit=x"), ("head", "t", "-n=-1")):
        assert run_command(*options, url=NEVER.format(1)).returncode == 2
    assert run_command("get", "t", "-o", "x.odd", url=NEVER.format(1)).returncode == 2
    assert run_command("put", "-", "x.csv", url=NEVER.format(1)).returncode == 2


def test_options_before_and_behind_the_command(server: Server) -> None:
    url = ("--url", server.uri)
    for words in ((*url, "ls"), ("ls", *url), ("--url", NEVER.format(1), "ls", *url)):
        assert run_command(*words, url=NEVER.format(1)).returncode == 0
    assert run_command("ls", "--timeout", "2", *url, url="").returncode == 0
    assert run_command("ls", "--timeout", "0", *url, url="").returncode == 2


def test_standard_input_of_every_format(run: Run, con: ra.Connection, tmp_path: Path) -> None:
    table = pa.table({"n": range(1000)})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    for name, make in (("t.file", pa.ipc.new_file), ("t.stream", pa.ipc.new_stream)):
        with make(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
    formats = {"t.parquet": "parquet", "t.csv": "csv", "t.file": "arrow", "t.stream": "arrow"}
    for name, format_ in formats.items():
        data = (tmp_path / name).read_bytes()
        run("put", "-", "--format", format_, "--name", name, stdin=data)
        assert con[name].to_table().equals(table)
    run("put", tmp_path / "t.csv", tmp_path / "t.parquet", "--name", "two")
    assert con["two"].num_rows == 2000
    run("put", tmp_path / "t.stream", "--format", "arrow", "--name", "named")
    run("put", tmp_path / "t.*", "--name", "bad", code=1)
    assert sorted(ds.name for ds in con.flights()) == sorted([*formats, "two", "named"])


def test_files_of_every_format(run: Run, stored: Path, con: ra.Connection, tmp_path: Path) -> None:
    table = con["t"].to_table()
    for suffix in ("parquet", "arrow", "feather", "csv"):
        out = tmp_path / f"out.{suffix}"
        run("get", "t", "-o", out)
        assert con.upload(out).to_table().equals(table)
    with pa.memory_map(str(tmp_path / "out.arrow")) as file:
        assert pa.ipc.open_file(file).read_all().equals(table)
    run("get", "t", "-o", tmp_path / "o.jsonl", "--limit", 2, "--columns", "a")
    assert strict((tmp_path / "o.jsonl").read_bytes()) == [{"a": 3}, {"a": 1}]
    assert run("get", "t", "--limit", "0", "--format", "csv").stdout == b'"a","b"\n'


@pytest.fixture
def big(con: ra.Connection) -> int:
    """A Flight of 480 MB; its rows."""
    rng = np.random.default_rng(3)
    batch = pa.record_batch({f"c{i}": rng.integers(0, 1 << 62, 20_000) for i in range(6)})
    con.upload((batch for _ in range(500)), "big")
    return 500 * batch.num_rows


def assert_little_memory(command: list[str], server: Server, what: str) -> None:
    """gRPC now and then reads ahead of a slow writer: one of some tries has to do."""
    peaks = []
    for _ in range(TRIES):
        ended = subprocess.run(command, capture_output=True, env=environment(server.uri))
        assert ended.returncode == 0, ended.stderr
        peaks.append(int(ended.stderr) >> 10)
        if int(ended.stderr) << 10 < MEMORY_LIMIT:
            return
    pytest.fail(f"{what}: {peaks} MB")


def test_downloads_need_little_memory(
    server: Server, con: ra.Connection, big: int, tmp_path: Path
) -> None:
    assert con["big"].total_bytes > MEMORY_LIMIT * 7 // 4
    for output in ("/dev/null", str(tmp_path / "o.parquet"), str(tmp_path / "o.arrow")):
        format_ = output.rpartition(".")[2] if "." in output else "csv"
        command = ["get", "big", "-o", output, "--format", format_]
        assert_little_memory([sys.executable, "-c", MEASURES, *command], server, format_)
    written = pyarrow.parquet.ParquetFile(tmp_path / "o.parquet").metadata
    assert written.num_rows == big and written.num_row_groups < 40


def test_reader_that_has_seen_enough(server: Server, big: int) -> None:
    for format_ in ("csv", "json", "arrow", "parquet", "table"):
        command = [sys.executable, "-m", "remote_arrow", "get", "big", "--format", format_]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(server.uri)
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            assert len(process.stdout.read(4)) == 4
            process.stdout.close()
            assert process.stderr.read() == b"", format_
        assert process.returncode == 0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_interrupted_download_leaves_no_file(
    server: Server, big: int, tmp_path: Path, number: int, code: int
) -> None:
    command = [sys.executable, "-m", "remote_arrow", "get", "big", "-o", str(tmp_path / "x.csv")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(server.uri)) as process:
        assert process.stderr is not None
        wait_for(lambda: [p for p in tmp_path.glob(".x.csv.*") if p.stat().st_size])
        process.send_signal(number)
        assert process.stderr.read() == b""
    assert process.returncode == code
    assert list(tmp_path.glob("*x.csv*")) == []


def test_interrupted_upload_leaves_nothing(server: Server, con: ra.Connection) -> None:
    stream = pa.BufferOutputStream()
    table = pa.table({"n": np.arange(1_000_000)})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
        unfinished = stream.tell()
    command = [sys.executable, "-m", "remote_arrow", "put", "-", "--name", "t"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=environment(server.uri)) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(stream.getvalue()[:unfinished])
        process.stdin.flush()
        wait_for(lambda: metrics_of(server).started.get("DoPut"))
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130
    wait_for(lambda: not metrics_of(server).values["calls_open"])
    assert con.flights() == []


def metrics_of(server: Server) -> Sample:
    return read_metrics(server.uri, None, 10.0)


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.3, 2.0])
def test_interrupt_at_any_time_is_quiet(delay_s: float, tmp_path: Path) -> None:
    script = tmp_path / "remote-arrow"  # as installers write it
    script.write_text("import sys\nfrom remote_arrow.cli import run\nsys.exit(run())\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # never answers
        url = NEVER.format(silent.getsockname()[1])
        for start in (["-m", "remote_arrow"], [str(script)]):
            command = [sys.executable, "-v", *start, "ls"]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(url)
            ) as process:
                assert process.stderr is not None
                while b"import 'remote_arrow.interrupts'" not in process.stderr.readline():
                    assert process.poll() is None
                started = time.monotonic()
                while time.monotonic() < started + delay_s:
                    os.set_blocking(process.stderr.fileno(), False)
                    process.stderr.read()  # or -v would fill the pipe
                    time.sleep(0.005)
                os.set_blocking(process.stderr.fileno(), True)
                process.send_signal(signal.SIGINT)
                interrupted = time.monotonic()
                assert b"Traceback" not in process.stderr.read()
            assert process.returncode == 130
            assert time.monotonic() - interrupted < 15


def test_deleted_flights_are_listed_when_asked_for(run: Run, stored: Path) -> None:
    run("put", stored, "--name", "gone")
    run("put", stored)
    run("rm", "gone")
    assert run("ls").stdout.count(b"\n") == 3
    lines = lines_of(run("ls", "--all").stdout)
    assert len(lines) == 4 and lines[2].split() == ["#1", "deleted"]
    assert strict(run("ls", "--all", "--format", "json").stdout)[2]["state"] == "deleted"
    assert run("ls", "--format", "names").stdout == b"t\n#2\n"


def test_top_shows_calls_and_flights(run: Run, stored: Path, tmp_path: Path) -> None:
    lines = lines_of(run("top", "--once").stdout)
    assert "ready" in lines[0] and "1 Flights" in lines[1]
    assert any(line.split()[:2] == ["DoPut", "1"] for line in lines)
    assert any(line.split()[:2] == ["#0", "t"] for line in lines)
    (tmp_path / "tokens").write_text("secret\n")
    token_file = ("--token-file", str(tmp_path / "tokens"))
    server = Server(*token_file, data_dir=tmp_path / "d", log_path=tmp_path / "l")
    assert run_command("top", "--once", "--token", "secret", url=server.uri).returncode == 0
    assert run_command("top", "--once", url=server.uri).returncode == 4
    server.stop()


def test_top_goes_on_until_interrupted(server: Server) -> None:
    command = [sys.executable, "-m", "remote_arrow", "top", "--interval", "0.05"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(server.uri)
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        seen = b""
        while not re.search(rb"GetFlightInfo|ListFlights +\d+ +[\d.]+/s", seen):
            seen += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


def test_metrics_are_read() -> None:
    text = (
        "# TYPE remote_arrow_flights gauge\n"
        "remote_arrow_flights 2\n"
        'grpc_server_started_total{grpc_service="a",grpc_method="DoGet"} 3\n'
        'grpc_server_handled_total{grpc_service="a",grpc_method="DoGet",grpc_code="OK"} 2\n'
        'grpc_server_handled_total{grpc_service="a",grpc_method="DoGet",grpc_code="NOT_FOUND"} 1\n'
    )
    sample = parse_metrics(text, 1.0)
    assert sample.values == {"flights": 2} and sample.started == {"DoGet": 3}
    assert sample.failed == {"DoGet": 1}
    assert [size(n) for n in (0, 999, 1500, 2.5e9, 3e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 GB",
        "3e+03 TB",
    ]


def test_bash_completes_commands_options_and_names(run: Run, stored: Path, server: Server) -> None:
    (folder := stored.parent / "bin").mkdir()
    command = folder / "remote-arrow"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m remote_arrow "$@"\n')
    command.chmod(0o755)
    script = run("completion", "bash").stdout.decode()
    asked = {("g",): "get", ("get", "--co"): "--columns", ("get", ""): "t", ("rm", "x"): ""}
    for words, expected in asked.items():
        line = " ".join(f"'{word}'" for word in ("remote-arrow", *words))
        ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _remote_arrow; echo ${{COMPREPLY[@]}}"
        shown = environment(server.uri, PATH=f"{folder}:{os.environ['PATH']}")
        bash = ["bash", "-uc", f"{script}\n{ask}"]
        told = subprocess.run(bash, capture_output=True, text=True, env=shown, check=True)
        assert (told.stdout.strip(), told.stderr) == (expected, ""), words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_read_by_their_shells(run: Run, shell: str) -> None:
    script = run("completion", shell).stdout
    assert script.count(b"put") > 1 and b"--if-exists" in script.replace(b"-l ", b"--")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script, check=True, capture_output=True)
