#include "query/renaming.h"

#include <stdlib.h>

static int compare(ra_str a, ra_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_pairs(const void *a, const void *b) {
    return compare(((const ra_new_name *)a)->from, ((const ra_new_name *)b)->from);
}

void ra_renaming_sort(ra_renaming *renaming) {
    qsort(renaming->pairs, (size_t)renaming->n, sizeof renaming->pairs[0], compare_pairs);
}

ra_str ra_renaming_apply(const ra_renaming *renaming, int i, ra_str name) {
    if (renaming->by_position)
        return renaming->pairs[i].to;
    int low = 0, high = renaming->n;
    while (low < high) {
        int middle = low + (high - low) / 2, order = compare(renaming->pairs[middle].from, name);
        if (order == 0)
            return renaming->pairs[middle].to;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return name;
}
