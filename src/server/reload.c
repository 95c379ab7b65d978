#include "server/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"

enum { LEVEL_FILE_BYTES = 64 };

static int read_level(int fd, const char *path, int64_t *level, ra_error *err) {
    char text[LEVEL_FILE_BYTES];
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0)
        RA_FAIL(err, IO_ERROR, "read %s: %s", path, strerror(errno));
    text[n] = 0;
    const char *word = text + strspn(text, " \t\r\n");
    text[(size_t)(word - text) + strcspn(word, " \t\r\n")] = 0;
    if (!ra_options_find_log_level(word, level))
        RA_FAIL(err, INVALID_ARGUMENT, "--log-level-file %s: '%s' is no log level", path, word);
    return 0;
}

static int find_level(const ra_options *options, int64_t *level, ra_error *err) {
    const char *path = options->log_level_file.text;
    *level = options->log_level.number;
    if (!path[0] || access(path, F_OK) != 0)
        return 0;
    int fd;
    // Opening a pipe would wait for a writer.
    RA_TRY(ra_os_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, err));
    int rc = read_level(fd, path, level, err);
    ra_os_close(fd);
    return rc;
}

int ra_reload_log(const ra_options *options, ra_error *err) {
    int64_t level;
    RA_TRY(find_level(options, &level, err));
    ra_log_set((ra_log_level)level, options->log_format.number == 1);
    return 0;
}

bool ra_reload(const ra_options *options, ra_wire *wire) {
    ra_error err;
    bool is_level_read = ra_reload_log(options, &err) == 0;
    if (!is_level_read)
        ra_log(RA_LOG_ERROR, "server", "the log level stays as it was: %s", err.message);
    bool are_tokens_read = ra_wire_reload_tokens(wire, &err) == 0;
    if (!are_tokens_read)
        ra_log(RA_LOG_ERROR, "server", "the tokens stay as they were: %s", err.message);
    if (is_level_read && are_tokens_read)
        ra_log(RA_LOG_INFO, "server", "tokens and log level were read again");
    return is_level_read && are_tokens_read;
}
