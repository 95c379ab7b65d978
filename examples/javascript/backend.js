// A backend for a browser that shows a table page by page: HTTP and JSON in front, Flight behind.
//
//   npm ci && node backend.js grpc://localhost:5005 8000
//   curl 'http://localhost:8000/tables/rides?offset=100&limit=50'

import { createServer } from "node:http";
import { byPath, connect, faultOf, getFlightInfo, read } from "./flight.js";

const MAX_ROWS = 1000; // never more than a page, whatever is asked
const STATUS = { FLIGHT_NOT_FOUND: 404, FLIGHT_DELETED: 404, UNAVAILABLE: 503 };

const client = connect(process.argv[2] ?? "grpc://localhost:5005");

/** Rows of a table, and what the browser needs to ask for the next page of the same version. */
async function page(name, asked) {
  const pinned = asked.has("version") ? [`@${asked.get("version")}`] : [];
  const info = await getFlightInfo(client, byPath(name, ...pinned)); // no rows move
  const { id, version } = JSON.parse(info.app_metadata);
  const offset = Number(asked.get("offset") ?? 0);
  const length = Math.min(Number(asked.get("limit") ?? 50), MAX_ROWS);
  const rows = await read(client, { from: { id, version }, do: [{ slice: { offset, length } }] });
  return {
    name, version, offset, total: info.total_records,
    columns: rows.schema.fields.map((field) => ({ name: field.name, type: String(field.type) })),
    rows: rows.toArray().map((row) => row.toArray()),
  };
}

/** 64-bit integers as text: JSON numbers of a browser end at 2 to the 53. */
const asJson = (value) =>
  JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item));

async function answer(request, response) {
  let status = 200;
  let told;
  try {
    const url = new URL(request.url, "http://localhost");
    const name = decodeURIComponent(url.pathname.replace("/tables/", ""));
    told = await page(name, url.searchParams);
  } catch (error) {
    // What is not a call's error comes from the URL.
    const fault = error.metadata ? faultOf(error) : { reason: "INVALID_ARGUMENT" };
    told = { ...fault, message: error.details ?? String(error) };
    status = STATUS[told.reason] ?? 400;
  }
  response.writeHead(status, { "content-type": "application/json" });
  response.end(asJson(told));
}

const server = createServer(answer);
server.listen(Number(process.argv[3] ?? 8000), "localhost", () =>
  console.log(`http://localhost:${server.address().port}`));
