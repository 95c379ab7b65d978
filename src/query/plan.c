#include "query/plan.h"

#include "base/os.h"
#include "query/canonical.h"

int ra_plan_alloc(ra_plan *plan, size_t count, size_t bytes, void *out, ra_error *err) {
    void *p = ra_arena_alloc(&plan->arena, count ? count : 1, bytes);
    if (!p)
        RA_FAIL(err, LIMIT, "the plan of a command may take %d bytes", RA_MAX_PLAN_BYTES);
    memcpy(out, &p, sizeof p);
    return 0;
}

int ra_plan_copy(ra_plan *plan, ra_str text, ra_str *out, ra_error *err) {
    *out = ra_arena_str(&plan->arena, text);
    if (!out->data)
        RA_FAIL(err, LIMIT, "the plan of a command may take %d bytes", RA_MAX_PLAN_BYTES);
    return 0;
}

int ra_plan_charge(ra_plan *plan, int64_t bytes, ra_error *err) {
    if (!plan->budget)
        return 0;
    RA_TRY(ra_budget_charge(plan->budget, bytes, err));
    plan->charged_bytes += bytes;
    return 0;
}

ra_plan *ra_plan_ref(ra_plan *plan) {
    atomic_fetch_add(&plan->refs, 1);
    return plan;
}

static void free_plan(ra_plan *plan) {
    for (ra_array_argument *a = plan->arrays; a; a = a->next) {
        for (int i = 0; i < a->n_batches; i++)
            ra_batch_unref(a->batches[i]);
        ra_free(a->batches);
    }
    for (int i = 0; i < plan->n_inputs; i++)
        ra_version_unref(plan->inputs[i]);
    ra_free(plan->inputs);
    if (plan->schema)
        ra_schema_unref(plan->schema);
    if (plan->charged_bytes > 0)
        ra_budget_release(plan->budget, plan->charged_bytes);
    ra_bytes_fini(&plan->canonical);
    ra_arena_fini(&plan->arena);
    ra_free(plan);
}

void ra_plan_unref(ra_plan *plan) {
    if (plan && atomic_fetch_sub(&plan->refs, 1) == 1)
        free_plan(plan);
}

ra_str ra_plan_canonical(const ra_plan *plan) {
    return ra_bytes_str(&plan->canonical);
}

ra_schema *ra_plan_schema(const ra_plan *plan) {
    return plan->schema;
}

bool ra_plan_is_published(const ra_plan *plan) {
    return plan->publish;
}

bool ra_plan_has_stream(const ra_plan *plan) {
    return plan->has_stream;
}

bool ra_plan_is_legacy(const ra_plan *plan) {
    return plan->legacy_text.len > 0;
}

int ra_plan_lineage(const ra_plan *plan, ra_bytes *out, ra_error *err) {
    RA_TRY(ra_bytes_append(out, "{\"plan\":", 8, err));
    RA_TRY(ra_bytes_append(out, plan->canonical.data, plan->canonical.len, err));
    RA_TRY(ra_bytes_append(out, ",\"inputs\":[", 11, err));
    for (int i = 0; i < plan->n_inputs; i++) {
        if (i > 0)
            RA_TRY(ra_bytes_append(out, ",", 1, err));
        RA_TRY(ra_canonical_input(plan->inputs[i], out, err));
    }
    return ra_bytes_append(out, "]}", 2, err);
}
