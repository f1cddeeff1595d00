/* Rows that are held out: those on which a model is measured that has not been trained on them.
 *
 * One row is drawn from each of as many equal stretches of the files as rows are held out, so that all parts of the data
 * are there, and the draw needs no memory but the list. It depends on nothing but the numbers of rows: runs of any seeds
 * hold out the same ones, and may be compared. */
#include "data/data.h"
#include "base/random.h"
#include "ra_memory.h"

#include <string.h>

static const uint64_t SEED = 0x686f6c646f7574; /* "holdout" */

static ra_status draw(ra_data *data, size_t count, ra_error *err) {
    ra_random random;
    ra_random_seed(&random, SEED);
    data->held = ra_malloc(count, sizeof *data->held);
    if (!data->held) RA_FAIL_MEMORY(err, "the list of rows that are held out", count * sizeof *data->held);
    for (size_t i = 0, bad = 0; i < count; i++) {
        uint64_t from = (uint64_t)((unsigned __int128)i * data->source_rows / count),
                 to = (uint64_t)((unsigned __int128)(i + 1) * data->source_rows / count),
                 row = from + ra_random_below(&random, to - from);
        while (bad < data->bad_count && data->bad[bad] < row) bad++;
        if (bad < data->bad_count && data->bad[bad] == row) continue; /* left out already */
        data->held[data->held_count++] = row;
    }
    return RA_OK;
}

/* Both lists are skipped. */
static ra_status skip(ra_data *data, ra_error *err) {
    size_t all = data->bad_count + data->held_count, i = 0, j = 0;
    uint64_t *merged = ra_malloc(all ? all : 1, sizeof *merged);
    if (!merged) RA_FAIL_MEMORY(err, "the list of rows that are left out", all * sizeof *merged);
    for (size_t k = 0; k < all; k++) {
        bool held = i == data->bad_count || (j < data->held_count && data->held[j] < data->bad[i]);
        merged[k] = held ? data->held[j++] : data->bad[i++];
    }
    ra_free(data->bad);
    data->bad = merged;
    data->bad_count = data->bad_capacity = all;
    return RA_OK;
}

ra_status ra_data_hold_out(ra_data *data, double share, ra_error *err) {
    double wanted = share * (double)data->source_rows;
    size_t count = wanted < RA_HOLDOUT_MOST ? (size_t)wanted : RA_HOLDOUT_MOST;
    if (share == 0) return RA_OK;
    if (!(share > 0 && share < 1) || count == 0)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "a share of %g of %zu rows cannot be held out; expected a number between 0 and 1, and a row or "
            "more",
            share, data->source_rows);
    RA_TRY(draw(data, count, err));
    RA_TRY(skip(data, err));
    if (data->held_count == 0 || data->bad_count == data->source_rows)
        RA_FAIL(err, RA_ERR_ARGUMENT, "no row is left %s, of %zu with a share of %g held out",
                data->held_count ? "to train on" : "to hold out", data->source_rows, share);
    return RA_OK;
}

size_t ra_data_held_rows(const ra_data *data) {
    return data->held_count;
}

void ra_data_read_held(const ra_data *data, size_t first, size_t n, float *out) {
    ra_data_read_sources(data, data->held + first, n, out);
}
