#include "compute/select.h"

#include <string.h>

// Runs at least this long on average are copied as runs rather than row by row.
enum { LONG_RUN_ROWS = 8 };

typedef struct {
    ra_select_piece at;
    int64_t first_word;  // of the table's bitmaps
    int64_t n_kept;
    int64_t n_runs;
} piece;

// Consecutive pieces that become an output batch.
typedef struct {
    int first_piece;
    int n_pieces;
    int64_t n_kept;
    int64_t n_runs;
    bool is_whole_batch;
} morsel_plan;

typedef struct {
    const ra_compute *compute;
    const ra_table *table;
    const ra_gather_plan *plan;
    ra_select_fn select;
    void *context;
    int64_t n_words;
    uint64_t *kept;
    uint64_t *nulls;  // NULL: no null rows
    piece *pieces;
    int n_pieces;
    morsel_plan *morsels;
    int n_morsels;
    ra_scratch memory[4];
} selection;

static int64_t words_of(int64_t n_rows) {
    return (n_rows + 63) / 64;
}

static int64_t piece_rows(const ra_gather_plan *plan) {
    int64_t rows = ra_gather_batch_rows(plan) & ~63;
    return rows < 64 ? 64 : rows > RA_SELECT_PIECE_ROWS ? RA_SELECT_PIECE_ROWS : rows;
}

static int cut_pieces(selection *s, ra_error *err) {
    int64_t rows_each = piece_rows(s->plan), n_pieces = 0, table_row = 0;
    for (int b = 0; b < s->table->n_batches; b++)
        n_pieces += (s->table->batches[b]->n_rows + rows_each - 1) / rows_each;
    if (n_pieces > INT32_MAX)
        RA_FAIL(err, LIMIT, "a table of more than %d pieces of %lld rows", INT32_MAX,
                (long long)rows_each);
    RA_TRY(ra_scratch_alloc(s->compute, n_pieces, sizeof *s->pieces, &s->memory[0], err));
    s->pieces = s->memory[0].data;
    for (int b = 0; b < s->table->n_batches; b++) {
        int64_t n_rows = s->table->batches[b]->n_rows;
        for (int64_t from = 0; from < n_rows; from += rows_each) {
            piece *p = &s->pieces[s->n_pieces++];
            int64_t n_here = n_rows - from < rows_each ? n_rows - from : rows_each;
            *p = (piece){.at = {b, from, n_here, table_row + from}, .first_word = s->n_words};
            s->n_words += words_of(n_here);
        }
        table_row += n_rows;
    }
    return 0;
}

static int select_piece(void *context, int i, ra_error *err) {
    selection *s = context;
    piece *p = &s->pieces[i];
    uint64_t *kept = s->kept + p->first_word;
    RA_TRY(s->select(s->context, &p->at, kept, s->nulls ? s->nulls + p->first_word : NULL, err));
    uint64_t before = 0;
    for (int64_t w = 0; w < words_of(p->at.n_rows); w++) {
        p->n_kept += __builtin_popcountll(kept[w]);
        p->n_runs += __builtin_popcountll(kept[w] & ~(kept[w] << 1 | before));
        before = kept[w] >> 63;
    }
    return 0;
}

// Whether the pieces from `first` on are those of one batch, all of whose rows are kept as they
// are; `*n` is their number.
static bool is_kept_whole(const selection *s, int first, int *n) {
    int b = s->pieces[first].at.batch;
    const ra_batch *batch = ra_gather_batches(s->plan)[b];
    if (s->pieces[first].n_kept < s->pieces[first].at.n_rows || batch->schema != s->table->schema)
        return false;
    int64_t n_kept = 0, n_nulls = 0;
    int i = first;
    for (; i < s->n_pieces && s->pieces[i].at.batch == b; i++) {
        n_kept += s->pieces[i].n_kept;
        for (int64_t w = 0; s->nulls && w < words_of(s->pieces[i].at.n_rows); w++)
            n_nulls += s->nulls[s->pieces[i].first_word + w] != 0;
    }
    *n = i - first;
    return n_kept == batch->n_rows && n_nulls == 0;
}

static int group_pieces(selection *s, ra_error *err) {
    RA_TRY(ra_scratch_alloc(s->compute, s->n_pieces, sizeof *s->morsels, &s->memory[3], err));
    s->morsels = s->memory[3].data;
    int64_t max_rows = ra_gather_batch_rows(s->plan);
    morsel_plan open = {0};
    for (int i = 0; i < s->n_pieces;) {
        const piece *p = &s->pieces[i];
        int n_whole = 0;
        // A small batch is better joined with its neighbours.
        bool is_whole = p->at.from == 0 && s->table->batches[p->at.batch]->n_rows >= max_rows / 4 &&
                        is_kept_whole(s, i, &n_whole);
        if (open.n_kept > 0 && (is_whole || open.n_kept + p->n_kept > max_rows)) {
            s->morsels[s->n_morsels++] = open;
            open = (morsel_plan){0};
        }
        if (is_whole) {
            s->morsels[s->n_morsels++] =
                (morsel_plan){.first_piece = i, .n_pieces = n_whole, .is_whole_batch = true};
            i += n_whole;
            open = (morsel_plan){0};
            continue;
        }
        if (open.n_kept == 0)
            open = (morsel_plan){.first_piece = i};
        open.n_pieces++;
        open.n_kept += p->n_kept;
        open.n_runs += p->n_runs;
        i++;
    }
    if (open.n_kept > 0)
        s->morsels[s->n_morsels++] = open;
    return 0;
}

