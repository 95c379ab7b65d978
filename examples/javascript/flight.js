// Arrow Flight for Node: gRPC by grpc-js, Arrow's IPC format by apache-arrow, and what lies between.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { Message, tableFromIPC, tableToIPC } from "apache-arrow";

const definition = protoLoader.loadSync(fileURLToPath(new URL("flight.proto", import.meta.url)), {
  enums: String, longs: Number, keepCase: true, defaults: true,
});
const { FlightService } = grpc.loadPackageDefinition(definition).arrow.flight.protocol;

export const byCommand = (command) => ({ type: "CMD", cmd: Buffer.from(JSON.stringify(command)) });
export const byPath = (...path) => ({ type: "PATH", path });

/** A client of a server. Errors have their reason as JSON in the trailer `remote-arrow-error`. */
export const connect = (url) =>
  new FlightService(
    new URL(url).host,
    grpc.credentials.createInsecure(),
    // gRPC's own default, 4 MiB, is less than a single large row may take.
    { "grpc.max_receive_message_length": 1 << 30 },
  );

/** Why a call failed: `{reason, …}`, the list is in docs/errors.md; no trailer: no answer. */
export const faultOf = (error) =>
  JSON.parse(error.metadata.get("remote-arrow-error")[0] ?? '{"reason": "UNAVAILABLE"}');

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

/** Writes a table under a name; it is on the server's disk when the call ends. */
export async function upload(client, table, put) {
  const call = client.DoPut();
  call.on("data", () => {}); // nothing ends that is not read
  const ended = once(call, "end");
  let descriptor = byCommand({ put });
  for (const message of messagesOf(tableToIPC(table, "stream"))) {
    call.write({ ...message, flight_descriptor: descriptor });
    descriptor = undefined; // only the first message has it
  }
  call.end();
  await ended;
}

/** Schema, size, id, version and ticket of a table; a command is run first. */
export const getFlightInfo = (client, descriptor) =>
  new Promise((resolve, reject) =>
    client.GetFlightInfo(descriptor, (error, info) => (error ? reject(error) : resolve(info))));

/** The table of a ticket. */
export async function download(client, ticket) {
  const messages = [];
  for await (const data of client.DoGet(ticket)) messages.push(framed(data));
  return tableFromIPC(Buffer.concat(messages));
}

/** The table of a command, which is its own ticket: one round trip, and nothing stays behind. */
export const read = (client, command) =>
  download(client, { ticket: Buffer.from(JSON.stringify({ ...command, publish: false })) });
