/* rasae compare: how alike dictionaries are.
 *
 * A number for stability means little without knowing how the runs began. Archetypal dictionaries that start
 * at W = eye and Relax = 0 whatever the seed, over the same points, begin as the same dictionary, and much of
 * what they share at the end can be that. So the report says how each model began, as far as its file does,
 * and how many points two models share; the centered figure stands beside the plain one, and the caveat is
 * always printed. */
#include "compare/compare.h"
#include "options.h"

enum { MODELS_MOST = 64 };

typedef struct compare_options {
    const char *const *path;
    size_t count;
    bool json;
    model_choice model;
} compare_options;

static const option rows[] = {
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(compare_options, json),
     .help = "one JSON object, with the match of every atom"},
};

typedef struct comparison {
    ra_model *model[MODELS_MOST];
    ra_matrix D[MODELS_MOST];
    compared_pair *pairs;
    size_t pair_count;
} comparison;

static ra_status open_dictionary(const compare_options *options, comparison *c, size_t i, ra_error *err) {
    RA_TRY(model_choice_open(&options->model, options->path[i], 0, &c->model[i], err));
    const ra_tensor *D = ra_model_dictionary(c->model[i]);
    RA_TRY(ra_matrix_init(&c->D[i], D->shape[0], D->shape[1], err));
    ra_convert_to_f32(D->dtype, D->data, c->D[i].data, ra_tensor_elements(D));
    const ra_matrix *A = &c->D[0], *B = &c->D[i];
    if (A->rows != B->rows || A->cols != B->cols)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has %zu atoms of %zu dimensions, but %s has %zu of %zu; only dictionaries of the "
                "same shape can be compared",
                options->path[0], A->rows, A->cols, options->path[i], B->rows, B->cols);
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

static ra_status compute(const compare_options *options, comparison *c, ra_error *err) {
    size_t count = options->count;
    for (size_t i = 0; i < count; i++) RA_TRY(open_dictionary(options, c, i, err));
    c->pairs = ra_calloc(count * (count - 1) / 2, sizeof *c->pairs);
    if (!c->pairs) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: pairs of %zu models", count);
    ra_backend *backend = NULL;
    RA_TRY(model_choice_host_backend(&options->model, &backend, err));
    ra_status status = RA_OK;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count && status == RA_OK; b++)
            status = compare_pair(c, backend, a, b, err);
    ra_backend_release(backend);
    return status;
}

static ra_status compare(const compare_options *options, ra_error *err) {
    comparison c = {0};
    ra_status status = compute(options, &c, err);
    if (status == RA_OK) {
        const compare_report report = {options->path, c.model, options->count, c.pairs, c.pair_count};
        if (options->json)
            status = compare_print_json(&report, err);
        else
            compare_print_text(&report);
    }
    for (size_t p = 0; p < c.pair_count; p++) ra_comparison_release(&c.pairs[p].result);
    ra_free(c.pairs);
    for (size_t i = 0; i < options->count; i++) {
        ra_matrix_release(&c.D[i]);
        ra_model_release(c.model[i]);
    }
    return status;
}

int command_compare(int argc, char **argv) {
    compare_options options = {0};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "compare",
        .usage = "A B... [--json]",
        .about = "Matches the atoms of dictionaries of the same shape and says how alike they are: of two\n"
                 "all figures, of more (up to 64) the matrix of every pair, and the mean. A and B are\n"
                 "fused artifacts or checkpoints. How each began is said as far as its file does.\n",
        .example = "  rasae compare seed1.safetensors seed2.safetensors\n"
                   "  rasae compare seed*.safetensors --json\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = MODELS_MOST,
        .arguments = "two dictionaries or more, A and B",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.path = (const char *const *)argv;
    options.count = (size_t)argc;
    return command_end(compare(&options, &err), &err);
}
