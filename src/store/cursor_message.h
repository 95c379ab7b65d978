// The messages of a content as DoGet sends them, made one by one.
#ifndef RA_STORE_CURSOR_MESSAGE_H
#define RA_STORE_CURSOR_MESSAGE_H

#include "arrow/ipc.h"
#include "store/segment.h"

// What making messages of a content needs again and again.
typedef struct {
    ra_content *content;     // borrowed
    int *dictionary_ids;     // of the content's schema, inner ones first
    const ra_batch **by_id;  // scratch
    ra_batch *source;        // a batch of part `source_part`: has its dictionaries
    int source_part;
    ra_ipc_encoded encoded;
} ra_message_maker;

RA_MUST int ra_message_maker_init(ra_message_maker *maker, ra_content *content, ra_error *err);
void ra_message_maker_fini(ra_message_maker *maker);

// How many dictionaries are sent before a part's first batch, if any are.
int ra_part_n_dictionaries(const ra_content *content, const ra_part *part);

// Makes the message of dictionary number `i` of part `p`, or of batch `i` of it. A part with all
// columns has it in its segment, which must be verified there; for one with some columns metadata
// is encoded again and the body gathered. The caller uses the part's segment. DATA_LOSS.
RA_MUST int ra_message_make_dictionary(ra_message_maker *maker, int p, int i, ra_out_message *out,
                                       ra_error *err);
RA_MUST int ra_message_make_batch(ra_message_maker *maker, int p, int i, ra_out_message *out,
                                  ra_error *err);

// Moves a message, which may point into itself.
void ra_out_message_move(ra_out_message *from, ra_out_message *to);

#endif
