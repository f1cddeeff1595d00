#include "common/command.h"
#include "app/format.h"

#include <signal.h>
#include <stdarg.h>
#include <time.h>

#define MODEL_TABLE_TITLE "Settings that the metadata of a checkpoint lacks, or other values for them"

enum { THREADS, DEVICE, TF32, IGNORE_TENSOR };

/* A model of at most this many bytes is read at once: what happens to its file then does not matter. */
enum { MODEL_IN_MEMORY = 64 << 20 };

static const ra_setting model_rows[] = {
    [THREADS] = {"threads", RA_SETTING_COUNT, offsetof(model_choice, threads), .min = 1, .max = 1024,
                 .argument = "T", .help = "CPU threads (one per core); the result does not depend on it"},
    [DEVICE] = {"device", RA_SETTING_TEXT, offsetof(model_choice, device), .fallback = "auto",
                .argument = "NAME", .help = "auto, cpu, cuda or reference"},
    [TF32] = {"tf32", RA_SETTING_BOOL, offsetof(model_choice, tf32), .fallback = "false",
              .help = "let a device round the factors of its products to 10 bits (TF32), which is faster"},
    [IGNORE_TENSOR] = {"ignore_tensor", RA_SETTING_TEXT, offsetof(model_choice, settings.ignored),
                       .argument = "NAME,...",
                       .help = "open a model without these tensors of its file, which are not supported"},
};

const ra_settings_table *model_choice_table(void) {
    static const ra_settings_table table = {model_rows, sizeof model_rows / sizeof *model_rows};
    return &table;
}

int command_start(const command *what, int argc, char **argv) {
    static const ra_sae_settings nothing_known = {0};
    const model_choice on_device = {.known = (uint64_t)1 << DEVICE, .device = what->device};
    const settings_group groups[] = {
        {.title = "Flags", .table = &what->flags, .values = what->values},
        {.table = model_choice_table(), .values = what->model, .defaults = what->device ? &on_device : NULL},
        {.title = MODEL_TABLE_TITLE,
         .table = ra_sae_settings_table(),
         .values = &what->model->settings,
         .defaults = &nothing_known}};
    char program[64], below[1024];
    snprintf(program, sizeof program, "rasae %s", what->name);
    snprintf(below, sizeof below, "Example:\n%s", what->example);
    const command_line line = {.program = program,
                               .usage = what->usage,
                               .about = what->about,
                               .below = below,
                               .groups = groups,
                               .group_count = sizeof groups / sizeof *groups,
                               .min_arguments = what->min_arguments,
                               .max_arguments = what->max_arguments,
                               .arguments = what->arguments,
                               .keeps_separator = what->keeps_separator};
    ra_error err = {0};
    bool help;
    if (settings_read_flags(&line, &argc, argv, &help, &err) != RA_OK)
        return command_line_wrong(&line, "%s", err.message);
    if (help) {
        settings_print_help(&line, stdout);
        return EXIT_GOOD;
    }
    settings_default(&line);
    return command_end(what->run(argc, argv, &err), &err);
}

int command_end(ra_status status, const ra_error *err) {
    ra_error changed = {0};
    if (ra_mapping_check_all(&changed) != RA_OK) { /* then any other failure comes from it */
        status = changed.code;
        err = &changed;
    }
    if (status == RA_OK) return EXIT_GOOD;
    fprintf(stderr, "rasae: %s\n", err->message);
    return status == RA_ERR_CANCELED && command_interrupted() ? command_interrupted_code() : EXIT_FAILED;
}

void command_next(const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("next: ");
    print_clean(stdout, line);
    putchar('\n');
}

void command_log(void *context, ra_log_level level, const char *line) {
    (void)context;
    if (level >= RA_LOG_WARNING) {
        fputs("rasae: warning: ", stderr);
        print_clean(stderr, line);
        putc('\n', stderr);
    }
}

/* ---- interruption ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    interrupted = signal;
}

void command_catch_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool command_interrupted(void) {
    return interrupted != 0;
}

int command_interrupted_code(void) {
    enum { SIGNALED = 128 };
    return SIGNALED + (interrupted ? interrupted : SIGINT);
}

ra_status command_check_interrupted(ra_error *err) {
    if (!interrupted) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELED, "interrupted; nothing was written");
}

/* ---- files that change ------------------------------------------------------------------------------- */

ra_status command_check_files(ra_error *err) {
    static time_t checked;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == checked) return RA_OK;
    checked = now.tv_sec;
    return ra_mapping_check_all(err);
}

/* ---- models and their data --------------------------------------------------------------------------- */

ra_status model_choice_backend(const model_choice *choice, ra_backend **backend, ra_error *err) {
    const ra_backend_options options = {
        .threads = choice->threads, .tf32 = choice->tf32, .process = choice->process};
    return ra_backend_open(choice->device, &options, backend, err);
}

ra_status model_choice_host_backend(const model_choice *choice, ra_backend **backend, ra_error *err) {
    ra_backend *chosen = NULL;
    RA_TRY(model_choice_backend(choice, &chosen, err));
    ra_status status = ra_backend_open_host(chosen, backend, err);
    ra_backend_release(chosen);
    return status;
}

ra_status model_choice_open(const model_choice *choice, const char *path, size_t archetypes, ra_model **model,
                            ra_error *err) {
    ra_backend *backend = NULL;
    RA_TRY(model_choice_backend(choice, &backend, err));
    const ra_model_options options = {.backend = backend,
                                      .settings = choice->settings,
                                      .archetypes = archetypes,
                                      .steady = true,
                                      .private_below = MODEL_IN_MEMORY};
    ra_status status = ra_model_open(path, &options, model, err);
    ra_backend_release(backend); /* the model keeps its own reference */
    return status;
}

const char *const model_dtype_names[] = {[RA_F32] = "f32", [RA_F16] = "f16", [RA_BF16] = "bf16", NULL};
const char *const data_layout_names[] = {[RA_LAYOUT_GUESS] = "auto",
                                         [RA_LAYOUT_NCHW] = "nchw",
                                         [RA_LAYOUT_NHWC] = "nhwc",
                                         [RA_LAYOUT_ROWS] = "rows",
                                         NULL};

ra_status open_data_of(const ra_model *model, const char *const *paths, size_t count,
                       const ra_data_options *options, ra_data **data, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    RA_TRY(ra_data_open(paths, count, options, data, err));
    if (ra_data_dimensions(*data) == info->dimensions) return RA_OK;
    RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu dimensions per row, but the model %s has %zu", paths[0],
            ra_data_dimensions(*data), info->path, info->dimensions);
}

ra_status copy_dictionary(const ra_model *model, ra_matrix *D, ra_error *err) {
    const ra_tensor *fused = ra_model_dictionary(model);
    RA_TRY(ra_matrix_init(D, fused->shape[0], fused->shape[1], err));
    ra_convert_to_f32(fused->dtype, fused->data, D->data, ra_tensor_elements(fused));
    return RA_OK;
}
