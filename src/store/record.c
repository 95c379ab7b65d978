#include "store/record.h"

#include "base/os.h"
#include "store/internal.h"

// When a Flight was used last, shared by all records of it.
typedef struct {
    atomic_int_least64_t last_used_ns;  // first: ra_flight.last_used_ns points to it
    atomic_int refs;
    int64_t written_ns;  // as the catalog has it; the catalog thread's
} flight_use;

static flight_use *use_of(const ra_flight *flight) {
    return (flight_use *)flight->last_used_ns;
}

static flight_use *use_new(int64_t created_ns) {
    flight_use *use = ra_malloc(sizeof *use);
    if (use) {
        atomic_init(&use->last_used_ns, created_ns);
        atomic_init(&use->refs, 1);
        use->written_ns = created_ns;
    }
    return use;
}

static size_t record_bytes(const ra_flight *from) {
    size_t bytes = sizeof *from + (size_t)from->n_versions * sizeof *from->versions +
                   (size_t)from->n_names * sizeof *from->names;
    for (int i = 0; i < from->n_names; i++)
        bytes += from->names[i].len;
    return bytes + from->created_by.len + from->lineage.len + from->legacy_command.len;
}

static ra_str copy_text(char **at, ra_str text) {
    ra_str copy = {*at, text.len};
    if (text.len > 0)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return copy;
}

// Copies what lies behind `refs`, which never changes.
static void copy_fields(ra_flight *to, const ra_flight *from) {
    const size_t refs_bytes = offsetof(ra_flight, refs) + sizeof from->refs;
    memcpy((char *)to + refs_bytes, (const char *)from + refs_bytes, sizeof *to - refs_bytes);
}

ra_flight ra_flight_draft(const ra_flight *from) {
    ra_flight draft = {0};
    copy_fields(&draft, from);
    return draft;
}

int ra_flight_new(const ra_flight *from, ra_flight **out, ra_error *err) {
    *out = NULL;
    flight_use *use = from->last_used_ns ? use_of(from) : use_new(from->created_ns);
    ra_flight *flight = use ? ra_malloc(record_bytes(from)) : NULL;
    if (!flight) {
        if (!from->last_used_ns)
            ra_free(use);
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the record of a Flight");
    }
    if (from->last_used_ns)
        atomic_fetch_add_explicit(&use->refs, 1, memory_order_relaxed);
    copy_fields(flight, from);
    atomic_init(&flight->refs, 1);
    flight->last_used_ns = &use->last_used_ns;
    flight->versions = (ra_version **)(flight + 1);
    flight->names = (ra_str *)(flight->versions + from->n_versions);
    char *at = (char *)(flight->names + from->n_names);
    for (int i = 0; i < from->n_versions; i++)
        flight->versions[i] = ra_version_ref(from->versions[i]);
    for (int i = 0; i < from->n_names; i++)
        flight->names[i] = copy_text(&at, from->names[i]);
    flight->created_by = copy_text(&at, from->created_by);
    flight->lineage = copy_text(&at, from->lineage);
    flight->legacy_command = copy_text(&at, from->legacy_command);
    *out = flight;
    return 0;
}

ra_flight *ra_flight_ref(ra_flight *flight) {
    int before = atomic_fetch_add_explicit(&flight->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return flight;
}

void ra_flight_unref(ra_flight *flight) {
    if (!flight || atomic_fetch_sub_explicit(&flight->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < flight->n_versions; i++)
        ra_version_unref(flight->versions[i]);
    flight_use *use = use_of(flight);
    if (atomic_fetch_sub_explicit(&use->refs, 1, memory_order_acq_rel) == 1)
        ra_free(use);
    ra_free(flight);
}

void ra_flight_touch(ra_flight *flight) {
    atomic_store_explicit(flight->last_used_ns, ra_os_wall_ns(), memory_order_relaxed);
}

int64_t ra_flight_take_use(ra_flight *flight) {
    flight_use *use = use_of(flight);
    int64_t used_ns = atomic_load_explicit(&use->last_used_ns, memory_order_relaxed);
    if (used_ns == use->written_ns)
        return -1;
    use->written_ns = used_ns;
    return used_ns;
}

void ra_flight_untake_use(ra_flight *flight) {
    use_of(flight)->written_ns = -1;
}

void ra_flight_set_use(ra_flight *flight, int64_t used_ns) {
    atomic_store_explicit(flight->last_used_ns, used_ns, memory_order_relaxed);
    use_of(flight)->written_ns = used_ns;
}

bool ra_flight_has_name(const ra_flight *flight, ra_str name) {
    for (int i = 0; i < flight->n_names; i++) {
        if (ra_str_eq(flight->names[i], name))
            return true;
    }
    return false;
}

int ra_version_new(const ra_flight *of, int64_t number, int64_t created_ns, ra_content *content,
                   ra_version **out, ra_error *err) {
    ra_version *version = *out = ra_calloc(1, sizeof *version);
    if (!version)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the record of a version");
    atomic_init(&version->refs, 1);
    version->flight_id = of->id;
    memcpy(version->uid, of->uid, sizeof version->uid);
    version->number = number;
    version->created_ns = created_ns;
    version->content = ra_content_ref(content);
    return 0;
}

bool ra_version_is_failed(const ra_version *version) {
    const ra_content *content = version->content;
    if (version->is_lost)
        return true;
    if (atomic_load_explicit(&content->store->n_damaged_segments, memory_order_relaxed) == 0)
        return false;
    for (int i = 0; i < content->n_parts; i++) {
        if (atomic_load_explicit(&content->parts[i].segment->damaged, memory_order_relaxed))
            return true;
    }
    return false;
}

ra_version *ra_version_ref(ra_version *version) {
    int before = atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);
    ra_assert(before > 0);
    return version;
}

void ra_version_unref(ra_version *version) {
    if (!version || atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel) > 1)
        return;
    ra_content_unref(version->content);
    ra_free(version);
}
