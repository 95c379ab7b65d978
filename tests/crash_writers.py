"""Writers that change a server until it is killed, and know what must be there afterwards."""

from __future__ import annotations

import random
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

from remote import Json, Remote, by_id, by_name

# A Flight's name, or its id while it has none.
Key = str | int
KEPT_VERSIONS = 10
# Flights that a writer goes on to change; it deletes rather than creates above.
MAX_OPEN = 20
# Flights that a writer leaves alone after each crash: they must live through all that follow.
RETIRED_PER_CRASH = 2


@dataclass(frozen=True)
class Known:
    """What a Flight must be. `id` and `uid` are None until the server has told them."""

    table: pa.Table
    kind: str
    version: int = 1
    before: pa.Table | None = None
    id: int | None = None
    uid: str | None = None


@dataclass(frozen=True)
class Change:
    """A call and the Flights it is about: as they are without it, as they are after it.

    None: there is no such Flight. An unnamed result, whose id is not known yet, is `result`.
    """

    kind: str
    before: dict[Key, Known | None]
    after: dict[Key, Known | None]
    result: Known | None = None


class Uids:
    """Which Flight an id belongs to, for ever."""

    def __init__(self) -> None:
        self._uids: dict[int, str] = {}
        self._lock = threading.Lock()

    def claim(self, about: Json) -> None:
        """Fails when the id was another Flight's."""
        with self._lock:
            uid = self._uids.setdefault(about["id"], about["uid"])
        assert uid == about["uid"], f"id {about['id']} was given again"


