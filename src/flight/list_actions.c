// ListActions: the table of actions, without those that are disabled here (F-81).
#include "flight/action.h"
#include "flight/request.h"
#include "wire/protobuf.h"

enum { TYPE = 1, DESCRIPTION = 2, ROW_CEILING = 4096 };

static int send_row(ra_call *call, const ra_action *action, ra_error *err) {
    ra_bytes row;
    ra_bytes_init(&row, ROW_CEILING);
    int rc = ra_pb_put_bytes(&row, TYPE, ra_str_of(action->type), err);
    if (rc == 0)
        rc = ra_pb_put_bytes(&row, DESCRIPTION, ra_str_of(action->description), err);
    if (rc == 0)
        ra_reply_send(call, &row);
    ra_bytes_fini(&row);
    return rc;
}

static void on_message(ra_call *call, ra_bytes *message, bool last) {
    (void)last;
    ra_error err;
    int rc = 0;
    for (int i = 0; i < ra_n_actions && rc == 0; i++)
        if (!ra_action_is_disabled(ra_app_of(call), &ra_actions[i]))
            rc = send_row(call, &ra_actions[i], &err);
    ra_reply_end(call, rc, &err);
    ra_bytes_fini(message);
}

const ra_method ra_method_list_actions = {.path = RA_FLIGHT_PATH("ListActions"),
                                          .max_message_bytes = RA_SMALL_MESSAGE_BYTES,
                                          .on_message = on_message};
