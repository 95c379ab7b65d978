#include "flight/client.h"

#include "base/os.h"
#include "flight/polled.h"

struct ra_client {
    int refs;  // of the connection and of turns that are waiting or taken
    ra_app *app;
    int64_t n_running;
    ra_turn *first;  // of those that wait
    ra_turn **last;
    ra_polled *polled;
};

static void client_unref(ra_client *client) {
    if (--client->refs > 0)
        return;
    ra_assert(!client->first && client->n_running == 0);
    ra_free(client);
}

// The client of a call's connection, borrowed.
static int client_of(ra_call *call, ra_client **out, ra_error *err) {
    ra_client *client = *out = ra_call_connection_state(call);
    if (client)
        return 0;
    client = *out = ra_calloc(1, sizeof *client);
    if (!client)
        RA_FAIL(err, OUT_OF_MEMORY, "no memory for a connection");
    client->refs = 1;
    client->app = ra_app_of(call);
    client->last = &client->first;
    ra_call_set_connection_state(call, client);
    return 0;
}

int ra_turn_take(ra_call *call, ra_turn *turn, void (*come)(ra_call *call, ra_post *post),
                 bool *now, ra_error *err) {
    ra_client *client;
    ra_assert(!turn->client);
    RA_TRY(client_of(call, &client, err));
    client->refs++;
    turn->client = client;
    *now = client->n_running < client->app->limits.running_jobs;
    if (*now) {
        client->n_running++;
        return 0;
    }
    turn->post = (ra_post){.to = ra_call_get_ref(call), .fn = come};
    turn->is_waiting = true;
    turn->next = NULL;
    *client->last = turn;
    client->last = &turn->next;
    return 0;
}

static ra_turn *dequeue(ra_client *client, ra_turn **at) {
    ra_turn *turn = *at;
    *at = turn->next;
    if (client->last == &turn->next)
        client->last = at;
    turn->is_waiting = false;
    return turn;
}

bool ra_turn_leave(ra_turn *turn) {
    ra_client *client = turn->client;
    if (!turn->is_waiting)
        return false;
    ra_turn **at = &client->first;
    while (*at != turn)
        at = &(*at)->next;
    dequeue(client, at);
    turn->client = NULL;
    client_unref(client);
    return true;
}

void ra_turn_give(ra_turn *turn) {
    ra_client *client = turn->client;
    if (!client)
        return;
    ra_assert(!turn->is_waiting);
    turn->client = NULL;
    if (client->first)
        ra_wire_post(client->app->wire, &dequeue(client, &client->first)->post);
    else
        client->n_running--;
    client_unref(client);
}

int ra_client_polled(ra_call *call, ra_polled ***list, ra_error *err) {
    ra_client *client;
    RA_TRY(client_of(call, &client, err));
    *list = &client->polled;
    return 0;
}

void ra_client_on_connection_end(void *context, void *state) {
    (void)context;
    ra_client *client = state;
    ra_polled_end_all(&client->polled);
    client_unref(client);
}
