"""Killed clients, full disks, bad starts, damaged files: a clear error to the one at fault."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from raw_http2 import DO_ACTION, RawConnection, grpc_message
from remote import Remote, arrow_argument, by_command, by_id, by_name, command_bytes
from serving import Server, ServerFailed, assert_one_clear_line, refused_start, server_binary

SMALL = pa.table({"n": [1, 2, 3]})


def eventually(what: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether it becomes true within the time."""
    deadline = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def stored_bytes(server: Server) -> int:
    """Bytes of the segment and temporary files of a server."""
    folder = server.data_dir / ".remote-arrow"
    files = [*(folder / "segments").rglob("*"), *(folder / "tmp").rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())


UPLOADER = """
import sys, numpy, pyarrow, pyarrow.flight as flight
batch = pyarrow.record_batch({"n": numpy.arange(100_000)})
client = flight.FlightClient(sys.argv[1])
writer, _ = client.do_put(flight.FlightDescriptor.for_path("half"), batch.schema)
for i in range(1_000):
    writer.write_batch(batch)
    sys.stdout.write("x\\n")
    sys.stdout.flush()
    if i == 20:
        sys.stdin.readline()
"""


def test_killed_client_leaves_nothing(own_server: Server) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", UPLOADER, own_server.uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    for _ in range(20):
        assert client.stdout.readline() == "x\n"
    client.send_signal(signal.SIGKILL)
    client.communicate()
    with Remote(own_server.uri) as remote:
        assert eventually(lambda: stored_bytes(own_server) == 0)
        assert remote.flights() == []
        assert remote.upload(SMALL, "half")["id"] == 0


