#include "store/cursor_message.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/os.h"
#include "store/dictionaries.h"

enum { ALIGNMENT = 64 };

int ra_message_maker_init(ra_message_maker *maker, ra_content *content, ra_error *err) {
    size_t n = (size_t)content->schema->n_dictionaries;
    *maker = (ra_message_maker){.content = content};
    ra_ipc_encoded_init(&maker->encoded);
    maker->dictionary_ids = ra_calloc(n, sizeof *maker->dictionary_ids);
    maker->by_id = ra_calloc(n, sizeof *maker->by_id);
    if (!maker->dictionary_ids || !maker->by_id) {
        ra_message_maker_fini(maker);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to read a table");
    }
    ra_dictionaries_order(content->schema, maker->dictionary_ids);
    return 0;
}

void ra_message_maker_fini(ra_message_maker *maker) {
    ra_ipc_encoded_fini(&maker->encoded);
    ra_batch_unref(maker->source);
    ra_free(maker->dictionary_ids);
    ra_free(maker->by_id);
    *maker = (ra_message_maker){0};
}

int ra_part_n_dictionaries(const ra_content *content, const ra_part *part) {
    return part->n_columns < 0 ? part->segment->n_dictionaries : content->schema->n_dictionaries;
}

void ra_out_message_fini(ra_out_message *message) {
    if (message->n_body > 1)
        ra_free(message->body);
    ra_blob_unref(message->header_owner);
    ra_blob_unref(message->app_metadata_owner);
    ra_segment_unref(message->segment);
    *message = (ra_out_message){0};
}

void ra_out_message_move(ra_out_message *from, ra_out_message *to) {
    *to = *from;
    if (to->n_body == 1)
        to->body = &to->one;
    *from = (ra_out_message){0};
}

// A message that lies in its segment as it is sent.
static void point_into_segment(ra_segment *segment, int entry_number, ra_out_message *out) {
    const ra_segment_entry *entry = &segment->entries[entry_number];
    *out = (ra_out_message){
        .header = {segment->map + entry->message_offset, entry->message_bytes},
        .segment = ra_segment_ref(segment),
        .one = {segment->map + entry->body_offset, entry->body_offset, entry->body_bytes},
        .body_bytes = entry->body_bytes,
        .n_rows = entry->n_rows};
    if (entry->body_bytes > 0) {
        out->n_body = 1;
        out->body = &out->one;
    }
}

// Ranges of the segment for the pieces of a body; neighbours become one. What pads a buffer to a
// multiple of 64 is there in the file as well.
static int gather(const ra_segment *segment, const ra_ipc_encoded *encoded,
                  struct ra_body_range *ranges, int *n_ranges, ra_error *err) {
    int n = 0;
    for (int i = 0; i < encoded->n_pieces; i++) {
        const uint8_t *data = encoded->pieces[i].data;
        int64_t bytes = ra_round_up(encoded->pieces[i].bytes, ALIGNMENT);
        if (bytes == 0)
            continue;
        int64_t offset = (int64_t)((uintptr_t)data - (uintptr_t)segment->map);
        if (offset < 0 || offset > segment->file_bytes - bytes || offset % ALIGNMENT != 0)
            RA_FAIL(err, INTERNAL, "a buffer of segment %016" PRIx64 " is not in its file",
                    segment->id);
        if (n > 0 && ranges[n - 1].offset + ranges[n - 1].bytes == offset)
            ranges[n - 1].bytes += bytes;
        else
            ranges[n++] = (struct ra_body_range){data, offset, bytes};
    }
    *n_ranges = n;
    return 0;
}

static int take_body(ra_segment *segment, const ra_ipc_encoded *encoded, ra_out_message *out,
                     ra_error *err) {
    if (encoded->n_pieces == 0)
        return 0;
    struct ra_body_range *ranges =
        ra_malloc((size_t)encoded->n_pieces * sizeof(struct ra_body_range));
    if (!ranges)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a message of %d buffers", encoded->n_pieces);
    int rc = gather(segment, encoded, ranges, &out->n_body, err);
    if (rc == 0 && out->n_body > 1) {
        out->body = ranges;
        return 0;
    }
    if (rc == 0 && out->n_body == 1) {
        out->one = ranges[0];
        out->body = &out->one;
    }
    ra_free(ranges);
    return rc;
}

