#include <string.h>

#include "base/os.h"
#include "store/content_parts.h"
#include "store/cursor_message.h"

enum { SMALL_BYTES = 64 * 1024 };  // a message that may be encoded again on an I/O thread

// A place between two messages.
typedef struct {
    int part;            // the content's number of parts: at the end
    int dictionary;      // next one to be sent before the part's batches
    int batch;           // next one of the part
    uint64_t in_force;   // key of the dictionaries that the receiver has
    int64_t n_messages;  // before this place
    int64_t n_bytes;
} place;

typedef struct {
    int64_t number;  // n_messages of its place
    ra_out_message message;
} made_message;

struct ra_cursor {
    ra_content *content;
    ra_message_maker maker;
    place at;
    place prepared;       // verified and faulted in up to here
    ra_segment *segment;  // the one of part `at.part` is used, so that it stays open
    // Messages that `prepare` has encoded already, oldest at `first_made`.
    made_message *made;
    int first_made;
    int n_made;
    int made_capacity;
};

static bool at_end(const ra_cursor *cursor, const place *p) {
    return p->part == cursor->content->n_parts;
}

// Skips what the receiver has, and parts without batches.
static void enter_part(const ra_cursor *cursor, place *p) {
    const ra_content *content = cursor->content;
    while (!at_end(cursor, p) && content->parts[p->part].n_batches == 0)
        p->part++;
    if (at_end(cursor, p))
        return;
    const ra_part *part = &content->parts[p->part];
    uint64_t key = ra_part_dictionary_key(content, part);
    p->dictionary = 0;
    if (key == 0 || key == p->in_force)
        p->dictionary = ra_part_n_dictionaries(content, part);
    p->in_force = key;
}

static bool is_dictionary(const ra_cursor *cursor, const place *p) {
    return p->dictionary <
           ra_part_n_dictionaries(cursor->content, &cursor->content->parts[p->part]);
}

static void advance(const ra_cursor *cursor, place *p, const ra_out_message *message) {
    p->n_messages++;
    p->n_bytes += message->header.bytes + message->body_bytes;
    if (is_dictionary(cursor, p)) {
        p->dictionary++;
        return;
    }
    if (++p->batch < cursor->content->parts[p->part].n_batches)
        return;
    p->part++;
    p->batch = 0;
    enter_part(cursor, p);
}

int ra_cursor_new(ra_content *content, int64_t first_batch, ra_cursor **out, ra_error *err) {
    *out = NULL;
    ra_assert(first_batch >= 0);
    ra_cursor *cursor = ra_calloc(1, sizeof *cursor);
    if (!cursor)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to read a table");
    int rc = ra_message_maker_init(&cursor->maker, content, err);
    if (rc != 0) {
        ra_free(cursor);
        return rc;
    }
    cursor->content = ra_content_ref(content);
    cursor->at.part = content->n_parts;
    if (first_batch < content->n_batches) {
        cursor->at.part = ra_content_find_part(content, first_batch);
        cursor->at.batch = (int)(first_batch - content->batch_starts[cursor->at.part]);
    }
    enter_part(cursor, &cursor->at);
    cursor->prepared = cursor->at;
    *out = cursor;
    return 0;
}

void ra_cursor_free(ra_cursor *cursor) {
    if (!cursor)
        return;
    for (int i = 0; i < cursor->n_made; i++)
        ra_out_message_fini(&cursor->made[cursor->first_made + i].message);
    ra_free(cursor->made);
    ra_message_maker_fini(&cursor->maker);
    ra_segment_unref(cursor->segment);
    ra_content_unref(cursor->content);
    ra_free(cursor);
}

bool ra_cursor_at_end(const ra_cursor *cursor) {
    return at_end(cursor, &cursor->at);
}

// Entry of the segment that a place of a part with all columns stands for.
static int entry_at(const ra_cursor *cursor, const place *p) {
    const ra_part *part = &cursor->content->parts[p->part];
    if (is_dictionary(cursor, p))
        return p->dictionary;
    return part->segment->n_dictionaries + part->first_batch + p->batch;
}

bool ra_cursor_is_ready(const ra_cursor *cursor) {
    const place *p = &cursor->at;
    if (at_end(cursor, p) || p->n_messages < cursor->prepared.n_messages)
        return true;
    const ra_part *part = &cursor->content->parts[p->part];
    if (part->n_columns >= 0 && part->segment->n_dictionaries > 0)
        return false;
    int i = entry_at(cursor, p);
    const ra_segment_entry *entry = &part->segment->entries[i];
    int64_t bytes = ra_segment_entry_end(entry) - entry->message_offset;
    return (part->n_columns < 0 || bytes <= SMALL_BYTES) &&
           ra_segment_is_verified(part->segment, i) &&
           ra_segment_is_resident(part->segment, entry->message_offset, bytes);
}

static int make_message(ra_cursor *cursor, const place *p, ra_out_message *out, ra_error *err) {
    if (is_dictionary(cursor, p))
        return ra_message_make_dictionary(&cursor->maker, p->part, p->dictionary, out, err);
    return ra_message_make_batch(&cursor->maker, p->part, p->batch, out, err);
}

