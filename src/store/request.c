#include <stdlib.h>

#include "base/os.h"
#include "store/compaction.h"

static void copy_text(char **at, ra_str *text) {
    if (text->len > 0)
        memcpy(*at, text->data, text->len);
    text->data = *at;
    *at += text->len;
}

int ra_request_new(ra_catalog *catalog, const ra_change *change, ra_change_done done, void *context,
                   ra_request **out, ra_error *err) {
    *out = NULL;
    size_t text_bytes = change->name.len + change->caller.len + change->lineage.len +
                        change->legacy_command.len + change->file_name.len;
    ra_request *request = ra_malloc(sizeof *request + text_bytes);
    if (!request)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a change");
    memset(request, 0, sizeof *request);
    request->catalog = catalog;
    request->change = *change;
    request->done = done;
    request->context = context;
    ra_error_init(&request->result.err);
    char *at = (char *)(request + 1);
    copy_text(&at, &request->change.name);
    copy_text(&at, &request->change.caller);
    copy_text(&at, &request->change.lineage);
    copy_text(&at, &request->change.legacy_command);
    copy_text(&at, &request->change.file_name);
    if (change->file_name.len > 0) {
        int rc = ra_file_entry_new(change->file_name, &change->file, &request->file, err);
        if (rc != 0) {
            ra_free(request);
            return rc;
        }
    }
    if (change->content)
        ra_content_ref(change->content);
    *out = request;
    return 0;
}

static void drop_contents(ra_request *request) {
    for (int i = 0; i < request->n_contents; i++)
        ra_content_unref(request->contents[i]);
    ra_free(request->contents);
    request->contents = NULL;
    request->n_contents = 0;
}

void ra_request_free(ra_request *request) {
    drop_contents(request);
    for (int i = 0; i < request->n_released; i++)
        ra_segment_unref(request->released[i]);
    ra_free(request->released);
    ra_free(request->file);
    ra_content_unref(request->change.content);
    ra_content_unref(request->merged);
    ra_flight_unref(request->result.flight);
    ra_version_unref(request->result.version);
    ra_free(request);
}

int ra_request_release(ra_request *request, const ra_content *content, ra_error *err) {
    int n = request->n_released + content->n_parts;
    if (n > request->released_capacity) {
        int capacity = n > 2 * request->released_capacity ? n : 2 * request->released_capacity;
        ra_segment **larger = ra_realloc(request->released, (size_t)capacity * sizeof *larger);
        if (!larger)
            RA_FAIL(err, OUT_OF_MEMORY, "no memory for the segments of a Flight");
        request->released = larger;
        request->released_capacity = capacity;
    }
    for (int i = 0; i < content->n_parts; i++)
        request->released[request->n_released++] = ra_segment_ref(content->parts[i].segment);
    return 0;
}

void ra_request_answer(ra_request *request, ra_flight *flight, bool reused) {
    ra_assert(!request->result.flight && !request->result.version);
    request->result.flight = ra_flight_ref(flight);
    request->result.version = ra_version_ref(ra_flight_newest(flight));
    request->result.reused = reused;
}

void ra_request_forget(ra_request *request) {
    while (request->n_released > 0)
        ra_segment_unref(request->released[--request->n_released]);
    ra_flight_unref(request->result.flight);
    ra_version_unref(request->result.version);
    request->result.flight = NULL;
    request->result.version = NULL;
    request->result.reused = false;
}

static bool is_synced(const ra_content *content) {
    for (int i = 0; i < content->n_parts; i++) {
        if (!atomic_load(&content->parts[i].segment->synced))
            return false;
    }
    return true;
}

// The Flight whose versions become durable by this request, NULL for none.
static ra_flight *find_result_to_keep(const ra_request *request, const ra_state *state) {
    const ra_change *change = &request->change;
    ra_flight *flight = NULL;
    if (change->change == RA_CHANGE_KEEP)
        flight = ra_id_tree_get(&state->flights, change->flight_id);
    if (change->change == RA_CHANGE_PUBLISH && change->kind == RA_KIND_DATASET && change->name.len)
        flight = ra_state_find(state, change->name);
    return flight && flight->kind == RA_KIND_RESULT ? flight : NULL;
}

static bool is_durable_publish(const ra_request *request, const ra_state *state) {
    const ra_change *change = &request->change;
    if (change->change != RA_CHANGE_PUBLISH)
        return false;
    if (change->kind == RA_KIND_DATASET)
        return true;
    ra_flight *flight = change->name.len ? ra_state_find(state, change->name) : NULL;
    return flight && flight->kind == RA_KIND_DATASET;
}

bool ra_request_needs_work(ra_request *request, const ra_state *state) {
    if (request->change.change == RA_CHANGE_COMPACT) {
        bool has_merged = request->was_away;
        request->was_away = true;
        return !has_merged;
    }
    const ra_flight *keep = find_result_to_keep(request, state);
    bool publish = is_durable_publish(request, state);
    if (!request->catalog->store->options.durable || request->was_away || (!keep && !publish))
        return false;
    request->was_away = true;
    size_t capacity = (keep ? (size_t)keep->n_versions : 0) + 1;
    request->contents = ra_malloc(capacity * sizeof(ra_content *));
    if (!request->contents)
        return false;
    if (publish && !is_synced(request->change.content))
        request->contents[request->n_contents++] = ra_content_ref(request->change.content);
    for (int i = 0; keep && i < keep->n_versions; i++) {
        if (!is_synced(keep->versions[i]->content))
            request->contents[request->n_contents++] = ra_content_ref(keep->versions[i]->content);
    }
    return request->n_contents > 0;
}

static int sync_contents(ra_request *request, ra_error *err) {
    for (int i = 0; i < request->n_contents; i++) {
        const ra_content *content = request->contents[i];
        for (int j = 0; j < content->n_parts; j++)
            RA_TRY(ra_segment_sync(content->parts[j].segment, err));
    }
    return 0;
}

static int compare_segments(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (ra_segment *const *)a, y = (uintptr_t) * (ra_segment *const *)b;
    return x < y ? -1 : x > y;
}

// Lets go of the segments that the request removed: those with no other user are freed now.
static void free_released(ra_request *request) {
    ra_segment **segments = request->released;
    int n = request->n_released;
    qsort(segments, (size_t)n, sizeof *segments, compare_segments);
    for (int i = 0; i < n; i++) {
        int64_t bytes = segments[i]->file_bytes;
        if (i + 1 < n && segments[i + 1] == segments[i])
            bytes = 0;  // counted with its last mention
        if (bytes > 0 && atomic_load(&segments[i]->refs) == 1)
            request->result.bytes_freed += bytes;
        else
            request->result.bytes_later += bytes;
        ra_segment_unref(segments[i]);
    }
    request->n_released = 0;
}

void ra_request_work(ra_request *request) {
    if (request->answered) {
        free_released(request);
        return;
    }
    ra_error err;
    ra_error_init(&err);
    int rc = request->change.change == RA_CHANGE_COMPACT ? ra_compaction_work(request, &err)
                                                         : sync_contents(request, &err);
    if (rc != 0)
        request->result.err = err;
    drop_contents(request);
}
