// The parts of contents: lists of them under construction, and what contents and cursors ask them.
#ifndef RA_STORE_CONTENT_PARTS_H
#define RA_STORE_CONTENT_PARTS_H

#include "store/segment.h"

// Parts with a use of each segment; `= {0}` is empty.
typedef struct {
    ra_part *items;
    int n;
    int capacity;
} ra_part_list;
void ra_part_list_fini(ra_part_list *list);

// Adds batches [first_batch, first_batch + n_batches) of the segment, with columns as in ra_part
// (copied). Continues the last part if it can.
RA_MUST int ra_part_list_add(ra_part_list *list, ra_segment *segment, int first_batch,
                             int n_batches, const int *columns, int n_columns, ra_error *err);
// Adds all parts of a content.
RA_MUST int ra_part_list_add_content(ra_part_list *list, const ra_content *content, ra_error *err);

// Adds batches [first, end) of a content to a writer, with their app_metadata. Worker thread.
RA_MUST int ra_content_write_batches(ra_content *content, int64_t first, int64_t end,
                                     ra_writer *writer, ra_error *err);

// A content of the list, which is empty afterwards, also after an error.
RA_MUST int ra_content_from_list(ra_store *store, ra_schema *schema, ra_part_list *list,
                                 bool combined, ra_content **out, ra_error *err);

// Names the dictionaries of a part as a content sends them; equal keys, equal dictionaries. 0 when
// the content has none.
uint64_t ra_part_dictionary_key(const ra_content *content, const ra_part *part);

// The part that batch `i` of a content is in.
int ra_content_find_part(const ra_content *content, int64_t i);

#endif
