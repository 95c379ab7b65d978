#include "arrow/value_hash.h"

#include <pthread.h>

#include "arrow/access.h"
#include "arrow/equal.h"
#include "base/os.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    MAX_PARTS = 256,             // of a nested value that are hashed
    MAX_VIEW_BYTES = 64 * 1024,  // of a view that are hashed: views may overlap without limit
    FIRST_SLOTS = 64
};

static uint64_t process_seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void) {
    ra_os_random(&process_seed, sizeof process_seed);
}

uint64_t ra_hash_seed(void) {
    pthread_once(&seed_once, draw_seed);
    return process_seed;
}

static uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(data, bytes, seed);
}

static uint64_t hash_number(uint64_t number, uint64_t seed) {
    return hash_bytes(&number, sizeof number, seed);
}

static bool is_nan(const uint8_t *value, ra_type_id type) {
    switch (type) {
        case RA_TYPE_HALF_FLOAT:
            return (ra_load_u16(value) & 0x7FFF) > 0x7C00;
        case RA_TYPE_FLOAT:
            return (ra_load_u32(value) & 0x7FFFFFFF) > 0x7F800000;
        case RA_TYPE_DOUBLE:
            return (ra_load_u64(value) & INT64_MAX) > 0x7FF0000000000000;
        default:
            return false;
    }
}

// `*parts` is what may still be looked at; at 0 the rest of the value does not count.
static uint64_t hash_row(const ra_array *a, int64_t i, uint64_t seed, int *parts) {
    if (*parts == 0)
        return seed;
    --*parts;
    if (!ra_array_resolve(&a, &i))
        return hash_number(1, seed);
    switch (a->layout) {
        case RA_LAYOUT_BIT:
            return hash_number(2 + ra_bit_get(a->buffers[0].data, i), seed);
        case RA_LAYOUT_FIXED: {
            ra_span value = ra_array_bytes(a, i);
            if (is_nan(value.data, a->field->type))
                return hash_number(2, seed);
            return hash_bytes(value.data, (size_t)value.bytes, seed);
        }
        case RA_LAYOUT_VAR32:
        case RA_LAYOUT_VAR64: {
            ra_span text = ra_array_bytes(a, i);
            return hash_bytes(text.data, (size_t)text.bytes, seed);
        }
        case RA_LAYOUT_VIEW: {
            ra_span text = ra_array_bytes(a, i);
            size_t bytes = text.bytes < MAX_VIEW_BYTES ? (size_t)text.bytes : MAX_VIEW_BYTES;
            return hash_bytes(text.data, bytes, seed + (uint64_t)text.bytes);
        }
        case RA_LAYOUT_STRUCT:
            for (int c = 0; c < a->n_children; c++)
                seed = hash_row(&a->children[c], i, seed, parts);
            return hash_number(3, seed);
        case RA_LAYOUT_SPARSE_UNION:
        case RA_LAYOUT_DENSE_UNION: {
            int64_t row;
            int c = ra_array_union_row(a, i, &row);
            return hash_row(&a->children[c], row, hash_number((uint64_t)c, seed), parts);
        }
        default: {
            int64_t from, n = ra_array_list(a, i, &from);
            seed = hash_number((uint64_t)n, seed);
            for (int64_t k = 0; k<n && * parts> 0; k++)
                seed = hash_row(&a->children[0], from + k, seed, parts);
            return seed;
        }
    }
}

uint64_t ra_array_hash_row(const ra_array *array, int64_t row, uint64_t seed) {
    int parts = MAX_PARTS;
    return hash_row(array, row, seed, &parts);
}

bool ra_array_rows_equal(const ra_array *a, int64_t a_row, const ra_array *b, int64_t b_row) {
    return ra_array_ranges_equal(a, a_row, b, b_row, 1, RA_FLOATS_AS_KEYS);
}

void ra_value_set_init(ra_value_set *set) {
    *set = (ra_value_set){.seed = ra_hash_seed()};
}

void ra_value_set_fini(ra_value_set *set) {
    ra_free(set->values);
    ra_free(set->slots);
    *set = (ra_value_set){0};
}

// Twice the slots, at least half of them free afterwards.
static int grow_slots(ra_value_set *set, ra_error *err) {
    int64_t n_slots = set->n_slots ? 2 * set->n_slots : FIRST_SLOTS;
    if (set->n >= INT32_MAX)
        RA_FAIL(err, LIMIT, "more than 2147483647 distinct values");
    uint32_t *slots = ra_calloc((size_t)n_slots, sizeof *slots);
    if (!slots)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %lld distinct values", (long long)n_slots);
    for (int64_t v = 0; v < set->n; v++) {
        uint64_t at = set->values[v].hash & (uint64_t)(n_slots - 1);
        while (slots[at])
            at = (at + 1) & (uint64_t)(n_slots - 1);
        slots[at] = (uint32_t)(v + 1);
    }
    ra_free(set->slots);
    set->slots = slots;
    set->n_slots = n_slots;
    return 0;
}

static int grow_values(ra_value_set *set, ra_error *err) {
    int64_t capacity = set->capacity ? 2 * set->capacity : FIRST_SLOTS / 2;
    ra_value *values = ra_realloc(set->values, (size_t)capacity * sizeof *values);
    if (!values)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for %lld distinct values", (long long)capacity);
    set->values = values;
    set->capacity = capacity;
    return 0;
}

int ra_value_set_add(ra_value_set *set, const ra_array *array, int64_t row, int64_t *number,
                     ra_error *err) {
    if (set->n * 2 >= set->n_slots)
        RA_TRY(grow_slots(set, err));
    if (set->n == set->capacity)
        RA_TRY(grow_values(set, err));
    uint64_t hash = ra_array_hash_row(array, row, set->seed);
    uint64_t mask = (uint64_t)(set->n_slots - 1), at = hash & mask;
    for (; set->slots[at]; at = (at + 1) & mask) {
        const ra_value *value = &set->values[set->slots[at] - 1];
        if (value->hash == hash && ra_array_rows_equal(value->array, value->row, array, row)) {
            *number = set->slots[at] - 1;
            return 0;
        }
    }
    set->values[set->n] = (ra_value){array, row, hash};
    set->slots[at] = (uint32_t)(set->n + 1);
    *number = set->n++;
    return 0;
}
