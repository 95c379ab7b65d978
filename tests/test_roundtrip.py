"""What was uploaded comes back equal: every type, every shape, in the batches in which it came."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from remote import Remote, by_name
from serving import Server
from settings import EXAMPLES
from strategies import tables
from zoo import all_tables

BATCH_LIMIT_BYTES = 4 * 1024 * 1024
ZOO = all_tables()


def fresh_name() -> str:
    return uuid.uuid4().hex


def assert_comes_back(remote: Remote, table: pa.Table) -> None:
    """Uploads, downloads, compares schema bytes and values, and deletes again."""
    put = remote.upload(table, fresh_name())
    try:
        info = remote.info(by_name(put["names"][0]))
        back = remote.get(info)
        assert back.schema.serialize() == table.schema.serialize()
        assert info.schema.serialize() == table.schema.serialize()
        assert info.total_records == table.num_rows
        back.validate(full=True)
        assert back.equals(table, check_metadata=True)
        assert back.num_rows == table.num_rows
    finally:
        remote.action("delete", id=put["id"])


@pytest.mark.parametrize("maker", [pytest.param(m, id=name) for name, m in ZOO.items()])
def test_zoo_table_comes_back_equal(remote: Remote, maker: Callable[[], pa.Table]) -> None:
    assert_comes_back(remote, maker())


def test_any_table_comes_back_equal(server: Server) -> None:
    with Remote(server.uri) as remote:

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(tables())
        def check(table: pa.Table) -> None:
            assert_comes_back(remote, table)

        check()


def test_nan_payloads_and_signs_come_back_bit_for_bit(remote: Remote) -> None:
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001, 1 << 63], "u8")
    table = pa.table({"f": bits.view("f8")})
    back = remote.get(remote.info(by_name(remote.upload(table, fresh_name())["names"][0])))
    assert back["f"].combine_chunks().view(pa.uint64()).to_pylist() == bits.tolist()


def test_batches_within_the_limit_are_kept_with_their_app_metadata(remote: Remote) -> None:
    rows = [1, 0, 7, 1000, 3]
    metadata = [b"first", None, b"\x00\xff" * 100, b"", b"x" * 100_000]
    batches = [pa.record_batch({"a": pa.array(range(n), pa.int64())}) for n in rows]
    sent = [b if m is None else (b, m) for b, m in zip(batches, metadata, strict=True)]
    put = remote.put(by_name(fresh_name()), batches[0].schema, sent)
    got = remote.batches(put["id"])
    assert [batch.num_rows for batch, _ in got] == rows
    for (batch, note), original, sent_note in zip(got, batches, metadata, strict=True):
        assert batch.equals(original)
        assert (note or b"") == (sent_note or b"")


def test_put_results_repeat_the_app_metadata_of_each_batch_in_lock_step(remote: Remote) -> None:
    batch = pa.record_batch({"a": [1, 2]})
    descriptor = by_name(fresh_name())
    writer, reader = remote.client.do_put(descriptor, batch.schema, remote.options())
    for i in range(5):
        note = f"batch {i}".encode()
        writer.write_with_metadata(batch, note)
        assert reader.read().to_pybytes() == note
    writer.done_writing()
    assert reader.read() is None
    writer.close()
    notes = [note for _, note in remote.batches(descriptor)]
    assert notes == [f"batch {i}".encode() for i in range(5)]


BIG_BATCHES: dict[str, Callable[[], pa.Table]] = {
    "long": lambda: pa.table({"a": np.arange(3_000_000), "b": ["x"] * 3_000_000}),
    "large values": lambda: pa.table({"s": ["y" * 70_000] * 200}),
    "views": lambda: pa.table({"v": pa.array(["z" * 90_000] * 99, pa.string_view())}),
    "lists": lambda: pa.table({"l": [[i] * 20_000 for i in range(100)]}),
    "huge rows": lambda: pa.table({"s": ["w" * 6_000_000, "v", "u" * 9_000_000]}),
}


@pytest.mark.parametrize("table", [pytest.param(t, id=name) for name, t in BIG_BATCHES.items()])
def test_big_batches_are_cut_below_the_limit(remote: Remote, table: Callable[[], pa.Table]) -> None:
    big = table()
    assert len(big.to_batches()) == 1
    put = remote.put(by_name(fresh_name()), big.schema, [(big.to_batches()[0], b"note")])
    got = remote.batches(put["id"])
    assert pa.Table.from_batches([batch for batch, _ in got]).equals(big)
    for batch, _ in got:
        assert batch.num_rows == 1 or batch.get_total_buffer_size() < BATCH_LIMIT_BYTES
    for batch, _ in got[:-1]:
        assert batch.num_rows < 64 or batch.num_rows % 64 == 0
    assert [note or b"" for _, note in got] == [b"note"] + [b""] * (len(got) - 1)
    remote.action("delete", id=put["id"])


def test_big_dictionary_of_big_batches_comes_back(remote: Remote) -> None:
    values = pa.array([f"value {i}" * 20 for i in range(20_000)])
    indices = pa.array(np.arange(1_000_000) % 20_000, pa.int32())
    table = pa.table({"d": pa.DictionaryArray.from_arrays(indices, values)})
    put = remote.upload(table, fresh_name())
    assert remote.get(put["id"]).equals(table)
    remote.action("delete", id=put["id"])


def test_floods_of_tiny_batches_come_back_equal_in_fewer(remote: Remote) -> None:
    batches = [pa.record_batch({"a": [i], "s": [f"row {i}"]}) for i in range(20_000)]
    put = remote.put(by_name(fresh_name()), batches[0].schema, batches)
    got = [batch for batch, _ in remote.batches(put["id"])]
    assert pa.Table.from_batches(got).equals(pa.Table.from_batches(batches))
    assert len(got) < len(batches) / 4
    remote.action("delete", id=put["id"])


def test_fewer_than_64_tiny_batches_are_kept_as_they_came(remote: Remote) -> None:
    batches = [pa.record_batch({"a": pa.array(range(n), pa.int64())}) for n in range(63)]
    put = remote.put(by_name(fresh_name()), batches[0].schema, batches)
    assert [batch.num_rows for batch, _ in remote.batches(put["id"])] == list(range(63))


def test_tiny_batches_with_app_metadata_are_never_merged(remote: Remote) -> None:
    batches = [(pa.record_batch({"a": [i]}), str(i).encode()) for i in range(2_000)]
    put = remote.put(by_name(fresh_name()), batches[0][0].schema, batches)
    assert [(b.column(0)[0].as_py(), n) for b, n in remote.batches(put["id"])] == [
        (i, str(i).encode()) for i in range(2_000)
    ]
    remote.action("delete", id=put["id"])


@pytest.mark.parametrize("generations", [3, 64, 200])
def test_replaced_dictionaries_come_back(remote: Remote, generations: int) -> None:
    batches = [
        pa.record_batch({"d": pa.array([f"{i}", "same", f"{i}"]).dictionary_encode(), "n": [i] * 3})
        for i in range(generations)
    ]
    put = remote.put(by_name(fresh_name()), batches[0].schema, batches)
    back = remote.get(put["id"])
    whole = pa.Table.from_batches(batches)
    if generations <= 64:
        assert back.equals(whole)
    assert back.schema == whole.schema
    decoded = pa.schema([("d", pa.string()), ("n", pa.int64())])
    assert back.cast(decoded).equals(whole.cast(decoded))
    remote.action("delete", id=put["id"])


def test_delta_dictionaries_are_resolved(remote: Remote) -> None:
    words = [f"w{i}" for i in range(30)]
    batches = [
        pa.record_batch(
            {
                "d": pa.DictionaryArray.from_arrays(
                    pa.array([0, n - 1], pa.int32()), pa.array(words[:n])
                )
            }
        )
        for n in (2, 10, 30)
    ]
    options = remote.options()
    options = type(options)(
        timeout=60, write_options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    )
    writer, _ = remote.client.do_put(by_name(name := fresh_name()), batches[0].schema, options)
    with writer:
        for batch in batches:
            writer.write_batch(batch)
    assert remote.get(by_name(name)).equals(pa.Table.from_batches(batches))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_uploads_come_back_equal(remote: Remote, codec: str) -> None:
    table = pa.table({"a": np.arange(100_000) // 7, "s": ["abc", None] * 50_000})
    options = type(remote.options())(
        timeout=60, write_options=pa.ipc.IpcWriteOptions(compression=codec)
    )
    writer, _ = remote.client.do_put(by_name(name := fresh_name()), table.schema, options)
    with writer:
        writer.write_table(table)
    back = remote.get(by_name(name))
    assert back.equals(table)


@pytest.mark.parametrize("version", [pa.ipc.MetadataVersion.V4, pa.ipc.MetadataVersion.V5])
def test_both_metadata_versions_are_read(remote: Remote, version: pa.ipc.MetadataVersion) -> None:
    table = pa.table({"a": [1, None], "s": ["x", "y"]})
    options = type(remote.options())(
        timeout=60, write_options=pa.ipc.IpcWriteOptions(metadata_version=version)
    )
    writer, _ = remote.client.do_put(by_name(name := fresh_name()), table.schema, options)
    with writer:
        writer.write_table(table)
    assert remote.get(by_name(name)).equals(table)


def test_same_upload_twice_gives_the_same_bytes(remote: Remote) -> None:
    table = ZOO["every type at once"]()
    ids = [remote.upload(table, fresh_name())["id"] for _ in range(2)]

    def image(number: int) -> bytes:
        sink = pa.BufferOutputStream()
        reader = remote.reader(number)
        with pa.ipc.new_stream(sink, reader.schema) as writer:
            for chunk in reader:
                writer.write_batch(chunk.data)
        return sink.getvalue().to_pybytes()

    first, second = map(image, ids)
    assert first == second


def test_upload_is_downloaded_while_others_upload(remote: Remote, server: Server) -> None:
    table = pa.table({"a": np.arange(1_000_000)})
    put = remote.upload(table, fresh_name())
    batches = itertools.repeat(pa.record_batch({"a": np.arange(1000)}), 50)
    reader = remote.reader(put["id"])
    with Remote(server.uri) as other:
        other.put(by_name(fresh_name()), pa.schema([("a", pa.int64())]), batches)
    assert reader.read_all().equals(table)
