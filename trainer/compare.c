/* rasae compare: how alike two dictionaries are.
 *
 * A number for stability means little without knowing how the two runs began. Archetypal dictionaries start
 * at W = eye and Relax = 0 whatever the seed, so two runs over the same points begin as the same dictionary,
 * and much of what they share at the end can be that. So the points of both files are compared as well, the
 * centred figure stands beside the plain one, and the caveat is always printed. */
#include "command.h"
#include "format.h"
#include "json.h"
#include "options.h"

#include <string.h>

typedef struct compare_options {
    const char *path[2];
    bool json;
    model_choice model;
} compare_options;

static const option rows[] = {
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(compare_options, json),
     .help = "one JSON object, with the match of every atom"},
};

static const char caveat[] =
    "stability is measured on the fused atoms, scaled to unit length and matched one to one (Hungarian). "
    "Archetypal dictionaries start at W = eye, Relax = 0 for every seed, so a shared start and shared points "
    "can account for much of it; read it beside the centred figure and beside runs on other points.";

/* What is known of the points of both. */
typedef struct shared_points {
    bool known;
    size_t equal, of; /* points that are the same in both, by position; of how many */
} shared_points;

typedef struct comparison {
    ra_model *model[2];
    ra_matrix D[2];
    ra_comparison result;
    shared_points points;
} comparison;

static ra_status open_dictionary(const compare_options *options, comparison *c, size_t i, ra_error *err) {
    TRY(model_choice_open(&options->model, options->path[i], 0, &c->model[i], err));
    const ra_tensor *D = ra_model_dictionary(c->model[i]);
    TRY(ra_matrix_init(&c->D[i], D->shape[0], D->shape[1], err));
    ra_convert_to_f32(D->dtype, D->data, c->D[i].data, ra_tensor_elements(D));
    return RA_OK;
}

static ra_status count_shared_points(comparison *c, ra_error *err) {
    const ra_model_info *a = ra_model_get_info(c->model[0]), *b = ra_model_get_info(c->model[1]);
    if (!a->has_point_vectors || !b->has_point_vectors || a->dimensions != b->dimensions) return RA_OK;
    ra_matrix pair;
    TRY(ra_matrix_init(&pair, 2, a->dimensions, err));
    ra_status status = RA_OK;
    shared_points points = {.known = true, .of = a->points < b->points ? a->points : b->points};
    for (size_t j = 0; j < points.of && status == RA_OK; j++) {
        status = ra_model_point(c->model[0], j, ra_matrix_row(&pair, 0), err);
        if (status == RA_OK) status = ra_model_point(c->model[1], j, ra_matrix_row(&pair, 1), err);
        if (status == RA_OK)
            points.equal +=
                memcmp(ra_matrix_row(&pair, 0), ra_matrix_row(&pair, 1), pair.cols * sizeof(float)) == 0;
    }
    ra_matrix_release(&pair);
    c->points = points;
    return status;
}

static ra_status compute(const compare_options *options, comparison *c, ra_error *err) {
    for (size_t i = 0; i < 2; i++) TRY(open_dictionary(options, c, i, err));
    const ra_matrix *A = &c->D[0], *B = &c->D[1];
    if (A->rows != B->rows || A->cols != B->cols)
        return ra_error_set(
            err, RA_ERR_SHAPE,
            "%s has %zu atoms of %zu dimensions, but %s has %zu of %zu; only dictionaries of the "
            "same shape can be compared",
            options->path[0], A->rows, A->cols, options->path[1], B->rows, B->cols);
    TRY(count_shared_points(c, err));
    ra_backend *backend = NULL;
    TRY(model_choice_backend(&options->model, &backend, err));
    ra_status status = ra_compare(backend, A->data, B->data, A->rows, A->cols, &c->result, err);
    ra_backend_release(backend);
    return status;
}

static void print_json(const comparison *c) {
    const ra_comparison *r = &c->result;
    json_writer json = {.file = stdout};
    json_object(&json, NULL);
    json_count(&json, "concepts", r->concepts);
    json_real(&json, "stability", r->stability);
    json_real(&json, "stability_unsigned", r->stability_unsigned);
    json_real(&json, "stability_centred", r->stability_centred);
    json_real(&json, "cosine_hungarian_loss", r->cosine_hungarian_loss);
    json_real(&json, "hungarian_loss", r->hungarian_loss);
    if (c->points.known) {
        json_count(&json, "shared_points", c->points.equal);
        json_count(&json, "points", c->points.of);
    }
    json_text(&json, "caveat", caveat);
    json_array(&json, "match");
    for (size_t i = 0; i < r->concepts; i++) json_count(&json, NULL, (uint64_t)r->match[i]);
    json_end(&json);
    json_array(&json, "match_cosine");
    for (size_t i = 0; i < r->concepts; i++) json_float(&json, NULL, (double)r->match_cosine[i]);
    json_end(&json);
    json_end(&json);
}

/* The caveat is one sentence after another; a terminal wants lines. */
static void print_wrapped(const char *text, size_t width) {
    while (*text) {
        size_t length = strlen(text);
        if (length > width)
            for (length = width; length > 0 && text[length] != ' ';) length--;
        printf("  %.*s\n", (int)length, text);
        text += length + (text[length] == ' ');
    }
}

static void print_table(const compare_options *options, const comparison *c) {
    const ra_comparison *r = &c->result;
    print_clean(stdout, options->path[0]);
    printf(" and ");
    print_clean(stdout, options->path[1]);
    printf(": %s atoms of %zu dimensions\n\n", format_grouped(r->concepts).text, c->D[0].cols);
    printf("  stability              %10.6f  best signed match, 1 is the same dictionary\n", r->stability);
    printf("  stability_unsigned     %10.6f  signs kept\n", r->stability_unsigned);
    printf("  stability_centred      %10.6f  of the atoms less their mean\n", r->stability_centred);
    printf("  cosine_hungarian_loss  %10.4f  sum of cosine distances\n", r->cosine_hungarian_loss);
    printf("  hungarian_loss         %10.4f  sum of Euclidean distances\n\n", r->hungarian_loss);
    if (c->points.known)
        printf("  %s of %s candidate points are the same in both.\n", format_grouped(c->points.equal).text,
               format_grouped(c->points.of).text);
    printf("  Note:\n");
    print_wrapped(caveat, 96);
}

static ra_status compare(const compare_options *options, ra_error *err) {
    comparison c = {0};
    ra_status status = compute(options, &c, err);
    if (status == RA_OK) {
        if (options->json)
            print_json(&c);
        else
            print_table(options, &c);
    }
    ra_comparison_release(&c.result);
    for (size_t i = 0; i < 2; i++) {
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
        .usage = "A B [--json]",
        .about = "Matches the atoms of two dictionaries of the same shape and says how alike they are.\n"
                 "A and B are fused artifacts or checkpoints.\n",
        .example = "  rasae compare seed1.safetensors seed2.safetensors\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = 2,
        .arguments = "two dictionaries, A and B",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.path[0] = argv[0];
    options.path[1] = argv[1];
    return command_end(compare(&options, &err), &err);
}
