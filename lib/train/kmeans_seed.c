/* k-means++ (Arthur and Vassilvitskii 2007): each centre is a row drawn with a probability proportional to
 * its squared distance to the centres so far. Taken literally that reads all data once a centre, 32,000 times
 * for a large set of points. Drawing several at once from the probabilities as they are would not be the
 * same: two of them may be neighbours.
 *
 * So a batch is proposed from the distances as they were when it began, and each proposal is kept with the
 * probability (its distance now) / (its distance then), now being after those of the batch that were kept.
 * Distances only shrink, so this is rejection sampling: what is kept has exactly the distribution of the
 * sequential method. A batch is an eighth of the centres so far, few are rejected, and the data are read
 * about eight times for each doubling, each time as one matrix product. */
#include "train/kmeans.h"
#include "base/error.h"
#include "base/random.h"

#include <math.h>

enum { BATCH_SHARE = 8, BATCH_MAX = 512 };

/* The first row whose cumulative weight is above `target`: rows of weight zero are never found. */
static size_t find_row(const double *cumulative, size_t rows, double target) {
    size_t low = 0, high = rows - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cumulative[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    /* rounding may put the target at the total: then the last row that has a weight */
    while (low > 0 && !(cumulative[low] > cumulative[low - 1])) low--;
    return low;
}

static float *take_row(const ra_kmeans *run, size_t row, size_t centre) {
    float *vector = run->centre + centre * run->dimensions;
    ra_data_read(run->data, row, 1, vector);
    return vector;
}

/* Proposes `batch` rows as centres from `first` on; returns how many are kept, the first one always is. */
static size_t draw(const ra_kmeans *run, const double *cumulative, size_t first, size_t batch,
                   ra_random *random) {
    size_t kept = 0, d = run->dimensions;
    double total = cumulative[run->rows - 1];
    for (size_t i = 0; i < batch; i++) {
        size_t row = find_row(cumulative, run->rows, ra_random_unit(random) * total);
        const float *vector = take_row(run, row, first + kept);
        double then = run->distance[row], now = then;
        for (size_t j = 0; j < kept; j++)
            now = fmin(now, ra_squared_distance(vector, run->centre + (first + j) * d, d));
        if (ra_random_unit(random) * then < now) kept++;
    }
    return kept;
}

static ra_status seed_from(ra_kmeans *run, double *cumulative, ra_error *err) {
    ra_random random;
    ra_random_seed(&random, run->options->seed);
    size_t count = 0, fresh = 1; /* centres that are taken into account, and new ones behind them */
    take_row(run, (size_t)ra_random_below(&random, run->rows), 0);
    for (;;) {
        RA_TRY(ra_kmeans_admit(run, count, fresh, err));
        RA_TRY(ra_kmeans_report(run, 0, err));
        count += fresh;
        if (count == run->clusters) return RA_OK;
        double total = 0;
        for (size_t i = 0; i < run->rows; i++) cumulative[i] = total += run->distance[i];
        if (!(total > 0)) break;
        size_t batch = 1 + count / BATCH_SHARE, wanted = run->clusters - count;
        batch = batch > BATCH_MAX ? BATCH_MAX : batch;
        fresh = draw(run, cumulative, count, batch < wanted ? batch : wanted, &random);
    }
    /* Every row is a centre already: the rest can only repeat them. */
    for (size_t i = count; i < run->clusters; i++)
        take_row(run, (size_t)ra_random_below(&random, run->rows), i);
    return ra_kmeans_admit(run, count, run->clusters - count, err);
}

ra_status ra_kmeans_seed(ra_kmeans *run, ra_error *err) {
    double *cumulative = ra_malloc(run->rows, sizeof *cumulative);
    if (!cumulative) RA_FAIL_MEMORY(err, "the seeds of k-means", run->rows * sizeof *cumulative);
    ra_status status = seed_from(run, cumulative, err);
    ra_free(cumulative);
    return status;
}
