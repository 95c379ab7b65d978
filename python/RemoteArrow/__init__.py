"""Tables on a Remote Arrow server, used as if they were local.

from RemoteArrow import RemoteDataset

ds = RemoteDataset("people.csv")   # uploads the file as a Flight
oldest = ds.sort_by([("age", "descending")])   # sorted on the server, a pyarrow.Table here
ds.list_flights()   # both: the file and the sorted table, for every client
"""

from RemoteArrow.dataset import FlightSummary, RemoteDataset

__all__ = ["FlightSummary", "RemoteDataset"]
