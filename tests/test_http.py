"""HTTP/1.1 on the Flight port: probes and metrics."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import time
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from conftest import MakeServer
from raw_http2 import PREFACE
from remote import Remote
from serving import Server

SMALL = pa.table({"n": [1, 2, 3]})
PUT = "grpc_method=DoPut,grpc_service=arrow.flight.protocol.FlightService"
# As many connections as one client could open; the server's own limit is higher.
CROWD = 600


def ask(
    server: Server, path: str, method: str = "GET", token: str | None = None
) -> tuple[int, str, dict[str, str]]:
    """One request on a connection of its own: status, body, headers (lower-case names)."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body, {k.lower(): v for k, v in response.getheaders()}


def metrics(server: Server, token: str | None = None) -> dict[str, float]:
    """The samples by name and labels, as `name{key=value,…}`."""
    status, body, headers = ask(server, "/metrics", token=token)
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    samples = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_answer_ok(server: Server, path: str) -> None:
    assert ask(server, path)[:2] == (200, "ok\n")
    status, body, headers = ask(server, path, "HEAD")
    assert (status, body, headers["content-length"]) == (200, "", "3")


def test_other_methods_and_paths_are_refused(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, _, headers = ask(server, "/livez", method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
    for path in ("/", "/livez/", "/metrics2", "/../metrics", "/%6c"):
        assert ask(server, path)[0] == 404


def test_metrics_count_what_was_done(own_server: Server) -> None:
    before = metrics(own_server)
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
        with pytest.raises(KeyError):
            remote.action("delete", id=7)
        open_now = metrics(own_server)
    after = metrics(own_server)
    put, action = PUT, PUT.replace("DoPut", "DoAction")
    assert before[f"grpc_server_started_total{{{put}}}"] == 0
    assert after[f"grpc_server_started_total{{{put}}}"] == 1
    assert after[f"grpc_server_handled_total{{grpc_code=OK,{put}}}"] == 1
    assert after[f"grpc_server_handled_total{{grpc_code=NOT_FOUND,{action}}}"] == 1
    assert after[f"grpc_server_handling_seconds_count{{{put}}}"] == 1
    assert after[f"grpc_server_handling_seconds_bucket{{{put},le=+Inf}}"] == 1
    assert after[f"grpc_server_handling_seconds_sum{{{put}}}"] > 0
    assert after[f"grpc_server_msg_received_total{{{put}}}"] == 2  # schema and batch
    assert before["remote_arrow_flights"] == 0
    assert after["remote_arrow_flights"] == after["remote_arrow_segments"] == 1
    assert after["remote_arrow_stored_bytes"] > 0
    assert after["remote_arrow_bytes_received_total"] > before["remote_arrow_bytes_received_total"]
    assert open_now["remote_arrow_connections"] >= 2
    assert after["remote_arrow_ready"] == 1
    assert after["remote_arrow_memory_limit_bytes"] > 0
    assert after["remote_arrow_disk_free_bytes"] > 0
    assert after["process_open_fds"] > 3


def test_metrics_need_a_token_where_calls_do(make_server: MakeServer, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    server = make_server("--token-file", str(tmp_path / "tokens"))
    assert ask(server, "/livez")[0] == ask(server, "/readyz")[0] == 200
    for wrong in (None, "wrong", "secre", "secret2"):
        status, body, headers = ask(server, "/metrics", token=wrong)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert "remote_arrow" not in body
    assert "process_open_fds" in metrics(server, "secret")


def test_long_headers_are_refused(server: Server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 100_000 + b"\r\n\r\n")
        try:
            answer = s.recv(4096)
        except ConnectionResetError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_crowd_of_slow_clients_hurts_nobody(own_server: Server) -> None:
    files = own_server.open_files()
    crowd = []
    try:
        for _ in range(CROWD):
            s = socket.create_connection((own_server.host, own_server.port), timeout=10)
            s.sendall(b"GET /livez HTTP/1.1\r\nx: ")
            crowd.append(s)
        start = time.monotonic()
        assert ask(own_server, "/livez")[0] == 200
        with Remote(own_server.uri) as remote:
            remote.upload(SMALL, "t")
            assert len(remote.flights()) == 1
        assert time.monotonic() - start < 5
        deadline = time.monotonic() + 10
        while own_server.open_files() > files + 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert own_server.open_files() <= files + 200
    finally:
        for s in crowd:
            s.close()
    deadline = time.monotonic() + 10
    while (n := metrics(own_server)["remote_arrow_connections"]) > 1:
        assert time.monotonic() < deadline, n
        time.sleep(0.05)


def keep(server: Server) -> http.client.HTTPConnection:
    """A connection for several requests."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    connection.connect()
    return connection


def ask_on(
    connection: http.client.HTTPConnection, path: str, method: str = "GET"
) -> tuple[int, str]:
    """One more request on a connection, which must not be made anew: status and body."""
    before = connection.sock
    assert before is not None
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read().decode()
    assert connection.sock is before
    return response.status, body


def test_a_connection_is_kept_for_further_requests(server: Server) -> None:
    connection = keep(server)
    for _ in range(3):
        assert ask_on(connection, "/livez") == (200, "ok\n")
        assert ask_on(connection, "/readyz", "HEAD") == (200, "")
        assert ask_on(connection, "/nothing")[0] == 404
        assert ask_on(connection, "/livez", "POST")[0] == 405
        assert "remote_arrow_ready 1" in ask_on(connection, "/metrics")[1]
    connection.close()


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        ask_ok, ask_nothing = (
            f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() for path in ("/livez", "/nothing")
        )
        ask_last = ask_ok.replace(b"host", b"connection: close\r\nhost")
        s.sendall(ask_ok + ask_nothing + ask_last)
        said = b""
        while more := s.recv(4096):
            said += more
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 5\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_a_body_is_refused_and_ends_the_connection(server: Server, body: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + body)
        said = b""
        while more := s.recv(4096):
            said += more
    assert said.startswith(b"HTTP/1.1 413 ")
    assert said.count(b"HTTP/1.1") == 1


def test_a_kept_connection_hears_that_the_server_stops(own_server: Server) -> None:
    connection = keep(own_server)
    assert ask_on(connection, "/readyz")[0] == 200
    with Remote(own_server.uri) as remote:
        writer = remote.begin_upload("t", SMALL.to_batches()[0])
        os.kill(own_server.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (answer := ask_on(connection, "/readyz"))[0] == 200:
            assert time.monotonic() < deadline
        assert answer == (503, "the server is stopping\n")
        assert ask_on(connection, "/livez")[0] == 200
        writer.close()
    own_server.wait()
    connection.close()


def say_in_parts(server: Server, *parts: bytes) -> bytes:
    """Sends the parts one by one; what the server says first."""
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            s.sendall(part)
            time.sleep(0.05)
        return s.recv(4096)


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    request = b"POST /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    for length in (1, 2, 3):
        answer = say_in_parts(server, request[:length], request[length:])
        assert answer.startswith(b"HTTP/1.1 405 ")
    put = say_in_parts(server, b"P", b"UT / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert put.startswith(b"HTTP/1.1 405 ")
    for length in (1, 2, 3, len(PREFACE) - 1):
        settings = say_in_parts(server, PREFACE[:length], PREFACE[length:])
        assert settings[3] == 4  # the type of SETTINGS


def test_who_says_one_byte_and_leaves_is_forgotten(own_server: Server) -> None:
    files = own_server.open_files()
    for byte in (b"P", b"G", b"X"):
        with socket.create_connection((own_server.host, own_server.port), timeout=10) as s:
            s.sendall(byte)
            time.sleep(0.05)
    deadline = time.monotonic() + 5
    while own_server.open_files() > files:
        assert time.monotonic() < deadline
        time.sleep(0.02)
