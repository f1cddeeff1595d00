/* rasae trace: for each atom of any dictionary, the few rows of data whose mixture comes nearest to it. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"
#include "common/progress.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static struct trace_flags {
    uint64_t known;
    const char *output, *labels, *tensor;
    size_t rows, searched, atoms;
    bool skip_bad_rows, json, quiet;
    int layout;
    model_choice model;
} flags;

#define AT(member) offsetof(struct trace_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .argument = "OUT",
        .help = "write the artifact with the trace; may be MODEL"},
    {"rows", RA_SETTING_COUNT, AT(rows), .min = 1, .max = RA_TRACE_ROWS_MOST, .fallback = "5", .argument = "R",
        .help = "most rows per atom"},
    {"search", RA_SETTING_COUNT, AT(searched), .min = 1, .max = 0x1p53, .argument = "N",
        .help = "search N rows, evenly spaced over the data, in place of all"},
    {"labels", RA_SETTING_TEXT, AT(labels), .argument = "FILE", .help = "a text file with one label per data row"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of the data files, when they hold several"},
    DATA_LAYOUT_ROW(AT(layout)),
    {"skip_bad_rows", RA_SETTING_BOOL, AT(skip_bad_rows), .help = "leave out rows that hold a NaN or an infinity"},
    {"atoms", RA_SETTING_COUNT, AT(atoms), .max = 0x1p53, .fallback = "10", .argument = "N",
        .help = "print the N atoms that are traced best; --json prints all"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

typedef struct trace_run {
    ra_model *model;
    ra_data *data;
    ra_labels *labels;
    ra_backend *backend;
    ra_trace trace;
    progress_meter progress;
} trace_run;

/* The artifact may be replaced by itself with the trace, but no other input. */
static ra_status check_files(const ra_model_info *info, int argc, char **argv, ra_error *err) {
    const char *const others[] = {flags.labels, info->from_checkpoint ? info->path : NULL};
    if (!flags.output) return RA_OK;
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, (const char *const *)argv + 1, (size_t)argc - 1, err));
    return check_output(flags.output, OUTPUT_MODEL, others, sizeof others / sizeof *others, err);
}

static ra_status open_inputs(trace_run *run, int argc, char **argv, ra_error *err) {
    const ra_data_options how = {.tensor_name = flags.tensor,
                                 .skip_bad_rows = flags.skip_bad_rows,
                                 .layout = (ra_layout_of_data)flags.layout};
    const float *mean, *scale;
    RA_TRY(model_choice_open(&flags.model, argv[0], 0, &run->model, err));
    const ra_model_info *info = ra_model_get_info(run->model);
    RA_TRY(check_files(info, argc, argv, err));
    RA_TRY(open_data_of(run->model, (const char *const *)argv + 1, (size_t)argc - 1, &how, &run->data, err));
    if (ra_model_standardization(run->model, &mean, &scale))
        RA_TRY(ra_data_set_standardization(run->data, mean, scale, err));
    if (!flags.labels) return RA_OK;
    RA_TRY(ra_labels_open(flags.labels, &run->labels, err));
    if (ra_labels_count(run->labels) != ra_data_source_rows(run->data))
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu labels, but the data has %zu rows; expected one per row",
                flags.labels, ra_labels_count(run->labels), ra_data_source_rows(run->data));
    return RA_OK;
}

/* ---- output -------------------------------------------------------------------------------------------- */

static const char *label_of(const trace_run *run, int64_t row) {
    return run->labels ? ra_labels_at(run->labels, (size_t)row) : NULL;
}

