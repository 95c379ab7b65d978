// For tests only: Flight calls of a raw client to a server in the same process. What a call ends
// with is its gRPC code or one of `flight_end`; no call lasts longer than FLIGHT_CALL_MS. Memory is
// plain malloc's, so that the seam of base/os.h sees the server's only.
#ifndef RA_SERVER_TESTING_CALLS_H
#define RA_SERVER_TESTING_CALLS_H

#include "arrow/ipc.h"
#include "query/testing_store.h"
#include "wire/protobuf.h"
#include "wire/testing_client.h"

enum { FLIGHT_CALL_MS = 10000, FLIGHT_BODY_CEILING = 1 << 20, FLIGHT_TICKET_BYTES = 64 };

typedef enum {
    FLIGHT_CLOSED = -1,  // the connection ended first
    FLIGHT_RESET = -2,   // the stream ended without a status, or was reset for no lack of memory
    FLIGHT_HUNG = -3,
    FLIGHT_SKIPPED = -4  // what it needs has failed before
} flight_end;

typedef struct {
    int port;
    client *connection;  // NULL: the next call connects
} flight_client;

typedef struct {
    int code;  // gRPC's, or flight_end
    size_t bytes;
    uint8_t data[CLIENT_KEPT_BYTES];
} flight_answer;

// A table that is uploaded: the schema's FlightData fields, and the messages after it.
typedef struct {
    ra_bytes schema;
    ra_bytes rest;
} flight_table;

// Text of the answers that the tests look into: where a Flight is fetched, and what it is.
typedef struct {
    int64_t id;
    size_t ticket_bytes;
    uint8_t ticket[FLIGHT_TICKET_BYTES];
    char json[4096];
} flight_about;

// Building requests.

static inline ra_bytes flight_bytes(void) {
    ra_bytes out;
    ra_bytes_init(&out, FLIGHT_BODY_CEILING);
    return out;
}

static inline void flight_append(ra_bytes *out, const void *data, size_t bytes) {
    ra_error err;
    assert_ok(ra_bytes_append(out, data, bytes, &err), &err);
}

static inline void flight_put(ra_bytes *out, uint32_t number, ra_str value) {
    ra_error err;
    assert_ok(ra_pb_put_bytes(out, number, value, &err), &err);
}

// Appends a gRPC message made of two parts.
static inline void flight_frame(ra_bytes *out, ra_str a, ra_str b) {
    size_t n = a.len + b.len;
    uint8_t prefix[5] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    flight_append(out, prefix, sizeof prefix);
    flight_append(out, a.data, a.len);
    flight_append(out, b.data, b.len);
}

static inline void flight_encoded(const ra_ipc_encoded *encoded, const char *note, ra_bytes *out) {
    static const uint8_t zeros[64];
    ra_bytes fields = flight_bytes(), body = flight_bytes();
    for (int i = 0; i < encoded->n_pieces; i++) {
        size_t bytes = (size_t)encoded->pieces[i].bytes;
        flight_append(&body, encoded->pieces[i].data, bytes);
        flight_append(&body, zeros, -bytes % 64);
    }
    flight_put(&fields, 2, ra_bytes_str(&encoded->message));
    if (note)
        flight_put(&fields, 3, ra_str_of(note));
    flight_put(&fields, 1000, ra_bytes_str(&body));
    flight_frame(out, ra_bytes_str(&fields), (ra_str){0});
    ra_bytes_fini(&body);
    ra_bytes_fini(&fields);
}

// A table from JSON columns, each batch with its own dictionaries and app_metadata.
static inline flight_table flight_table_new(const char *fields, const char *const *batches) {
    ra_error err;
    flight_table table = {flight_bytes(), flight_bytes()};
    ra_schema *schema = testing_schema(fields);
    ra_bytes message = flight_bytes();
    assert_ok(ra_ipc_encode_schema(schema, &message, &err), &err);
    flight_put(&table.schema, 2, ra_bytes_str(&message));
    ra_bytes_fini(&message);
    for (int i = 0; batches[i]; i++) {
        ra_batch *batch = testing_batch(schema, batches[i], 0);
        ra_ipc_encoded encoded;
        ra_ipc_encoded_init(&encoded);
        for (int c = 0; c < batch->n_columns; c++) {
            if (!batch->columns[c].dictionary)
                continue;
            assert_ok(ra_ipc_encode_dictionary(batch->dictionaries[0],
                                               schema->fields[c].dictionary_id, &encoded, &err),
                      &err);
            flight_encoded(&encoded, NULL, &table.rest);
        }
        assert_ok(ra_ipc_encode_batch(batch, &encoded, &err), &err);
        char note[24];
        snprintf(note, sizeof note, "batch %d", i);
        flight_encoded(&encoded, note, &table.rest);
        ra_ipc_encoded_fini(&encoded);
        ra_batch_unref(batch);
    }
    ra_schema_unref(schema);
    return table;
}

static inline void flight_table_free(flight_table *table) {
    ra_bytes_fini(&table->schema);
    ra_bytes_fini(&table->rest);
}

// Calls.

static inline void flight_disconnect(flight_client *f) {
    if (f->connection)
        client_free(f->connection);
    f->connection = NULL;
}

static inline int flight_code(const client *c, const client_stream *s) {
    const char *status = strstr(s->headers, "grpc-status: ");
    if (!s->is_closed)
        return c->is_eof ? FLIGHT_CLOSED : FLIGHT_HUNG;
    if (status)
        return atoi(status + strlen("grpc-status: "));
    // As gRPC's clients read it.
    return s->error_code == NGHTTP2_ENHANCE_YOUR_CALM ? RA_EXHAUSTED : FLIGHT_RESET;
}

