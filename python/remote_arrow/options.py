"""Settings of this process: `remote_arrow.options`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Options:
    """`max_implicit_download`: bytes that an attribute such as `to_pylist`, which a local table
    has at hand, may download before it raises DownloadTooLarge. Explicit reads (`to_table`,
    `to_pandas`, `iter_batches` …) have no limit.
    """

    max_implicit_download: int = 1 << 30


options = Options()
