"""The life of Flights: how many versions are kept, when results go, how much disk there is."""

from __future__ import annotations

import json
import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from conftest import MakeServer
from remote import Remote, by_id, by_name
from serving import Server

A = pa.table({"n": list(range(100))})


def test_as_many_versions_are_kept_as_asked(make_server: MakeServer) -> None:
    server = make_server("--keep-versions", "2")
    with Remote(server.uri) as remote:
        for i in range(4):
            remote.upload(A.slice(i), "t", if_exists="replace")
        versions = remote.action("versions", name="t")["versions"]
        assert [v["version"] for v in versions] == [3, 4]
        assert remote.get(by_name("t", 3)).equals(A.slice(2))
        with pytest.raises(KeyError, match="version 2"):
            remote.get(by_name("t", 2))


def test_many_small_appends_become_few_batches_of_the_same_rows(make_server: MakeServer) -> None:
    server = make_server("--keep-versions", "3")
    parts = [pa.table({"n": range(i, i + 5), "s": [str(i)] * 5}) for i in range(0, 1500, 5)]
    with Remote(server.uri) as remote:
        remote.upload(parts[0], "t")
        for part in parts[1:]:
            remote.upload(part, "t", if_exists="append")
        until = time.monotonic() + 20
        while (table := remote.get(by_name("t"))).column(0).num_chunks > 80:
            assert time.monotonic() < until
        assert table.equals(pa.concat_tables(parts))
        versions = remote.action("versions", name="t")["versions"]
        assert [v["version"] for v in versions] == [298, 299, 300]
        assert remote.get(by_name("t", 298)).equals(pa.concat_tables(parts[:298]))
    server.restart()
    with Remote(server.uri) as remote:
        assert remote.get(by_name("t")).equals(pa.concat_tables(parts))
        assert len(list(server.data_dir.glob(".remote-arrow/segments/*"))) < 200


def wait_until_gone(remote: Remote, number: int) -> None:
    """Returns when Flight `number` is no longer known; fails after 20 s."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if number not in {json.loads(f.app_metadata)["id"] for f in remote.flights() if live(f)}:
            return
        time.sleep(0.1)
    pytest.fail(f"Flight {number} is still there")


def live(info: flight.FlightInfo) -> bool:
    """Whether an entry of the list is no tombstone."""
    return info.descriptor.command != b"DELETED"


def test_an_unused_result_expires_and_comes_back_when_asked_for(
    make_server: MakeServer,
) -> None:
    server = make_server("--result-ttl", "500ms")
    head = {"from": {"name": "t"}, "do": [{"slice": {"offset": 0, "length": 5}}]}
    with Remote(server.uri) as remote:
        assert "expires" not in remote.upload(A, "t")
        result = remote.about(head)
        assert result["expires"] > result["last_used"]
        wait_until_gone(remote, result["id"])
        with pytest.raises(KeyError, match="was deleted"):
            remote.about(by_id(result["id"]))
        assert f"change=expire by=server flight={result['id']}" in server.log
        assert remote.get(by_name("t")).equals(A)
        again = remote.about(head)
        assert again["id"] > result["id"]
        assert remote.get(by_id(again["id"])).equals(A.slice(0, 5))


def test_results_may_stay_for_ever(make_server: MakeServer) -> None:
    server = make_server("--result-ttl", "never")
    with Remote(server.uri) as remote:
        remote.upload(A, "t")
        assert "expires" not in remote.about({"from": {"name": "t"}, "do": []})


def test_uploads_over_the_quota_are_refused_and_deletes_work(
    make_server: MakeServer,
) -> None:
    server = make_server("--disk-quota", "1M", "--disk-reserve", "none")
    large = pa.table({"n": list(range(100_000))})
    with Remote(server.uri) as remote:
        remote.upload(large, "a")
        with pytest.raises(OSError, match=r"of 1\.0 MB used"):
            remote.upload(large, "b")
        assert remote.error["reason"] == "DISK_FULL"
        assert remote.get(by_name("a")).equals(large)
        remote.action("delete", name="a")
        remote.upload(large, "b")


def test_delete_under_a_reader_ends_the_listing_now_and_the_bytes_later(
    own_server: Server,
) -> None:
    rows = pa.table({"n": range(4_000_000)})
    parts = pa.Table.from_batches(rows.to_batches(max_chunksize=100_000))
    with Remote(own_server.uri) as remote:
        remote.upload(parts, "t")
        reader = remote.reader(by_name("t"))
        first = reader.read_chunk().data
        answer = remote.action("delete", name="t")
        assert answer["bytes_freed"] == 0
        assert answer["bytes_later"] >= 32_000_000
        assert remote.flights() == []
        rest = [chunk.data for chunk in reader]
        assert pa.Table.from_batches([first, *rest]).equals(rows)


def test_clear_of_results_frees_their_bytes_and_leaves_tombstones(own_server: Server) -> None:
    cut = {"from": {"name": "t"}, "do": [{"take": {"indices": list(range(50))}}]}
    with Remote(own_server.uri) as remote:
        remote.about({"from": {"id": remote.upload(A)["id"]}, "do": [], "as": "r"})
        remote.upload(A, "t")
        assert remote.about(cut)["id"] == 3
        remote.upload(A, "u")
        answer = remote.action("clear", kind="result")
        assert answer["bytes_freed"] > 0
        assert [live(info) for info in remote.flights()] == [True, False, True, False, True]
        assert remote.about(cut)["id"] == 5
    own_server.restart()
    with Remote(own_server.uri) as remote:
        assert [live(info) for info in remote.flights()][:5] == [True, False, True, False, True]
        assert remote.get(by_name("u")).equals(A)


def test_clear_hides_datasets_without_freeing_them(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(A, "t")
        assert remote.action("clear", purge=False)["bytes_freed"] == 0
        assert remote.upload(A, "u")["id"] == 0
    own_server.restart()
    with Remote(own_server.uri) as remote:
        assert remote.get(by_name("t")).equals(A)
        assert remote.about(by_name("t"))["id"] > 0
