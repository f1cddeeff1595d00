/* rasae compare: how alike dictionaries are.
 *
 * A number for stability means little without knowing how the runs began. Archetypal dictionaries that start
 * at W = eye and Relax = 0 whatever the seed, over the same points, begin as the same dictionary, which may
 * explain much of what they share at the end. So the report says how each model began, as far as its file does,
 * and how many points two models share; the centered figure stands beside the plain one, and the caveat is
 * always printed. */
#include "commands.h"
#include "compare/compare.h"

enum { MODELS_MOST = 64 };

static struct compare_flags {
    uint64_t known;
    bool json;
    model_choice model;
} flags;

static const ra_setting rows[] = {
    {"json", RA_SETTING_BOOL, offsetof(struct compare_flags, json),
     .help = "print one JSON object, with the match of every atom"},
};

typedef struct comparison {
    ra_model *model[MODELS_MOST];
    ra_matrix D[MODELS_MOST];
    compared_pair *pairs;
    size_t pair_count;
} comparison;

static ra_status open_dictionary(comparison *c, const char *const *path, size_t i, ra_error *err) {
    RA_TRY(model_choice_open(&flags.model, path[i], 0, &c->model[i], err));
    RA_TRY(copy_dictionary(c->model[i], &c->D[i], err));
    const ra_matrix *A = &c->D[0], *B = &c->D[i];
    if (A->rows != B->rows || A->cols != B->cols)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has %zu atoms of %zu dimensions, but %s has %zu of %zu; only dictionaries of the "
                "same shape can be compared",
                path[0], A->rows, A->cols, path[i], B->rows, B->cols);
    return RA_OK;
}

static ra_status compare_pair(comparison *c, ra_backend *backend, size_t a, size_t b, ra_error *err) {
    compared_pair *pair = &c->pairs[c->pair_count];
    const ra_matrix *A = &c->D[a], *B = &c->D[b];
    *pair = (compared_pair){.a = a, .b = b};
    RA_TRY(count_shared_points(c->model[a], c->model[b], &pair->points, err));
    RA_TRY(ra_compare(backend, A->data, B->data, A->rows, A->cols, &pair->result, err));
    c->pair_count++;
    return RA_OK;
}

static ra_status compute(comparison *c, const char *const *path, size_t count, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(open_dictionary(c, path, i, err));
    c->pairs = ra_calloc(count * (count - 1) / 2, sizeof *c->pairs);
    if (!c->pairs) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: pairs of %zu models", count);
    ra_backend *backend = NULL;
    RA_TRY(model_choice_host_backend(&flags.model, &backend, err));
    ra_status status = RA_OK;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count && status == RA_OK; b++)
            status = compare_pair(c, backend, a, b, err);
    ra_backend_release(backend);
    return status;
}

static ra_status compare(int argc, char **argv, ra_error *err) {
    comparison c = {0};
    const char *const *path = (const char *const *)argv;
    size_t count = (size_t)argc;
    ra_status status = compute(&c, path, count, err);
    const compare_report report = {path, c.model, count, c.pairs, c.pair_count};
    if (status == RA_OK && flags.json)
        status = compare_print_json(&report, err);
    else if (status == RA_OK)
        compare_print_text(&report);
    if (status == RA_OK && !flags.json)
        command_next("rasae inspect %s, for what its atoms are made of", path[0]);
    for (size_t p = 0; p < c.pair_count; p++) ra_comparison_release(&c.pairs[p].result);
    ra_free(c.pairs);
    for (size_t i = 0; i < count; i++) {
        ra_matrix_release(&c.D[i]);
        ra_model_release(c.model[i]);
    }
    return status;
}

const command command_compare = {
    .name = "compare",
    .summary = "measure how alike dictionaries are",
    .usage = "A B... [--json]",
    .about =
        "Matches the atoms of dictionaries of the same shape and prints how alike they are: for two\n"
        "of them all figures, for more (up to 64) a matrix of all pairs, the mean and the sample standard\n"
        "deviation. Atoms that are zero have no direction: a stability is the mean over the others, and\n"
        "of a dictionary with itself it is 1. A and B are\n"
        "fused artifacts or checkpoints. Where a file says how it began, that is printed, too.\n",
    .example = "  rasae compare seed1.safetensors seed2.safetensors\n"
               "  rasae compare seed*.safetensors --json\n",
    .min_arguments = 2,
    .max_arguments = MODELS_MOST,
    .arguments = "two dictionaries or more, A and B",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = compare,
};
