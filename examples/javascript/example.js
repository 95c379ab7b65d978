// A tour of Remote Arrow from Node, where Flight is gRPC plus Arrow's IPC format: upload, list, run,
// download, fail, delete.
//
//   npm ci && node example.js grpc://localhost:5005

import assert from "node:assert/strict";
import { tableFromArrays } from "apache-arrow";
import { byCommand, byPath, connect, download, faultOf, getFlightInfo, upload } from "./flight.js";

const TABLE = "example-javascript";
const RESULT = "example-javascript-top";

const client = connect(process.argv[2] ?? "grpc://localhost:5005");

async function list() {
  // Without criteria the numbers of Flights that are gone would be listed too.
  const alive = { expression: Buffer.from(JSON.stringify({ deleted: false })) };
  const names = [];
  for await (const info of client.ListFlights(alive)) {
    console.log("flight", info.flight_descriptor.path, info.total_records, "rows");
    names.push(info.flight_descriptor.path.join("/"));
  }
  assert(names.includes(TABLE));
}

async function show(ticket) {
  const rows = (await download(client, ticket)).toArray().map((row) => row.toJSON());
  console.table(rows);
  assert.deepEqual(rows, [{ fare: 52, zone: "C" }, { fare: 7.5, zone: "A" }]);
}

async function fail() {
  const error = await getFlightInfo(client, byPath("no such table")).catch((thrown) => thrown);
  const fault = faultOf(error);
  console.log("error", fault, error.details);
  assert.equal(fault.reason, "FLIGHT_NOT_FOUND");
}

async function remove(name) {
  const action = { type: "delete", body: Buffer.from(JSON.stringify({ name })) };
  for await (const _ of client.DoAction(action));
}

const rows = tableFromArrays({ fare: Float64Array.of(7.5, 3, 52), zone: ["A", "B", "C"] });
await upload(client, rows, { name: TABLE, if_exists: "replace" });
await list();
// A command runs on the server once; its result is a Flight that every client sees.
const info = await getFlightInfo(client, byCommand({
  from: { name: TABLE }, as: RESULT, if_exists: "replace",
  do: [{ sort_by: { sorting: [["fare", "descending"]] } }, { slice: { length: 2 } }],
}));
await show(info.endpoint[0].ticket);
await fail();
await remove(RESULT);
await remove(TABLE);
client.close();
