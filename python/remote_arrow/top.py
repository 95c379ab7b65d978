"""remote-arrow top: what a server does, from its metrics."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from remote_arrow.errors import RemoteArrowError, ServerUnavailable, Unauthenticated
from remote_arrow.output import cell, table_lines
from remote_arrow.table import RemoteTable

_SAMPLE = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_LATEST = 10  # Flights that are shown
_UNAUTHENTICATED = 401


@dataclass(frozen=True)
class Sample:
    """The metrics of one moment: values by name, calls by method."""

    seconds: float
    values: Mapping[str, float]
    started: Mapping[str, float]
    failed: Mapping[str, float]


def read_metrics(url: str, token: str | None, timeout_s: float) -> Sample:
    """Asks a server at a grpc:// URL. ServerUnavailable, Unauthenticated; ValueError for a Unix
    socket, over which there are no metrics.
    """
    place = urlsplit(url)
    if not place.hostname:
        raise ValueError(f"top reads metrics over TCP, not from {url}")
    request = urllib.request.Request(f"http://{place.netloc}/metrics")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return parse_metrics(answer.read().decode(), time.monotonic())
    except urllib.error.HTTPError as error:
        if error.code == _UNAUTHENTICATED:
            raise Unauthenticated("the metrics need a token, or another one") from None
        raise RemoteArrowError(f"{request.full_url} answered {error.code}") from None
    except OSError as error:
        raise ServerUnavailable(f"no metrics from {request.full_url}: {error}") from None


def parse_metrics(text: str, seconds: float) -> Sample:
    """The samples of an OpenMetrics text."""
    values: dict[str, float] = {}
    started: dict[str, float] = {}
    failed: dict[str, float] = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        name, label_text, value = match[1], match[2], float(match[3])
        labels = dict(_LABEL.findall(label_text or ""))
        method = labels.get("grpc_method", "")
        if name == "grpc_server_started_total":
            started[method] = started.get(method, 0.0) + value
        elif name == "grpc_server_handled_total" and labels.get("grpc_code") != "OK":
            failed[method] = failed.get(method, 0.0) + value
        elif not labels:
            values[name.removeprefix("remote_arrow_")] = value
    return Sample(seconds, values, started, failed)


def screen(url: str, flights: list[RemoteTable], now: Sample, before: Sample | None) -> list[str]:
    """The lines to show; rates since `before`, or without it since the server started."""
    values = now.values
    period = now.seconds - before.seconds if before else 0.0

    def get(name: str) -> float:
        return values.get(name, 0.0)

    def rate(name: str) -> str:
        if before is None or period <= 0:
            return size(get(name))
        return f"{size((get(name) - before.values.get(name, 0.0)) / period)}/s"

    state = "ready" if get("ready") else "not ready"
    state += ", read-only" if get("read_only") else ""
    lines = [
        f"{url}: {state}, {get('connections'):.0f} connections, "
        f"{get('calls_open'):.0f} open calls, {get('jobs_running'):.0f} jobs",
        f"{get('flights'):,.0f} Flights, {size(get('stored_bytes'))} in {get('segments'):,.0f} "
        f"segments, disk {size(get('disk_free_bytes'))} of {size(get('disk_size_bytes'))} free",
        f"memory {size(get('memory_used_bytes'))} of {size(get('memory_limit_bytes'))}, received "
        f"{rate('bytes_received_total')}, sent {rate('bytes_sent_total')}, "
        f"CPU {get('process_cpu_seconds_total'):,.1f} s",
        "",
    ]
    calls = [
        [method, *_counts(method, now, before, period)]
        for method, count in sorted(now.started.items(), key=lambda item: -item[1])
        if count
    ]
    lines += [*table_lines(["calls", "all", "now", "failed"], calls), ""]
    newest = sorted(flights, key=lambda ds: ds.about.get("last_used", ""), reverse=True)[:_LATEST]
    rows = [
        [f"#{ds.id}", cell(ds.name), f"{ds.num_rows:,}", size(ds.total_bytes), _time_of(ds)]
        for ds in newest
    ]
    return lines + list(table_lines(["last used", "name", "rows", "size", "at"], rows))


def _counts(method: str, now: Sample, before: Sample | None, period: float) -> list[str]:
    count = now.started[method]
    speed = "" if before is None or period <= 0 else (
        f"{(count - before.started.get(method, 0.0)) / period:,.1f}/s"
    )
    return [f"{count:,.0f}", speed, f"{now.failed.get(method, 0.0):,.0f}"]


def _time_of(ds: RemoteTable) -> str:
    return str(ds.about.get("last_used", "")).partition(".")[0].replace("T", " ")


def size(n_bytes: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.3g} TB"
