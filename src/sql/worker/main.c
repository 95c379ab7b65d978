// remote-arrow-sql: by DuckDB, writes one table, which comes as a stream, to one file, or reads one
// file into a stream.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sql/worker/protocol.h"
#include "sql/worker/read.h"
#include "sql/worker/sandbox.h"
#include "sql/worker/write.h"

typedef struct {
    int64_t memory_bytes;
    bool writes;
    bool parquet;
} task;

static int work(const task *t, int64_t *n_rows, ra_error *err) {
    static ra_database db;
    RA_TRY(ra_database_open(&db, t->memory_bytes, err));
    if (t->writes)
        RA_TRY(ra_write_prepare(&db, err));
    RA_TRY(ra_database_lock(&db, err));
    // Not before: DuckDB looks at the machine's memory when it starts. It has not seen data yet.
    RA_TRY(ra_sandbox_enter(RA_SQL_FILE_FD, t->writes, t->memory_bytes, err));
    return t->writes ? ra_write_run(t->parquet, n_rows, err)
                     : ra_read_run(&db, t->parquet, n_rows, err);
}

// What DuckDB and the stream hold goes with the process.
int main(int argc, char **argv) {
    ra_sql_answer answer = {0};
    ra_error err;
    ra_error_init(&err);
    if (argc != 4 || fcntl(RA_SQL_ANSWER_FD, F_GETFD) < 0) {
        fprintf(stderr, "remote-arrow-sql is started by remote-arrow-server\n");
        return 2;
    }
    task t = {strtoll(argv[1], NULL, 10), strcmp(argv[2], "write") == 0,
              strcmp(argv[3], "parquet") == 0};
    if (work(&t, &answer.n_rows, &err) != 0)
        answer.reason = (int32_t)err.reason;
    memcpy(answer.message, err.message, sizeof answer.message);
    bool told = write(RA_SQL_ANSWER_FD, &answer, sizeof answer) == (ssize_t)sizeof answer;
    _exit(told ? 0 : 1);
}
