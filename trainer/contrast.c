/* rasae contrast: what each latent does on one set of data against another, with intervals. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"
#include "common/progress.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct contrast_flags {
    uint64_t known;
    const char *output, *name, *a, *b, *tensor;
    double confidence;
    size_t latents;
    bool each, skip_bad_rows, json;
    int layout;
    model_choice model;
} flags;

#define AT(member) offsetof(struct contrast_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .argument = "OUT",
        .help = "write the artifact with the contrast; may be MODEL"},
    {"name", RA_SETTING_TEXT, AT(name), .fallback = "contrast", .argument = "NAME",
        .help = "of the contrast in the artifact, which keeps others"},
    {"a", RA_SETTING_TEXT, AT(a), .argument = "TEXT", .help = "what set A is called (its first file)"},
    {"b", RA_SETTING_TEXT, AT(b), .argument = "TEXT", .help = "what set B is called (its first file)"},
    {"confidence", RA_SETTING_REAL, AT(confidence), .min = 0.5, .max = 0.9999, .fallback = "0.95", .argument = "X",
        .help = "with which all intervals hold at once"},
    {"each", RA_SETTING_BOOL, AT(each), .help = "with which each interval holds by itself, instead"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of the data files, when they hold several"},
    DATA_LAYOUT_ROW(AT(layout)),
    {"skip_bad_rows", RA_SETTING_BOOL, AT(skip_bad_rows), .help = "leave out rows that hold a NaN or an infinity"},
    {"latents", RA_SETTING_COUNT, AT(latents), .max = 0x1p53, .fallback = "10", .argument = "N",
        .help = "print the N latents of the surest difference on either side; --json prints all"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
};
/* clang-format on */

typedef struct contrast_set {
    char *const *files;
    size_t file_count;
    ra_data *data;
    size_t item_rows, item_width;
} contrast_set;

typedef struct contrast_run {
    ra_model *model;
    contrast_set sets[2];
    ra_contrasting *contrasting;
    const ra_contrast *contrast;
} contrast_run;

/* ---- the work ----------------------------------------------------------------------------------------- */

/* MODEL A... -- B..., which the flags have checked */
static void split_arguments(contrast_run *run, int argc, char **argv) {
    int between = 1;
    while (strcmp(argv[between], "--") != 0) between++;
    run->sets[0] = (contrast_set){.files = argv + 1, .file_count = (size_t)between - 1};
    run->sets[1] = (contrast_set){.files = argv + between + 1, .file_count = (size_t)(argc - between - 1)};
}

static ra_status check_files(const contrast_run *run, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(run->model);
    const char *checkpoint = info->from_checkpoint ? info->path : NULL;
    if (!flags.output) return RA_OK;
    for (size_t s = 0; s < 2; s++)
        RA_TRY(check_output(flags.output, OUTPUT_MODEL, (const char *const *)run->sets[s].files,
                            run->sets[s].file_count, err));
    return check_output(flags.output, OUTPUT_MODEL, &checkpoint, 1, err);
}

static ra_status open_inputs(contrast_run *run, const char *path, ra_error *err) {
    const ra_data_options how = {.tensor_name = flags.tensor,
                                 .skip_bad_rows = flags.skip_bad_rows,
                                 .layout = (ra_layout_of_data)flags.layout};
    RA_TRY(model_choice_open(&flags.model, path, 0, &run->model, err));
    RA_TRY(check_files(run, err));
    for (size_t s = 0; s < 2; s++) {
        contrast_set *set = &run->sets[s];
        RA_TRY(open_data_of(run->model, (const char *const *)set->files, set->file_count, &how, &set->data,
                            err));
        (void)ra_data_items(set->data, &set->item_rows, &set->item_width);
    }
    return RA_OK;
}

static uint64_t number_in_files(const void *context, uint64_t row) {
    return ra_data_source_row(context, row);
}

static ra_status add_set(contrast_run *run, int which, const ra_matrix *block, progress_meter *progress,
                         size_t before, ra_error *err) {
    const ra_data *data = run->sets[which].data;
    size_t all = ra_data_rows(data);
    for (size_t first = 0; first < all; first += block->rows) {
        size_t count = all - first < block->rows ? all - first : block->rows;
        ra_data_read(data, first, count, block->data);
        RA_TRY(ra_contrasting_add(run->contrasting, which, block->data, count, err));
        RA_TRY(command_check_files(err));
        progress_rows(progress, before + first + count);
    }
    return RA_OK;
}

