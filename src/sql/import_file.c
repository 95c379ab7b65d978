#include "sql/import_file.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/file_name.h"
#include "base/os.h"
#include "sql/import_source.h"

enum { HASH_PART_BYTES = 1024 * 1024 };

int64_t ra_import_time_ns(const struct timespec *time) {
    int64_t ns;
    if (ra_mul_i64(time->tv_sec, INT64_C(1000000000), &ns) && ra_add_i64(ns, time->tv_nsec, &ns))
        return ns;
    return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
}

static int hash_parts(int fd, const atomic_bool *cancelled, XXH3_state_t *state, uint8_t *part,
                      ra_error *err) {
    struct stat about;
    if (fstat(fd, &about) != 0)
        RA_FAIL(err, IO_ERROR, "the file cannot be looked at");
    for (int64_t at = 0, n; at < about.st_size; at += n) {
        n = about.st_size - at < HASH_PART_BYTES ? about.st_size - at : HASH_PART_BYTES;
        if (atomic_load(cancelled))
            RA_FAIL(err, CANCELLED, "given up");
        RA_TRY(ra_os_pread(fd, part, (size_t)n, at, err));
        XXH3_128bits_update(state, part, (size_t)n);
    }
    return 0;
}

int ra_import_hash(int fd, const atomic_bool *cancelled, uint64_t hash[2], ra_error *err) {
    XXH3_state_t *state = XXH3_createState();
    uint8_t *part = ra_malloc(HASH_PART_BYTES);
    int rc =
        state && part ? 0 : ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "no memory to read a file");
    if (rc == 0) {
        XXH3_128bits_reset(state);
        rc = hash_parts(fd, cancelled, state, part, err);
    }
    if (rc == 0) {
        XXH128_hash_t digest = XXH3_128bits_digest(state);
        hash[0] = digest.low64;
        hash[1] = digest.high64;
    }
    XXH3_freeState(state);
    ra_free(part);
    return rc;
}

static ra_str stem_of(ra_str name) {
    const char *dot = memrchr(name.data, '.', name.len);
    return (ra_str){name.data, (size_t)(dot - name.data)};
}

// A Flight that the file's former bytes became gets another version.
static ra_if_exists if_exists_of(const ra_import *import) {
    ra_snapshot *snapshot = ra_store_snapshot(import->store);
    const ra_flight *flight = ra_snapshot_find(snapshot, stem_of(import->name));
    bool is_ours = flight && import->is_known && import->known.has_uid &&
                   memcmp(flight->uid, import->known.uid, sizeof flight->uid) == 0;
    ra_snapshot_unref(snapshot);
    return is_ours ? RA_IF_EXISTS_REPLACE : RA_IF_EXISTS_ERROR;
}

static int publish(const ra_import *import, ra_content *content, ra_import_result *out,
                   ra_error *err) {
    ra_change change = {.change = RA_CHANGE_PUBLISH,
                        .name = stem_of(import->name),
                        .if_exists = if_exists_of(import),
                        .if_version = -1,
                        .kind = RA_KIND_DATASET,
                        .content = content,
                        .caller = RA_STR("import"),
                        .file_name = import->name,
                        .file = import->mark};
    ra_change_result result = {0};
    RA_TRY(ra_store_change_wait(import->store, &change, &result, err));
    *out = (ra_import_result){result.flight->id, result.version->number, content->n_rows};
    ra_flight_unref(result.flight);
    ra_version_unref(result.version);
    return 0;
}

// Who writes to it now will be done later.
static int check_unchanged(const ra_import *import, ra_error *err) {
    struct stat about;
    if (fstat(import->fd, &about) != 0 || about.st_size != import->mark.bytes ||
        ra_import_time_ns(&about.st_mtim) != import->mark.time_ns)
        RA_FAIL(err, UNAVAILABLE, "the file was changed while it was read");
    return 0;
}

static int import_rows(const ra_import *import, ra_import_result *out, ra_error *err) {
    ra_content *content;
    RA_TRY(ra_file_name_check(import->name, "a file", err));
    RA_TRY(ra_name_check(stem_of(import->name), err));
    RA_TRY(ra_store_check_publish(import->store, stem_of(import->name), if_exists_of(import), -1,
                                  err));
    if (import->mark.bytes == 0)
        RA_FAIL(err, INVALID_ARGUMENT, "the file is empty");
    RA_TRY(ra_store_check_disk(import->store, import->mark.bytes, err));
    RA_TRY(import->format == RA_FORMAT_ARROW ? ra_import_arrow(import, &content, err)
                                             : ra_import_by_worker(import, &content, err));
    int rc = check_unchanged(import, err);
    if (rc == 0)
        rc = publish(import, content, out, err);
    ra_content_unref(content);
    return rc;
}

// The same bytes under another time.
static int remember_time(const ra_import *import, ra_error *err) {
    ra_change change = {.change = RA_CHANGE_FILE, .file_name = import->name, .file = import->known};
    ra_change_result result = {0};
    change.file.time_ns = import->mark.time_ns;
    return ra_store_change_wait(import->store, &change, &result, err);
}

int ra_import_file(ra_import *import, ra_import_result *out, ra_error *err) {
    *out = (ra_import_result){.flight_id = -1};
    bool may_be_known = import->is_known && import->known.bytes == import->mark.bytes;
    RA_TRY(ra_store_check_writable(import->store, err));
    // Before it is read: a file of holes may claim to be larger than any disk.
    if (!may_be_known)
        RA_TRY(ra_store_check_disk(import->store, import->mark.bytes, err));
    RA_TRY(ra_import_hash(import->fd, import->cancelled, import->mark.hash, err));
    if (may_be_known &&
        memcmp(import->known.hash, import->mark.hash, sizeof import->mark.hash) == 0)
        return remember_time(import, err);
    return import_rows(import, out, err);
}