// Adds a message to those made ahead; takes it on success.
static int keep_made(ra_cursor *cursor, int64_t number, ra_out_message *message, ra_error *err) {
    if (cursor->n_made == 0)
        cursor->first_made = 0;
    int end = cursor->first_made + cursor->n_made;
    if (end == cursor->made_capacity) {
        int capacity = end ? 2 * end : 8;
        made_message *made = ra_calloc((size_t)capacity, sizeof *made);
        if (!made)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for messages to be sent");
        for (int i = 0; i < cursor->n_made; i++) {
            made_message *old = &cursor->made[cursor->first_made + i];
            made[i].number = old->number;
            ra_out_message_move(&old->message, &made[i].message);
        }
        ra_free(cursor->made);
        cursor->made = made;
        cursor->made_capacity = capacity;
        cursor->first_made = 0;
        end = cursor->n_made;
    }
    cursor->made[end].number = number;
    ra_out_message_move(message, &cursor->made[end].message);
    cursor->n_made++;
    return 0;
}

// How far to fault in from a batch: over the batches behind it while they are within `bytes`.
static int64_t window_end(const ra_part *part, int batch, int64_t bytes) {
    const ra_segment_entry *entries =
        &part->segment->entries[part->segment->n_dictionaries + part->first_batch];
    int64_t start = entries[batch].message_offset, end = ra_segment_entry_end(&entries[batch]);
    while (++batch < part->n_batches && ra_segment_entry_end(&entries[batch]) - start <= bytes)
        end = ra_segment_entry_end(&entries[batch]);
    return end;
}

// What is behind the place in the file and was not asked for yet, at once.
static int fault_in_ahead(ra_cursor *cursor, const place *p, int64_t window_bytes,
                          int64_t *faulted_end, ra_error *err) {
    const ra_part *part = &cursor->content->parts[p->part];
    ra_segment *segment = part->segment;
    const ra_segment_entry *entry = &segment->entries[entry_at(cursor, p)];
    if (is_dictionary(cursor, p))
        return ra_segment_fault_in(segment, entry->message_offset,
                                   ra_segment_entry_end(entry) - entry->message_offset, err);
    if (ra_segment_entry_end(entry) <= *faulted_end)
        return 0;
    *faulted_end = window_end(part, p->batch, window_bytes);
    return ra_segment_fault_in(segment, entry->message_offset, *faulted_end - entry->message_offset,
                               err);
}

static int fault_in_body(ra_segment *segment, const ra_out_message *message, ra_error *err) {
    for (int i = 0; i < message->n_body; i++)
        RA_TRY(ra_segment_fault_in(segment, message->body[i].offset, message->body[i].bytes, err));
    return 0;
}

// Prepares the message at `prepared` and passes it. Messages of parts with some columns are kept.
static int prepare_message(ra_cursor *cursor, int64_t window_bytes, int64_t *faulted_end,
                           ra_error *err) {
    place *p = &cursor->prepared;
    const ra_part *part = &cursor->content->parts[p->part];
    bool is_whole = part->n_columns < 0;
    if (is_whole)
        RA_TRY(fault_in_ahead(cursor, p, window_bytes, faulted_end, err));
    ra_out_message message;
    RA_TRY(make_message(cursor, p, &message, err));
    int rc = 0;
    place next = *p;
    advance(cursor, &next, &message);
    if (!is_whole)
        rc = fault_in_body(part->segment, &message, err);
    if (!is_whole && rc == 0)
        rc = keep_made(cursor, p->n_messages, &message, err);
    ra_out_message_fini(&message);
    if (rc == 0)
        *p = next;
    return rc;
}

// Prepares what is left of the window in the part at `prepared`.
static int prepare_part(ra_cursor *cursor, int64_t window_end_bytes, ra_error *err) {
    place *p = &cursor->prepared;
    int part = p->part;
    ra_segment *segment = cursor->content->parts[part].segment;
    RA_TRY(ra_segment_use(segment, err));
    int rc = 0;
    int64_t faulted_end = 0;
    do
        rc = prepare_message(cursor, window_end_bytes - p->n_bytes, &faulted_end, err);
    while (rc == 0 && p->part == part && p->n_bytes < window_end_bytes);
    ra_segment_unref(segment);
    return rc;
}

int ra_cursor_prepare(ra_cursor *cursor, int64_t window_bytes, ra_error *err) {
    if (cursor->prepared.n_messages < cursor->at.n_messages)
        cursor->prepared = cursor->at;
    int64_t end = cursor->at.n_bytes + window_bytes;
    while (!at_end(cursor, &cursor->prepared) &&
           (cursor->prepared.n_bytes < end || cursor->prepared.n_messages == cursor->at.n_messages))
        RA_TRY(prepare_part(cursor, end, err));
    return 0;
}

static bool take_made(ra_cursor *cursor, ra_out_message *out) {
    if (cursor->n_made == 0 || cursor->made[cursor->first_made].number != cursor->at.n_messages)
        return false;
    ra_out_message_move(&cursor->made[cursor->first_made].message, out);
    cursor->first_made++;
    cursor->n_made--;
    return true;
}

// Keeps the segment of the next message open.
static int use_segment(ra_cursor *cursor, ra_error *err) {
    ra_segment *segment = cursor->content->parts[cursor->at.part].segment;
    if (segment == cursor->segment)
        return 0;
    ra_segment_unref(cursor->segment);
    cursor->segment = NULL;
    RA_TRY(ra_segment_use(segment, err));
    cursor->segment = segment;
    return 0;
}

int ra_cursor_next(ra_cursor *cursor, ra_out_message *out, ra_error *err) {
    *out = (ra_out_message){0};
    ra_assert(!ra_cursor_at_end(cursor));
    if (!take_made(cursor, out)) {
        RA_TRY(use_segment(cursor, err));
        RA_TRY(make_message(cursor, &cursor->at, out, err));
    }
    advance(cursor, &cursor->at, out);
    return 0;
}