static ra_status measure(contrast_run *run, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(run->model);
    const char *names[] = {flags.a, flags.b};
    ra_contrasting_options options = {.name = flags.name, .confidence = flags.confidence, .each = flags.each};
    ra_matrix block = {0};
    progress_meter progress;
    for (size_t s = 0; s < 2; s++)
        options.sets[s] = (ra_contrasting_set){.name = names[s] ? names[s] : run->sets[s].files[0],
                                               .item_rows = run->sets[s].item_rows,
                                               .row_number = number_in_files,
                                               .row_context = run->sets[s].data};
    RA_TRY(ra_contrasting_new(run->model, &options, &run->contrasting, err));
    RA_TRY(ra_matrix_init(&block, rows_per_block(info), info->dimensions, err));
    size_t rows_of_a = ra_data_rows(run->sets[0].data);
    progress_open(&progress, flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    progress_start(&progress, "contrasting", rows_of_a + ra_data_rows(run->sets[1].data));
    ra_status status = add_set(run, 0, &block, &progress, 0, err);
    if (status == RA_OK) status = add_set(run, 1, &block, &progress, rows_of_a, err);
    progress_close(&progress);
    ra_matrix_release(&block);
    return status == RA_OK ? ra_contrasting_finish(run->contrasting, &run->contrast, err) : status;
}

/* ---- order --------------------------------------------------------------------------------------------- */

/* What the energies differ by at least: the end of the interval that is nearer to 0; 0 if it holds 0 or is not known. */
static float least_difference(const ra_contrast_figures *figures) {
    if (figures->low > 0) return figures->low;
    return figures->high < 0 ? figures->high : 0;
}

typedef struct ranked {
    size_t latent;
    float least;
} ranked;

/* By falling least difference, so those of A come first and those of B last. */
static int by_difference(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->least != y->least) return x->least < y->least ? 1 : -1;
    return (x->latent > y->latent) - (x->latent < y->latent);
}

static ra_status rank(const ra_contrast *contrast, ranked **order, size_t *more, size_t *less,
                      ra_error *err) {
    size_t K = contrast->concepts;
    *order = ra_malloc(K, sizeof **order);
    *more = *less = 0;
    if (!*order) RA_FAIL_MEMORY(err, "an order of the latents", K * sizeof **order);
    for (size_t k = 0; k < K; k++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, k);
        (*order)[k] = (ranked){k, least_difference(&latent.energy)};
        *more += (*order)[k].least > 0;
        *less += (*order)[k].least < 0;
    }
    qsort(*order, K, sizeof **order, by_difference);
    return RA_OK;
}

/* ---- output -------------------------------------------------------------------------------------------- */

static void json_figures(text *json, const char *name, const ra_contrast_figures *figures) {
    json_object(json, name);
    json_float(json, "a", figures->a);
    json_float(json, "b", figures->b);
    json_float(json, "difference", figures->difference);
    json_float(json, "low", figures->low);
    json_float(json, "high", figures->high);
    json_object_end(json);
}

static void json_set(text *json, const char *key, const ra_contrast *contrast, size_t s) {
    json_object(json, key);
    json_text(json, "name", s ? contrast->b : contrast->a);
    json_count(json, "rows", contrast->rows[s]);
    json_count(json, "units", contrast->units[s]);
    json_object_end(json);
}

static ra_status print_json(const contrast_run *run, const ranked *order, size_t more, size_t less,
                            ra_error *err) {
    const ra_contrast *contrast = run->contrast;
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "name", contrast->name);
    json_set(&json, "a", contrast, 0);
    json_set(&json, "b", contrast, 1);
    json_real(&json, "confidence", contrast->confidence);
    json_count(&json, "intervals", contrast->intervals);
    json_count(&json, "more_in_a", more);
    json_count(&json, "more_in_b", less);
    json_array(&json, "latents");
    for (size_t i = 0; i < contrast->concepts; i++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, order[i].latent);
        json_object(&json, NULL);
        json_count(&json, "atom", order[i].latent);
        json_text(&json, "label", ra_model_atom_label(run->model, order[i].latent));
        json_figures(&json, "energy", &latent.energy);
        json_float(&json, "relative", latent.relative);
        json_figures(&json, "frequency", &latent.frequency);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

