"""What is installed: that it runs from where it is put, and that unit and image files fit it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from remote import Remote, by_name
from serving import REPOSITORY, Server

TABLE = pa.table({"n": [1, 2, 3], "w": ["a", "b", None]})
PACKAGING = REPOSITORY / "packaging"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `make install` has put what is built, under a root of its own."""
    if "RA_SERVER" in os.environ:
        pytest.skip("what is installed is what `make` has built, not RA_SERVER")
    path = tmp_path_factory.mktemp("install") / "opt"
    subprocess.run(
        ["make", "--no-print-directory", "-o", "build", "install", f"PREFIX={path}"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def installed(prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The installed server, started through the link in bin/."""
    monkeypatch.setenv("RA_SERVER", str(prefix / "bin" / "remote-arrow-server"))
    monkeypatch.setattr("serving.server_binary", lambda: prefix / "bin" / "remote-arrow-server")
    return Server(data_dir=tmp_path / "data", log_path=tmp_path / "log")


def test_the_installed_server_serves_and_writes_files(installed: Server) -> None:
    assert installed.process is not None
    assert Path(installed.command_line()[0]).is_symlink()
    with Remote(installed.uri) as remote:
        remote.upload(TABLE, "t")
        assert remote.get(by_name("t")).equals(TABLE)
        # The worker and its library are found where they were put.
        assert remote.action("export", name="t", file="t.parquet")["rows"] == 3
    probe = probe_of_image().replace("5005", str(installed.port))
    subprocess.run(["bash", "-c", probe], check=True, timeout=10)
    installed.stop()
    assert subprocess.run(["bash", "-c", probe], capture_output=True, timeout=10).returncode != 0


def probe_of_image() -> str:
    """The command by which a container engine asks for the server's health."""
    match = re.search(r"^HEALTHCHECK CMD (.*)$", (PACKAGING / "Dockerfile").read_text(), re.M)
    assert match is not None
    shell, option, command = json.loads(match[1])
    assert (shell, option) == ("bash", "-c")
    return command


def test_files_go_below_destdir(tmp_path: Path, prefix: Path) -> None:
    steps = PACKAGING / "steps.sh"
    environment = {**os.environ, "DESTDIR": str(tmp_path / "root"), "PREFIX": "/usr"}
    subprocess.run([str(steps), "install"], env=environment, check=True, cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"root"}
    below = {
        str(path.relative_to(tmp_path / "root" / "usr"))
        for path in (tmp_path / "root" / "usr").rglob("*")
    }
    assert {str(path.relative_to(prefix)) for path in prefix.rglob("*")} == below
    unit = tmp_path / "root/usr/lib/systemd/system/remote-arrow.service"
    assert "\nExecStart=/usr/bin/remote-arrow-server\n" in unit.read_text()


def test_wrong_steps_are_told() -> None:
    for step in ([], ["klear"], ["notebook"]):
        ended = subprocess.run([str(PACKAGING / "steps.sh"), *step], capture_output=True, text=True)
        assert ended.returncode != 0
        assert ended.stderr


def shared_libraries(program: Path) -> set[str]:
    """The libraries that a program names itself, but for the C library's."""
    told = subprocess.run(
        ["objdump", "-p", str(program)], capture_output=True, text=True, check=True
    )
    names = set(re.findall(r"NEEDED\s+(\S+)", told.stdout))
    return {name for name in names if not re.match(r"(libc|libm|libdl|ld-linux.*)\.so", name)}


def test_packages_of_the_image_are_what_the_programs_need(prefix: Path) -> None:
    if not shutil.which("dpkg") or not shutil.which("objdump"):
        pytest.skip("needs dpkg and objdump")
    needed = set()
    for program in ("remote-arrow-server", "remote-arrow-sql"):
        for name in shared_libraries(prefix / "lib" / "remote-arrow" / program):
            owner = subprocess.run(
                ["dpkg", "-S", f"*/{name}"], capture_output=True, text=True, check=True
            )
            needed.add(owner.stdout.split(":")[0])
    assert needed == set((PACKAGING / "runtime-packages.txt").read_text().split())


def test_the_image_takes_steps_that_there_are() -> None:
    text = (PACKAGING / "Dockerfile").read_text()
    steps = set(re.findall(r"(?:RUN|&&) (?:\S+=\S+ )?\S*steps\.sh ([a-z-]+)", text))
    known = set(re.findall(r"^    ([a-z-]+)\)", (PACKAGING / "steps.sh").read_text(), re.M))
    assert steps == known
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.M | re.S))
    assert set(stages) == {"build", "notebook", "server"}
    for name, port in (("server", 5005), ("notebook", 8888)):
        assert f"EXPOSE {port}\n" in stages[name]
        assert re.search(r"^USER (?!root)\w", stages[name], re.M)
    assert "VOLUME /data\n" in stages["server"]


# The unit file.


@pytest.fixture
def unit(prefix: Path) -> Path:
    """The installed unit; needs systemd-analyze."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    return prefix / "lib/systemd/system/remote-arrow.service"


def test_the_unit_is_valid(unit: Path) -> None:
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    complaints = [line for line in ended.stderr.splitlines() if "remote-arrow" in line]
    assert complaints == []
    # The same check finds what is wrong.
    broken = unit.with_name("broken.service")
    broken.write_text(unit.read_text().replace("TimeoutStopSec=90", "TimeoutStopSec=soon"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(broken)], capture_output=True, text=True
    )
    broken.unlink()
    assert "Failed to parse time value" in ended.stderr


def test_the_unit_gives_more_time_than_the_drain_takes(unit: Path) -> None:
    match = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.M)
    assert match is not None
    assert int(match[1]) > 30 + 30


def expand(names: list[str]) -> set[str]:
    """System calls, those of @groups among them."""
    calls = set()
    for name in names:
        if not name.startswith("@"):
            calls.add(name)
            continue
        told = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
        )
        words = [line.strip() for line in told.stdout.splitlines()[1:]]
        calls |= expand([word for word in words if word and not word.startswith("#")])
    return calls


def allowed_calls(unit: Path) -> set[str]:
    """What the unit's filter lets through."""
    calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.M):
        names = line.removeprefix("~").split()
        calls = calls - expand(names) if line.startswith("~") else calls | expand(names)
    return calls