class Relay:
    """Passes bytes between one client and the server, until it resets both connections."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.bytes_up = 0
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    def _accept(self, port: int) -> None:
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        self.sockets = [client, server]
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()
        self._pump(client, server, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
                self.bytes_up += len(data) if is_up else 0
        except OSError:
            return

    def reset(self) -> None:
        """RST to both sides."""
        for end in self.sockets:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)
            end.close()
        self.listener.close()


def test_connection_reset_in_an_upload_leaves_nothing(own_server: Server) -> None:
    relay = Relay(own_server.port)
    batch = pa.record_batch({"n": np.arange(100_000)})

    def upload() -> None:
        with flight.FlightClient(f"grpc://127.0.0.1:{relay.port}") as client:
            writer, _ = client.do_put(by_name("half"), batch.schema)
            for _ in range(10_000):
                writer.write_batch(batch)
            writer.close()

    failures: list[Exception] = []

    def run() -> None:
        try:
            upload()
        except (pa.ArrowException, OSError) as error:
            failures.append(error)

    uploader = threading.Thread(target=run)
    uploader.start()
    assert eventually(lambda: relay.bytes_up > 20_000_000)
    relay.reset()
    uploader.join()
    assert failures
    with Remote(own_server.uri) as remote:
        assert eventually(lambda: stored_bytes(own_server) == 0)
        assert remote.flights() == []


def test_upload_given_up_by_its_deadline_leaves_nothing(own_remote: Remote) -> None:
    options = flight.FlightCallOptions(timeout=0.5)
    writer, _ = own_remote.client.do_put(by_name("late"), SMALL.schema, options)
    with pytest.raises(flight.FlightTimedOutError):
        for _ in range(100):
            writer.write_table(SMALL)
            time.sleep(0.05)
        writer.close()
    assert own_remote.flights() == []


@pytest.mark.needs_root
def test_full_disk_refuses_uploads_and_nothing_else(
    make_server: Callable[..., Server], small_disk: Path
) -> None:
    server = make_server(data_dir=small_disk / "data")
    quarter = pa.record_batch({"n": np.random.default_rng(1).integers(0, 1 << 60, 2_000_000)})
    with Remote(server.uri) as remote:
        remote.put(by_name("fits"), quarter.schema, [quarter])
        with pytest.raises((OSError, pa.ArrowException)) as refused:
            remote.put(by_name("too much"), quarter.schema, [quarter] * 6)
        assert remote.error["reason"] == "DISK_FULL"
        assert remote.error["retryable"] is True
        assert re.search(r"\d", str(refused.value))
        assert [i.descriptor.path for i in remote.flights()] == [[b"fits"]]
        assert remote.get(by_name("fits")).num_rows == 2_000_000
        # What was written for the refused upload is free again.
        remote.put(by_name("fits too"), quarter.schema, [quarter])
        with pytest.raises((OSError, pa.ArrowException)):
            remote.put(by_name("not this"), quarter.schema, [quarter] * 3)
        remote.action("delete", name="fits")
        remote.put(by_name("now"), quarter.schema, [quarter])
    server.restart()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("now")).num_rows == 2_000_000


@pytest.mark.needs_root
@pytest.mark.parametrize("megabytes", [70, 60])
def test_large_message_that_does_not_fit_is_refused_and_leaves_the_reserve(
    make_server: Callable[..., Server], small_disk: Path, megabytes: int
) -> None:
    """70 MB are more than the disk has; 60 MB fit, but not beside the reserve of 5 %."""
    server = make_server(data_dir=small_disk / "data")
    numbers = np.arange(megabytes * 125_000)
    one_message = pa.record_batch({"n": numbers})
    least_free = [1 << 60]
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            disk = os.statvfs(small_disk)
            least_free.append(min(least_free[-1], disk.f_bavail * disk.f_frsize))
            time.sleep(0.0005)

    with Remote(server.uri) as remote:
        looker = threading.Thread(target=look)
        looker.start()
        with pytest.raises((OSError, pa.ArrowException), match=" wanted, .* kept in reserve"):
            remote.put(by_name("large"), one_message.schema, [one_message])
        stop.set()
        looker.join()
        assert remote.error["reason"] == "DISK_FULL"
        assert least_free[-1] >= (64 << 20) // 20
        assert remote.action("server-info")["store"]["spool_bytes"] == 0
        disk = os.statvfs(small_disk)
        assert disk.f_bavail * disk.f_frsize > 50_000_000
        remote.put(by_name("large"), one_message.schema, [one_message[:1_000_000]])
        assert remote.get(by_name("large")).num_rows == 1_000_000


@pytest.mark.needs_root
def test_disk_filled_by_others_still_allows_deletes_and_restarts(
    make_server: Callable[..., Server], small_disk: Path
) -> None:
    server = make_server(data_dir=small_disk / "data")
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "a")
        remote.upload(SMALL, "b")
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"\0" * 65536)
        with pytest.raises((OSError, pa.ArrowException)):
            remote.upload(pa.table({"n": np.arange(100_000)}), "c")
        remote.action("delete", name="a")
        assert remote.get(by_name("b")).equals(SMALL)
    server.restart()
    with Remote(server.uri) as remote:
        assert [i.descriptor.path for i in remote.flights(deleted=False)] == [[b"b"]]
        filler.unlink()
        remote.upload(SMALL, "c")


def test_port_in_use_is_told(own_server: Server, tmp_path: Path) -> None:
    port = str(own_server.port)
    code, log = refused_start("--port", port, "--data-dir", str(tmp_path / "other"))
    assert code == 1
    assert_one_clear_line(log, port, "in use")


def test_data_directory_in_use_is_told(own_server: Server) -> None:
    code, log = refused_start("--port", "0", "--data-dir", str(own_server.data_dir))
    assert code == 1
    assert_one_clear_line(log, str(own_server.data_dir))


@pytest.mark.parametrize("folder", ["/proc/remote-arrow", "/dev/null"])
def test_data_directory_that_cannot_be_made_is_told(folder: str) -> None:
    code, log = refused_start("--port", "0", "--data-dir", folder)
    assert code == 1
    assert_one_clear_line(log, folder)
    assert ("Not a directory" in log) == (folder == "/dev/null")


def remove_page_checksums(catalog: Path) -> None:
    """Marks all pages as written by another program, whose checksums are not the server's."""
    pages = bytearray(catalog.read_bytes())
    for end in range(4096, len(pages) + 1, 4096):
        pages[end - 8 : end] = bytes(8)
    catalog.write_bytes(pages)


