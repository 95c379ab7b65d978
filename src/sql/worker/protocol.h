// Between server and worker: the descriptors that a worker inherits, and what it answers.
//
// The arguments are how many bytes DuckDB may use, what to do ("write", "read"), and the format
// ("parquet", "csv"). The table is an Arrow IPC stream, from the server or to it; the answer is one
// ra_sql_answer, then the end of the pipe.
#ifndef RA_SQL_WORKER_PROTOCOL_H
#define RA_SQL_WORKER_PROTOCOL_H

#include "base/error.h"

enum { RA_SQL_STREAM_FD = 3, RA_SQL_FILE_FD = 4, RA_SQL_ANSWER_FD = 5 };
#define RA_SQL_FILE_PATH "/proc/self/fd/4"

typedef struct {
    int32_t reason;  // ra_reason; 0 = done
    int64_t n_rows;
    char message[RA_ERROR_MESSAGE_BYTES];
} ra_sql_answer;

#endif
