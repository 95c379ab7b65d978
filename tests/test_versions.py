"""Names and versions: create, replace, append, reuse, delete, clear, rename, keep."""

from __future__ import annotations

import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from remote import Remote, by_id, by_name
from serving import Server

A = pa.table({"n": [1, 2], "s": ["x", None]}, metadata={"k": "v"})
B = pa.table({"n": [3], "s": ["y"]})
AB = pa.concat_tables([A, B.replace_schema_metadata(A.schema.metadata)])
OTHER = pa.table({"f": [1.5]})


def reason(remote: Remote) -> str:
    return remote.error["reason"]


def test_existing_name_is_refused_and_nothing_changes(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    with pytest.raises(pa.ArrowException, match="t"):
        own_remote.upload(B, "t")
    assert reason(own_remote) == "FLIGHT_EXISTS"
    assert own_remote.error["retryable"] is False
    assert own_remote.about(by_name("t"))["version"] == 1
    assert len(own_remote.flights()) == 1
    with pytest.raises(pa.ArrowException):
        own_remote.upload(B, "t", if_exists="error")


def test_replace_makes_the_next_version_of_the_same_flight(own_remote: Remote) -> None:
    first = own_remote.upload(A, "t")
    second = own_remote.upload(OTHER, "t", if_exists="replace")
    assert (second["id"], second["uid"], second["version"]) == (first["id"], first["uid"], 2)
    assert own_remote.get(by_name("t")).equals(OTHER)
    assert own_remote.get(by_name("t", 1)).equals(A, check_metadata=True)
    assert own_remote.get(by_id(0, 2)).equals(OTHER)


def test_header_says_what_to_do_when_the_name_exists(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    header = {"remote-arrow-if-exists": "replace"}
    put = own_remote.put(by_name("t"), B.schema, B.to_batches(), header)
    assert put["version"] == 2
    with pytest.raises(pa.ArrowInvalid, match="maybe"):
        own_remote.put(by_name("t"), B.schema, [], {"remote-arrow-if-exists": "maybe"})


def test_append_adds_rows_in_a_new_version(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    put = own_remote.upload(B, "t", if_exists="append")
    assert (put["id"], put["version"]) == (0, 2)
    assert own_remote.get(by_name("t")).equals(AB, check_metadata=True)
    assert own_remote.get(by_name("t", 1)).equals(A)


def test_append_to_a_name_that_is_free_creates_it(own_remote: Remote) -> None:
    assert own_remote.upload(A, "t", if_exists="append")["version"] == 1
    assert own_remote.upload(A, "u", if_exists="replace")["version"] == 1
    assert own_remote.upload(A, "v", if_exists="reuse")["version"] == 1


def test_append_of_another_schema_is_refused_by_the_first_field_that_differs(
    own_remote: Remote,
) -> None:
    own_remote.upload(A, "t")
    for other, column in ((OTHER, "'f: "), (pa.table({"n": ["1"], "s": ["x"]}), "'n: string'")):
        words = f"column 0 is 'n: int64' in the first table, {column}.* in the other"
        with pytest.raises(pa.ArrowInvalid, match=words):
            own_remote.upload(other, "t", if_exists="append")
        assert reason(own_remote) == "SCHEMA_MISMATCH"
    assert own_remote.about(by_name("t"))["version"] == 1


def test_many_appends_keep_order(own_remote: Remote) -> None:
    for i in range(100):
        own_remote.upload(pa.table({"i": [i, i]}), "t", if_exists="append")
    assert own_remote.get(by_name("t"))["i"].to_pylist() == [i // 2 for i in range(200)]
    assert own_remote.about(by_name("t"))["version"] == 100


def test_appends_whose_dictionaries_do_not_fit_together_come_to_rest(own_server: Server) -> None:
    """They cannot be merged: an index type of a byte has no room for the values of two."""
    kind = pa.dictionary(pa.int8(), pa.string())
    tables = [
        pa.table({"d": pa.array([f"{i}-{k}" for k in range(100)]).cast(kind)}) for i in range(80)
    ]
    with Remote(own_server.uri) as remote:
        for table in tables:
            remote.upload(table, "t", if_exists="append")
        time.sleep(1)
        before = own_server.cpu_seconds()
        time.sleep(1)
        assert own_server.cpu_seconds() - before < 0.5
        assert remote.get(by_name("t")).equals(pa.concat_tables(tables))
    started = time.monotonic()
    own_server.stop()
    assert time.monotonic() - started < 10


def test_reuse_gives_the_flight_when_the_content_is_the_same(own_remote: Remote) -> None:
    first = own_remote.upload(A, "t")
    again = own_remote.upload(A, "t", if_exists="reuse")
    assert (again["id"], again["version"]) == (first["id"], 1)
    with pytest.raises(pa.ArrowException, match="t"):
        own_remote.upload(B, "t", if_exists="reuse")
    assert reason(own_remote) == "FLIGHT_EXISTS"


def test_if_version_makes_a_change_conditional(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    put = own_remote.upload(B, "t", if_exists="append", if_version=1)
    assert put["version"] == 2
    with pytest.raises(flight.FlightInternalError, match="1"):
        own_remote.upload(B, "t", if_exists="append", if_version=1)
    assert reason(own_remote) == "VERSION_CONFLICT"
    assert own_remote.error["retryable"] is False
    assert own_remote.about(by_name("t"))["version"] == 2


def test_unnamed_upload_takes_the_next_id(own_remote: Remote) -> None:
    assert [own_remote.upload(A)["id"] for _ in range(3)] == [0, 1, 2]
    assert own_remote.about(by_id(1))["names"] == []
    assert own_remote.flights()[1].descriptor.path == [b"#1"]


def test_command_with_a_name_makes_and_changes_shared_data(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    cut = {"from": {"name": "t"}, "do": [{"slice": {"offset": 1}}], "as": "cut"}
    made = own_remote.about(cut)
    assert (made["id"], made["names"]) == (1, ["cut"])
    with pytest.raises(pa.ArrowException, match="cut"):
        own_remote.info({**cut, "do": [{"slice": {"length": 1}}]})
    assert reason(own_remote) == "FLIGHT_EXISTS"
    newer = own_remote.about(
        {"from": {"name": "t"}, "do": [], "as": "cut", "if_exists": "append", "if_version": 1}
    )
    assert (newer["id"], newer["version"]) == (1, 2)
    assert own_remote.get(by_name("cut")).equals(pa.concat_tables([A.slice(1), A]))
    with pytest.raises(flight.FlightInternalError):
        own_remote.info({**cut, "if_exists": "replace", "if_version": 1})
    assert reason(own_remote) == "VERSION_CONFLICT"


def test_commands_bind_to_the_newest_version_or_the_one_named(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    step = {"do": [{"take": {"indices": [0]}}]}
    first = own_remote.about({"from": {"name": "t"}, **step})["id"]
    assert own_remote.about({"from": {"name": "t"}, **step})["id"] == first
    own_remote.upload(B, "t", if_exists="replace")
    second = own_remote.about({"from": {"name": "t"}, **step})["id"]
    assert second != first
    assert own_remote.about({"from": {"name": "t", "version": 1}, **step})["id"] == first
    assert own_remote.get(second)["n"].to_pylist() == [3]


def test_same_question_in_other_words_is_the_same_flight(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    spellings: list[dict[str, object] | str] = [
        {"from": {"id": 0}, "do": [{"slice": {"offset": 1}}]},
        {"do": [{"slice": {"length": None, "offset": 1}}], "from": {"name": "t"}},
        {"from": {"name": "t", "version": 1}, "do": [{"slice": {"offset": 1}}], "publish": True},
        "0$slice${0: 1}${}",
        "0$slice${}${'offset': 1, 'length': None}",
        "0$slice${0:1}${ }",
    ]
    assert {own_remote.about(spelling)["id"] for spelling in spellings} == {1}


def test_unpublished_command_leaves_no_flight(own_remote: Remote) -> None:
    own_remote.upload(A, "t")
    command = {"from": {"name": "t"}, "do": [{"drop_null": {}}], "publish": False}
    assert own_remote.get(command).equals(A.drop_null())
    assert len(own_remote.flights()) == 1


def test_chain_publishes_only_its_end(own_remote: Remote) -> None:
    own_remote.upload(AB, "t")
    steps = [
        {"sort_by": {"sorting": [["n", "descending"]]}},
        {"drop_null": {}},
        {"slice": {"length": 1}},
        {"select": {"columns": ["s"]}},
    ]
    info = own_remote.info({"from": {"name": "t"}, "do": steps})
    expected = AB.sort_by([("n", "descending")]).drop_null().slice(0, 1).select(["s"])
    assert own_remote.get(info).equals(expected)
    assert len(own_remote.flights()) == 2


def test_deleted_number_stays_a_tombstone_and_is_not_given_again(own_remote: Remote) -> None:
    for i in range(3):
        own_remote.upload(A, f"t{i}")
    own_remote.action("delete", id=1)
    with pytest.raises(pa.ArrowKeyError, match="1"):
        own_remote.info(by_id(1))
    assert reason(own_remote) in ("FLIGHT_DELETED", "FLIGHT_NOT_FOUND")
    assert own_remote.upload(B, "t1")["id"] == 3
    descriptors = [info.descriptor for info in own_remote.flights()]
    assert descriptors[1].command == b"DELETED"
    assert [d.path for d in descriptors if d.command is None] == [[b"t0"], [b"t2"], [b"t1"]]


def test_trailing_tombstones_are_not_listed_but_their_numbers_are_gone(
    own_remote: Remote,
) -> None:
    for i in range(3):
        own_remote.upload(A, f"t{i}")
    own_remote.action("delete", id=2)
    assert len(own_remote.flights()) == 2
    assert own_remote.upload(B, "next")["id"] == 3


def test_download_goes_on_after_the_delete(own_remote: Remote) -> None:
    rows = pa.record_batch({"n": range(100_000)})
    own_remote.put(by_name("t"), rows.schema, [rows] * 40)
    reader = own_remote.reader(by_name("t"))
    first = next(reader).data
    freed = own_remote.action("delete", name="t")
    rest = [chunk.data for chunk in reader]
    assert pa.Table.from_batches([first, *rest]).num_rows == 4_000_000
    assert freed["bytes_freed"] + freed["bytes_later"] >= 4_000_000 * 8


def test_views_outlive_what_they_were_cut_from(own_remote: Remote) -> None:
    own_remote.upload(AB, "t")
    view = own_remote.about({"from": {"name": "t"}, "do": [{"slice": {"offset": 1}}]})["id"]
    answer = own_remote.action("delete", name="t")
    assert answer["bytes_later"] > 0
    assert own_remote.get(view).equals(AB.slice(1))


def test_rename_frees_the_old_name_and_may_replace(own_remote: Remote) -> None:
    own_remote.upload(A, "a")
    own_remote.upload(B, "b")
    with pytest.raises(pa.ArrowException, match="b"):
        own_remote.action("rename", name="a", to="b")
    assert reason(own_remote) == "FLIGHT_EXISTS"
    own_remote.action("rename", name="a", to="b", if_exists="replace")
    assert own_remote.about(by_name("b"))["id"] == 0
    assert own_remote.upload(B, "a")["id"] == 2


@pytest.mark.parametrize(
    "name", ["a", "Ä" * 127, "with blank", "a/b", "..", "'\"$", "DELETED", "1"]
)
def test_names_are_kept_byte_for_byte(own_remote: Remote, name: str) -> None:
    own_remote.upload(A, name)
    assert own_remote.about(by_name(name))["names"] == [name]
    [info] = own_remote.flights()
    assert info.descriptor.path == [name.encode()]
    with pytest.raises(pa.ArrowKeyError):
        own_remote.info(by_name(name.swapcase() + "?"))


def test_case_of_names_matters(own_remote: Remote) -> None:
    own_remote.upload(A, "taxi")
    assert own_remote.upload(B, "Taxi")["id"] == 1


def test_clear_empties_the_list_and_the_datasets_come_back_at_the_next_start(
    own_server: Server,
) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(A, "a")
        remote.upload(B, "b")
        remote.info("0$slice${0: 1}${}")
        remote.action("clear", kind="result")
        assert [i.descriptor.path for i in remote.flights()] == [[b"a"], [b"b"]]
        remote.action_bytes("clear")
        assert remote.flights() == []
        assert remote.upload(OTHER, "c")["id"] == 0
        # The name is free meanwhile; this replaces the hidden dataset for good.
        assert remote.upload(OTHER, "b")["id"] == 1
    own_server.restart()
    with Remote(own_server.uri) as remote:
        assert [i.descriptor.path for i in remote.flights(deleted=False)] == [
            [b"c"],
            [b"b"],
            [b"a"],
        ]
        assert remote.get(by_name("a")).equals(A)
        assert remote.get(by_name("b")).equals(OTHER)


def test_purge_really_deletes(own_server: Server) -> None:
    with Remote(own_server.uri) as remote:
        remote.upload(A, "a")
        remote.action("clear", purge=True)
        assert remote.flights() == []
    own_server.restart()
    with Remote(own_server.uri) as remote:
        assert remote.flights() == []
    assert segment_bytes(own_server) == 0


def segment_bytes(server: Server) -> int:
    """Bytes of all segment files of a server's data directory."""
    folder = server.data_dir / ".remote-arrow" / "segments"
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_delete_and_replace_give_the_disk_back(own_server: Server) -> None:
    rows = pa.table({"n": range(500_000)})
    with Remote(own_server.uri) as remote:
        remote.upload(rows, "t")
        assert segment_bytes(own_server) >= 4_000_000
        freed = remote.action("delete", name="t")["bytes_freed"]
        assert freed >= 4_000_000
        assert segment_bytes(own_server) < 100_000


def test_kept_result_survives_clear_of_results(own_remote: Remote) -> None:
    own_remote.upload(A, "a")
    own_remote.info("0$slice${0: 1}${}")
    own_remote.info("0$slice${0: 2}${}")
    kept = own_remote.action("keep", id=1)
    assert kept["kept"] is True
    own_remote.action("clear", kind="result")
    assert [i.descriptor.command for i in own_remote.flights()][2:] in ([], [b"DELETED"])
    assert own_remote.get(by_id(1)).equals(A.slice(1))
    with pytest.raises(pa.ArrowKeyError):
        own_remote.info(by_id(2))


def test_read_only_server_refuses_every_change(make_server: object) -> None:
    server = make_server()
    with Remote(server.uri) as remote:
        remote.upload(A, "a")
    server.stop()
    reader = make_server("--read-only", data_dir=server.data_dir)
    with Remote(reader.uri) as remote:
        assert remote.get(by_name("a")).equals(A)
        with pytest.raises(flight.FlightUnauthorizedError):
            remote.upload(B, "b")
        assert reason(remote) == "READ_ONLY"
        with pytest.raises(flight.FlightUnauthorizedError):
            remote.action("delete", name="a")