def test_data_directory_of_a_newer_format_is_told_and_left_alone(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "a")
    server.stop()
    catalog = server.data_dir / ".remote-arrow" / "catalog.db"
    with closing(sqlite3.connect(catalog)) as db, db:
        [[current]] = db.execute("SELECT format FROM meta")
        db.execute("UPDATE meta SET format = 999")
    remove_page_checksums(catalog)
    code, log = refused_start("--port", "0", "--data-dir", str(server.data_dir))
    assert code == 1
    assert_one_clear_line(log, "999", str(current))
    with closing(sqlite3.connect(catalog)) as db, db:
        db.execute("UPDATE meta SET format = ?", [current])
    server.start()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("a")).equals(SMALL)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--colour"], ["--colour"]),
        (["--port", "high"], ["--port", "high"]),
        (["--port", "70000"], ["--port", "70000"]),
        (["--threads", "-1"], ["--threads"]),
        (["--durability", "maybe"], ["--durability", "maybe"]),
        (["--port"], ["--port"]),
        (["stray"], ["stray"]),
    ],
)
def test_wrong_option_is_told(args: list[str], words: list[str]) -> None:
    code, log = refused_start(*args)
    assert code == 2
    assert_one_clear_line(log, *words)


def test_wrong_option_in_the_environment_is_told() -> None:
    code, log = refused_start(env={**os.environ, "REMOTE_ARROW_PORT": "high"})
    assert code == 2
    assert_one_clear_line(log, "high")


def test_help_names_every_option_with_its_default() -> None:
    told = subprocess.run(
        [str(server_binary()), "--help"], capture_output=True, text=True, timeout=30
    )
    assert told.returncode == 0
    for option in ("host", "port", "data-dir", "durability", "token-file", "memory-limit"):
        assert f"--{option}" in told.stdout
    assert "5005" in told.stdout


def test_damaged_segment_is_data_loss_with_the_name_of_the_flight(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    numbers = np.random.default_rng(5).integers(0, 1 << 60, 1_000_000)
    with Remote(server.uri) as remote:
        remote.upload(pa.table({"n": numbers}), "hurt")
        [segment] = [f for f in segments(server) if f.stat().st_size > 1_000_000]
        remote.upload(SMALL, "well")
    server.stop()
    image = bytearray(segment.read_bytes())
    at = image.index(numbers[600_000].tobytes())
    image[at + 3] ^= 0x10
    segment.write_bytes(image)
    server.start()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("well")).equals(SMALL)
        with pytest.raises(flight.FlightInternalError, match="hurt"):
            remote.get(by_name("hurt"))
        assert remote.error["reason"] == "DATA_LOSS"
        with pytest.raises(flight.FlightInternalError):
            remote.info({"from": {"name": "hurt"}, "do": [{"take": {"indices": [600_000]}}]})
        assert remote.get(by_name("well")).equals(SMALL)


def test_a_damaged_result_is_made_anew(make_server: Callable[..., Server]) -> None:
    server = make_server()
    words = pa.table({"s": ["some", "precious", "words"]})
    command = {"from": {"name": "t"}, "do": [{"sort_by": {"sorting": "s"}}]}
    with Remote(server.uri) as remote:
        remote.upload(words, "t")
        [dataset] = segments(server)
        before = remote.about(command)
        [result] = set(segments(server)) - {dataset}
    server.stop()
    result.write_bytes(result.read_bytes().replace(b"precious", b"Precious"))
    server.start()
    with Remote(server.uri) as remote:
        with pytest.raises(flight.FlightInternalError):
            remote.get(command)
        for _ in range(2):
            again = remote.about(command)
            assert [again[key] for key in ("id", "version", "state")] == [before["id"], 2, "ready"]
            assert remote.get(command).equals(words.sort_by("s"))
    server.restart()
    with Remote(server.uri) as remote:
        assert remote.about(command)["version"] == 2


