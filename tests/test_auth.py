"""Tokens: --token-file, bearer and basic authentication, and who must have them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from remote import Remote, by_name
from serving import Server, server_binary

TABLE = pa.table({"n": [1, 2, 3]})
TOKEN = "a-secret-of-some-length"


@pytest.fixture
def guarded(make_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server that asks for a token."""
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return make_server("--token-file", str(file))


def test_bearer_token_opens_every_call(guarded: Server) -> None:
    with Remote(guarded.uri, token=TOKEN) as remote:
        remote.upload(TABLE, "t")
        assert remote.get(by_name("t")).equals(TABLE)
        assert len(remote.flights()) == 1
        assert remote.action("server-info")


def test_basic_authentication_gives_the_bearer_token(guarded: Server) -> None:
    with guarded.client() as client:
        header = client.authenticate_basic_token("anybody", TOKEN)
        assert header[1].startswith(b"Bearer ")
        options = flight.FlightCallOptions(headers=[header], timeout=30)
        assert list(client.list_flights(options=options)) == []


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", TOKEN[:-1], ""])
def test_every_call_without_the_token_is_refused(guarded: Server, token: str | None) -> None:
    calls: list[Callable[[Remote], object]] = [
        lambda r: r.flights(),
        lambda r: r.info(by_name("t")),
        lambda r: r.get(b"0$slice${}${}"),
        lambda r: r.upload(TABLE, "t"),
        lambda r: r.action("server-info"),
        lambda r: list(r.client.list_actions(r.options())),
    ]
    for call in calls:
        refusal = pytest.raises(flight.FlightUnauthenticatedError)
        with Remote(guarded.uri, token=token) as remote, refusal:
            call(remote)
    # GetSchema is where pyarrow raises no class of Flight's.
    with Remote(guarded.uri, token=token) as remote, pytest.raises(OSError, match="token"):
        remote.client.get_schema(by_name("t"), remote.options())
    assert TOKEN not in guarded.log


def test_wrong_password_is_refused(guarded: Server) -> None:
    with guarded.client() as client, pytest.raises(flight.FlightUnauthenticatedError):
        client.authenticate_basic_token("anybody", "wrong")


def test_open_server_answers_a_handshake_too(server: Server) -> None:
    with server.client() as client:
        name, value = client.authenticate_basic_token("user", "password")
        options = flight.FlightCallOptions(headers=[(name, value)], timeout=30)
        list(client.list_flights(options=options))


def refused(*args: str) -> str:
    ended = subprocess.run(
        [str(server_binary()), "--port", "0", *args], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode in (1, 2)
    assert ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]


def test_open_address_without_tokens_refuses_to_start(tmp_path: Path) -> None:
    line = refused("--host", "0.0.0.0", "--data-dir", str(tmp_path / "data"))
    assert "--token-file" in line
    assert "--insecure" in line


def test_open_address_with_tokens_or_consent_starts(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKEN)
    for args in (["--token-file", str(file)], ["--insecure"]):
        server = make_server("--host", "0.0.0.0", *args)
        with Remote(f"grpc://127.0.0.1:{server.port}", token=TOKEN) as remote:
            assert remote.flights() == []


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_token_file_without_tokens_refuses_to_start(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    line = refused("--token-file", str(file), "--data-dir", str(tmp_path / "data"))
    assert str(file) in line


def test_disabled_actions_are_refused_and_not_listed(make_server: Callable[..., Server]) -> None:
    server = make_server("--disable-action", "shutdown,clear")
    with Remote(server.uri) as remote:
        names = {action.type for action in remote.client.list_actions(remote.options())}
        assert not {"shutdown", "clear"} & names
        assert "delete" in names
        for name in ("shutdown", "clear"):
            with pytest.raises(pa.ArrowException):
                remote.action_bytes(name)
        assert remote.flights() == []
    assert server.is_running


def test_unix_socket_serves_the_same_flights(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    server = make_server("--socket", str(path))
    with Remote(server.uri) as tcp, Remote(f"grpc+unix://{path}") as local:
        tcp.upload(TABLE, "t")
        info = local.info(by_name("t"))
        assert local.get(info).equals(TABLE)
        assert info.endpoints[0].locations[0].uri.decode() == f"grpc+unix://{path}"


class PasswordHandler(flight.ClientAuthHandler):
    """The first form of authentication: credentials in a message, read before half-closing."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self.password = password
        self.token = b""

    def authenticate(self, outgoing: object, incoming: object) -> None:
        outgoing.write(flight.BasicAuth("anybody", self.password).serialize())
        self.token = incoming.read()

    def get_token(self) -> bytes:
        return self.token


def test_credentials_in_a_handshake_message_are_answered_at_once(guarded: Server) -> None:
    with flight.FlightClient(guarded.uri) as client:
        client.authenticate(PasswordHandler(TOKEN), flight.FlightCallOptions(timeout=5))
        assert list(client.list_flights()) == []
    with flight.FlightClient(guarded.uri) as client, pytest.raises(flight.FlightError):
        client.authenticate(PasswordHandler("wrong"), flight.FlightCallOptions(timeout=5))
