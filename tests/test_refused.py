"""Arrow data that breaks the format is refused by column and reason, and leaves nothing behind.

Only what pyarrow can be made to send; messages that it cannot make are sent byte by byte elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from remote import Remote, by_name


def buffer(values: Sequence[int], kind: str) -> pa.Buffer:
    """A buffer of integers."""
    return pa.py_buffer(np.array(values, kind).tobytes())


def strings(offsets: Sequence[int], data: bytes, kind: pa.DataType | None = None) -> pa.Array:
    """A string array of whatever offsets and bytes."""
    kind = kind or pa.string()
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    buffers = [None, buffer(offsets, "i8" if wide else "i4"), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


def lists(offsets: Sequence[int], n_items: int) -> pa.Array:
    """A list array of whatever offsets."""
    items = pa.array(range(n_items), pa.int8())
    return pa.Array.from_buffers(
        pa.list_(pa.int8()), len(offsets) - 1, [None, buffer(offsets, "i4")], children=[items]
    )


def list_views(offsets: Sequence[int], sizes: Sequence[int], n_items: int) -> pa.Array:
    """A list view array of whatever offsets and sizes."""
    items = pa.array(range(n_items), pa.int8())
    buffers = [None, buffer(offsets, "i4"), buffer(sizes, "i4")]
    kind = pa.list_view(pa.int8())
    return pa.Array.from_buffers(kind, len(offsets), buffers, children=[items])


def union(codes: Sequence[int], offsets: Sequence[int]) -> pa.Array:
    """A dense union of type ids 0 and 1 of whatever codes and offsets."""
    children = [pa.array([1, 2]), pa.array(["a", "b"])]
    kind = pa.dense_union([pa.field("i", pa.int64()), pa.field("s", pa.string())])
    buffers = [None, buffer(codes, "i1"), buffer(offsets, "i4")]
    return pa.Array.from_buffers(kind, len(codes), buffers, children=children)


def dictionary(indices: Sequence[int]) -> pa.Array:
    """A dictionary array of two values and whatever indices."""
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int8()), pa.array(["a", "b"]), safe=False
    )


def string_view(length: int, index: int, offset: int, prefix: bytes = b"long") -> pa.Array:
    """One string view into a buffer of 40 bytes."""
    view = np.array([length], "i4").tobytes() + prefix + np.array([index, offset], "i4").tobytes()
    buffers = [None, pa.py_buffer(view), pa.py_buffer(b"long text of forty bytes in all ........")]
    return pa.Array.from_buffers(pa.string_view(), 1, buffers)


def run_ends(ends: Sequence[int], length: int) -> pa.Array:
    """A run-end encoded array of whatever run ends."""
    kind = pa.run_end_encoded(pa.int32(), pa.int64())
    children = [pa.array(ends, pa.int32()), pa.array(range(len(ends)))]
    return pa.Array.from_buffers(kind, length, [None], children=children)


def temporal(value: int, kind: pa.DataType) -> pa.Array:
    """One value of a storage integer."""
    return pa.Array.from_buffers(kind, 1, [None, buffer([value], f"i{kind.bit_width // 8}")])


BAD: dict[str, Callable[[], pa.Array]] = {
    "text that is not UTF-8": lambda: strings([0, 2], b"\xc3\x28"),
    "text cut inside a character": lambda: strings([0, 1, 2], "é".encode()),
    "an overlong character": lambda: strings([0, 2], b"\xc0\xaf"),
    "a surrogate": lambda: strings([0, 3], b"\xed\xa0\x80"),
    "large text that is not UTF-8": lambda: strings([0, 1], b"\xff", pa.large_string()),
    "offsets that go back": lambda: strings([0, 3, 1], b"abc"),
    "list offsets that go back": lambda: lists([0, 3, 2], 3),
    "a list view beyond the items": lambda: list_views([2], [2], 3),
    "a list view of negative size": lambda: list_views([0], [-1], 3),
    "a type id that the union has not": lambda: union([0, 2], [0, 0]),
    "a union offset beyond the child": lambda: union([0, 1], [0, 2]),
    "a union offset below zero": lambda: union([0], [-1]),
    "a dictionary index beyond the values": lambda: dictionary([0, 2]),
    "a dictionary index below zero": lambda: dictionary([-1]),
    "a view of no buffer": lambda: string_view(20, 1, 0),
    "a view beyond its buffer": lambda: string_view(30, 0, 20),
    "a view of negative length": lambda: string_view(-5, 0, 0),
    "a view with another prefix": lambda: string_view(20, 0, 0, b"lang"),
    "run ends that do not grow": lambda: run_ends([2, 2, 4], 4),
    "a decimal of too many digits": lambda: pa.Array.from_buffers(
        pa.decimal128(3, 0), 1, [None, buffer([1000, 0], "i8")]
    ),
    "a date that is no whole day": lambda: temporal(1, pa.date64()),
    "a time after midnight": lambda: temporal(86_400, pa.time32("s")),
    "a bad list in a struct": lambda: pa.StructArray.from_arrays([lists([0, 3, 2], 3)], ["l"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_column_is_refused_by_its_name(remote: Remote, name: str) -> None:
    column = BAD[name]()
    with pytest.raises((pa.ArrowInvalid, pa.ArrowIndexError)):
        column.validate(full=True)
    good = pa.nulls(len(column), pa.int32())
    batch = pa.record_batch([good, column], names=["well", "broken"])
    before = len(remote.flights())
    with pytest.raises(pa.ArrowInvalid, match="broken"):
        remote.put(by_name(name), batch.schema, [batch])
    assert remote.error["reason"] == "MALFORMED_ARROW"
    assert len(remote.flights()) == before
    with pytest.raises(pa.ArrowKeyError):
        remote.info(by_name(name))


GARBAGE_UNDER_NULLS: dict[str, Callable[[], pa.Array]] = {
    "a dictionary index": lambda: pa.DictionaryArray.from_buffers(
        pa.dictionary(pa.int8(), pa.string()),
        2,
        [buffer([0b01], "u1"), buffer([0, 99], "i1")],
        pa.array(["a"]),
    ),
    "a view": lambda: pa.Array.from_buffers(
        pa.string_view(),
        2,
        [buffer([0b01], "u1"), pa.py_buffer(b"\x01\0\0\0a" + b"\0" * 11 + b"\x7f" * 16)],
    ),
    "a list view": lambda: pa.Array.from_buffers(
        pa.list_view(pa.int8()),
        2,
        [buffer([0b01], "u1"), buffer([0, 0], "i4"), buffer([1, 0], "i4")],
        children=[pa.array([7], pa.int8())],
    ),
    "text": lambda: pa.Array.from_buffers(
        pa.string(), 2, [buffer([0b01], "u1"), buffer([0, 1, 3], "i4"), pa.py_buffer(b"a\xc3\x28")]
    ),
}


@pytest.mark.parametrize("name", GARBAGE_UNDER_NULLS)
def test_garbage_under_a_null_is_let_in_and_never_followed(remote: Remote, name: str) -> None:
    column = GARBAGE_UNDER_NULLS[name]()
    column.validate(full=True)
    put = remote.upload(pa.table({"v": column}))
    assert remote.get(put["id"])["v"].to_pylist() == column.to_pylist()
    taken = {"from": {"id": put["id"]}, "do": [{"take": {"indices": [1, 0, 1]}}]}
    assert remote.get(taken)["v"].to_pylist() == [None, column[0].as_py(), None]
    ordered = {"from": {"id": put["id"]}, "do": [{"sort_by": {"sorting": "v"}}]}
    assert remote.get(ordered)["v"].to_pylist() == column.to_pylist()


def test_good_batches_before_a_bad_one_leave_nothing(remote: Remote) -> None:
    good = pa.record_batch({"t": ["a"] * 1000})
    bad = pa.record_batch([strings([0, 2], b"\xc3\x28")], names=["t"])
    with pytest.raises(pa.ArrowInvalid, match="t"):
        remote.put(by_name("half good"), good.schema, [good] * 50 + [bad] + [good] * 50)
    with pytest.raises(pa.ArrowKeyError):
        remote.info(by_name("half good"))


def test_server_goes_on_after_all_of_it(remote: Remote) -> None:
    assert remote.get(remote.upload(pa.table({"n": [1]}))["id"])["n"].to_pylist() == [1]
