/* rasaed: serves dictionaries over HTTP. Reads the settings and does what the command line asks; daemon.c
 * serves. */
#include "app/start.h"
#include "daemon.h"
#include "http/probe.h"
#include "ra.h"
#include "settings/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_SECONDS = 5 };

/* The last thing that the log would say, which may be the reason that is printed in the end. */
typedef struct last_line {
    char text[2 * RA_ERROR_MESSAGE_SIZE];
} last_line;

static void say(last_line *last) {
    if (last->text[0]) fprintf(stderr, "rasaed: %s\n", last->text);
    last->text[0] = '\0';
}

static void hear(void *context, ra_log_level level, const char *line) {
    last_line *last = context;
    if (level < RA_LOG_WARNING) return;
    say(last);
    snprintf(last->text, sizeof last->text, "%s", line);
}

static int check_config(const settings *chosen) {
    ra_error err = {0};
    last_line last = {""};
    ledger shares;
    ra_log_set_sink(hear, &last);
    ra_status status = settings_check(chosen, &shares, &err);
    ra_log_set_sink(NULL, NULL);
    if (status == RA_OK || !strstr(last.text, err.message)) say(&last);
    if (status != RA_OK) fprintf(stderr, "rasaed: %s\n", err.message);
    if (status != RA_OK) return EXIT_FAILURE;
    ledger_print(&shares, stdout);
    puts("OK");
    return EXIT_SUCCESS;
}

static int probe(const char *url) {
    ra_error err = {0};
    ra_status status = http_probe(url, PROBE_SECONDS, &err);
    if (status == RA_OK) {
        printf("rasaed: %s is healthy\n", url);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "rasaed: %s\n", err.message);
    return status == RA_ERR_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    settings chosen;
    ra_error err = {0};
    if (settings_read(argc, argv, getenv, environ, &chosen, &err) != RA_OK) {
        bool wrong = err.code != RA_ERR_NOT_FOUND && err.code != RA_ERR_IO && err.code != RA_ERR_MEMORY;
        if (wrong) start_end(settings_wrong(&err));
        fprintf(stderr, "rasaed: %s\n", err.message);
        start_end(EXIT_FAILURE);
    }
    int code = EXIT_SUCCESS;
    if (chosen.help)
        settings_help(stdout);
    else if (chosen.asked.probe)
        code = probe(chosen.asked.probe);
    else if (chosen.asked.version)
        print_version("rasaed");
    else if (chosen.asked.print_config)
        settings_print(&chosen, stdout);
    else if (chosen.asked.check_config)
        code = check_config(&chosen);
    else
        code = daemon_run(&chosen);
    settings_close(&chosen);
    start_end(code);
}