// A message from what was encoded, whose pieces lie in the segment.
static int take_encoded(ra_message_maker *maker, ra_segment *segment, ra_out_message *out,
                        ra_error *err) {
    ra_bytes *message = &maker->encoded.message;
    size_t bytes = message->len;
    *out = (ra_out_message){.body_bytes = maker->encoded.body_bytes};
    RA_TRY(ra_blob_take(ra_bytes_take(message), bytes, &out->header_owner, err));
    out->header = (ra_span){out->header_owner->data, (int64_t)bytes};
    out->segment = ra_segment_ref(segment);
    int rc = take_body(segment, &maker->encoded, out, err);
    if (rc != 0) {
        out->n_body = 0;
        ra_out_message_fini(out);
    }
    return rc;
}

// A batch of the part that stays at hand while its dictionaries are made.
static int find_source(ra_message_maker *maker, int p, ra_error *err) {
    if (maker->source && maker->source_part == p)
        return 0;
    ra_batch_unref(maker->source);
    maker->source = NULL;
    maker->source_part = p;
    return ra_content_batch(maker->content, maker->content->batch_starts[p], &maker->source, err);
}

int ra_message_make_dictionary(ra_message_maker *maker, int p, int i, ra_out_message *out,
                               ra_error *err) {
    const ra_part *part = &maker->content->parts[p];
    *out = (ra_out_message){0};
    if (part->n_columns < 0) {
        RA_TRY(ra_segment_verify(part->segment, i, err));
        point_into_segment(part->segment, i, out);
        return 0;
    }
    RA_TRY(find_source(maker, p, err));
    RA_TRY(ra_dictionaries_collect(maker->source, maker->by_id, err));
    int id = maker->dictionary_ids[i];
    const ra_batch *dictionary = maker->by_id[id];
    if (!dictionary)
        RA_FAIL(err, INTERNAL, "segment %016" PRIx64 " lacks a dictionary", part->segment->id);
    RA_TRY(ra_ipc_encode_dictionary(dictionary, id, &maker->encoded, err));
    RA_TRY(take_encoded(maker, part->segment, out, err));
    out->n_rows = dictionary->n_rows;
    return 0;
}

static int encode_projected(ra_message_maker *maker, int p, int i, ra_out_message *out,
                            ra_error *err) {
    ra_batch *batch;
    RA_TRY(ra_content_batch(maker->content, maker->content->batch_starts[p] + i, &batch, err));
    int rc = ra_ipc_encode_batch(batch, &maker->encoded, err);
    if (rc == 0)
        rc = take_encoded(maker, maker->content->parts[p].segment, out, err);
    if (rc == 0)
        out->n_rows = batch->n_rows;
    ra_batch_unref(batch);
    return rc;
}

int ra_message_make_batch(ra_message_maker *maker, int p, int i, ra_out_message *out,
                          ra_error *err) {
    const ra_part *part = &maker->content->parts[p];
    ra_segment *segment = part->segment;
    int batch = part->first_batch + i;
    *out = (ra_out_message){0};
    ra_batch_unref(maker->source);
    maker->source = NULL;
    if (part->n_columns < 0) {
        RA_TRY(ra_segment_verify(segment, segment->n_dictionaries + batch, err));
        point_into_segment(segment, segment->n_dictionaries + batch, out);
    } else {
        RA_TRY(encode_projected(maker, p, i, out, err));
    }
    out->is_batch = true;
    if (segment->app_metadata && segment->app_metadata[batch]) {
        ra_blob *blob = ra_blob_ref(segment->app_metadata[batch]);
        out->app_metadata_owner = blob;
        out->app_metadata = (ra_span){blob->data, (int64_t)blob->bytes};
    }
    return 0;
}
