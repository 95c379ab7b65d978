"""What handles are across processes and servers, and how they show themselves."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import time
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

import remote_arrow as ra
from serving import Server

T = pa.table({"a": [3, 1, None], "s": ["x", "<b>&", "z" * 300]})

HTML_TAGS = ("div", "b", "table", "thead", "tbody", "tr", "th", "td", "br", "small")


def read_rows(ds: ra.RemoteTable) -> list[dict[str, object]]:
    return ds.sort_by("a").to_pylist()


def exit_code_of_fork(ds: ra.RemoteTable) -> int:
    """Of a child that reads, within ten seconds."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        code = 9
        try:
            code = len(read_rows(ds))
        except RuntimeError:
            code = 7
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_pickle_holds_the_address_only(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    options = ("--token-file", str(tmp_path / "tokens"))
    guarded = Server(*options, data_dir=tmp_path / "guarded", log_path=tmp_path / "guarded log")
    con = ra.connect(guarded.uri, token="secret")
    ds = con.upload(T, "t")
    pickled = pickle.dumps(ds)
    assert b"secret" not in pickled and len(pickled) < 300
    again = pickle.loads(pickled)
    assert (again.id, again.version, again.name, again.schema) == (0, 1, "t", T.schema)
    assert again == T and again._calls is ds._calls  # the token of the open connection
    newer = ds.slice(1).publish_as("t", if_exists="replace")
    assert pickle.loads(pickled) == T and pickle.loads(pickle.dumps(newer)).num_rows == 2
    with pytest.raises(ra.Unauthenticated):
        ra.connect(guarded.uri, token="wrong")
    assert pickle.loads(pickled) == T
    con.close()
    with pytest.raises(ra.Unauthenticated):
        pickle.loads(pickled).to_table()
    guarded.stop()


def test_token_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    options = ("--token-file", str(tmp_path / "tokens"))
    guarded = Server(*options, data_dir=tmp_path / "guarded", log_path=tmp_path / "guarded log")
    with ra.connect(guarded.uri, token="secret") as con:
        pickled = pickle.dumps(con.upload(T))
    monkeypatch.setenv("REMOTE_ARROW_TOKEN", "secret")
    assert pickle.loads(pickled) == T
    assert ra.connect(guarded.uri).server_info()
    guarded.stop()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_handles_work_in_other_processes(con: ra.Connection, method: str) -> None:
    ds = con.upload(T)
    with multiprocessing.get_context(method).Pool(2) as pool:
        rows = pool.map(read_rows, [ds] * 4)
    assert rows == [T.sort_by("a").to_pylist()] * 4
    assert ds == T


def test_forked_children_and_their_parent_go_on(con: ra.Connection) -> None:
    ds = con.upload(T)
    for _ in range(10):
        assert exit_code_of_fork(ds) == 3
        assert ds.num_rows == 3 and ds == T


def test_fork_during_a_read_is_told_in_the_child(con: ra.Connection) -> None:
    table = pa.table({"i": range(2_000_000)})
    ds = con.upload(table.to_reader(max_chunksize=100_000))
    batches = ds.iter_batches()
    n_seen = next(batches).num_rows
    assert exit_code_of_fork(ds) == 7
    assert n_seen + sum(batch.num_rows for batch in batches) == 2_000_000
    assert exit_code_of_fork(con.upload(T)) == 3


def test_fork_beside_other_users_of_grpc(con: ra.Connection, server: Server) -> None:
    ds = con.upload(T)
    other = server.client()
    list(other.list_flights())
    assert exit_code_of_fork(ds) == 7
    started = time.monotonic()
    assert exit_code_of_fork(ds) == 7  # nothing of ours to wait for
    assert time.monotonic() - started < 0.5
    assert ds == T
    other.close()
    del other
    assert exit_code_of_fork(ds) == 3


def test_handle_of_a_cleared_server_finds_no_other_table(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    stale = pickle.loads(pickle.dumps(ds))
    with ds.pipeline(publish=False) as planned:
        head = planned.slice(0, 1)
    con._calls.action_text("clear", "")
    other = con.upload(T.slice(1), "t")
    assert other.id == ds.id == 0
    for use in (
        lambda: ds.to_table(),
        lambda: ds.to_table(limit=1),
        lambda: ds.slice(1),
        lambda: ds.equals(other.slice(0)) or ds.equals(T) or ds.publish_as("u"),
        lambda: ds.latest(),
        lambda: ds.versions(),
        lambda: ds.delete(),
        lambda: ds.rename("u"),
        lambda: ds.keep(),
        lambda: ds.save("u"),
        lambda: ds.export("u.parquet"),
        lambda: ds.append(T),
        lambda: stale.num_rows,
        lambda: head.to_table(),
    ):
        with pytest.raises(ra.FlightNotFound) as error:
            use()
        assert error.value.reason == "FLIGHT_NOT_FOUND"
    assert con["t"] == T.slice(1)


def test_append_makes_the_next_version(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    second = ds.append(T, if_version=1)
    third = ds.append(ds.slice(0, 1))
    assert (second.id, second.version, third.version) == (0, 2, 3)
    assert second == pa.concat_tables([T, T]) and third.num_rows == 7 and ds == T
    assert ds.latest() == third and [v["rows"] for v in ds.versions()] == [3, 6, 7]
    with pytest.raises(ra.Conflict):
        ds.append(T, if_version=2)
    with pytest.raises(ra.Conflict):
        ds.append(ds, if_version=2)
    ds.rename("u")
    assert ds.append(T).name == "u" and ds.name == "u"
    with pytest.raises(ValueError, match="rename"):
        con.upload(T).append(T)


def test_append_converts_when_told(con: ra.Connection, tmp_path: Path) -> None:
    ds = con.upload(pa.table({"a": pa.array([3], pa.float32())}), "t")
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(pa.ArrowInvalid, match="'a: float' in the first table, 'a: int64'"):
        ds.append(tmp_path / "t.csv")
    grown = ds.append(tmp_path / "t.csv", schema=ds.schema)
    assert grown.schema == ds.schema and grown["a"].to_pylist() == [3, 1]
    with pytest.raises(TypeError, match="schema"):
        ds.append(grown, schema=ds.schema)


def test_pipeline_is_one_run_and_one_flight(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    with ds.pipeline() as p:
        between = p.sort_by("a")
        assert between.schema == T.schema and between.num_rows == 3
        assert between.head(1).to_pylist() == T.slice(1, 1).to_pylist()
        r = between.slice(0, 2).select(["a"])
        assert not hasattr(r, "id") and "sort_by, slice, select" in repr(r)
    assert type(r) is ra.RemoteTable and r.id == 1 and len(con.flights()) == 2
    assert r.to_pydict() == {"a": [1, 3]} and r.slice(1).to_pydict() == {"a": [3]}
    steps = r.about["lineage"]["plan"]["do"]
    assert [next(iter(step)) for step in steps] == ["sort_by", "slice", "select"]
    assert between == T.sort_by("a") and len(con.flights()) == 3
    with pytest.raises(KeyError), ds.pipeline() as p:
        p.slice(1)
        raise KeyError
    with ds.pipeline():
        pass
    assert len(con.flights()) == 3


def test_unpublished_pipeline_is_run_by_reads(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    with ds.pipeline(publish=False) as p:
        r = p.sort_by("a").combine_chunks()
    again = pickle.loads(pickle.dumps(r))
    for planned in (r, again):
        assert planned == T.sort_by("a") and planned.shape == (3, 2)
        assert planned["a"].num_chunks == 1 and planned.nbytes > 100
        assert planned.to_table(["a"], limit=1).to_pydict() == {"a": [1]}
        assert [b.num_rows for b in planned.iter_batches(batch_size=2)] == [2, 1]
    assert "combine_chunks" in r._repr_html_() and len(con.flights()) == 1
    assert r.publish_as("sorted").name == "sorted" and len(con.flights()) == 2
    with pytest.raises(AttributeError, match="published"):
        r.delete()


def test_scratch_deletes_what_it_made(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    shared = ds.slice(1)
    with con.scratch() as session:
        mine = session["t"]
        assert mine.slice(1).id == shared.id  # the same question
        mine.slice(2)
        mine.sort_by("a").publish_as("named")
        mine.select(["a"]).keep()
        upload = session.upload(T)
        assert len(con.flights()) == 7
    assert [f.id for f in con.flights()] == [ds.id, shared.id, 4, 5, upload.id]
    with pytest.raises(pa.ArrowInvalid, match="closed"):
        mine.slice(0)
    assert ds.slice(0) == T


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_handles_show_name_shape_and_first_rows(con: ra.Connection) -> None:
    table = pa.table({"<i>n": range(20), "s": ["<script>x</script>"] * 20})
    ds = con.upload(table, "<b>name")
    text, html = repr(ds), ds._repr_html_()
    assert "#0 '<b>name' @1: 20 rows, 2 columns" in text and "int64" in text and "9" in text
    tags = Tags()
    tags.feed(html)
    assert set(tags.tags) == {*HTML_TAGS}
    assert tags.tags.count("tr") == 11 and "<script>x</script>" in tags.text
    assert "10 more rows" in tags.text and "string" in tags.text
    wide = con.upload(pa.table({f"c{i}": [i] for i in range(300)}))
    assert "280 more columns" in repr(wide) and "280 more columns" in wide._repr_html_()
    far = con.upload(pa.table({"t": pa.array([2**62], pa.timestamp("s"))}))
    assert "4611686018427387904" in far._repr_html_()
    assert len(repr(con.upload(T))) < 800
    assert "\x1b" not in repr(con.upload(pa.table({"\x1b[31m": ["\x1b[31m"]})))
    assert len(con.flights()) == 5


def test_handles_show_themselves_without_a_server(con: ra.Connection, server: Server) -> None:
    ds = con.upload(T, "t")
    unpickled = pickle.loads(pickle.dumps(ds))
    deleted = con.upload(T, "u")
    deleted.delete()
    assert "#1 'u'" in repr(deleted) and "FlightNotFound" in deleted._repr_html_()
    server.kill()
    for handle in (ds, unpickled):
        for show in (handle.__repr__, handle._repr_html_):
            started = time.monotonic()
            assert "ServerUnavailable" in show() or "Deadline" in show()
            assert time.monotonic() - started < 1.5
    server.start()
    assert unpickled == T and "#0 't'" in repr(unpickled)


def test_server_that_does_not_answer_is_not_waited_for(con: ra.Connection) -> None:
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        ds = pickle.loads(pickle.dumps(con.upload(T)))
        ds._calls = type(ds._calls)(f"grpc://localhost:{silent.getsockname()[1]}", 30.0, None)
        started = time.monotonic()
        assert repr(ds).startswith("<RemoteTable")
        assert time.monotonic() - started < 1.5


def test_lists_of_flights_show_a_line_each(con: ra.Connection) -> None:
    con.upload(T, "<b>\u6771")
    con.upload(T, "t").slice(1)
    listed = con.flights()
    assert repr(listed).splitlines() == [
        "id  name   kind     version  rows  columns  bytes",
        f"#0  <b>\u6771  dataset  1        3     2        {listed[0].total_bytes:,}",
        f"#1  t      dataset  1        3     2        {listed[1].total_bytes:,}",
        f"#2         result   1        2     2        {listed[2].total_bytes:,}",
    ]
    assert "<td>&lt;b&gt;\u6771</td>" in listed._repr_html_()
    assert repr(con.flights(name="x")).count("\n") == 0
    assert repr(type(listed)(listed * 30)).endswith("\n\u2026 30 more")


def test_connections_hold_flights(con: ra.Connection) -> None:
    con.upload(T, "t")
    assert "t" in con and 0 in con and "u" not in con and 1 not in con
    assert [ds.name for ds in con] == ["t"]
    for key in (None, 1.0, slice(0, 2)):
        with pytest.raises(TypeError, match=f"name or id, not by {type(key).__name__}"):
            con[key]  # type: ignore[index]


def test_connections_pickle_without_their_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    options = ("--token-file", str(tmp_path / "tokens"))
    guarded = Server(*options, data_dir=tmp_path / "d", log_path=tmp_path / "log")
    with ra.connect(guarded.uri, token="secret", timeout=7) as con:
        pickled = pickle.dumps(con)
        with pytest.raises(TypeError, match="scratch"), con.scratch() as session:
            pickle.dumps(session)
    assert b"secret" not in pickled
    with pickle.loads(pickled) as again, pytest.raises(ra.Unauthenticated):
        again.flights()
    monkeypatch.setenv("REMOTE_ARROW_TOKEN", "secret")
    with pickle.loads(pickled) as again:
        assert again.flights() == [] and again._calls.timeout_s == 7
    guarded.stop()


def test_concat_tables_of_handles(con: ra.Connection) -> None:
    table = pa.table({"a": [1, 2, None]})
    ds = con.upload(table)
    joined = ra.concat_tables(iter([ds, ds.slice(1), ds]))
    assert joined.to_table().equals(pa.concat_tables([table, table.slice(1), table]))
    assert ra.concat_tables([ds]).num_rows == 3
    with pytest.raises(ValueError, match="at least one"):
        ra.concat_tables([])
    with pytest.raises(TypeError, match="not Table"):
        ra.concat_tables([ds, table])
    with pytest.raises(pa.ArrowInvalid):
        ra.concat_tables([ds, con.upload(pa.table({"b": [1]}))])