// One call with all its messages at once; `body` is freed.
static inline void flight_call(flight_client *f, const char *path, ra_bytes *body,
                               flight_answer *answer) {
    if (!f->connection)
        f->connection = client_open(f->port);
    client *c = f->connection;
    client_stream *s = calloc(1, sizeof *s + body->len);
    assert_non_null(s);
    memcpy(s + 1, body->data, body->len);
    s->body = (const uint8_t *)(s + 1);
    s->body_bytes = body->len;
    ra_bytes_fini(body);
    client_call(c, path, s, NULL, NULL);
    int64_t until = ra_os_now_ns() + (int64_t)FLIGHT_CALL_MS * 1000000;
    while (!s->is_closed && client_turn(c, 100) && ra_os_now_ns() < until)
        continue;
    assert_true(s->data_bytes <= sizeof answer->data);
    answer->code = flight_code(c, s);
    answer->bytes = s->data_bytes;
    memcpy(answer->data, s->data, s->data_bytes);
    if (c->is_eof || c->got_goaway)
        flight_disconnect(f);
}

static inline void flight_ask(flight_client *f, const char *path, ra_bytes *message,
                              flight_answer *answer) {
    ra_bytes body = flight_bytes();
    flight_frame(&body, ra_bytes_str(message), (ra_str){0});
    ra_bytes_fini(message);
    flight_call(f, path, &body, answer);
}

#define FLIGHT_PATH(name) "/arrow.flight.protocol.FlightService/" name

// A call whose only field is bytes: ListFlights' criteria, DoGet's ticket.
static inline void flight_ask_field(flight_client *f, const char *path, ra_str value,
                                    flight_answer *answer) {
    ra_bytes message = flight_bytes();
    flight_put(&message, 1, value);
    flight_ask(f, path, &message, answer);
}

static inline void flight_descriptor(ra_bytes *out, uint32_t type, const char *text) {
    ra_error err;
    assert_ok(ra_pb_put_varint(out, 1, type, &err), &err);
    flight_put(out, type == 1 ? 3 : 2, ra_str_of(text));
}

enum { FLIGHT_BY_PATH = 1, FLIGHT_BY_COMMAND = 2 };

// A call whose message is a descriptor.
static inline void flight_ask_about(flight_client *f, const char *path, uint32_t type,
                                    const char *text, flight_answer *answer) {
    ra_bytes message = flight_bytes();
    flight_descriptor(&message, type, text);
    flight_ask(f, path, &message, answer);
}

// DoPut or DoExchange: descriptor and schema, then the table's other messages.
static inline void flight_upload(flight_client *f, const char *path, const char *command,
                                 const flight_table *table, flight_answer *answer) {
    ra_bytes descriptor = flight_bytes(), fields = flight_bytes(), body = flight_bytes();
    flight_descriptor(&descriptor, FLIGHT_BY_COMMAND, command);
    flight_put(&fields, 1, ra_bytes_str(&descriptor));
    flight_frame(&body, ra_bytes_str(&fields), ra_bytes_str(&table->schema));
    flight_append(&body, table->rest.data, table->rest.len);
    ra_bytes_fini(&descriptor);
    ra_bytes_fini(&fields);
    flight_call(f, path, &body, answer);
}

static inline void flight_act(flight_client *f, const char *type, const char *body,
                              flight_answer *answer) {
    ra_bytes message = flight_bytes();
    flight_put(&message, 1, ra_str_of(type));
    flight_put(&message, 2, ra_str_of(body));
    flight_ask(f, FLIGHT_PATH("DoAction"), &message, answer);
}

// Reading answers.

// The gRPC message at `*at`, which moves behind it; false at the end.
static inline bool flight_next_message(const flight_answer *answer, size_t *at, ra_str *message) {
    if (*at == answer->bytes)
        return false;
    assert_true(answer->bytes - *at >= 5);
    const uint8_t *p = answer->data + *at;
    size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    assert_true(answer->bytes - *at - 5 >= n);
    *message = (ra_str){(const char *)p + 5, n};
    *at += 5 + n;
    return true;
}

// The bytes of a field, empty if it is not there.
static inline ra_str flight_field(ra_str message, uint32_t number) {
    ra_pb_reader reader = ra_pb_reader_of(message);
    ra_pb_field field;
    while (ra_pb_next(&reader, &field) == 1)
        if (field.number == number && field.type == RA_PB_LEN)
            return field.bytes;
    return RA_STR("");
}

// What a FlightInfo says.
static inline void flight_read_info(ra_str info, flight_about *about) {
    ra_str ticket = flight_field(flight_field(flight_field(info, 3), 1), 1);
    ra_str json = flight_field(info, 7);
    assert_in_range(ticket.len, 1, sizeof about->ticket);
    assert_in_range(json.len, 1, sizeof about->json - 1);
    memcpy(about->ticket, ticket.data, ticket.len);
    about->ticket_bytes = ticket.len;
    memcpy(about->json, json.data, json.len);
    about->json[json.len] = 0;
    assert_int_equal(sscanf(about->json, "{\"id\": %" SCNd64, &about->id), 1);
}

static inline void flight_fetch(flight_client *f, const flight_about *about,
                                flight_answer *answer) {
    flight_ask_field(f, FLIGHT_PATH("DoGet"),
                     (ra_str){(const char *)about->ticket, about->ticket_bytes}, answer);
}

#endif
