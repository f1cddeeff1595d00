#include "common/agreement.h"

#include <stdlib.h>
#include <string.h>

ra_status run_dictionaries_open(const model_choice *choice, const char *const *paths, size_t count,
                                run_dictionaries *runs, ra_error *err) {
    model_choice host = *choice; /* atoms are all that is read: no device is woken for them */
    host.device = "cpu";
    *runs = (run_dictionaries){.count = 0};
    if (count > RUNS_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu runs are too many; expected at most %d", count, RUNS_MOST);
    for (size_t r = 0; r < count; r++) {
        ra_model *model = NULL;
        RA_TRY(model_choice_open(&host, paths[r], 0, &model, err));
        ra_status status = copy_dictionary(model, &runs->D[r], err);
        ra_model_release(model);
        if (status != RA_OK) return status;
        runs->count = r + 1;
        if (runs->D[r].cols != runs->D[0].cols)
            RA_FAIL(err, RA_ERR_SHAPE, "%s has atoms of %zu dimensions, but %s of %zu", paths[r],
                    runs->D[r].cols, paths[0], runs->D[0].cols);
    }
    return RA_OK;
}

void run_dictionaries_release(run_dictionaries *runs) {
    for (size_t r = 0; r < runs->count; r++) ra_matrix_release(&runs->D[r]);
    runs->count = 0;
}

ra_status run_dictionaries_agreement(const model_choice *choice, const ra_matrix *D,
                                     const run_dictionaries *runs, double level, ra_agreement *agreement,
                                     ra_error *err) {
    ra_backend *backend = NULL;
    RA_TRY(model_choice_host_backend(choice, &backend, err));
    ra_status status =
        ra_agreement_measure(backend, D->data, D->rows, D->cols, runs->D, runs->count, level, agreement, err);
    ra_backend_release(backend);
    return status;
}

ra_status split_paths(const char *list, char **copy, const char *paths[RUNS_MOST], size_t *count,
                      ra_error *err) {
    *copy = ra_strdup(list);
    *count = 0;
    if (!*copy) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a list of files");
    for (char *at = *copy; at;) {
        char *comma = strchr(at, ',');
        if (comma) *comma = 0;
        if (!*at)
            RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" has an empty name; expected files with commas between them",
                    list);
        if (*count == RUNS_MOST)
            RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" names more than %d files", list, RUNS_MOST);
        paths[(*count)++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return RA_OK;
}

/* ---- figures ------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double median(const float *values, size_t n, float *sorted) {
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    return (double)sorted[n / 2];
}

ra_status agreement_figures_of(const ra_agreement *agreement, agreement_figures *figures, ra_error *err) {
    size_t K = agreement->atoms, found = 0;
    float *sorted = ra_malloc(K, sizeof *sorted);
    if (!sorted) RA_FAIL_MEMORY(err, "the agreement of the atoms", K * sizeof *sorted);
    for (size_t k = 0; k < K; k++) found += agreement->share[k] >= 0.5f;
    *figures = (agreement_figures){median(agreement->share, K, sorted), median(agreement->cosine, K, sorted),
                                   (double)found / (double)K};
    ra_free(sorted);
    return RA_OK;
}