static void list_rows(const selection *s, const piece *p, ra_row **to) {
    const uint64_t *kept = s->kept + p->first_word;
    for (int64_t w = 0; w < words_of(p->at.n_rows); w++) {
        uint64_t nulls = s->nulls ? s->nulls[p->first_word + w] : 0;
        uint32_t first = (uint32_t)(p->at.from + 64 * w);
        for (uint64_t bits = kept[w]; bits; bits &= bits - 1) {
            int bit = __builtin_ctzll(bits);
            bool is_null = nulls >> bit & 1;
            *(*to)++ = (ra_row){is_null ? RA_ROW_NULL : (uint32_t)p->at.batch,
                                is_null ? 0 : first + (uint32_t)bit};
        }
    }
}

static int pick_rows(const selection *s, const morsel_plan *m, ra_scratch *memory, ra_picks *picks,
                     ra_error *err) {
    RA_TRY(ra_scratch_alloc(s->compute, m->n_kept, sizeof(ra_row), memory, err));
    ra_row *to = memory->data;
    for (int i = 0; i < m->n_pieces; i++)
        list_rows(s, &s->pieces[m->first_piece + i], &to);
    ra_picks_init(picks, memory->data, m->n_kept);
    return 0;
}

// Only without null rows.
static int list_runs(const selection *s, const piece *p, ra_picks *picks, ra_error *err) {
    const uint64_t *kept = s->kept + p->first_word;
    for (int64_t w = 0; w < words_of(p->at.n_rows); w++) {
        uint64_t bits = kept[w];
        while (bits) {
            int first = __builtin_ctzll(bits);
            uint64_t rest = ~(bits >> first);
            int n = rest ? __builtin_ctzll(rest) : 64;
            ra_row_run run = {p->at.from + 64 * w + first, n, (uint32_t)p->at.batch};
            RA_TRY(ra_picks_add_run(picks, run, err));
            bits = first + n == 64 ? 0 : bits >> (first + n) << (first + n);
        }
    }
    return 0;
}

static int pick_runs(const selection *s, const morsel_plan *m, ra_picks *picks, ra_error *err) {
    RA_TRY(ra_picks_init_runs(s->compute, picks, m->n_runs, err));
    for (int i = 0; i < m->n_pieces; i++)
        RA_TRY(list_runs(s, &s->pieces[m->first_piece + i], picks, err));
    return 0;
}

static int make_morsel(void *context, ra_morsel_run *run, int morsel, ra_error *err) {
    const selection *s = context;
    const morsel_plan *m = &s->morsels[morsel];
    if (m->is_whole_batch) {
        ra_batch *batch = ra_gather_batches(s->plan)[s->pieces[m->first_piece].at.batch];
        return ra_morsel_emit(run, morsel, ra_batch_ref(batch), err);
    }
    ra_picks picks = {0};
    ra_scratch memory = {0};
    int rc = !s->nulls && m->n_kept >= LONG_RUN_ROWS * m->n_runs
                 ? pick_runs(s, m, &picks, err)
                 : pick_rows(s, m, &memory, &picks, err);
    if (rc == 0)
        rc = ra_gather_emit(s->plan, &picks, run, morsel, err);
    ra_picks_fini(s->compute, &picks);
    ra_scratch_free(s->compute, &memory);
    return rc;
}

static int run_selection(selection *s, bool has_null_rows, ra_batch_sink *sink, ra_error *err) {
    RA_TRY(cut_pieces(s, err));
    RA_TRY(ra_scratch_calloc(s->compute, s->n_words, sizeof(uint64_t), &s->memory[1], err));
    s->kept = s->memory[1].data;
    if (has_null_rows) {
        RA_TRY(ra_scratch_calloc(s->compute, s->n_words, sizeof(uint64_t), &s->memory[2], err));
        s->nulls = s->memory[2].data;
    }
    RA_TRY(ra_pieces_run(s->compute, s->n_pieces, select_piece, s, err));
    RA_TRY(group_pieces(s, err));
    return ra_morsels_run(s->compute, s->n_morsels, make_morsel, s, sink, err);
}

int ra_select_rows(const ra_compute *compute, const ra_table *table, ra_select_fn select,
                   bool has_null_rows, void *context, ra_batch_sink *sink, ra_error *err) {
    ra_gather_plan *plan;
    RA_TRY(ra_gather_plan_new(compute, table, NULL, &plan, err));
    selection s = {
        .compute = compute, .table = table, .plan = plan, .select = select, .context = context};
    int rc = run_selection(&s, has_null_rows, sink, err);
    for (size_t i = 0; i < sizeof s.memory / sizeof s.memory[0]; i++)
        ra_scratch_free(compute, &s.memory[i]);
    ra_gather_plan_free(plan);
    return rc;
}
