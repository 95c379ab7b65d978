#include "sql/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "base/thread.h"
#include "sql/import_file.h"
#include "store/files.h"

enum { SCAN_SECONDS = 1, LOW_PRIORITY = 10 };
// A file that was changed later than that may still be written.
static const int64_t settle_ns = INT64_C(1000000000);

struct ra_importer {
    ra_store *store;
    const char *data_dir;
    ra_budget *budget;
    ra_files *tried;  // in this run, in vain: not again until they change
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool stopping;
};

// A file whose time is to come, by another machine's clock, has waited since it came here.
static bool is_settled(const struct stat *about) {
    int64_t now = ra_os_wall_ns(), changed = ra_import_time_ns(&about->st_mtim);
    if (changed > now)
        changed = ra_import_time_ns(&about->st_ctim);
    return changed <= now - settle_ns;
}

static bool is_same(const ra_file_mark *a, const ra_file_mark *b) {
    return a->bytes == b->bytes && a->time_ns == b->time_ns;
}

// What the file itself is to blame for is remembered, so that a restart does not try again.
static bool is_files_fault(const ra_error *err) {
    switch (err->reason) {
        case RA_REASON_MALFORMED_ARROW:
        case RA_REASON_NOT_IMPLEMENTED:
        case RA_REASON_INVALID_ARGUMENT:
        case RA_REASON_TYPE_ERROR:
        case RA_REASON_LIMIT:
        case RA_REASON_FLIGHT_EXISTS:
            return true;
        default:
            return false;
    }
}

static void note_failure(ra_importer *importer, const ra_import *import, const ra_error *why) {
    ra_error ignored;
    ra_file_entry *entry;
    ra_log(RA_LOG_WARNING, "import", "file '%.*s' was not imported: %s", RA_STR_ARG(import->name),
           why->message);
    if (ra_file_entry_new(import->name, &import->mark, &entry, &ignored) == 0)
        ra_files_put(importer->tried, entry);
    if (!is_files_fault(why))
        return;
    ra_change change = {.change = RA_CHANGE_FILE, .file_name = import->name, .file = import->mark};
    ra_change_result result = {0};
    if (ra_store_change_wait(importer->store, &change, &result, &ignored) != 0)
        ra_log(RA_LOG_WARNING, "import", "%s", ignored.message);
}

static void import_open_file(ra_importer *importer, ra_import *import) {
    ra_error err;
    ra_import_result result;
    int rc = ra_import_file(import, &result, &err);
    if (rc != 0 && err.reason != RA_REASON_CANCELLED)
        note_failure(importer, import, &err);
    else if (rc == 0 && result.flight_id >= 0)
        ra_log(RA_LOG_INFO, "import",
               "file '%.*s' is Flight %" PRId64 ", version %" PRId64 ": %" PRId64 " rows",
               RA_STR_ARG(import->name), result.flight_id, result.version, result.n_rows);
}

static bool is_done(ra_importer *importer, ra_import *import) {
    ra_file_mark tried;
    import->is_known = ra_store_find_file(importer->store, import->name, &import->known);
    return (import->is_known && is_same(&import->known, &import->mark)) ||
           (ra_files_find(importer->tried, import->name, &tried) && is_same(&tried, &import->mark));
}

// Its mark is none that a file has: it is looked at again once it may be read.
static void note_unreadable(ra_importer *importer, int folder, ra_import *import) {
    ra_error err;
    struct stat about;
    import->mark = (ra_file_mark){.bytes = -1};
    if (fstatat(folder, import->name.data, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(about.st_mode) || is_done(importer, import))
        return;
    ra_error_set(&err, RA_REASON_IO_ERROR, "the server may not read it");
    note_failure(importer, import, &err);
}

// Neither a link nor anything but a plain file is followed or waited for.
static void consider(ra_importer *importer, int folder, const char *name) {
    ra_import import = {.store = importer->store,
                        .budget = importer->budget,
                        .cancelled = &importer->stopping,
                        .name = ra_str_of(name)};
    struct stat about;
    if (name[0] == '.' || !ra_format_of_file(import.name, &import.format))
        return;
    import.fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (import.fd < 0) {
        if (errno == EACCES || errno == EPERM)
            note_unreadable(importer, folder, &import);
        return;
    }
    if (fstat(import.fd, &about) == 0 && S_ISREG(about.st_mode) && is_settled(&about)) {
        import.mark =
            (ra_file_mark){.bytes = about.st_size, .time_ns = ra_import_time_ns(&about.st_mtim)};
        if (!is_done(importer, &import))
            import_open_file(importer, &import);
    }
    close(import.fd);
}

static int has_format(const struct dirent *entry) {
    ra_format format;
    return ra_format_of_file(ra_str_of(entry->d_name), &format);
}

static void scan(ra_importer *importer) {
    struct dirent **entries;
    int n = scandir(importer->data_dir, &entries, has_format, alphasort);
    int folder = n >= 0 ? open(importer->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    for (int i = 0; i < n; i++) {
        if (folder >= 0 && !atomic_load(&importer->stopping))
            consider(importer, folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    if (folder >= 0)
        close(folder);
}

static void wait_a_while(ra_importer *importer) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SCAN_SECONDS;
    pthread_mutex_lock(&importer->lock);
    while (!atomic_load(&importer->stopping) &&
           pthread_cond_timedwait(&importer->wake, &importer->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&importer->lock);
}

// Its workers inherit the priority.
static void *run(void *argument) {
    ra_importer *importer = argument;
    (void)setpriority(PRIO_PROCESS, 0, LOW_PRIORITY);
    while (!atomic_load(&importer->stopping)) {
        scan(importer);
        wait_a_while(importer);
    }
    return NULL;
}

static void free_importer(ra_importer *importer) {
    ra_files_free(importer->tried);
    pthread_mutex_destroy(&importer->lock);
    pthread_cond_destroy(&importer->wake);
    ra_free(importer);
}

int ra_importer_start(ra_store *store, const char *data_dir, ra_budget *budget, ra_importer **out,
                      ra_error *err) {
    ra_importer *importer = ra_calloc(1, sizeof *importer);
    if (!importer)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to import files");
    importer->store = store;
    importer->data_dir = data_dir;
    importer->budget = budget;
    pthread_mutex_init(&importer->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&importer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = ra_files_new(&importer->tried, err);
    if (rc == 0 && !ra_thread_start(&importer->thread, "import", run, importer))
        rc = ra_error_set(err, RA_REASON_OUT_OF_MEMORY, "cannot start the import thread");
    if (rc != 0) {
        free_importer(importer);
        return rc;
    }
    *out = importer;
    return 0;
}

void ra_importer_stop(ra_importer *importer) {
    if (!importer)
        return;
    pthread_mutex_lock(&importer->lock);
    atomic_store(&importer->stopping, true);
    pthread_cond_signal(&importer->wake);
    pthread_mutex_unlock(&importer->lock);
    pthread_join(importer->thread, NULL);
    free_importer(importer);
}