static int by_float(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The cosine that a share of the atoms stays below. */
static ra_status quantile(const trace_run *run, double share, double *value, ra_error *err) {
    size_t K = run->trace.atoms;
    float *sorted = ra_malloc(K, sizeof *sorted);
    if (!sorted) RA_FAIL_MEMORY(err, "the cosines", K * sizeof *sorted);
    for (size_t k = 0; k < K; k++) sorted[k] = run->trace.cosine[k];
    qsort(sorted, K, sizeof *sorted, by_float);
    *value = (double)sorted[(size_t)(share * (double)(K - 1) + 0.5)];
    ra_free(sorted);
    return RA_OK;
}

static ra_status print_json(const trace_run *run, double median, double tenth, ra_error *err) {
    const ra_trace *t = &run->trace;
    text json = {0};
    json_object(&json, NULL);
    json_count(&json, "concepts", t->atoms);
    json_count(&json, "rows_searched", t->searched);
    json_real(&json, "median_cosine", median);
    json_real(&json, "tenth_cosine", tenth);
    json_array(&json, "atoms");
    for (size_t k = 0; k < t->atoms; k++) {
        json_object(&json, NULL);
        json_count(&json, "atom", k);
        json_float(&json, "cosine", t->cosine[k]);
        json_array(&json, "rows");
        for (size_t i = k * t->rows; i < (k + 1) * t->rows && t->row[i] >= 0; i++) {
            json_object(&json, NULL);
            json_count(&json, "row", (size_t)t->row[i]);
            json_text(&json, "label", label_of(run, t->row[i]));
            json_float(&json, "weight", t->weight[i]);
            json_float(&json, "contribution", t->contribution[i]);
            json_object_end(&json);
        }
        json_array_end(&json);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

static void print_atom(const trace_run *run, size_t k) {
    const ra_trace *t = &run->trace;
    printf("  atom %-6zu cosine %.3f ", k, (double)t->cosine[k]);
    for (size_t i = k * t->rows; i < (k + 1) * t->rows && t->row[i] >= 0; i++) {
        const char *label = label_of(run, t->row[i]);
        printf("  %.2f ", (double)t->contribution[i]);
        if (label && *label)
            print_clean(stdout, label);
        else
            printf("row %lld", (long long)t->row[i]);
    }
    putchar('\n');
}

static void print_lines(const trace_run *run, double median, double tenth) {
    const ra_trace *t = &run->trace;
    printf("%s atoms traced to at most %zu of %s rows: cosine %.3f at the median, below %.3f for a tenth of "
           "the atoms\n",
           format_grouped(t->atoms).text, t->rows, format_grouped(t->searched).text, median, tenth);
    float below = INFINITY;
    size_t last = SIZE_MAX;
    for (size_t n = 0; n < flags.atoms && n < t->atoms; n++) { /* few: a search for each */
        size_t best = SIZE_MAX;
        for (size_t k = 0; k < t->atoms; k++) {
            bool next = t->cosine[k] < below || (t->cosine[k] == below && last != SIZE_MAX && k > last);
            if (next && (best == SIZE_MAX || t->cosine[k] > t->cosine[best])) best = k;
        }
        if (best == SIZE_MAX) break;
        print_atom(run, best);
        below = t->cosine[best];
        last = best;
    }
}

static ra_status save(const trace_run *run, ra_error *err) {
    const ra_model_additions additions = {.trace = &run->trace, .row_labels = run->labels};
    return ra_model_save_with(run->model, &additions, flags.output, ra_model_get_info(run->model)->dtype,
                              err);
}

static ra_status trace(int argc, char **argv, ra_error *err) {
    trace_run run = {0};
    double median, tenth;
    ra_status status;
    command_catch_interrupts();
    progress_open(&run.progress, flags.quiet || flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    RA_TRY_OUT(status, open_inputs(&run, argc, argv, err));
    RA_TRY_OUT(status, model_choice_backend(&flags.model, &run.backend, err));
    const ra_trace_options options = {
        .rows = flags.rows, .searched = flags.searched, .progress = progress_share, .context = &run.progress};
    progress_start(&run.progress, "tracing", 0);
    status = ra_trace_atoms(run.backend, ra_model_dictionary(run.model), run.data, &options, &run.trace, err);
    progress_close(&run.progress);
    if (status == RA_ERR_CANCELED) status = command_check_interrupted(err);
    RA_TRY_OUT(status, status);
    if (flags.output) RA_TRY_OUT(status, save(&run, err));
    RA_TRY_OUT(status, quantile(&run, 0.5, &median, err));
    RA_TRY_OUT(status, quantile(&run, 0.1, &tenth, err));
    RA_TRY_OUT(status, ra_mapping_check_all(err));
    if (flags.json)
        RA_TRY_OUT(status, print_json(&run, median, tenth, err));
    else if (!flags.quiet)
        print_lines(&run, median, tenth);
    if (!flags.json && !flags.quiet)
        flags.output ? command_next("rasaed --dictionary NAME=%s", flags.output)
                     : command_next("rasae trace %s DATA -o OUT, to keep the trace", argv[0]);
out:
    progress_close(&run.progress);
    ra_trace_release(&run.trace);
    ra_backend_release(run.backend);
    ra_labels_free(run.labels);
    ra_data_free(run.data);
    ra_model_release(run.model);
    return status;
}

const command command_trace = {
    .name = "trace",
    .summary = "trace each atom to the few data rows that it is nearest to a mixture of",
    .usage = "MODEL DATA... [--rows R] [-o OUT] [flags]",
    .about = "Finds for each atom a mixture of at most R rows of the data, with weights of at least 0,\n"
             "that is near to it: the row of the largest cosine with what is left is added, then all\n"
             "weights are solved for anew. Works for any dictionary, plain ones too. The cosine says how\n"
             "much of the atom the rows account for; the number before a row is the share of the atom\n"
             "along it, and these add up to the square of the cosine. With -o the trace is kept in the\n"
             "artifact, from where the daemon serves it.\n",
    .example = "  rasae trace words.safetensors words.npy --labels words.txt\n"
               "  rasae trace words.safetensors words.npy --rows 8 -o words.safetensors\n",
    .min_arguments = 2,
    .max_arguments = INT_MAX,
    .arguments = "MODEL and DATA, at least one file",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = trace,
};
