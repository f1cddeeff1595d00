#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { NEIGHBORS = 15, EPOCHS = 500, EPOCHS_OF_MANY = 200, MANY = 10000, PART_ATOMS = 16, MOST_COUNTED = 64 };

static void center_and_scale(float *positions, size_t K) {
    double mean[2] = {0};
    float largest = 0;
    for (size_t k = 0; k < 2 * K; k++) mean[k % 2] += (double)positions[k] / (double)K;
    for (size_t k = 0; k < 2 * K; k++) {
        positions[k] = (float)((double)positions[k] - mean[k % 2]);
        largest = fmaxf(largest, fabsf(positions[k]));
    }
    for (size_t k = 0; k < 2 * K && largest > 0; k++) positions[k] /= largest;
}

static ra_status embed_neighbors(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const ra_layout_options *options, float *positions, ra_error *err) {
    size_t k = options->neighbors ? options->neighbors : NEIGHBORS;
    size_t epochs = options->epochs ? options->epochs : K < MANY ? EPOCHS : EPOCHS_OF_MANY;
    if (k > K - 1) k = K - 1;
    int32_t *index = ra_malloc(K * k, sizeof *index);
    float *cosine = ra_malloc(K * k, sizeof *cosine);
    ra_layout_graph graph = {0};
    ra_status status = RA_OK;
    if (!index || !cosine)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the nearest atoms need %zu bytes",
                              K * k * (sizeof *index + sizeof *cosine));
    if (status == RA_OK) status = ra_layout_nearest(backend, D, K, d, k, index, cosine, err);
    if (status == RA_OK) status = ra_layout_graph_init(&graph, index, cosine, K, k, err);
    if (status == RA_OK) status = ra_layout_embed(&graph, K, epochs, options, positions, err);
    ra_layout_graph_release(&graph);
    ra_free(index);
    ra_free(cosine);
    return status;
}

ra_status ra_layout(ra_backend *backend, const float *D, size_t K, size_t d, const ra_layout_options *options,
                    float *positions, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "a layout", err));
    if (K == 0 || d == 0 || K > INT32_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a dictionary of shape [%zu, %zu] has no layout", K, d);
    RA_TRY(ra_layout_pca(backend, D, K, d, positions, err));
    if (options->method == RA_LAYOUT_NEIGHBORS && K > 1)
        RA_TRY(embed_neighbors(backend, D, K, d, options, positions, err));
    center_and_scale(positions, K);
    return RA_OK;
}

/* ---- preservation ----------------------------------------------------------------------------------- */

typedef struct keep_job {
    const float *positions; /* [K,2] */
    const int32_t *index;
    size_t K, k;
    size_t *kept; /* [K] */
} keep_job;

/* The k atoms nearest to atom i on the map; of equal distances the lower index. */
static void nearest_positions(const keep_job *job, size_t i, size_t *nearest) {
    float distance[MOST_COUNTED];
    size_t count = 0;
    for (size_t j = 0; j < job->K; j++) {
        float x = job->positions[2 * j] - job->positions[2 * i],
              y = job->positions[2 * j + 1] - job->positions[2 * i + 1];
        float square = x * x + y * y;
        if (j == i || (count == job->k && square >= distance[count - 1])) continue;
        size_t at = count < job->k ? count++ : count - 1;
        for (; at > 0 && distance[at - 1] > square; at--) {
            distance[at] = distance[at - 1];
            nearest[at] = nearest[at - 1];
        }
        distance[at] = square;
        nearest[at] = j;
    }
}

static void keep_part(void *context, size_t part) {
    const keep_job *job = context;
    for (size_t i = part * PART_ATOMS; i < (part + 1) * PART_ATOMS && i < job->K; i++) {
        size_t nearest[MOST_COUNTED];
        nearest_positions(job, i, nearest);
        job->kept[i] = 0;
        for (size_t a = 0; a < job->k; a++)
            for (size_t b = 0; b < job->k; b++)
                job->kept[i] += (size_t)job->index[i * job->k + a] == nearest[b];
    }
}

ra_status ra_layout_preservation(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const float *positions, size_t k, double *share, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "a layout", err));
    if (k == 0 || k > MOST_COUNTED)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu neighbors cannot be counted; expected 1 to %d", k, MOST_COUNTED);
    if (k > K - 1) k = K - 1;
    *share = 1;
    if (k == 0) return RA_OK;
    int32_t *index = ra_malloc(K * k, sizeof *index);
    float *cosine = ra_malloc(K * k, sizeof *cosine);
    size_t *kept = ra_malloc(K, sizeof *kept);
    ra_status status = RA_OK;
    if (!index || !cosine || !kept)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the neighbors of %zu atoms", K);
    if (status == RA_OK) status = ra_layout_nearest(backend, D, K, d, k, index, cosine, err);
    if (status == RA_OK) {
        keep_job job = {positions, index, K, k, kept};
        ra_pool_run(ra_backend_pool(backend), ra_pool_parts(K, PART_ATOMS), keep_part, &job);
        double sum = 0;
        for (size_t i = 0; i < K; i++) sum += (double)kept[i] / (double)k;
        *share = sum / (double)K;
    }
    ra_free(index);
    ra_free(cosine);
    ra_free(kept);
    return status;
}
