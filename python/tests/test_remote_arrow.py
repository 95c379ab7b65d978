"""remote_arrow: upload, handles, reads, versions, errors, restarts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.flight
import pyarrow.parquet
import pytest

import remote_arrow as ra
from remote_arrow import connection, table
from serving import Server

T = pa.table({"a": [3, 1, None], "s": [{"x": 1}, None, {"x": 2}]})


def test_methods_are_as_of_pyarrow(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    for method, arguments in [
        ("take", ([2, 0, None],)),
        ("take", (np.array([1, 1]),)),
        ("filter", ([True, None, True],)),
        ("slice", (1, 1)),
        ("select", (["s"],)),
        ("drop_null", ()),
        ("sort_by", ([("a", "descending")],)),
        ("drop", ("a",)),
        ("remove_column", (0,)),
        ("rename_columns", (["p", "q"],)),
        ("replace_schema_metadata", ({"k": "v"},)),
        ("flatten", ()),
        ("combine_chunks", ()),
        ("unify_dictionaries", ()),
    ]:
        got = getattr(ds, method)(*arguments).to_table()
        assert got.equals(getattr(T, method)(*arguments), check_metadata=True), method
    assert ds.equals(ds.slice(0)) and not ds.equals(ds.slice(1))
    assert ds.shape == T.shape and len(ds) == 3 and "'t'" in repr(ds)


def test_reads_publish_nothing(con: ra.Connection) -> None:
    ds = con.upload(T)
    assert ds.to_table(["a"], offset=1, limit=1).equals(T.select(["a"]).slice(1, 1))
    assert ds.to_table(indices=[2]).equals(T.take([2]))
    assert ds.head(2).equals(T.slice(0, 2))
    assert pa.table(ds).equals(T)
    assert pa.Table.from_batches(ds.iter_batches()).equals(T)
    assert [f.id for f in con.flights()] == [0]


def test_sources(con: ra.Connection, tmp_path: Path) -> None:
    plain = pa.table({"a": [1, None], "b": ["x", "y"]})
    pyarrow.csv.write_csv(plain, tmp_path / "t.csv")
    pyarrow.parquet.write_table(T, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(T, tmp_path / "t.feather")
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 6])
    assert con.upload(tmp_path / "t.csv").to_table().equals(plain)
    assert con.upload(str(tmp_path / "t.parquet")).to_table().equals(T)
    assert con.upload(tmp_path / "t.feather").to_table().equals(T)
    assert con.upload(frame).to_pandas().equals(frame)
    assert con.upload(T.to_reader()).to_table().equals(T)
    with pytest.raises(ValueError, match="notes.txt"):
        con.upload(tmp_path / "notes.txt")
    with pytest.raises(TypeError, match="int"):
        con.upload(7)


def test_source_that_fails_leaves_nothing(con: ra.Connection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield T.to_batches()[0]
        raise RuntimeError("broken source")

    with pytest.raises(Exception, match="broken source"):
        con.upload(pa.RecordBatchReader.from_batches(T.schema, batches()), "half")
    assert con.flights() == []


def test_versions_names_and_errors(con: ra.Connection) -> None:
    ds = con.upload(T, "t")
    with pytest.raises(ra.FlightExists) as exists:
        con.upload(T, "t")
    assert exists.value.reason == "FLIGHT_EXISTS" and not exists.value.retryable
    assert str(exists.value) == "Flight 't' exists (id 0)"
    second = ds.slice(1).publish_as("t", if_exists="replace", if_version=1)
    assert (second.id, second.version, ds.latest().num_rows) == (0, 2, 2)
    assert [v["rows"] for v in ds.versions()] == [3, 2]
    assert con.dataset("t", version=1).to_table().equals(T)
    with pytest.raises(ra.Conflict, match=r"^Flight 't' \(id 0\) is at version 2, not 1$"):
        ds.publish_as("t", if_exists="replace", if_version=1)
    with pytest.raises(pa.ArrowIndexError) as outside:
        ds.take([99])
    assert isinstance(outside.value, ra.RemoteArrowError)
    ds.rename("u")
    assert con["u"].id == con.wait("u").id == 0
    ds.delete()
    with pytest.raises(ra.FlightNotFound):
        con["u"]
    with pytest.raises(KeyError):
        con[0]
    with pytest.raises(TimeoutError):
        con.wait("u", timeout=0.2)


def test_killed_and_restarted_server_costs_only_time(con: ra.Connection, server: Server) -> None:
    ds = con.upload(T, "t")
    server.kill()
    server.start()
    assert ds.to_table().equals(T)
    assert ds.sort_by("a").to_table().equals(T.sort_by("a"))


def test_download_broken_by_a_restart_goes_on_at_its_row(
    con: ra.Connection, server: Server
) -> None:
    table = pa.table({"i": pa.array(range(8_000_000), pa.int64())})
    ds = con.upload(table, "long")
    batches = []
    for batch in ds.iter_batches():
        if len(batches) == 2:
            server.kill()
            server.start()
        batches.append(batch)
    assert pa.Table.from_batches(batches).equals(table)


def test_no_server_is_unavailable() -> None:
    with pytest.raises(ra.ServerUnavailable) as away:
        ra.connect("grpc://localhost:1")
    assert away.value.retryable
    assert str(away.value).startswith("cannot reach grpc://localhost:1: failed to connect")
    with socket.create_server(("localhost", 0)) as silent:
        url = f"grpc://localhost:{silent.getsockname()[1]}"
        with pytest.raises(ra.RemoteArrowError, match=f"{url} did not answer in time") as late:
            ra.connect(url, timeout=0.5)
    assert late.value.reason == "DEADLINE"
    assert isinstance(late.value, pyarrow.flight.FlightTimedOutError)


def test_an_address_needs_neither_scheme_nor_port(server: Server) -> None:
    for url in (f"localhost:{server.port}", f"grpc+tcp://localhost:{server.port}"):
        with ra.connect(url) as con:
            assert con.flights() == []
    for url in ("localhost", "grpc://localhost", "grpc://localhost/", "[::1]"):
        assert connection._address(url).endswith(":5005")
    for url in ("http://localhost:5005", "grpc://localhost:port", "foo:bar", "grpc://"):
        with pytest.raises(ValueError, match="grpc://HOST:PORT"):
            ra.connect(url)


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Server]:
    """A server that keeps one version of each table."""
    made = Server("--keep-versions", "1", data_dir=tmp_path / "few", log_path=tmp_path / "log")
    yield made
    made.stop()


def test_upload_whose_version_others_have_left_behind_is_no_error(
    forgetful: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write between the acknowledgement and the question for the handle."""
    upload = table.upload

    def upload_and_be_overtaken(*arguments: Any, **options: Any) -> dict[str, Any]:
        about = upload(*arguments, **options)
        with ra.connect(forgetful.uri) as other, monkeypatch.context() as patch:
            patch.setattr(table, "upload", upload)
            other.upload(pa.table({"n": [2]}), "t", if_exists="append")
        return about

    with ra.connect(forgetful.uri) as con:
        monkeypatch.setattr(table, "upload", upload_and_be_overtaken)
        handle = con.upload(pa.table({"n": [1]}), "t", if_exists="append")
        assert handle.version == 2
        assert handle.to_table()["n"].to_pylist() == [1, 2]
