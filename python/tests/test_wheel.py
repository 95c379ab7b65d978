"""The wheel with the server inside, installed where nothing else is; RA_WHEEL is its folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WHEELS = os.environ.get("RA_WHEEL")
pytestmark = pytest.mark.skipif(WHEELS is None, reason="make test-wheel makes the wheel")

FIVE_LINES = """
import pyarrow as pa, remote_arrow as ra
with ra.serve() as server, server.connect() as con:
    ds = con.upload(pa.table({"fare": [7.5, 3.0, 52.0], "zone": ["A", "B", "A"]}), name="rides")
    top = ds.sort_by([("fare", "descending")])
    print(top.to_table().to_pylist(), [flight.name for flight in con.flights()])
"""
TUTORIAL = """
import subprocess, sys, pyarrow as pa, pyarrow.csv, pyarrow.parquet
from pathlib import Path
from RemoteArrow import RemoteDataset
command, folder = sys.argv[1], Path(sys.argv[2])

def start():
    serve = [command, "serve", "--port", "0", "--data-dir", str(folder / "data")]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    return process, "localhost:" + process.stdout.readline().rstrip().rpartition(":")[2]

(folder / "people.csv").write_text("name,age\\nAnn,31\\nBob,9\\nEve,45\\n")
local = pyarrow.csv.read_csv(folder / "people.csv")
server, hostname = start()
people = RemoteDataset(str(folder / "people.csv"), hostname)
assert people.take([0, 2]).equals(local.take([0, 2]))
other = RemoteDataset(hostname=hostname).connect(0)
assert [summary.id for summary in other.list_flights()] == [0, 1]
oldest = other.sort_by([("age", "descending")])
assert other.action("save", "2 oldest") == ["Flight 2 saved as oldest.parquet"]
assert pyarrow.parquet.read_table(folder / "data/oldest.parquet").equals(oldest)
other.action("shutdown")
assert server.wait() == 0
server, hostname = start()
again = RemoteDataset(hostname=hostname)
saved = {summary.name: summary.id for summary in again.list_flights()}["oldest"]
assert again.connect(saved).fetch().equals(oldest)
again.action("shutdown")
assert server.wait() == 0
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel and what pip installs with it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (wheel,) = Path(WHEELS or "").glob("remote_arrow-*-py3-none-manylinux_*.whl")
    pip = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True)
    return folder / "venv/bin"


def run_bare(*command: object) -> str:
    """Runs a command with an empty environment; what it wrote, when it succeeded."""
    words = ["env", "-i", *map(str, command)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def bundled(installed: Path) -> Path:
    (folder,) = installed.parent.glob("lib/python*/site-packages/remote_arrow/_bin")
    return folder


def test_five_lines_upload_sort_and_show(installed: Path) -> None:
    told = run_bare(installed / "python", "-c", FIVE_LINES)
    rows = "{'fare': 52.0, 'zone': 'A'}, {'fare': 7.5, 'zone': 'A'}, {'fare': 3.0, 'zone': 'B'}"
    assert told == f"[{rows}] ['rides', None]\n"


def test_wheel_for_any_platform_is_the_client(installed: Path, tmp_path: Path) -> None:
    (pure,) = Path(WHEELS or "").glob("remote_arrow-*-py3-none-any.whl")
    pip = [installed / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path, pure], check=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from remote_arrow import *; serve()"
    ended = subprocess.run([installed / "python", "-Ic", code], capture_output=True, text=True)
    assert "FileNotFoundError: no remote-arrow-server" in ended.stderr


def test_tutorial_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    run_bare(installed / "python", "-c", TUTORIAL, installed / "remote-arrow", tmp_path)


def test_only_glibc_is_taken_from_the_machine(installed: Path) -> None:
    folder = bundled(installed)
    programs = [path for path in folder.iterdir() if path.is_file()]
    assert {"remote-arrow-server", "remote-arrow-sql", "libduckdb.so"} <= {p.name for p in programs}
    for program in programs:
        for line in run_bare("/usr/bin/ldd", program).splitlines():
            name, arrow, where = line.strip().partition(" => ")
            is_glibc = name.split(".")[0] in {"libc", "libm", "libdl", "libpthread", "librt"}
            assert not arrow or is_glibc or where.startswith(str(folder)), (program, line)
    assert (folder / "licenses/libgnutls30").stat().st_size > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_server_and_worker_start_where_there_is_only_glibc(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(bundled(installed), tmp_path / "_bin")
    asked = run_bare("/usr/bin/ldd", tmp_path / "_bin/libduckdb.so").split()
    for path in (Path(word) for word in asked if word.startswith("/lib")):
        (tmp_path / path.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to("/"))
    (tmp_path / "proc/self").mkdir(parents=True)
    for program, code, words in (
        ("remote-arrow-server --version", 0, "remote-arrow-server"),
        ("remote-arrow-sql", 2, "is started by remote-arrow-server"),
    ):
        path, *options = f"/_bin/{program}".split()
        own_path = tmp_path / "proc/self/exe"  # what the loader takes $ORIGIN from
        own_path.unlink(missing_ok=True)
        own_path.symlink_to(path)
        command = ["/usr/sbin/chroot", tmp_path, path, *options]
        ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert ended.returncode == code and words in ended.stdout + ended.stderr, ended.stderr
