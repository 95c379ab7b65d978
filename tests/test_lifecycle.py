"""The life of Flights: how many versions are kept, when results go, how much disk there is."""

from __future__ import annotations

import pyarrow as pa
import pytest

from conftest import MakeServer
from remote import Remote, by_name

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
