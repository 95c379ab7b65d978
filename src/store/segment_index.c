// The catalog's form of a segment, little-endian:
//   u32 magic, u32 version, u32 dictionaries, u32 batches, u32 columns, u32 0
//   entries of 56 bytes: dictionaries, then batches
//   i64 column_bytes a column
//   u64 XXH3-64 of all before
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "arrow/ipc.h"
#include "base/checked.h"
#include "base/os.h"
#include "store/internal.h"
#include "store/xxh3.h"

enum {
    MAGIC = 0x58534152,  // "RASX"
    VERSION = 1,
    HEADER_BYTES = 24,
    ENTRY_BYTES = 56,
    ALIGNMENT = 64
};

static void put_entry(uint8_t *to, const ra_segment_entry *entry) {
    ra_store_i64(to, entry->message_offset);
    ra_store_i32(to + 8, entry->message_bytes);
    ra_store_i32(to + 12, entry->dictionary_id);
    ra_store_i64(to + 16, entry->body_offset);
    ra_store_i64(to + 24, entry->body_bytes);
    ra_store_i64(to + 32, entry->n_rows);
    ra_store_u64(to + 40, entry->checksum);
    ra_store_i64(to + 48, entry->app_metadata_bytes);
}

static ra_segment_entry get_entry(const uint8_t *from) {
    return (ra_segment_entry){.message_offset = ra_load_i64(from),
                              .message_bytes = ra_load_i32(from + 8),
                              .dictionary_id = ra_load_i32(from + 12),
                              .body_offset = ra_load_i64(from + 16),
                              .body_bytes = ra_load_i64(from + 24),
                              .n_rows = ra_load_i64(from + 32),
                              .checksum = ra_load_u64(from + 40),
                              .app_metadata_bytes = ra_load_i64(from + 48)};
}

static size_t index_bytes(size_t n_entries, size_t n_columns) {
    return HEADER_BYTES + n_entries * ENTRY_BYTES + n_columns * 8 + 8;
}

int ra_segment_encode_index(const ra_segment *segment, ra_bytes *out, ra_error *err) {
    size_t n_entries = (size_t)segment->n_dictionaries + (size_t)segment->n_batches;
    size_t n_columns = (size_t)segment->schema->n_fields;
    size_t bytes = index_bytes(n_entries, n_columns);
    RA_TRY(ra_bytes_reserve(out, bytes, err));
    uint8_t *start = out->data + out->len, *at = start + HEADER_BYTES;
    ra_store_u32(start, MAGIC);
    ra_store_u32(start + 4, VERSION);
    ra_store_i32(start + 8, segment->n_dictionaries);
    ra_store_i32(start + 12, segment->n_batches);
    ra_store_i32(start + 16, segment->schema->n_fields);
    ra_store_u32(start + 20, 0);
    for (size_t i = 0; i < n_entries; i++, at += ENTRY_BYTES)
        put_entry(at, &segment->entries[i]);
    for (size_t i = 0; i < n_columns; i++, at += 8)
        ra_store_i64(at, segment->column_bytes[i]);
    ra_store_u64(at, XXH3_64bits(start, (size_t)(at - start)));
    out->len += bytes;
    return 0;
}

static bool entry_is_sane(const ra_segment_entry *entry, int64_t file_bytes) {
    int64_t message_end, body_end;
    return entry->message_offset >= 16 && entry->message_offset <= file_bytes &&
           entry->message_offset % ALIGNMENT == 8 && entry->message_bytes > 0 &&
           ra_add_i64(entry->message_offset, entry->message_bytes, &message_end) &&
           message_end <= file_bytes && entry->body_offset == ra_round_up(message_end, ALIGNMENT) &&
           entry->body_bytes >= 0 && ra_add_i64(entry->body_offset, entry->body_bytes, &body_end) &&
           body_end <= file_bytes && entry->n_rows >= 0 && entry->app_metadata_bytes >= 0 &&
           entry->app_metadata_bytes <= RA_MAX_APP_METADATA_BYTES;
}

static bool read_entries(ra_segment *segment, const uint8_t *at) {
    int64_t n_rows = 0;
    for (int i = 0; i < segment->n_dictionaries + segment->n_batches; i++, at += ENTRY_BYTES) {
        ra_segment_entry *entry = &segment->entries[i];
        *entry = get_entry(at);
        if (!entry_is_sane(entry, segment->file_bytes))
            return false;
        bool is_dictionary = i < segment->n_dictionaries;
        if (is_dictionary &&
            (entry->dictionary_id < 0 || entry->dictionary_id >= segment->n_dictionaries))
            return false;
        if (!is_dictionary &&
            (entry->dictionary_id != -1 || !ra_add_i64(n_rows, entry->n_rows, &n_rows)))
            return false;
    }
    for (int i = 0; i < segment->schema->n_fields; i++, at += 8) {
        segment->column_bytes[i] = ra_load_i64(at);
        if (segment->column_bytes[i] < 0)
            return false;
    }
    return true;
}

static bool header_is_sane(ra_span index, const ra_schema *schema) {
    if (index.bytes < HEADER_BYTES + 8 || ra_load_u32(index.data) != MAGIC ||
        ra_load_u32(index.data + 4) != VERSION)
        return false;
    int32_t n_dictionaries = ra_load_i32(index.data + 8), n_batches = ra_load_i32(index.data + 12);
    return n_dictionaries == schema->n_dictionaries && n_batches >= 0 &&
           n_batches < INT_MAX - n_dictionaries &&
           ra_load_i32(index.data + 16) == schema->n_fields &&
           (size_t)index.bytes ==
               index_bytes((size_t)n_dictionaries + (size_t)n_batches, (size_t)schema->n_fields) &&
           ra_load_u64(index.data + index.bytes - 8) ==
               XXH3_64bits(index.data, (size_t)index.bytes - 8);
}

int ra_segment_load(ra_store *store, uint64_t id, int64_t file_bytes, ra_span schema_message,
                    ra_span index, ra_segment **out, ra_error *err) {
    *out = NULL;
    ra_schema *schema;
    RA_TRY(ra_ipc_decode_schema(schema_message, &schema, err));
    if (file_bytes <= 0 || !header_is_sane(index, schema)) {
        ra_schema_unref(schema);
        RA_FAIL(err, DATA_LOSS, "the catalog's index of segment %016" PRIx64 " is damaged", id);
    }
    ra_segment *segment;
    int rc = ra_segment_new(store, id, schema, file_bytes, ra_load_i32(index.data + 8),
                            ra_load_i32(index.data + 12), &segment, err);
    ra_schema_unref(schema);
    RA_TRY(rc);
    segment->placed = true;
    atomic_store(&segment->adopted, true);
    if (!read_entries(segment, index.data + HEADER_BYTES)) {
        ra_segment_unref(segment);
        RA_FAIL(err, DATA_LOSS, "the catalog's index of segment %016" PRIx64 " is damaged", id);
    }
    ra_segment_seal(segment);
    *out = segment;
    return 0;
}
