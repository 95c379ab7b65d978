#include "store/rows.h"

#include "arrow/ipc.h"
#include "store/record.h"

enum { MAX_INDEX_BYTES = 512 * 1024 * 1024 };

static ra_sql_value key_value(const ra_flight *flight) {
    return flight->has_command_key ? ra_sql_bytes(flight->command_key, sizeof flight->command_key)
                                   : ra_sql_null();
}

static int insert_app_metadata(ra_sql *sql, const ra_segment *segment, ra_error *err) {
    for (int i = 0; segment->app_metadata && i < segment->n_batches; i++) {
        const ra_blob *blob = segment->app_metadata[i];
        if (blob)
            RA_TRY(RA_SQL_RUN(sql, err, INSERT_APP_METADATA, ra_sql_int((int64_t)segment->id),
                              ra_sql_int(i), ra_sql_bytes(blob->data, blob->bytes)));
    }
    return 0;
}

int ra_rows_insert_segment(ra_sql *sql, const ra_segment *segment, ra_error *err) {
    ra_bytes schema, index;
    ra_bytes_init(&schema, RA_MAX_SCHEMA_BYTES * 2);
    ra_bytes_init(&index, MAX_INDEX_BYTES);
    int rc = ra_ipc_encode_schema(segment->schema, &schema, err);
    if (rc == 0)
        rc = ra_segment_encode_index(segment, &index, err);
    if (rc == 0)
        rc = RA_SQL_RUN(sql, err, INSERT_SEGMENT, ra_sql_int((int64_t)segment->id),
                        ra_sql_int(segment->file_bytes), ra_sql_int(atomic_load(&segment->synced)),
                        ra_sql_str(ra_bytes_str(&schema)), ra_sql_str(ra_bytes_str(&index)));
    ra_bytes_fini(&schema);
    ra_bytes_fini(&index);
    return rc ? rc : insert_app_metadata(sql, segment, err);
}

int ra_rows_delete_segment(ra_sql *sql, const ra_segment *segment, ra_error *err) {
    ra_sql_value id = ra_sql_int((int64_t)segment->id);
    if (segment->app_metadata)
        RA_TRY(RA_SQL_RUN(sql, err, DELETE_APP_METADATA, id));
    return RA_SQL_RUN(sql, err, DELETE_SEGMENT, id);
}

int ra_rows_mark_synced(ra_sql *sql, const ra_content *content, ra_error *err) {
    for (int i = 0; i < content->n_parts; i++) {
        const ra_segment *segment = content->parts[i].segment;
        if (atomic_load(&segment->synced))
            RA_TRY(RA_SQL_RUN(sql, err, UPDATE_SYNCED, ra_sql_int((int64_t)segment->id)));
    }
    return 0;
}

static int insert_version(ra_transaction *t, const ra_flight *flight, const ra_version *version,
                          ra_error *err) {
    const ra_content *content = version->content;
    RA_TRY(ra_transaction_count(t, version->content, 1, true, err));
    ra_bytes parts;
    RA_TRY(ra_parts_encode(content, &parts, err));
    int rc =
        RA_SQL_RUN(t->sql, err, INSERT_VERSION, ra_sql_int(flight->row),
                   ra_sql_int(version->number), ra_sql_int(version->created_ns),
                   ra_sql_bytes(content->schema_message->data, content->schema_message->bytes),
                   ra_sql_int(content->combined), ra_sql_int(content->n_rows),
                   ra_sql_int(content->n_bytes), ra_sql_bytes(content->hash, sizeof content->hash),
                   ra_sql_int(RA_ENGINE_VERSION), ra_sql_str(ra_bytes_str(&parts)));
    ra_bytes_fini(&parts);
    return rc;
}

// A version that was compacted has its number, and row, from a new record.
static bool has_number(const ra_flight *flight, int64_t number) {
    for (int i = 0; flight && i < flight->n_versions; i++) {
        if (flight->versions[i]->number == number)
            return true;
    }
    return false;
}

static int delete_version(ra_transaction *t, const ra_flight *old, const ra_flight *new,
                          const ra_version *version, ra_error *err) {
    if (!has_number(new, version->number))
        RA_TRY(RA_SQL_RUN(t->sql, err, DELETE_VERSION, ra_sql_int(old->row),
                          ra_sql_int(version->number)));
    return ra_transaction_count(t, version->content, -1, true, err);
}

static bool has_version(const ra_flight *flight, const ra_version *version) {
    for (int i = 0; flight && i < flight->n_versions; i++) {
        if (flight->versions[i] == version)
            return true;
    }
    return false;
}

static int write_versions(ra_transaction *t, const ra_flight *old, const ra_flight *new,
                          ra_error *err) {
    for (int i = 0; new &&i < new->n_versions; i++) {
        if (!has_version(old, new->versions[i]))
            RA_TRY(insert_version(t, new, new->versions[i], err));
    }
    for (int i = 0; old && i < old->n_versions; i++) {
        if (!has_version(new, old->versions[i]))
            RA_TRY(delete_version(t, old, new, old->versions[i], err));
    }
    return 0;
}

static bool equal_names(const ra_flight *old, const ra_flight *new) {
    if (old->n_names != new->n_names)
        return false;
    for (int i = 0; i < new->n_names; i++) {
        if (!ra_str_eq(old->names[i], new->names[i]))
            return false;
    }
    return true;
}

static int insert_names(ra_sql *sql, const ra_flight *flight, ra_error *err) {
    for (int i = 0; i < flight->n_names; i++)
        RA_TRY(RA_SQL_RUN(sql, err, INSERT_NAME, ra_sql_str(flight->names[i]),
                          ra_sql_int(flight->row), ra_sql_int(i)));
    return 0;
}

static int insert_flight(ra_sql *sql, const ra_flight *flight, ra_error *err) {
    RA_TRY(RA_SQL_RUN(sql, err, INSERT_FLIGHT, ra_sql_int(flight->row), ra_sql_int(flight->id),
                      ra_sql_bytes(flight->uid, sizeof flight->uid), ra_sql_int(flight->kind),
                      ra_sql_int(flight->kept), ra_sql_int(flight->created_ns),
                      ra_sql_str(flight->created_by), ra_sql_int(atomic_load(flight->last_used_ns)),
                      ra_sql_str(flight->lineage), ra_sql_str(flight->legacy_command),
                      key_value(flight)));
    return insert_names(sql, flight, err);
}

static int update_flight(ra_sql *sql, const ra_flight *old, const ra_flight *new, ra_error *err) {
    RA_TRY(RA_SQL_RUN(sql, err, UPDATE_FLIGHT, ra_sql_int(new->row), ra_sql_int(new->kind),
                      ra_sql_int(new->kept), ra_sql_str(new->lineage),
                      ra_sql_str(new->legacy_command), key_value(new)));
    if (equal_names(old, new))
        return 0;
    RA_TRY(RA_SQL_RUN(sql, err, DELETE_NAMES, ra_sql_int(old->row)));
    return insert_names(sql, new, err);
}

int ra_rows_write(ra_transaction *t, const ra_flight *old, const ra_flight *new, ra_error *err) {
    if (old && new) {
        RA_TRY(update_flight(t->sql, old, new, err));
    } else if (new) {
        RA_TRY(insert_flight(t->sql, new, err));
    } else if (old) {
        if (old->n_names > 0)
            RA_TRY(RA_SQL_RUN(t->sql, err, DELETE_NAMES, ra_sql_int(old->row)));
        RA_TRY(RA_SQL_RUN(t->sql, err, DELETE_FLIGHT, ra_sql_int(old->row)));
    }
    return write_versions(t, old, new, err);
}
