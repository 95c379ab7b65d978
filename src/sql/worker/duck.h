// DuckDB's functions, found in libduckdb.so at run time.
#ifndef RA_SQL_WORKER_DUCK_H
#define RA_SQL_WORKER_DUCK_H

#include "base/error.h"
#include "duckdb.h"

#define RA_DUCK_FUNCTIONS(X)              \
    X(duckdb_bind_add_result_column)      \
    X(duckdb_bind_set_error)              \
    X(duckdb_column_count)                \
    X(duckdb_column_logical_type)         \
    X(duckdb_column_name)                 \
    X(duckdb_connect)                     \
    X(duckdb_create_config)               \
    X(duckdb_create_table_function)       \
    X(duckdb_data_chunk_from_arrow)       \
    X(duckdb_data_chunk_get_column_count) \
    X(duckdb_data_chunk_get_size)         \
    X(duckdb_data_chunk_get_vector)       \
    X(duckdb_data_chunk_set_size)         \
    X(duckdb_data_chunk_to_arrow)         \
    X(duckdb_destroy_arrow_options)       \
    X(duckdb_destroy_prepare)             \
    X(duckdb_execute_prepared_streaming)  \
    X(duckdb_fetch_chunk)                 \
    X(duckdb_free)                        \
    X(duckdb_prepare)                     \
    X(duckdb_prepare_error)               \
    X(duckdb_result_get_arrow_options)    \
    X(duckdb_row_count)                   \
    X(duckdb_to_arrow_schema)             \
    X(duckdb_value_varchar)               \
    X(duckdb_destroy_config)              \
    X(duckdb_destroy_data_chunk)          \
    X(duckdb_destroy_error_data)          \
    X(duckdb_destroy_logical_type)        \
    X(duckdb_destroy_result)              \
    X(duckdb_destroy_table_function)      \
    X(duckdb_error_data_has_error)        \
    X(duckdb_error_data_message)          \
    X(duckdb_function_set_error)          \
    X(duckdb_init_set_max_threads)        \
    X(duckdb_open_ext)                    \
    X(duckdb_query)                       \
    X(duckdb_register_table_function)     \
    X(duckdb_result_error)                \
    X(duckdb_schema_from_arrow)           \
    X(duckdb_set_config)                  \
    X(duckdb_table_function_set_bind)     \
    X(duckdb_table_function_set_function) \
    X(duckdb_table_function_set_init)     \
    X(duckdb_table_function_set_name)     \
    X(duckdb_vector_get_column_type)      \
    X(duckdb_vector_reference_vector)

typedef struct {
#define RA_DUCK_POINTER(name) __typeof__(&name) name;
    RA_DUCK_FUNCTIONS(RA_DUCK_POINTER)
#undef RA_DUCK_POINTER
} ra_duck;

// Loads the library beside the executable, or in `duckdb/` there. UNAVAILABLE.
RA_MUST int ra_duck_load(ra_duck *out, ra_error *err);

#endif