def test_the_unit_lets_server_and_worker_do_what_they_do(
    unit: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    tracer = tmp_path / "traced-server"
    server = prefix / "bin" / "remote-arrow-server"
    tracer.write_text(f'#!/bin/sh\nexec strace -f -qq -o {trace} -- {server} "$@"\n')
    tracer.chmod(0o755)
    if subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs strace, and leave to trace")
    monkeypatch.setattr("serving.server_binary", lambda: tracer)
    (tmp_path / "backups").mkdir()
    traced = Server(
        *("--backup-dir", str(tmp_path / "backups"), "--socket", str(tmp_path / "s")),
        data_dir=tmp_path / "data",
        log_path=tmp_path / "log",
        env={"NOTIFY_SOCKET": str(tmp_path / "nobody")},
    )
    with Remote(traced.uri) as remote:
        remote.upload(TABLE, "t")
        remote.info({"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "n"}}]})
        assert remote.get(by_name("t")).equals(TABLE)
        remote.action("export", name="t", file="t.parquet")
        remote.action("backup", name="b")
        remote.action("delete", name="t")
        remote.action_bytes("shutdown")
    traced.wait()
    used = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)[( ]", trace.read_text(), re.M))
    assert {"seccomp", "landlock_restrict_self", "prlimit64", "execve"} <= used
    assert used - allowed_calls(unit) == set()
    mapped = re.findall(r"\b(?:mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC", trace.read_text())
    assert mapped == []  # MemoryDenyWriteExecute


@pytest.mark.skipif("RA_NOTEBOOK" not in os.environ, reason="RA_NOTEBOOK=1 installs JupyterLab")
def test_the_notebook_environment_has_client_and_lab(tmp_path: Path) -> None:
    folder = tmp_path / "notebook"
    subprocess.run([str(PACKAGING / "steps.sh"), "notebook", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "jupyter"), "lab", "--version"], check=True)
    subprocess.run([str(folder / "bin" / "python"), "-c", "import remote_arrow"], check=True)
    told = subprocess.run(
        ["git", "status", "--short", "--ignored", "python"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "egg-info" not in told.stdout
