"""What an operator sees and sets: options, the ready line, the log."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pyarrow as pa
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
