/* What the commands share. */
#include "command.h"
#include "app/format.h"

#include <signal.h>
#include <stdio.h>

int command_end(ra_status status, const ra_error *err) {
    if (status == RA_OK) return EXIT_GOOD;
    fprintf(stderr, "rasae: %s\n", err->message);
    return EXIT_FAILED;
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
    (void)signal;
    interrupted = 1;
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

ra_status command_check_interrupted(ra_error *err) {
    if (!interrupted) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELED, "interrupted; nothing was written");
}

/* ---- the model --------------------------------------------------------------------------------------- */

ra_status model_choice_backend(const model_choice *choice, ra_backend **backend, ra_error *err) {
    const ra_backend_options options = {.threads = choice->threads};
    return ra_backend_open(choice->device ? choice->device : "auto", &options, backend, err);
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
    const ra_model_options options = {
        .backend = backend, .settings = choice->settings, .archetypes = archetypes};
    ra_status status = ra_model_open(path, &options, model, err);
    ra_backend_release(backend); /* the model keeps its own reference */
    return status;
}
