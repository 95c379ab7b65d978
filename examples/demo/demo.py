"""The whole story on bundled data: two clients share tables on a server of the demo's own.

    python examples/demo/demo.py [--server build/remote-arrow-server]

Uses a temporary data directory and a free port, and ends with an error if anything is not as it
should be.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY / "python"))

import pandas as pd  # noqa: E402 - found through the line above
import pyarrow as pa  # noqa: E402
import pyarrow.csv as csv  # noqa: E402
import pyarrow.parquet as parquet  # noqa: E402

from RemoteArrow import RemoteDataset  # noqa: E402


class DemoServer:
    """The server as a child process."""

    def __init__(self, binary: Path, data_dir: Path) -> None:
        self._log = (data_dir.parent / "server.log").open("ab")
        self._process = subprocess.Popen(
            [str(binary), "--port", "0", "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("Server online: "):
            sys.exit(f"the server did not start; see {self._log.name}")
        self.uri = line.removeprefix("Server online: ")

    def stop(self) -> None:
        """Ends the server in good order."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(60) != 0:
            sys.exit(f"the server did not end well; see {self._log.name}")
        self._log.close()


def say(what: str) -> None:
    """One step of the story."""
    print(f"\n== {what}")


def show_list(client: RemoteDataset) -> None:
    """The Flights that a client sees."""
    for told in client.list_flights():
        name = told.name if len(told.name) <= 48 else told.name[:45] + "..."
        print(f"   {told.id}  {name:<48} {told.rows:>6} rows  {told.bytes:>8} bytes")


def show_rows(table: pa.Table, n: int = 3) -> None:
    """The first rows of a table."""
    for line in table.slice(0, n).to_pandas().to_string(index=False).splitlines():
        print(f"   {line}")


def upload(uri: str, folder: Path) -> RemoteDataset:
    """Client A brings a CSV file, a pandas frame and a Parquet file."""
    say("Client A uploads a CSV file, a pandas DataFrame and a Parquet file")
    rides = RemoteDataset(HERE / "rides.csv", uri)
    RemoteDataset(pd.read_csv(HERE / "zones.csv"), uri)
    fees = folder / "payments.parquet"
    parquet.write_table(csv.read_csv(HERE / "payments.csv"), fees)
    RemoteDataset(fees, uri)
    show_list(rides)
    return rides


def ask(uri: str, local: pa.Table) -> RemoteDataset:
    """Client B runs methods on what A uploaded; each result is a Flight."""
    say("Client B, elsewhere, lists the Flights, connects to 0 and asks")
    client = RemoteDataset(hostname=uri).connect(0)
    dearest = client.sort_by([("fare", "descending")])
    assert dearest.equals(local.sort_by([("fare", "descending")]))
    print("   sort_by([('fare', 'descending')]) on the server:")
    show_rows(dearest)
    complete = client.drop_null()
    assert complete.equals(local.drop_null())
    print(f"   drop_null(): {complete.num_rows} of {local.num_rows} rows have no gaps")
    top = client.connect(3).slice(0, 10)
    assert top.equals(dearest.slice(0, 10))
    print("   connect(3).slice(0, 10): the ten dearest rides, from B's own result")
    return client


def check(client: RemoteDataset, local: pa.Table) -> None:
    """Client A sees and downloads what B made."""
    say("Client A sees B's results and downloads the ten dearest rides")
    show_list(client)
    top = client.connect(5).fetch()
    assert top.equals(local.sort_by([("fare", "descending")]).slice(0, 10))
    show_rows(top)


def tell_errors(client: RemoteDataset) -> None:
    """Mistakes arrive as the errors that a local table raises."""
    say("Mistakes arrive as local errors")
    client.connect(0)
    for mistake in (lambda: client.take([99_999]), lambda: client.select(["fair"])):
        try:
            mistake()
        except (IndexError, KeyError) as error:
            print(f"   {type(error).__name__}: {str(error).splitlines()[0]}")
        else:
            sys.exit("a mistake was not noticed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = REPOSITORY / "build" / "remote-arrow-server"
    parser.add_argument("--server", type=Path, default=default)
    binary = parser.parse_args().server
    if not binary.exists():
        sys.exit(f"{binary} is not there: run make first")
    local = csv.read_csv(HERE / "rides.csv")
    with tempfile.TemporaryDirectory(prefix="remote-arrow-demo-") as folder:
        data_dir = Path(folder) / "data"
        server = DemoServer(binary, data_dir)
        say(f"A server is online at {server.uri}")
        client_a = upload(server.uri, Path(folder))
        client_b = ask(server.uri, local)
        check(client_a, local)
        tell_errors(client_b)

        say("Client B deletes Flight 4; its number stays, so that the others keep theirs")
        client_b.action("delete", "4")
        show_list(client_b)
        before = [(told.id, told.name) for told in client_b.list_flights()]

        say("The server restarts; everything is still there")
        server.stop()
        server = DemoServer(binary, data_dir)
        again = RemoteDataset(hostname=server.uri).connect(0)
        show_list(again)
        assert [(told.id, told.name) for told in again.list_flights()] == before
        assert again.fetch().equals(local)
        server.stop()
    say("Done: what was uploaded came back equal, before and after the restart")


if __name__ == "__main__":
    main()
