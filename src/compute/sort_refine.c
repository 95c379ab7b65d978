#include "arrow/access.h"
#include "compute/morsel.h"
#include "compute/sort_order.h"

enum {
    FEW_ROWS = 16,   // are compared rather than encoded
    MAX_LEVEL = 24,  // of codes within ties of codes; then rows are compared
    INSERTION_ROWS = 8,
    PARALLEL_ROWS = 64 * 1024,
    CHUNKS = 8
};

typedef struct {
    const ra_sort_leaves *leaves;
    int index_bits;
    int level;
} refinement;

static ra_row row_of(const refinement *r, ra_u128 element) {
    uint64_t mask = (UINT64_C(1) << r->index_bits) - 1;
    return ra_row_locate(&r->leaves->locator, (int64_t)((uint64_t)element & mask));
}

// A stable merge sort by comparing rows from leaf `first` on.
typedef struct {
    const refinement *r;
    int first;
    ra_u128 *a;
    ra_u128 *b;
    int64_t n;
    int64_t width;  // of the parallel parts
} comparison;

static bool is_after(const comparison *c, ra_u128 x, ra_u128 y) {
    return ra_sort_compare(c->r->leaves, c->first, row_of(c->r, x), row_of(c->r, y)) > 0;
}

static void insertion_sort(const comparison *c, ra_u128 *a, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        ra_u128 v = a[i];
        int64_t k = i;
        for (; k > 0 && is_after(c, a[k - 1], v); k--)
            a[k] = a[k - 1];
        a[k] = v;
    }
}

// Merges a[0, middle) and a[middle, n) through `b`.
static void merge(const comparison *c, ra_u128 *a, ra_u128 *b, int64_t middle, int64_t n) {
    if (middle >= n || !is_after(c, a[middle - 1], a[middle]))
        return;
    memcpy(b, a, (size_t)middle * sizeof *a);
    int64_t left = 0, right = middle, to = 0;
    while (left < middle && right < n)
        a[to++] = is_after(c, b[left], a[right]) ? a[right++] : b[left++];
    memcpy(a + to, b + left, (size_t)(middle - left) * sizeof *a);
}

// Halves in turn: at most 32 deep.
static void merge_sort(const comparison *c, ra_u128 *a, ra_u128 *b, int64_t n) {
    if (n <= INSERTION_ROWS) {
        insertion_sort(c, a, n);
        return;
    }
    int64_t middle = n / 2;
    merge_sort(c, a, b, middle);
    merge_sort(c, a + middle, b + middle, n - middle);
    merge(c, a, b, middle, n);
}

static int sort_chunk(void *context, int chunk, ra_error *err) {
    (void)err;
    const comparison *c = context;
    int64_t from = chunk * c->width, n = c->n - from;
    n = n < c->width ? n : c->width;
    if (n > 0)
        merge_sort(c, c->a + from, c->b + from, n);
    return 0;
}

static int merge_chunks(void *context, int pair, ra_error *err) {
    (void)err;
    const comparison *c = context;
    int64_t from = 2 * pair * c->width, n = c->n - from;
    n = n < 2 * c->width ? n : 2 * c->width;
    if (n > c->width)
        merge(c, c->a + from, c->b + from, c->width, n);
    return 0;
}

static int sort_by_comparing(const refinement *r, int first, ra_u128 *a, ra_u128 *b, int64_t n,
                             ra_error *err) {
    comparison c = {.r = r, .first = first, .a = a, .b = b, .n = n};
    if (n < PARALLEL_ROWS) {
        merge_sort(&c, a, b, n);
        return 0;
    }
    c.width = (n + CHUNKS - 1) / CHUNKS;
    RA_TRY(ra_pieces_run(r->leaves->compute, CHUNKS, sort_chunk, &c, err));
    for (int n_pairs = CHUNKS / 2; n_pairs > 0; n_pairs /= 2) {
        RA_TRY(ra_pieces_run(r->leaves->compute, n_pairs, merge_chunks, &c, err));
        c.width *= 2;
    }
    return 0;
}

// Bytes that the rows' strings have in common behind the first `from`.
static int64_t common_bytes(const refinement *r, const ra_sort_leaf *leaf, const ra_u128 *elements,
                            int64_t n, int64_t from) {
    ra_row row = row_of(r, elements[0]);
    ra_span first = ra_array_bytes(leaf->sources[row.batch], row.row);
    int64_t common = first.bytes;
    for (int64_t i = 1; i < n && common > from; i++) {
        row = row_of(r, elements[i]);
        ra_span value = ra_array_bytes(leaf->sources[row.batch], row.row);
        int64_t k = from, most = value.bytes < common ? value.bytes : common;
        while (k < most && first.data[k] == value.data[k])
            k++;
        common = k;
    }
    return common;
}

static int refine_ties(const refinement *r, const ra_sort_code *code, ra_u128 *elements,
                       ra_u128 *scratch, int64_t n, ra_error *err);

static int refine_group(const refinement *r, ra_sort_place place, ra_u128 *elements,
                        ra_u128 *scratch, int64_t n, ra_error *err) {
    const ra_sort_leaf *leaf = &r->leaves->leaves[place.leaf];
    if (n <= FEW_ROWS || r->level == MAX_LEVEL || leaf->kind == RA_LEAF_OTHER)
        return sort_by_comparing(r, place.leaf, elements, scratch, n, err);
    RA_TRY(ra_compute_check_cancelled(r->leaves->compute, err));
    if (place.bytes > 0)
        place.bytes = common_bytes(r, leaf, elements, n, place.bytes);
    ra_sort_code code;
    ra_sort_code_init(r->leaves, place, 128 - r->index_bits, &code);
    uint64_t mask = (UINT64_C(1) << r->index_bits) - 1;
    for (int64_t i = 0; i < n; i++) {
        ra_row row = row_of(r, elements[i]);
        ra_u128 value;
        ra_sort_code_rows(&code, row.batch, row.row, 1, &value);
        elements[i] = value << r->index_bits | ((uint64_t)elements[i] & mask);
    }
    ra_radix_sort_128(elements, scratch, n, r->index_bits);
    if (code.is_exact)
        return 0;
    refinement deeper = {r->leaves, r->index_bits, r->level + 1};
    return refine_ties(&deeper, &code, elements, scratch, n, err);
}

static int refine_ties(const refinement *r, const ra_sort_code *code, ra_u128 *elements,
                       ra_u128 *scratch, int64_t n, ra_error *err) {
    for (int64_t i = 0; i < n;) {
        ra_u128 value = elements[i] >> r->index_bits;
        int64_t end = i + 1;
        while (end < n && elements[end] >> r->index_bits == value)
            end++;
        ra_sort_place next;
        if (end - i > 1 && ra_sort_code_tie(code, value, r->leaves->n, &next))
            RA_TRY(refine_group(r, next, elements + i, scratch + i, end - i, err));
        i = end;
    }
    return 0;
}

int ra_sort_refine(const ra_sort_leaves *leaves, const ra_sort_code *code, int index_bits,
                   ra_u128 *elements, ra_u128 *scratch, int64_t n, ra_error *err) {
    refinement r = {.leaves = leaves, .index_bits = index_bits};
    return refine_ties(&r, code, elements, scratch, n, err);
}
