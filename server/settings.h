/* settings.h - how the daemon is told what to do: flags, environment, a file, defaults, in this order.
 *
 * Every setting is one row of the table in settings.c, which feeds all four and --help. `max_body` is
 * --max-body on the command line, RASAED_MAX_BODY in the environment, and "max_body = 1048576" in the file
 * that --config names. The settings that a checkpoint may lack (ra_sae_settings_table()) are rows as well.
 *
 *     settings chosen;
 *     RA_TRY(settings_read(argc, argv, getenv, &chosen, err));
 *     ...
 *     settings_release(&chosen);
 *
 * Thread safety: read once, before threads start; constant afterwards.
 */
#ifndef RASAED_SETTINGS_H
#define RASAED_SETTINGS_H

#include "http/listener.h"
#include "ra_sae.h"

#include <stdio.h>

/* "NAME=FILE" */
typedef struct dictionary_setting {
    char *name, *path;
} dictionary_setting;

typedef struct settings {
    bool help, version; /* asked for: nothing else is checked */
    http_address listen;
    dictionary_setting *dictionaries;
    size_t dictionary_count;
    char *device;
    char *config;           /* NULL: none */
    size_t threads;         /* I/O threads; 0: one a core */
    size_t compute_threads; /* 0: one a core */
    size_t max_body;        /* bytes */
    size_t max_rows;
    size_t drain_seconds, idle_seconds;
    int log_level;       /* ra_log_level */
    ra_sae_settings sae; /* the known ones complete files that lack them */
    int source;          /* private: where the dictionaries come from */
} settings;

/* The value of an environment variable, NULL when it is not set: getenv(). */
typedef char *settings_lookup(const char *name);

/* Fills *settings; on failure it is released. RA_ERR_NOT_FOUND and RA_ERR_IO for the file of --config, any
 * other code is wrong usage. */
ra_status settings_read(int argc, char **argv, settings_lookup *environment, settings *out, ra_error *err);
void settings_release(settings *read);

void settings_help(FILE *out);

#endif