static void print_latent(const contrast_run *run, size_t k) {
    ra_contrast_latent latent = ra_contrast_of(run->contrast, k);
    const ra_contrast_figures *energy = &latent.energy, *frequency = &latent.frequency;
    const char *label = ra_model_atom_label(run->model, k);
    printf("  latent %-6zu energy %-8.3g against %-8.3g by %-9.3g (%.3g to %.3g), in %.3g %% against %.3g %% "
           "of the rows  ",
           k, (double)energy->a, (double)energy->b, (double)energy->difference, (double)energy->low,
           (double)energy->high, 100 * (double)frequency->a, 100 * (double)frequency->b);
    if (label) print_clean(stdout, label);
    putchar('\n');
}

static void print_set(const ra_contrast *contrast, size_t s) {
    print_clean(stdout, s ? contrast->b : contrast->a);
    printf(" (%s rows", format_grouped(contrast->rows[s]).text);
    if (contrast->units[s] != contrast->rows[s])
        printf(" of %s items", format_grouped(contrast->units[s]).text);
    putchar(')');
}

static void print_lines(const contrast_run *run, const ranked *order, size_t more, size_t less) {
    const ra_contrast *contrast = run->contrast;
    size_t K = contrast->concepts;
    print_set(contrast, 0);
    printf(" against ");
    print_set(contrast, 1);
    printf(": of %s latents the energy of %s is larger on the first, that of %s on the second\n",
           format_grouped(K).text, format_grouped(more).text, format_grouped(less).text);
    if (contrast->intervals > 1)
        printf("All %s intervals hold at once with a confidence of %g %%.\n",
               format_grouped(contrast->intervals).text, 100 * contrast->confidence);
    else
        printf("Each interval holds by itself with a confidence of %g %%: of those that exclude 0, some do "
               "by chance.\n",
               100 * contrast->confidence);
    if (more && flags.latents) printf("\nMore on the first\n");
    for (size_t i = 0; i < flags.latents && i < more; i++) print_latent(run, order[i].latent);
    if (less && flags.latents) printf("\nMore on the second\n");
    for (size_t i = 0; i < flags.latents && i < less; i++) print_latent(run, order[K - 1 - i].latent);
}

static ra_status save(const contrast_run *run, ra_error *err) {
    const ra_model_additions additions = {.contrast = run->contrast};
    if (!flags.output) return RA_OK;
    command_catch_interrupts();
    return ra_model_save_with(run->model, &additions, flags.output, ra_model_get_info(run->model)->dtype,
                              err);
}

static ra_status contrast(int argc, char **argv, ra_error *err) {
    contrast_run run = {.model = NULL};
    ranked *order = NULL;
    size_t more, less;
    ra_status status;
    split_arguments(&run, argc, argv);
    RA_TRY_OUT(status, open_inputs(&run, argv[0], err));
    RA_TRY_OUT(status, measure(&run, err));
    RA_TRY_OUT(status, rank(run.contrast, &order, &more, &less, err));
    RA_TRY_OUT(status, save(&run, err));
    RA_TRY_OUT(status, ra_mapping_check_all(err));
    if (flags.json) {
        status = print_json(&run, order, more, less, err);
    } else {
        print_lines(&run, order, more, less);
        flags.output ? command_next("rasaed --dictionary NAME=%s", flags.output)
                     : command_next("rasae contrast %s A -- B -o OUT, to keep the contrast", argv[0]);
    }
out:
    ra_free(order);
    ra_contrasting_free(run.contrasting);
    ra_data_free(run.sets[0].data);
    ra_data_free(run.sets[1].data);
    ra_model_release(run.model);
    return status;
}

const command command_contrast = {
    .name = "contrast",
    .summary = "compare what each latent does on two sets of data",
    .usage = "MODEL A... -- B... [-o OUT] [--name NAME]",
    .about = "Measures for each latent how much more it contributes on the files of A than on those of B:\n"
             "the difference of its energy (the mean length of its contribution) and of its frequency\n"
             "(the share of the rows in which it is active), with intervals. Rows of one item, as tokens\n"
             "of a text in [n, tokens, d], count as one observation.\n"
             "\n"
             "All intervals hold at once with --confidence, so that of a sorted list the ends can be\n"
             "trusted. Latents that are active fewer than 10 times have none. With -o the contrast is\n"
             "kept in the artifact under --name.\n",
    .example =
        "  rasae contrast dino.safetensors generated.npy -- photos.npy\n"
        "  rasae contrast words.safetensors verbs.npy -- nouns.npy --name verbs -o words.safetensors\n",
    .min_arguments = 4,
    .max_arguments = INT_MAX,
    .arguments = "MODEL, the files of A, -- and the files of B",
    .keeps_separator = true,
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = contrast,
};
