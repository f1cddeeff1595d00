#include "metrics/by_latent.h"

enum { LATENTS_AT_ONCE = 32 }; /* with the codes in memory: their sums stay in the cache */

ra_status ra_by_latent_init(ra_by_latent *by, size_t latents, const ra_by_latent_options *options,
                            ra_error *err) {
    ra_status status;
    *by = (ra_by_latent){.options = *options, .latents = latents};
    if (options->partners || options->quantiles || options->keep)
        ra_kept_codes_init(&by->kept, latents, options->bytes / 8 * 7, options->folder);
    if (options->partners)
        RA_TRY_OUT(status, ra_cofiring_init(&by->cofiring, latents, options->partners, options->least,
                                            options->bytes / 8, err));
    if (options->quantiles)
        RA_TRY_OUT(status, ra_quantiles_init(&by->quantiles, latents, options->quantiles,
                                             options->quantile_rows, options->bytes / 8, err));
    return RA_OK;
out:
    ra_by_latent_release(by);
    return status;
}

void ra_by_latent_release(ra_by_latent *by) {
    ra_kept_codes_release(&by->kept);
    ra_codes_order_release(&by->order);
    ra_cofiring_release(&by->cofiring);
    ra_quantiles_release(&by->quantiles);
    *by = (ra_by_latent){0};
}

static bool is_complete(const ra_by_latent *by) {
    return (!by->options.partners || by->cofiring.end == by->latents) &&
           (!by->options.quantiles || by->quantiles.end == by->latents);
}

/* ---- one band after another --------------------------------------------------------------------------- */

static ra_status begin(ra_by_latent *by, const ra_latent_sums *sums, size_t most, ra_error *err) {
    by->pass_rows = 0;
    if (by->options.partners && by->cofiring.end < by->latents)
        RA_TRY(ra_cofiring_begin(&by->cofiring, sums, most, err));
    else
        by->cofiring.first = by->cofiring.end; /* nothing is left to add to */
    if (by->options.quantiles && by->quantiles.end < by->latents)
        return ra_quantiles_begin(&by->quantiles, sums, by->latents, err);
    by->quantiles.first = by->quantiles.end;
    return RA_OK;
}

static void add(ra_by_latent *by, ra_pool *pool) {
    if (by->options.partners) ra_cofiring_add(&by->cofiring, pool, &by->order);
    if (by->options.quantiles) ra_quantiles_add(&by->quantiles, pool, &by->order);
}

static void choose(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums, const ra_latent_rows *rows) {
    if (by->options.partners) ra_cofiring_choose(&by->cofiring, pool, sums);
    if (by->options.quantiles) ra_quantiles_choose(&by->quantiles, pool, rows);
}

/* To what the codes would have taken in memory. */
static void widen_bands(ra_by_latent *by) {
    by->cofiring.bytes = by->options.bytes / 4 * 3;
    by->quantiles.bytes = by->options.bytes / 4;
}

ra_status ra_by_latent_add(ra_by_latent *by, ra_pool *pool, const ra_codes *codes, bool first_pass,
                           ra_error *err) {
    if (first_pass) return ra_kept_codes_add(&by->kept, codes, err);
    if (!by->begun) return RA_OK;
    RA_TRY(ra_codes_order_set(&by->order, codes, by->pass_rows, err));
    by->pass_rows += codes->rows;
    add(by, pool);
    return RA_OK;
}

ra_status ra_by_latent_next_pass(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                                 const ra_latent_rows *rows, bool *again, ra_error *err) {
    if (by->kept.keeps) return RA_OK;
    if (by->begun)
        choose(by, pool, sums, rows);
    else
        widen_bands(by);
    by->begun = !is_complete(by);
    if (!by->begun) {
        by->done_rows = sums->rows;
        return RA_OK;
    }
    *again = true;
    return begin(by, sums, by->latents, err);
}

/* ---- from the codes that are kept ----------------------------------------------------------------------- */

/* With all codes in memory, a band is of few latents, whose sums stay in the cache. */
static ra_status work_in_memory(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                                const ra_latent_rows *rows, ra_error *err) {
    RA_TRY(ra_codes_order_set(&by->order, &by->kept.codes, 0, err));
    do {
        RA_TRY(begin(by, sums, LATENTS_AT_ONCE, err));
        add(by, pool);
        choose(by, pool, sums, rows);
    } while (!is_complete(by));
    return RA_OK;
}

/* From a file, a band is of as many latents as memory allows, since each band reads the file. */
static ra_status work_from_disk(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                                const ra_latent_rows *rows, ra_error *err) {
    size_t all = by->kept.codes.rows;
    ra_codes chunk = {0};
    ra_status status = RA_OK;
    widen_bands(by);
    do {
        RA_TRY_OUT(status, begin(by, sums, by->latents, err));
        for (size_t first = 0; first < all; first += RA_KEPT_CHUNK_ROWS) {
            size_t count = all - first < RA_KEPT_CHUNK_ROWS ? all - first : RA_KEPT_CHUNK_ROWS;
            RA_TRY_OUT(status, ra_kept_codes_read(&by->kept, first, count, &chunk, err));
            RA_TRY_OUT(status, ra_codes_order_set(&by->order, &chunk, first, err));
            add(by, pool);
        }
        choose(by, pool, sums, rows);
    } while (!is_complete(by));
out:
    ra_codes_release(&chunk);
    return status;
}

static ra_status work_through(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                              const ra_latent_rows *rows, ra_error *err) {
    if (by->done_rows == sums->rows) return RA_OK;
    by->cofiring.end = by->quantiles.end = 0;
    RA_TRY(by->kept.on_disk ? work_from_disk(by, pool, sums, rows, err)
                            : work_in_memory(by, pool, sums, rows, err));
    by->done_rows = sums->rows;
    return RA_OK;
}

ra_status ra_by_latent_view(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                            const ra_latent_rows *rows, ra_latent_statistics *view, ra_error *err) {
    if (!by->options.partners && !by->options.quantiles) return RA_OK;
    if (by->kept.keeps) RA_TRY(work_through(by, pool, sums, rows, err));
    if (by->done_rows != sums->rows)
        RA_FAIL(
            err, RA_ERR_STATE,
            "the codes of %zu rows do not fit into the memory for them: what latents have in common needs "
            "another pass over the data",
            sums->rows);
    if (by->options.partners) ra_cofiring_view(&by->cofiring, view);
    return by->options.quantiles ? ra_quantiles_view(&by->quantiles, rows, view, err) : RA_OK;
}
