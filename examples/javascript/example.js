// A tour of Remote Arrow from Node, where Flight is gRPC plus Arrow's IPC format: upload, list, run,
// download, fail, delete.
//
//   npm ci && node example.js grpc://localhost:5005

import assert from "node:assert/strict";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { Message, tableFromArrays, tableFromIPC, tableToIPC } from "apache-arrow";

const TABLE = "example-javascript";
const RESULT = "example-javascript-top";

const definition = protoLoader.loadSync(fileURLToPath(new URL("flight.proto", import.meta.url)), {
  enums: String, longs: Number, keepCase: true, defaults: true,
});
const { FlightService } = grpc.loadPackageDefinition(definition).arrow.flight.protocol;
const client = new FlightService(
  new URL(process.argv[2] ?? "grpc://localhost:5005").host,
  grpc.credentials.createInsecure(),
  // gRPC's own default, 4 MiB, is less than a single large row may take.
  { "grpc.max_receive_message_length": 1 << 30 },
);

const byCommand = (command) => ({ type: "CMD", cmd: Buffer.from(JSON.stringify(command)) });
const byPath = (...path) => ({ type: "PATH", path });

/** Cuts an IPC stream into the messages of Flight: header and body, without the framing. */
function* messagesOf(stream) {
  const view = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength);
  for (let at = 0; at < view.length; ) {
    const length = view.readInt32LE(at + 4); // after the continuation mark
    if (length === 0) return;
    const header = view.subarray(at + 8, at + 8 + length);
    const end = at + 8 + length + Message.decode(header).bodyLength;
    yield { data_header: header, data_body: view.subarray(at + 8 + length, end) };
    at = end;
  }
}

/** The opposite: frames a Flight message as one of an IPC stream. */
function framed({ data_header: header, data_body: body }) {
  const padding = Buffer.alloc(-header.length & 7);
  const prefix = Buffer.alloc(8, 0xff);
  prefix.writeInt32LE(header.length + padding.length, 4);
  return Buffer.concat([prefix, header, padding, body]);
}

/** Writes three rows under a name; they are on the server's disk when the call ends. */
async function upload() {
  const rows = tableFromArrays({ fare: Float64Array.of(7.5, 3, 52), zone: ["A", "B", "C"] });
  const call = client.DoPut();
  call.on("data", () => {}); // nothing ends that is not read
  const ended = once(call, "end");
  let descriptor = byCommand({ put: { name: TABLE, if_exists: "replace" } });
  for (const message of messagesOf(tableToIPC(rows, "stream"))) {
    call.write({ ...message, flight_descriptor: descriptor });
    descriptor = undefined; // only the first message has it
  }
  call.end();
  await ended;
}

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

const getFlightInfo = (descriptor) =>
  new Promise((resolve, reject) =>
    client.GetFlightInfo(descriptor, (error, info) => (error ? reject(error) : resolve(info))));

async function download(ticket) {
  const messages = [];
  for await (const data of client.DoGet(ticket)) messages.push(framed(data));
  const rows = tableFromIPC(Buffer.concat(messages)).toArray().map((row) => row.toJSON());
  console.table(rows);
  assert.deepEqual(rows, [{ fare: 52, zone: "C" }, { fare: 7.5, zone: "A" }]);
}

/** Shows where the reason of an error is: JSON in the trailer `remote-arrow-error`. */
async function fail() {
  const error = await getFlightInfo(byPath("no such table")).catch((thrown) => thrown);
  const fault = JSON.parse(error.metadata.get("remote-arrow-error")[0]);
  console.log("error", fault, error.details);
  assert.equal(fault.reason, "FLIGHT_NOT_FOUND");
}

async function remove(name) {
  const action = { type: "delete", body: Buffer.from(JSON.stringify({ name })) };
  for await (const _ of client.DoAction(action));
}

await upload();
await list();
// A command runs on the server once; its result is a Flight that every client sees.
const info = await getFlightInfo(byCommand({
  from: { name: TABLE }, as: RESULT, if_exists: "replace",
  do: [{ sort_by: { sorting: [["fare", "descending"]] } }, { slice: { length: 2 } }],
}));
await download(info.endpoint[0].ticket);
await fail();
await remove(RESULT);
await remove(TABLE);
client.close();
