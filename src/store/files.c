#include "store/files.h"

#include <pthread.h>

#include "base/os.h"
#include "store/xxh3.h"

enum { N_SLOTS = 256 };

struct ra_files {
    pthread_mutex_t lock;
    ra_file_entry *slots[N_SLOTS];
};

int ra_files_new(ra_files **out, ra_error *err) {
    *out = ra_calloc(1, sizeof **out);
    if (!*out)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for the list of files");
    pthread_mutex_init(&(*out)->lock, NULL);
    return 0;
}

void ra_files_free(ra_files *files) {
    if (!files)
        return;
    for (int i = 0; i < N_SLOTS; i++) {
        for (ra_file_entry *entry = files->slots[i], *next; entry; entry = next) {
            next = entry->next;
            ra_free(entry);
        }
    }
    pthread_mutex_destroy(&files->lock);
    ra_free(files);
}

int ra_file_entry_new(ra_str name, const ra_file_mark *mark, ra_file_entry **out, ra_error *err) {
    ra_file_entry *entry = *out = ra_malloc(sizeof *entry + name.len);
    if (!entry)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory to remember a file");
    char *text = (char *)(entry + 1);
    memcpy(text, name.data, name.len);
    *entry = (ra_file_entry){.mark = *mark, .name = {text, name.len}};
    return 0;
}

// The link that points to the entry of that name, or to the end of its slot. The lock is held.
static ra_file_entry **find(ra_files *files, ra_str name) {
    ra_file_entry **link = &files->slots[XXH3_64bits(name.data, name.len) % N_SLOTS];
    while (*link && !ra_str_eq((*link)->name, name))
        link = &(*link)->next;
    return link;
}

void ra_files_put(ra_files *files, ra_file_entry *entry) {
    pthread_mutex_lock(&files->lock);
    ra_file_entry **link = find(files, entry->name), *old = *link;
    entry->next = old ? old->next : NULL;
    *link = entry;
    pthread_mutex_unlock(&files->lock);
    ra_free(old);
}

bool ra_files_find(ra_files *files, ra_str name, ra_file_mark *out) {
    pthread_mutex_lock(&files->lock);
    const ra_file_entry *entry = *find(files, name);
    if (entry)
        *out = entry->mark;
    pthread_mutex_unlock(&files->lock);
    return entry != NULL;
}
