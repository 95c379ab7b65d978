// Arrays and record batches in memory: pointers into somebody else's bytes.
//
// An array has no offset: row 0 is the first row of its buffers. Buffers of batches read from a
// segment are 64-byte aligned; those of a batch just received may have any alignment, and only
// check.c, slice.c and encode.c look at them before they are in a segment.
#ifndef RA_ARROW_ARRAY_H
#define RA_ARROW_ARRAY_H

#include <stdatomic.h>
#include <stdint.h>

#include "arrow/schema.h"
#include "base/blob.h"

typedef struct {
    const uint8_t *data;
    int64_t bytes;
} ra_span;

typedef struct ra_array {
    const ra_field *field;  // of the schema; of a dictionary's values: the dictionary field itself
    ra_layout layout;       // of this array's rows (dictionary fields: of the indices)
    bool of_dictionary;     // these are a dictionary's values: the rows' type is field->type
    int32_t byte_width;     // of a row for RA_LAYOUT_FIXED, 0 for others
    int64_t length;         // rows
    int64_t null_count;     // exact
    ra_span validity;       // data == NULL: no nulls, or a layout without validity
    ra_span buffers[2];     // in the order of the layout: values | offsets, data | views | offsets,
                            // sizes | type ids, offsets
    ra_span *variadic;      // data buffers of a view
    int n_variadic;
    struct ra_array *children;
    int n_children;
    const struct ra_array *dictionary;  // values of a dictionary field; NULL otherwise
} ra_array;

typedef struct ra_batch {
    atomic_int refs;
    ra_schema *schema;  // a reference
    int64_t n_rows;
    int n_columns;
    ra_array *columns;
    ra_arena arena;  // of the arrays
    int n_owners;
    int owner_capacity;
    ra_blob **owners;  // references to the memory that buffers point into
    int n_dictionaries;
    int dictionary_capacity;
    struct ra_batch **dictionaries;  // references to the one-column batches that hold dictionaries
} ra_batch;

// A batch with empty column arrays whose `field` and `layout` are set, one reference.
RA_MUST int ra_batch_new(ra_schema *schema, int64_t n_rows, ra_batch **out, ra_error *err);
ra_batch *ra_batch_ref(ra_batch *batch);
void ra_batch_unref(ra_batch *batch);

// A one-column batch for the values of dictionary field `field` (which `schema` owns): its column's
// layout is that of the value type, and children are those of the value type.
RA_MUST int ra_dictionary_new(ra_schema *schema, const ra_field *field, int64_t length,
                              ra_batch **out, ra_error *err);

// Keeps memory, or a dictionary batch, alive as long as the batch: a reference is added for it.
RA_MUST int ra_batch_own(ra_batch *batch, ra_blob *blob, ra_error *err);
RA_MUST int ra_batch_own_dictionary(ra_batch *batch, ra_batch *dictionary, ra_error *err);
// Adds all owners and dictionaries of `from`.
RA_MUST int ra_batch_own_all(ra_batch *batch, const ra_batch *from, ra_error *err);

// New zeroed, 64-byte aligned memory owned by the batch.
RA_MUST int ra_batch_alloc(ra_batch *batch, int64_t bytes, uint8_t **out, ra_error *err);

// Sets up `array` for `field` with `length` rows: layout, children (recursively set up with length
// 0), no buffers (but of 0 rows: offsets that hold the one 0 they need). `of_dictionary` takes the
// layout of the value type.
RA_MUST int ra_array_init(ra_batch *batch, ra_array *array, const ra_field *field, int64_t length,
                          bool of_dictionary, ra_error *err);

static inline bool ra_array_is_valid(const ra_array *a, int64_t i) {
    return !a->validity.data || ((a->validity.data[i >> 3] >> (i & 7)) & 1);
}

// Set bits among the first `n_bits`; any alignment.
int64_t ra_count_bits(const uint8_t *bits, int64_t n_bits);
// Copies `n_bits` from bit `from_bit` of `from` to bit `to_bit` of `to`; other bits of `to` stay.
void ra_copy_bits(uint8_t *to, int64_t to_bit, const uint8_t *from, int64_t from_bit,
                  int64_t n_bits);
// Sets `n_bits` from bit `at` to `value`.
void ra_fill_bits(uint8_t *bits, int64_t at, int64_t n_bits, bool value);

// 64 zero bytes, 64-byte aligned: what empty buffers and the offsets of arrays of 0 rows point to.
extern const uint8_t ra_zero_bytes[64];

enum { RA_MAX_OWN_BUFFERS = 3 };
// The buffers of one array (not of its children) as they are stored: validity (unless the layout
// has none; 0 bytes without nulls), then buffers, each cut to the bytes its rows need. Returns how
// many. The variadic buffers of a view follow them, whole.
int ra_array_stored_spans(const ra_array *array, ra_span out[RA_MAX_OWN_BUFFERS]);

// Bytes of a batch's buffers as they would be stored, each rounded up to 64; dictionaries not
// included.
int64_t ra_batch_body_bytes(const ra_batch *batch);

// Deep value equality of two arrays of equal type: nulls equal nulls, what lies under a null does
// not count; floats by value with NaN equal NaN (for tests and `equals`: pass `nan_equal` false to
// get pyarrow's NaN != NaN). Dictionaries are compared by value of the rows.
bool ra_array_equal(const ra_array *a, const ra_array *b, bool nan_equal);

#endif
