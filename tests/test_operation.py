"""What an operator sees and sets: options, the ready line, the log."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from conftest import MakeServer
from remote import Remote, by_id, by_name
from serving import Server, assert_one_clear_line, refused_start

SMALL = pa.table({"n": [1, 2, 3]})
SORTED = {"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "n"}}]}


def audit_lines(server: Server) -> list[str]:
    """What the audit log says, without time and level."""
    return [line.partition(" audit: ")[2] for line in server.log.splitlines() if " audit: " in line]


def test_each_change_has_one_audit_line(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
        for _ in range(2):
            remote.info(SORTED)  # the second one makes nothing new
        remote.get({**SORTED, "publish": False})
        remote.action("rename", id=0, to="u")
        remote.action("keep", id=1)
        remote.action("delete", id=1)
        with pytest.raises(KeyError):
            remote.action("delete", id=1)
        remote.action("clear", purge=True)
    lines = audit_lines(own_server)
    assert [re.match(r"change=(\w+) by=\S+", line)[1] for line in lines] == [
        *("publish", "publish", "rename", "keep", "delete", "clear"),
    ]
    assert lines[0].endswith('flight=0 version=1 name="t"')
    assert lines[2].endswith('flight=0 version=1 name="u"')


def test_failed_calls_tell_their_reason_in_the_access_log(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
        with pytest.raises(KeyError):
            remote.info(by_name("u"))
    own_server.stop()
    lines = [line for line in own_server.log.splitlines() if " access: " in line]
    assert [re.sub(r".*( code=\w+).* flight=\S+", r"\1", line) for line in lines] == [
        *(" code=OK", " code=NOT_FOUND reason=FLIGHT_NOT_FOUND"),
    ]


def test_names_cannot_forge_log_lines(make_server: MakeServer) -> None:
    server = make_server("--log-format", "json")
    with Remote(server.uri) as remote:
        remote.upload(SMALL, 'a" \\ é 表')
        with pytest.raises(pa.ArrowInvalid):
            remote.upload(SMALL, "two\nlines")
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert any('name="a" \\ é 表"' in line["message"] for line in lines)


@pytest.mark.parametrize("option", ["--disable-action", "--allow-remote-action"])
def test_unknown_action_in_an_option_is_told(option: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    code, log = refused_start("--port", "0", "--data-dir", folder, option, "clear,klear")
    assert code == 2
    assert_one_clear_line(log, option, "klear")


def test_disabled_actions_may_be_listed_with_blanks(make_server: MakeServer) -> None:
    server = make_server("--disable-action", "clear, shutdown")
    with Remote(server.uri) as remote:
        types = [action.type for action in remote.client.list_actions()]
        assert "delete" in types
        assert not {"clear", "shutdown"} & set(types)
        with pytest.raises(pa.ArrowException, match="clear"):
            remote.action("clear")


def test_ipv6_host_is_bracketed_in_the_ready_line(make_server: MakeServer) -> None:
    server = make_server("--host", "::1")
    assert server.uri == f"grpc+tcp://[::1]:{server.port}"
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
        assert remote.get(by_id(0)).equals(SMALL)


def test_relative_socket_is_told_as_absolute_location(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    make_server("--socket", "s.sock")
    with Remote(f"grpc+unix://{tmp_path}/s.sock") as remote:
        remote.upload(SMALL, "t")
        [location] = remote.info(by_name("t")).endpoints[0].locations
    assert location.uri.decode() == f"grpc+unix://{tmp_path}/s.sock"


def test_port_variable_of_a_service_link_is_ignored(make_server: MakeServer) -> None:
    link = {**os.environ, "REMOTE_ARROW_PORT": "tcp://10.0.0.1:5005"}
    server = make_server(env=link)
    with Remote(server.uri) as remote:
        assert remote.flights() == []


def wait_until(happened: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Fails when it has not happened in time."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reload(server: Server) -> None:
    """SIGHUP, until the log tells what came of it."""
    before = server.log.count("read again") + server.log.count("as they were")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: server.log.count("read again") + server.log.count("as they were") > before)


def is_let_in(server: Server, token: str) -> bool:
    """Whether a call with the token is answered, on a connection of its own."""
    with Remote(server.uri, token=token) as remote:
        try:
            remote.flights()
        except flight.FlightUnauthenticatedError:
            return False
    return True


def test_sighup_changes_the_tokens_and_no_call_is_dropped(
    make_server: MakeServer, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    server = make_server("--token-file", str(tokens))
    with Remote(server.uri, token="old") as remote:
        writer = remote.begin_upload("t", SMALL.to_batches()[0])
        tokens.write_text("new\nnewer\n")
        reload(server)
        assert not is_let_in(server, "old")
        assert is_let_in(server, "new") and is_let_in(server, "newer")
        with pytest.raises(flight.FlightUnauthenticatedError):
            remote.flights()  # also on a connection that was let in before
        writer.write_table(SMALL)
        writer.close()
    with Remote(server.uri, token="new") as remote:
        assert remote.get(by_name("t")).equals(pa.concat_tables([SMALL, SMALL]))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--token-file", "the tokens stay as they were: "),
        ("--log-level-file", "the log level stays as it was: "),
    ],
)
def test_a_pipe_for_a_file_is_not_waited_for(
    make_server: MakeServer, tmp_path: Path, option: str, words: str
) -> None:
    """Nobody may ever write to it; the server would not even end on SIGTERM."""
    path = tmp_path / "file"
    path.write_text("warning\n")
    server = make_server(option, str(path))
    path.unlink()
    os.mkfifo(path)
    os.kill(server.pid, signal.SIGHUP)
    until = time.monotonic() + 10
    while words not in server.log:
        assert time.monotonic() < until
        time.sleep(0.05)
    server.stop()


@pytest.mark.parametrize("broken", ["", "# only a comment\n", None, "x" * (1 << 20) + "\n"])
def test_broken_token_file_keeps_the_old_tokens(
    make_server: MakeServer, tmp_path: Path, broken: str | None
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    server = make_server("--token-file", str(tokens))
    tokens.unlink()
    if broken is not None:
        tokens.write_text(broken + "#" if len(broken) > 100 else broken)
    reload(server)
    assert "ERROR server: the tokens stay as they were" in server.log
    assert is_let_in(server, "old")
    assert not is_let_in(server, "x")


def test_log_level_is_read_again_from_its_file(make_server: MakeServer, tmp_path: Path) -> None:
    level = tmp_path / "level"
    server = make_server("--log-level-file", str(level))

    def is_logged(name: str) -> bool:
        with Remote(server.uri) as remote:
            remote.upload(SMALL, name)
            remote.action("delete", name=name)  # answered when the upload has been logged
        return f'name="{name}"' in server.log

    assert is_logged("at-info")
    level.write_text("  warning\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: not is_logged(f"try-{time.monotonic_ns()}"))
    level.write_text("loud\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: "the log level stays as it was" in server.log)
    assert "'loud' is no log level" in server.log
    assert not is_logged("still-at-warning")
    level.unlink()
    reload(server)
    assert is_logged("at-info-again")


def test_wrong_log_level_file_is_told_at_start(tmp_path: Path) -> None:
    level = tmp_path / "level"
    level.write_text("loud\n")
    folder = str(tmp_path / "data")
    code, log = refused_start("--data-dir", folder, "--log-level-file", str(level))
    assert code == 2
    assert_one_clear_line(log, str(level), "loud")


class Manager:
    """What a service manager's socket hears."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(10)

    def next(self) -> dict[str, str]:
        """The assignments of the next datagram."""
        text = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    """A manager's socket and its address."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@ra-test-{os.getpid()}"
    listening = Manager(address)
    yield listening, address
    listening.socket.close()


def test_service_manager_hears_ready_reload_and_stop(
    make_server: MakeServer, manager: tuple[Manager, str]
) -> None:
    listening, address = manager
    server = make_server("--drain-timeout", "3s", env={"NOTIFY_SOCKET": address})
    assert listening.next()["READY"] == "1"
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    os.kill(server.pid, signal.SIGHUP)
    said = listening.next()
    after_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert said["RELOADING"] == "1"
    assert before_us <= int(said["MONOTONIC_USEC"]) <= after_us
    assert listening.next()["READY"] == "1"
    server.stop()
    said = listening.next()
    assert said["STOPPING"] == "1"
    assert int(said["EXTEND_TIMEOUT_USEC"]) > 3_000_000
    listening.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.next()


@pytest.mark.parametrize(
    "address", ["", "relative", "/nonexistent/socket", "@nobody", "/" + "x" * 200]
)
def test_server_runs_without_a_manager_that_listens(make_server: MakeServer, address: str) -> None:
    server = make_server(env={"NOTIFY_SOCKET": address})
    with Remote(server.uri) as remote:
        assert remote.flights() == []


def test_sighup_while_stopping_does_not_end_it_sooner(make_server: MakeServer) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        writer = remote.begin_upload("t", SMALL.to_batches()[0])
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: "stopping: terminated" in server.log)
        os.kill(server.pid, signal.SIGHUP)
        writer.write_table(SMALL)
        writer.close()
        assert remote.trailers["remote-arrow-flight"]
    server.wait()
    assert "stopping now" not in server.log


SLOW = re.compile(
    r"call id=\d+ peer=\S+ method=/\S+/(?P<method>\w+) code=(?P<code>\w+) ms=(?P<ms>[\d.]+) "
    r"queue_ms=(?P<queue>[\d.]+) run_ms=(?P<run>[\d.]+) send_ms=(?P<send>[\d.]+) "
    r"rows=(?P<rows>\d+) bytes=(?P<bytes>\d+) flight=(?P<flight>-?\d+) command=(?P<command>.*)"
)


def slow_calls(server: Server) -> list[re.Match[str]]:
    """The lines of the slow log, in either format."""
    found = []
    for line in server.log.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            is_slow = (entry["level"], entry["area"]) == ("WARNING", "slow")
            said = entry["message"] if is_slow else ""
        else:
            said = line.partition(" WARNING slow: ")[2]
        if said:
            match = SLOW.fullmatch(said)
            assert match, said
            found.append(match)
    return found


@pytest.mark.parametrize("form", ["text", "json"])
def test_slow_log_says_what_a_call_was(make_server: MakeServer, form: str) -> None:
    server = make_server("--slow-log", "0s", "--log-level", "warning", "--log-format", form)
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
        remote.info(SORTED)
        remote.get(SORTED)
        with pytest.raises(pa.ArrowInvalid):
            remote.info({"from": {"name": "t"}, "do": [{"klear": {}}], "as": "x\n" * 2000})
        with pytest.raises(KeyError):
            remote.action("delete", id=7)
    wait_until(lambda: len(slow_calls(server)) == 5)
    put, info, get, wrong, action = slow_calls(server)
    assert [call["method"] for call in (put, info, get, wrong, action)] == [
        *("DoPut", "GetFlightInfo", "DoGet", "GetFlightInfo", "DoAction"),
    ]
    assert (put["flight"], put["rows"], put["code"]) == ("0", "3", "OK")
    assert json.loads(info["command"]) == SORTED
    assert float(info["queue"]) > 0  # until a thread took it
    assert (get["flight"], get["rows"]) == ("1", "3")
    assert int(get["bytes"]) > 0
    assert wrong["code"] == "INVALID_ARGUMENT"
    assert 300 < len(wrong["command"]) < 600
    assert action["command"] == 'delete {"id": 7}'
    for call in slow_calls(server):
        parts = [float(call[part]) for part in ("queue", "run", "send")]
        assert sum(parts) == pytest.approx(float(call["ms"]), abs=0.01)


def test_slow_log_tells_where_the_time_went(make_server: MakeServer) -> None:
    server = make_server("--slow-log", "1s")
    many = pa.table({"n": pa.array(range(2_000_000))})
    with Remote(server.uri) as remote:
        remote.upload(many, "t")
        reader = remote.reader(by_name("t"))
        time.sleep(1.2)  # the answer is there, the client takes its time
        assert reader.read_all().num_rows == many.num_rows
        writer, _ = remote.client.do_put(by_name("u"), SMALL.schema, options=remote.options())
        time.sleep(1.2)
        writer.close()
        watching = remote.client.do_action(flight.Action("watch", b"{}"), remote.options())
        time.sleep(1.2)
        remote.upload(SMALL, "v")
        assert json.loads(next(watching).body.to_pybytes())["name"] == "v"
        del watching
    wait_until(lambda: "DoAction code=CANCELLED" in server.log)
    calls = {(call["method"], call["flight"]): call for call in slow_calls(server)}
    assert not [method for method, _ in calls if method == "DoAction"]  # it waited for events
    get, put = calls["DoGet", "0"], calls["DoPut", "1"]
    assert float(get["send"]) > 1000
    assert float(put["run"]) > 1000


def test_no_call_is_slow_unless_asked(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
    own_server.stop()
    assert " slow: " not in own_server.log
