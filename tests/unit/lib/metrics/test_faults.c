/* Each operation of a backend fails in turn while lib/metrics measures models, codes and dictionaries: each failure is told, and
 * nothing is lost. Leaks show under SANITIZE=address. */
#include "failing_backend.h"
#include "model_files.h"

#include "ra_consensus.h"
#include "ra_layout.h"
#include "ra_metrics.h"

enum { ROWS = 20, K = 6, D_ = 4, RUNS = 3, LARGE = 40 };

static float x[ROWS * D_], atoms[RUNS][K * D_], many[LARGE * D_];

static void fill(void) {
    test_fill(x, ROWS * D_, 3);
    test_fill(many, LARGE * D_, 9);
    for (uint64_t r = 0; r < RUNS; r++) test_fill(atoms[r], K * D_, 11 + r);
}

/* ---- models -------------------------------------------------------------------------------------------- */

static ra_status evaluate(ra_model *model, const ra_evaluation_options *options, ra_error *err) {
    ra_evaluation *evaluation = NULL;
    ra_evaluation_result result;
    ra_latent_statistics statistics;
    ra_class_detector detectors[3];
    bool again = true;
    ra_status status = ra_evaluation_new(model, options, &evaluation, err);
    while (status == RA_OK && again) {
        for (size_t from = 0; from < ROWS && status == RA_OK; from += 10)
            status = ra_evaluation_add(evaluation, x + from * D_, 10, err);
        if (status == RA_OK) status = ra_evaluation_next_pass(evaluation, &again, err);
    }
    if (status == RA_OK) status = ra_evaluation_finish(evaluation, &result, err);
    if (status == RA_OK) status = ra_evaluation_statistics(evaluation, NULL, &statistics, err);
    if (status == RA_OK && options->class_count) status = ra_evaluation_classes(evaluation, detectors, err);
    ra_evaluation_free(evaluation);
    return status;
}

static ra_status contrast(ra_model *model, ra_error *err) {
    ra_contrasting_options options = {.name = "two", .sets = {{.name = "a"}, {.name = "b"}}};
    ra_contrasting *contrasting = NULL;
    const ra_contrast *found;
    ra_status status = ra_contrasting_new(model, &options, &contrasting, err);
    for (int set = 0; set < 2 && status == RA_OK; set++)
        status = ra_contrasting_add(contrasting, set, x + set * 10 * D_, 10, err);
    if (status == RA_OK) status = ra_contrasting_finish(contrasting, &found, err);
    ra_contrasting_free(contrasting);
    return status;
}

static ra_status with_model(ra_backend *backend, const char *path, const ra_evaluation_options *options,
                            ra_error *err) {
    ra_model *model = NULL;
    RA_TRY(ra_model_open(path, &(ra_model_options){.backend = backend}, &model, err));
    ra_status status = options ? evaluate(model, options, err) : contrast(model, err);
    ra_model_release(model);
    return status;
}

START_TEST(test_measuring_a_model) {
    static const int32_t classes[ROWS] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1};
    static const float directions[2 * D_] = {1, 0, 2, 0, 0, 3, 0, 1};
    const ra_evaluation_options options[] = {
        {.partners = 2, .partners_least = 1, .quantiles = 2, .directions = directions, .direction_count = 2},
        {.row_class = classes, .class_rows = ROWS, .class_count = 3, .items = {.rows = 2}, .item_codes = 2},
        {.memory = 400, .partners = 1, .partners_least = 1},
        {.basic = true},
    };
    enum { CASES = sizeof options / sizeof *options };
    model_file file = {0};
    ra_backend *backend = failing_backend_open();
    fill();
    model_file_artifact(&file);
    if (_i % 2) model_file_convert(&file, "dictionary", RA_F16);
    const char *path = model_file_write(&file, "model.safetensors");
    fails_at_each_operation(with_model(backend, path, _i < CASES ? &options[_i] : NULL, &err));
    ra_backend_release(backend);
    model_file_release(&file);
}
END_TEST

/* ---- matrices ------------------------------------------------------------------------------------------ */

static ra_status comparison(ra_backend *backend, ra_error *err) {
    ra_comparison c = {0};
    double stability;
    ra_status status = ra_compare(backend, atoms[0], atoms[1], K, D_, NULL, &c, err);
    if (status == RA_OK) status = ra_compare_directions(backend, K, D_, &stability, err);
    ra_comparison_release(&c);
    return status;
}

static ra_status consensus(ra_backend *backend, ra_error *err) {
    const ra_matrix runs[RUNS] = {{.rows = K, .cols = D_, .data = atoms[0]},
                                  {.rows = K, .cols = D_, .data = atoms[1]},
                                  {.rows = K, .cols = D_, .data = atoms[2]}};
    ra_consensus c = {0};
    ra_agreement a = {0};
    ra_status status = ra_consensus_find(backend, runs, RUNS, K, &c, err);
    if (status == RA_OK)
        status = ra_agreement_measure(backend, c.atoms.data, K, D_, runs, RUNS, RA_AGREEMENT_LEVEL, &a, err);
    ra_agreement_release(&a);
    ra_consensus_release(&c);
    return status;
}

static ra_status map_by(ra_backend *backend, ra_layout_method method, ra_error *err) {
    float positions[2 * LARGE];
    ra_layout_options options = {.method = (int)method, .neighbors = 4, .epochs = 5};
    ra_layout_quality quality;
    RA_TRY(ra_layout(backend, many, LARGE, D_, &options, positions, err));
    return ra_layout_measure(backend, many, LARGE, D_, positions, 4, 10, &quality, err);
}

static ra_status by_neighbors(ra_backend *backend, ra_error *err) {
    return map_by(backend, RA_LAYOUT_NEIGHBORS, err);
}

static ra_status by_pca(ra_backend *backend, ra_error *err) {
    return map_by(backend, RA_LAYOUT_PCA, err);
}

START_TEST(test_measuring_matrices) {
    static ra_status (*const flows[])(ra_backend *, ra_error *) = {comparison, consensus, by_neighbors,
                                                                   by_pca};
    ra_backend *backend = failing_backend_open();
    fill();
    fails_at_each_operation(flows[_i](backend, &err));
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(metrics_model_faults, 60, 5, test_measuring_a_model)
TEST_CASES_LOOP(metrics_matrix_faults, 60, 4, test_measuring_matrices)
