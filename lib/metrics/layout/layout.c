#include "metrics/layout/layout.h"
#include "ra_memory.h"
#include "metrics/unit.h"

#include <math.h>

enum { NEIGHBORS = 15, EPOCHS = 1000, EPOCHS_OF_MANY = 500, MANY = 10000 };

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
