"""scratch(): a session whose results go away with it."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from remote_arrow.calls import Calls
from remote_arrow.connection import Connection
from remote_arrow.errors import FlightNotFound


class Scratch(Connection):
    """A connection in a name of its own. At its end the results that it was the first to ask for
    are deleted, but for those that were named or kept; uploads stay.
    """

    def __init__(self, calls: Calls) -> None:
        self.url = calls.url
        self._calls = calls.of_caller(f"scratch-{uuid.uuid4().hex}")

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a scratch session belongs to its process")

    def close(self) -> None:
        """Deletes the session's results and closes the connection."""
        try:
            for result in self.flights(kind="result", mine=True):
                if result.name is None and not result.about["kept"]:
                    with suppress(FlightNotFound):  # deleted by somebody meanwhile
                        result.delete()
        finally:
            super().close()