def random_table(rng: random.Random) -> pa.Table:
    """1 to 20,000 rows in up to four batches; of one schema, so that all may be appended."""
    rows = int(10 ** rng.uniform(0, 4.3))
    numbers = pa.array(np.random.default_rng(rng.getrandbits(32)).integers(0, 1 << 60, rows))
    table = pa.table({"n": numbers, "s": pc.cast(numbers, pa.string())})
    batches = table.to_batches(max_chunksize=-(-rows // rng.randint(1, 4)))
    return pa.Table.from_batches(batches)


def descriptor(key: Key, version: int | None = None) -> flight.FlightDescriptor:
    """PATH descriptor of a key."""
    return by_id(key, version) if isinstance(key, int) else by_name(key, version)


def target(key: Key) -> Json:
    """The key as actions and sources name it."""
    return {"id": key} if isinstance(key, int) else {"name": key}


@dataclass
class Writer:
    """Changes its own Flights until the server goes away, and remembers what was acknowledged.

    `unsure` is the one change that was on its way when the server ended. `loose` are the results
    since the last start that are nobody's dataset and have no name: a crash may lose them.
    """

    number: int
    uids: Uids
    flights: dict[Key, Known] = field(default_factory=dict)
    unsure: Change | None = None
    touched: set[Key] = field(default_factory=set)
    loose: set[Key] = field(default_factory=set)
    retired: set[Key] = field(default_factory=set)
    acknowledged: Counter[str] = field(default_factory=Counter)
    n_names: int = 0
    failure: str = ""

    def run(self, uri: str, seed: float, killed: threading.Event) -> None:
        """Works until a call fails, which is a failure unless the server was killed."""
        rng = random.Random(seed)
        try:
            with Remote(uri) as remote:
                while True:
                    self._step(remote, rng)
        except Exception:
            if not killed.is_set():
                self.failure = traceback.format_exc()

    def open_keys(self) -> list[Key]:
        """Flights that may still be changed."""
        return [key for key in self.flights if key not in self.retired]

    def retire_some(self, rng: random.Random) -> None:
        """From now on some Flights are left as they are."""
        keys = self.open_keys()
        self.retired.update(rng.sample(keys, min(RETIRED_PER_CRASH, len(keys))))

    def adopt(self, key: Key, known: Known, about: Json) -> None:
        """The Flight is there, under that key: its id and uid are known from now on."""
        self.uids.claim(about)
        self.flights[key] = replace(known, id=about["id"], uid=about["uid"])

    def forget(self, key: Key) -> None:
        """The Flight is gone."""
        self.flights.pop(key, None)
        for keys in (self.loose, self.retired):
            keys.discard(key)

    def _step(self, remote: Remote, rng: random.Random) -> None:
        keys = self.open_keys()
        if not keys:
            self._create(remote, rng)
        elif len(keys) > MAX_OPEN:
            self._delete(remote, rng, rng.choice(keys))
        else:
            rng.choice(self.STEPS)(self, remote, rng, rng.choice(keys))

    def _create(self, remote: Remote, rng: random.Random, _: Key | None = None) -> None:
        name, table = self._new_name(), random_table(rng)
        change = Change("create", {name: None}, {name: Known(table, "dataset")})
        self._do(change, lambda: remote.upload(table, name))

    def _append(self, remote: Remote, rng: random.Random, key: Key) -> None:
        self._next_version(remote, rng, key, "append")

    def _replace(self, remote: Remote, rng: random.Random, key: Key) -> None:
        self._next_version(remote, rng, key, "replace")

    def _next_version(self, remote: Remote, rng: random.Random, key: Key, how: str) -> None:
        if isinstance(key, int):
            return self._rename(remote, rng, key)
        old, table = self.flights[key], random_table(rng)
        whole = pa.concat_tables([old.table, table]) if how == "append" else table
        new = replace(old, table=whole, version=old.version + 1, before=old.table, kind="dataset")
        change = Change(how, {key: old}, {key: new})
        return self._do(change, lambda: remote.upload(table, key, if_exists=how))

    def _rename(self, remote: Remote, rng: random.Random, key: Key) -> None:
        old, name = self.flights[key], self._new_name()
        change = Change("rename", {key: old, name: None}, {name: old})
        if isinstance(key, str):
            change.after[key] = None
        self._do(change, lambda: remote.action("rename", **target(key), to=name))

    def _publish(self, remote: Remote, rng: random.Random, key: Key) -> None:
        command, table = self._question(rng, key)
        known = Known(table, "result")
        if rng.random() < 0.5:
            name = self._new_name()
            change = Change("publish as", {name: None}, {name: known})
            command["as"] = name
        else:
            change = Change("publish", {}, {}, result=known)
        self._do(change, lambda: remote.about(command))

    def _keep(self, remote: Remote, rng: random.Random, key: Key) -> None:
        old = self.flights[key]
        if old.kind == "dataset":
            return self._publish(remote, rng, key)
        change = Change("keep", {key: old}, {key: replace(old, kind="dataset")})
        return self._do(change, lambda: remote.action("keep", **target(key)))

    def _delete(self, remote: Remote, rng: random.Random, key: Key) -> None:
        old = self.flights[key]
        by = target(key) if rng.random() < 0.5 else {"id": old.id}
        change = Change("delete", {key: old}, {key: None})
        self._do(change, lambda: remote.action("delete", **by))

    def _question(self, rng: random.Random, key: Key) -> tuple[Json, pa.Table]:
        """A command about a Flight, a view of it or new rows, and what it must give."""
        table = self.flights[key].table
        rows = table.num_rows
        if rng.random() < 0.5:
            offset = rng.randrange(rows)
            step = {"slice": {"offset": offset}}
            return {"from": target(key), "do": [step]}, table.slice(offset)
        indices = [rng.randrange(rows) for _ in range(rng.randint(1, 200))]
        step = {"take": {"indices": indices}}
        return {"from": target(key), "do": [step]}, table.take(indices)

    def _new_name(self) -> str:
        self.n_names += 1
        return f"w{self.number} {self.n_names}"

    def _do(self, change: Change, call: Callable[[], Json]) -> None:
        self.unsure = change
        answer = call()
        self.acknowledged[change.kind] += 1
        self.unsure = None
        self.make(change, answer)

    def make(self, change: Change, about: Json) -> None:
        """The change has happened; `about` is the JSON of its Flight."""
        after = dict(change.after)
        if change.result is not None:
            # The same question as before has the same answer, which may have a name by now.
            if any(known.id == about["id"] for known in self.flights.values()):
                return
            after[about["id"]] = change.result
            self.loose.add(about["id"])
        for key, known in after.items():
            self.touched.add(key)
            if known is None:
                self.forget(key)
                continue
            if known.id is not None:
                assert (about["id"], about["uid"]) == (known.id, known.uid)
            assert about["version"] == known.version
            assert about["kind"] == known.kind
            if known.kind == "dataset":
                self.loose.discard(key)
            self.adopt(key, known, about)
        # An id is no longer the key of a Flight that has a name now.
        for key in [key for key in change.before if key not in after]:
            self.forget(key)
            self.touched.discard(key)

    STEPS: ClassVar[list[Callable[..., None]]] = [
        *(_create, _append, _replace, _rename, _publish, _keep, _delete)
    ]


def difference(remote: Remote, key: Key, known: Known | None) -> str | None:
    """What is otherwise than it must be, None when nothing is."""
    try:
        about = remote.about(descriptor(key))
    except pa.ArrowKeyError:
        return None if known is None else "is gone"
    if known is None:
        return f"is there: {about}"
    names = [key] if isinstance(key, str) else []
    seen = (about["names"], about["kind"], about["version"])
    if seen != (names, known.kind, known.version):
        return f"is {about}, not {known.kind} {names} version {known.version}"
    if known.uid is not None and (about["id"], about["uid"]) != (known.id, known.uid):
        return f"is {about}, not {known.id} {known.uid}"
    versions = [v["version"] for v in remote.action("versions", id=about["id"])["versions"]]
    oldest = max(1, known.version - KEPT_VERSIONS + 1)
    if versions != list(range(oldest, known.version + 1)):
        return f"has versions {versions}, not {oldest} to {known.version}"
    if not remote.get(descriptor(key)).equals(known.table):
        return "has other rows"
    before = known.before
    if before is not None and not remote.get(descriptor(key, known.version - 1)).equals(before):
        return "has other rows in the version before"
    return None