@pytest.mark.parametrize("by", [{"name": "gone"}, {"id": 0}])
def test_a_table_whose_file_is_missing_can_be_deleted(
    make_server: Callable[..., Server], by: dict[str, object]
) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "gone")
    server.stop()
    for segment in segments(server):
        segment.unlink()
    server.start()
    with Remote(server.uri) as remote:
        with pytest.raises(flight.FlightInternalError):
            remote.get(by_name("gone"))
        remote.action("delete", **by)
        assert [i.descriptor.path for i in remote.flights()] == []
        remote.upload(SMALL, "gone")
        assert remote.get(by_name("gone")).equals(SMALL)


def test_one_upload_or_query_gets_a_quarter_of_the_memory(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--memory-limit", str(64 << 20))
    compressed = flight.FlightCallOptions(
        write_options=pa.ipc.IpcWriteOptions(compression="lz4"), timeout=60
    )

    def upload(name: str, n: int, times: int = 1) -> None:
        zeros = pa.record_batch({"n": np.zeros(n, np.int64)})
        writer, _ = remote.client.do_put(by_name(name), zeros.schema, compressed)
        try:
            for _ in range(times):
                writer.write_batch(zeros)
        finally:
            writer.close()

    with Remote(server.uri) as remote:
        limit = f"of {16 << 20} in use"
        with pytest.raises(pa.ArrowException, match=f"memory limit of an upload: .* {limit}"):
            upload("too much", 3_000_000)
        assert remote.error["reason"] == "OUT_OF_MEMORY"
        upload("fits", 1_000_000, times=5)
        query = {"from": {"name": "fits"}, "do": [{"sort_by": {"sorting": "n"}}]}
        with pytest.raises(pa.ArrowException, match=f"memory limit of a query: .* {limit}"):
            remote.info(query)
        assert remote.error["reason"] == "OUT_OF_MEMORY"
        assert remote.get(by_name("fits")).num_rows == 5_000_000


def states(remote: Remote, name: str) -> list[str]:
    """What the action `versions`, GetFlightInfo and ListFlights say of a Flight."""
    listed = next(i for i in remote.flights(name=name))
    return [
        *(v["state"] for v in remote.action("versions", name=name)["versions"]),
        remote.about(by_name(name))["state"],
        json.loads(listed.app_metadata)["state"],
    ]


def assert_lost(remote: Remote, name: str) -> None:
    """Downloads of a Flight and commands on it are DATA_LOSS and name it."""
    for what in (remote.info(by_name(name)), {"from": {"name": name}, "do": [{"drop_null": {}}]}):
        with pytest.raises(flight.FlightInternalError, match=name):
            remote.get(what)
        assert remote.error["reason"] == "DATA_LOSS"


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_flight_whose_newest_version_is_lost_is_failed_until_it_is_replaced(
    make_server: Callable[..., Server], is_cut: bool
) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
        old = set(segments(server))
        remote.upload(pa.table({"n": [4]}), "t", if_exists="replace")
        [lost] = set(segments(server)) - old
        assert states(remote, "t") == ["ready"] * 4
    server.stop()
    if is_cut:
        os.truncate(lost, 100)
    else:
        lost.unlink()
    server.start()
    with Remote(server.uri) as remote:
        assert states(remote, "t") == ["ready", "failed", "failed", "failed"]
        assert remote.info(by_name("t")).total_records == 1
        assert_lost(remote, "t")
        assert remote.get(by_name("t", 1)).equals(SMALL)
        assert remote.about(by_name("t", 1))["state"] == "ready"
        first = {"from": {"name": "t", "version": 1}, "do": [{"slice": {"offset": 1}}]}
        assert remote.get(first).num_rows == 2
        renamed = remote.action("rename", name="t", to="u")
        assert (renamed["names"], renamed["state"]) == (["u"], "failed")
        assert_lost(remote, "u")
        with pytest.raises(flight.FlightInternalError):
            remote.upload(SMALL, "u", if_exists="append")
        put = remote.upload(SMALL, "u", if_exists="replace")
        assert (put["version"], put["state"]) == (3, "ready")
        assert states(remote, "u") == ["ready", "failed", "ready", "ready", "ready"]
        assert remote.get(by_name("u")).equals(SMALL)


def test_a_flight_found_damaged_while_the_server_runs_is_failed(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(pa.table({"s": ["precious", "more"]}), "t")
        view = remote.about({"from": {"name": "t"}, "do": [{"select": {"columns": ["s"]}}]})["id"]
        remote.upload(SMALL, "well")
    server.stop()
    [segment] = [f for f in segments(server) if b"precious" in f.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(b"precious", b"Precious"))
    server.start()
    with Remote(server.uri) as remote:
        assert states(remote, "t") == ["ready"] * 3
        assert_lost(remote, "t")
        assert states(remote, "t") == ["failed"] * 3
        assert remote.about(by_id(view))["state"] == "failed"
        assert states(remote, "well") == ["ready"] * 3
        assert_lost(remote, "t")
        remote.upload(SMALL, "t", if_exists="replace")
        assert states(remote, "t") == ["failed", "ready", "ready", "ready"]
        assert remote.get(by_name("t")).equals(SMALL)


def segments(server: Server) -> list[Path]:
    """The segment files of a server."""
    folder = server.data_dir / ".remote-arrow" / "segments"
    return [f for f in folder.rglob("*") if f.is_file()]


def test_missing_and_cut_segments_hurt_only_their_flight(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        for name in ("gone", "cut", "well"):
            remote.upload(pa.table({name: np.arange(100_000)}), name)
    files = {
        name: next(f for f in segments(server) if name.encode() in f.read_bytes())
        for name in ("gone", "cut")
    }
    server.stop()
    files["gone"].unlink()
    with files["cut"].open("r+b") as file:
        file.truncate(50_000)
    server.start()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("well")).num_rows == 100_000
        for name in ("gone", "cut"):
            with pytest.raises(flight.FlightInternalError, match=name):
                remote.get(by_name(name))
            assert remote.error["reason"] == "DATA_LOSS"


def test_segments_are_plain_arrow_files(own_server: Server) -> None:
    table = pa.table({"n": [1, None, 3], "s": ["a", "b", None]})
    with Remote(own_server.uri) as remote:
        remote.upload(table, "t")
    [file] = segments(own_server)
    with pa.ipc.open_file(file) as reader:
        assert reader.read_all().equals(table)


def test_too_large_requests_are_refused(own_remote: Remote) -> None:
    with pytest.raises(pa.ArrowException):
        list(own_remote.client.list_flights(b" " * 2_000_000, own_remote.options()))
    with pytest.raises(pa.ArrowException):
        own_remote.info({"from": {"id": 0}, "do": [{"slice": {}}] * 100_000})
    deep = '{"from": ' * 5_000
    with pytest.raises(pa.ArrowInvalid):
        own_remote.info(deep)
    with pytest.raises(pa.ArrowInvalid):
        own_remote.info("0$take${0: " + "[" * 5_000 + "}${}")
    with pytest.raises(pa.ArrowException):
        own_remote.put(by_name("wide"), pa.schema([(f"c{i}", "null") for i in range(40_000)]), [])
    nested: pa.DataType = pa.int8()
    for _ in range(60):
        nested = pa.list_(nested)
    with pytest.raises(pa.ArrowException):
        own_remote.put(by_name("deep"), pa.schema([("d", nested)]), [])
    assert own_remote.flights() == []


def test_a_command_too_long_for_a_ticket_is_told_so(own_remote: Remote) -> None:
    own_remote.upload(SMALL, "t")
    indices = arrow_argument(pa.array(np.zeros(3_200_000, dtype=np.int64)))  # 34 MB of base64
    step = {"take": {"indices": indices}}
    command = command_bytes({"from": {"name": "t"}, "do": [step], "publish": False})
    with pytest.raises(pa.ArrowException, match="ticket of a DoGet"):
        own_remote.info(flight.FlightDescriptor.for_command(command))
    assert own_remote.error["reason"] == "MESSAGE_TOO_LARGE"
    assert own_remote.client.do_get(flight.Ticket(command)).read_all().num_rows == 3_200_000


def test_app_metadata_over_its_limit_is_refused(own_remote: Remote) -> None:
    batch = SMALL.to_batches()[0]
    with pytest.raises(pa.ArrowException):
        own_remote.put(by_name("t"), batch.schema, [(batch, b"x" * (1024 * 1024 + 1))])
    assert own_remote.flights() == []
    own_remote.put(by_name("t"), batch.schema, [(batch, b"x" * (1024 * 1024))])


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"{",
        b'{"put"',
        b"9",
        b"9$",
        b"0$take$",
        b"0$take${0: __import__}${}",
    ],
)
def test_malformed_commands_are_refused(remote: Remote, command: bytes) -> None:
    descriptor = flight.FlightDescriptor.for_command(command)
    with pytest.raises((pa.ArrowInvalid, pa.ArrowKeyError)):
        remote.client.get_flight_info(descriptor, remote.options())


