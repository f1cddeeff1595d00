/* rasae compare: how alike dictionaries are.
 *
 * A number for stability means little without knowing how the runs began. By default runs of
 * different seeds start on the same points, so they begin as the same dictionary, which may
 * explain much of what they share at the end. So the report says how each model began, as far as its file does,
 * and how many points two models share; the centered figure stands beside the plain one, and the caveat is
 * always printed. */
#include "commands.h"
#include "common/agreement.h"
#include "common/files.h"
#include "common/progress.h"
#include "compare/compare.h"

enum { MODELS_MOST = 64 };

static struct compare_flags {
    uint64_t known;
    const char *output, *data;
    double level;
    bool json, floor;
    model_choice model;
} flags;

static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, offsetof(struct compare_flags, output), .letter = 'o', .argument = "OUT",
     .help = "write A as an artifact with the agreement of its atoms with the others; may be A"},
    {"data", RA_SETTING_TEXT, offsetof(struct compare_flags, data), .argument = "DATA",
     .help = "rows, for the agreement of codes: whether matched latents are active on the same ones"},
    {"level", RA_SETTING_REAL, offsetof(struct compare_flags, level), .min = 0, .max = 1, .fallback = "0.7",
     .argument = "X", .help = "the cosine from which on another dictionary has an atom of A"},
    {"floor", RA_SETTING_BOOL, offsetof(struct compare_flags, floor),
     .help = "compare as many random directions, too, and random rows of --data: the least that counts"},
    {"json", RA_SETTING_BOOL, offsetof(struct compare_flags, json),
     .help = "print one JSON object, with the match of every atom"},
};

typedef struct comparison {
    ra_model *model[MODELS_MOST];
    ra_matrix D[MODELS_MOST];
    ra_data *data; /* NULL: none */
    compared_pair *pairs;
    size_t pair_count, pairs_of; /* so far, and of how many */
    compared_floor floor;
    progress_meter progress;
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

static ra_status compare_pair(comparison *c, const char *const *path, ra_backend *backend, size_t a, size_t b,
                              ra_error *err) {
    compared_pair *pair = &c->pairs[c->pair_count];
    const ra_matrix *A = &c->D[a], *B = &c->D[b];
    *pair = (compared_pair){.a = a, .b = b};
    RA_TRY(ra_count_shared_points(c->model[a], c->model[b], &pair->points, err));
    RA_TRY(compare_starts(backend, path[a], path[b], &pair->starts, err));
    const ra_compare_options watched = {progress_share, &c->progress};
    char what[64];
    snprintf(what, sizeof what, "comparing pair %zu of %zu", c->pair_count + 1, c->pairs_of);
    progress_start(&c->progress, what, 100);
    RA_TRY(ra_compare(backend, A->data, B->data, A->rows, A->cols, &watched, &pair->result, err));
    c->pair_count++;
    return compare_codes(c->model[a], c->model[b], c->data, pair, err);
}

static ra_status compute(comparison *c, const char *const *path, size_t count, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(open_dictionary(c, path, i, err));
    if (flags.data) RA_TRY(open_data_of(c->model[0], &flags.data, 1, NULL, &c->data, err));
    c->pairs_of = count * (count - 1) / 2;
    c->pairs = ra_calloc(c->pairs_of, sizeof *c->pairs);
    if (!c->pairs) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: pairs of %zu models", count);
    ra_backend *backend = NULL;
    RA_TRY(model_choice_host_backend(&flags.model, &backend, err));
    progress_open(&c->progress, flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    ra_status status = RA_OK;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count && status == RA_OK; b++)
            status = compare_pair(c, path, backend, a, b, err);
    progress_close(&c->progress);
    if (status == RA_OK && flags.floor) status = compare_floor(backend, c->model[0], c->data, &c->floor, err);
    ra_backend_release(backend);
    return status;
}

/* A may be replaced by itself with the agreement if it is an artifact, but no other input. */
static ra_status keep_agreement(const comparison *c, const char *const *path, size_t count, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(c->model[0]);
    run_dictionaries others = {.count = count - 1};
    ra_agreement agreement = {0};
    if (!flags.output) return RA_OK;
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, path + !info->from_checkpoint,
                        count - !info->from_checkpoint, err));
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, &flags.data, 1, err));
    for (size_t i = 1; i < count; i++) others.D[i - 1] = c->D[i]; /* borrowed */
    RA_TRY(run_dictionaries_agreement(&flags.model, &c->D[0], &others, flags.level, &agreement, err));
    ra_status status = ra_model_save_with(c->model[0], &(ra_model_additions){.agreement = &agreement},
                                          flags.output, info->dtype, err);
    ra_agreement_release(&agreement);
    return status;
}

static ra_status compare(int argc, char **argv, ra_error *err) {
    comparison c = {0};
    const char *const *path = (const char *const *)argv;
    size_t count = (size_t)argc;
    ra_status status = compute(&c, path, count, err);
    const compare_report report = {path,    c.model,      count,
                                   c.pairs, c.pair_count, flags.floor ? &c.floor : NULL};
    if (status == RA_OK) status = keep_agreement(&c, path, count, err);
    if (status == RA_OK) status = ra_mapping_check_all(err);
    if (status == RA_OK && flags.json)
        status = compare_print_json(&report, err);
    else if (status == RA_OK)
        compare_print_text(&report);
    if (status == RA_OK && !flags.json)
        command_next("rasae inspect %s, for what its atoms are made of", path[0]);
    for (size_t p = 0; p < c.pair_count; p++) ra_comparison_release(&c.pairs[p].result);
    ra_free(c.pairs);
    ra_data_free(c.data);
    for (size_t i = 0; i < count; i++) {
        ra_matrix_release(&c.D[i]);
        ra_model_release(c.model[i]);
    }
    return status;
}

const command command_compare = {
    .name = "compare",
    .summary = "measure how alike dictionaries are",
    .usage = "A B... [--data DATA] [--floor] [-o OUT] [--json]",
    .about =
        "Matches the atoms of dictionaries of the same shape and prints how alike they are: for two\n"
        "of them all figures, for more (up to 64) a matrix of all pairs, the mean and the sample\n"
        "deviation. Atoms that are zero have no direction: a stability is the mean over the others, and\n"
        "of a dictionary with itself it is 1. A and B are\n"
        "fused artifacts or checkpoints. Where a file says how it began, that is printed, too.\n"
        "-o keeps for each atom of A its agreement: the share of the others that have it, and the mean\n"
        "cosine.\n",
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
