/* rasaed: serves dictionaries over HTTP. Reads the settings and does what the command line asks; daemon.c
 * serves. */
#include "app/start.h"
#include "daemon.h"
#include "http/probe.h"
#include "ra.h"
#include "telemetry/log.h"

#include <stdlib.h>
#include <unistd.h>

enum { PROBE_SECONDS = 5 };

static int check_config(const settings *chosen) {
    ra_error err = {0};
    log_start(RA_LOG_WARNING, LOG_TEXT);
    if (settings_check(chosen, &err) == RA_OK) {
        puts("OK");
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "rasaed: %s\n", err.message);
    return EXIT_FAILURE;
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
        if (err.code != RA_ERR_NOT_FOUND && err.code != RA_ERR_IO) start_end(settings_wrong(&err));
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