def begun_download(remote: Remote) -> flight.FlightStreamReader:
    """A download of 96 MB of which one batch was read."""
    batch = pa.record_batch({"n": np.arange(400_000)})
    remote.put(by_name("big"), batch.schema, [batch] * 30)
    reader = remote.reader(by_name("big"))
    next(reader)
    return reader


def test_server_ends_in_time_with_a_download_that_nobody_reads(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--drain-timeout", "1s")
    with Remote(server.uri) as remote:
        reader = begun_download(remote)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 10
        with pytest.raises((pa.ArrowException, flight.FlightError)):
            reader.read_all()


def test_watchers_do_not_hold_up_the_end(make_server: Callable[..., Server]) -> None:
    server = make_server("--drain-timeout", "20s")
    with Remote(server.uri) as remote:
        events = remote.client.do_action(flight.Action("watch", b'{"after": 0}'))
        remote.upload(SMALL, "t")
        next(events)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 10
        with pytest.raises(flight.FlightUnavailableError, match="shutting down"):
            next(events)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_server_now(
    make_server: Callable[..., Server], number: signal.Signals
) -> None:
    server = make_server("--drain-timeout", "20s")
    with Remote(server.uri) as remote:
        _reader = begun_download(remote)  # held while the server drains
        started = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        assert eventually(lambda: "stopping" in server.log)
        time.sleep(0.2)
        assert server.is_running
        os.kill(server.pid, number)
        server.wait()
        assert time.monotonic() - started < 10
    server.start()
    with Remote(server.uri) as remote:
        assert remote.info(by_name("big")).total_records == 30 * 400_000


def test_a_second_shutdown_hurries_nobody(make_server: Callable[..., Server]) -> None:
    server = make_server("--drain-timeout", "3s")
    with Remote(server.uri) as remote:
        _reader = begun_download(remote)  # held while the server drains
        started = time.monotonic()
        with RawConnection(server.host, server.port) as raw:
            question = grpc_message(b"\n\x08shutdown")
            raw.start(DO_ACTION, question)
            assert eventually(lambda: "stopping" in server.log)
            second = raw.start(DO_ACTION, question)  # the first GOAWAY is not read yet
            assert raw.wait(second).grpc_status == 0
        server.wait()
        assert 2 < time.monotonic() - started < 10


def test_log_has_one_line_per_call_and_names_the_flight(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(SMALL, "t")
        remote.get(by_id(0))
    calls = [line for line in own_server.log.splitlines() if "DoPut" in line or "DoGet" in line]
    assert len(calls) == 2
    assert all("flight=0" in line and "rows=3" in line for line in calls)
    assert str(own_server.data_dir.resolve()) in own_server.log


def test_json_log_is_json(make_server: Callable[..., Server]) -> None:
    server = make_server("--log-format", "json")
    with Remote(server.uri) as remote:
        remote.upload(SMALL, "t")
    server.stop()
    for line in server.log.splitlines():
        json.loads(line)


def test_start_without_ready_line_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed):
        Server("--colour", data_dir=tmp_path / "data", log_path=tmp_path / "log")


def test_put_command_needs_known_keys(own_remote: Remote) -> None:
    descriptor = by_command({"put": {"name": "t", "colour": "red"}})
    with pytest.raises(pa.ArrowInvalid, match="colour"):
        own_remote.put(descriptor, SMALL.schema, SMALL.to_batches())
