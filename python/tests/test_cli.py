"""The command line, as processes against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from serving import Server, server_binary

PYTHON = Path(__file__).resolve().parent.parent
T = pa.table({"a": [3, 1, None], "b": ["x", "\x1b[31mred", "z" * 60]})
Run = Callable[..., subprocess.CompletedProcess[bytes]]


def run_command(*arguments: object, url: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(PYTHON), "REMOTE_ARROW_URL": url}
    command = [sys.executable, "-m", "remote_arrow", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=60)


@pytest.fixture
def run(server: Server) -> Run:
    def ok(*arguments: object, code: int = 0, stdin: bytes = b"") -> subprocess.CompletedProcess:
        ended = run_command(*arguments, url=server.uri, stdin=stdin)
        assert ended.returncode == code, ended.stderr.decode()
        assert b"Traceback" not in ended.stderr
        return ended

    return ok


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(T, path)
    assert run("put", path, "--name", "t").stdout == b"#0 @1: 3 rows\n"
    return path


def test_formats_come_back(run: Run, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("get", "t", "-o", out, "--format", "parquet")
    assert pyarrow.parquet.read_table(out).equals(T)
    stream = run("get", "#0", "--format", "arrow").stdout
    assert pa.ipc.open_stream(stream).read_all().equals(T)
    run("put", "-", "--name", "again", stdin=stream)
    assert pa.ipc.open_stream(run("get", "1@1", "--format", "arrow").stdout).read_all().equals(T)
    text = run("get", "t", "--format", "csv", "--columns", "a", "--limit", "2").stdout
    assert text == b'"a"\n3\n1\n'
    rows = [json.loads(line) for line in run("get", "t", "--format", "json").stdout.splitlines()]
    assert rows == T.to_pylist()


def test_tables_obey_no_data(run: Run, stored: Path) -> None:
    lines = run("head", "t", "-n", "3").stdout.decode().splitlines()
    assert lines[0].split() == ["a", "b"] and "\x1b" not in "".join(lines)
    assert len(lines) == 4 and lines[3].endswith("…") and max(map(len, lines)) <= 44


def test_flights_are_shown_and_changed(run: Run, stored: Path, server: Server) -> None:
    assert b"t " in run("ls").stdout
    assert json.loads(run("ls", "--format", "json").stdout)["rows"] == 3
    assert b"int64" in run("info", "t").stdout
    assert b"ready" in run("versions", "t").stdout
    run("rename", "t", "u")
    run("put", stored, "--name", "u", "--if-exists", "replace")
    assert json.loads(run("info", "u", "--format", "json").stdout)["version"] == 2
    assert json.loads(run("export", "u", "u.parquet").stdout)["rows"] == 3
    assert run("save", "0", "v").stdout == b"Flight 0 saved as v.parquet\n"
    assert pyarrow.parquet.read_table(server.data_dir / "v.parquet").equals(T)
    run("keep", "v")
    assert json.loads(run("rm", "v").stdout)["deleted"] == 0
    assert run("ls").stdout.count(b"\n") == 1
    assert b"ms" in run("ping").stdout


def test_failed_download_leaves_the_file_that_was_there(
    run: Run, server: Server, tmp_path: Path
) -> None:
    nested = tmp_path / "n.parquet"
    pyarrow.parquet.write_table(pa.table({"l": [[1, 2]]}), nested)
    run("put", nested, "--name", "n")
    out = tmp_path / "out.csv"
    out.write_bytes(b"before")
    run("get", "n", "-o", out, code=1)
    assert out.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.glob("*out.csv*")) == ["out.csv"]


def test_columns_of_one_name_and_values_beyond_python_are_not_lost_silently(run: Run) -> None:
    twice = pa.table([[1], [2], [3]], names=["x", "x", "y"])
    far = pa.table({"t": pa.array([2**62], pa.timestamp("s"))})
    for name, table in (("twice", twice), ("far", far)):
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        run("put", "-", "--name", name, stdin=stream.getvalue().to_pybytes())
    assert run("get", "twice").stdout.split() == [b"x", b"x", b"y", b"1", b"2", b"3"]
    assert b"same name" in run("get", "twice", "--format", "json", code=1).stderr
    assert run("get", "far", code=1).stderr.count(b"\n") == 1


def test_exit_codes(run: Run, stored: Path, tmp_path: Path) -> None:
    assert b"does not exist" in run("get", "nothing", code=3).stderr
    taken = run("put", stored, "--name", "t", code=1).stderr.decode()
    hint = "--if-exists replace or append makes its next version"
    assert taken == f"remote-arrow: Flight 't' exists (id 0); {hint}\n"
    run("put", tmp_path / "absent.csv", code=1)
    run("get", code=2)
    assert b"remote-arrow get " in run("get", "t", "-o", "t.xlsx", code=2).stderr
    run("no-such-command", code=2)
    assert run_command("ping", url="grpc://localhost:1").returncode == 5


def test_missing_token_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    options = ("--token-file", str(tmp_path / "tokens"))
    server = Server(*options, data_dir=tmp_path / "d", log_path=tmp_path / "log")
    refused = run_command("ping", url=server.uri)
    told = b"remote-arrow: this server needs a token: give --token or REMOTE_ARROW_TOKEN\n"
    assert (refused.returncode, refused.stderr) == (4, told)
    assert run_command("--token", "x", "ping", url=server.uri).stderr.endswith(b"is wrong\n")
    assert run_command("--token", "secret", "ping", url=server.uri).returncode == 0
    server.stop()


def test_reader_that_has_seen_enough_is_no_error(run: Run, stored: Path, server: Server) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PYTHON), "REMOTE_ARROW_URL": server.uri}
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "remote_arrow", "get", "t", "--format", "arrow"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_serve_runs_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_ARROW_SERVER", str(server_binary()))
    for dashes in ((), ("--",)):
        ended = run_command("serve", *dashes, "--no-such-option", "x", url="")
        assert ended.returncode == 2
        assert b"remote-arrow-server: unknown option '--no-such-option'" in ended.stderr
        told = run_command("serve", *dashes, "--version", url="")
        assert (told.returncode, told.stderr) == (0, b"") and told.stdout
    assert b"unrecognized" in run_command("ls", "--no-such-option", url="").stderr


def test_export_replaces_only_when_told(run: Run, stored: Path, server: Server) -> None:
    assert json.loads(run("export", "t", "t.csv").stdout)["format"] == "csv"
    assert b"exists" in run("export", "t", "t.csv", code=1).stderr
    run("export", "t", "t.csv", "--format", "arrow", "--if-exists", "replace")
    assert pa.ipc.open_file(server.data_dir / "t.csv").read_all().equals(T)


def test_versions_are_those_of_the_package(run: Run) -> None:
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout.decode() == f"remote-arrow {project['version']}\n"
    assert f"version {project['version']}," in run("ping").stdout.decode()


def test_names_that_the_terminal_cannot_show_are_escaped(
    run: Run, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("rename", "t", "\u6771")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert b" \\u6771 " in run("ls").stdout


def test_input_in_another_format_than_arrow_is_told(run: Run) -> None:
    for text in (b"a,b\n1,2\n", b""):
        told = run("put", "-", "--name", "t", stdin=text, code=1).stderr.decode()
        assert "this is no Arrow data" in told
        assert told.endswith("; give --format csv or parquet when it is that\n")
    run("put", "-", "--format", "csv", stdin=b"a,b\n1,2\n")


def test_csv_of_other_habits(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"n\xe4me;b\n1;2\n")
    assert b"not UTF-8, give its encoding" in run("put", tmp_path / "t.csv", code=1).stderr
    run("put", tmp_path / "t.csv", "--name", "t", "--delimiter", ";", "--encoding", "latin-1")
    assert run("get", "t", "--format", "csv").stdout.decode() == '"näme","b"\n1,2\n'
    missing = run("get", "t", "--columns", "name", "--limit", 1, code=1).stderr
    assert missing == b'remote-arrow: Field "name" does not exist in schema\n'
    assert b"one character" in run("put", "x.csv", "--delimiter", ";;", code=2).stderr
