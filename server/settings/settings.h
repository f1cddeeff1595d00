/* settings.h - how the daemon is told what to do: flags, environment, a file, defaults, in this order.
 *
 * Every setting is one row of the table in settings.c, which feeds all four, --help and --print-config.
 * `max_body` is
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
#ifndef RASAED_SETTINGS_SETTINGS_H
#define RASAED_SETTINGS_SETTINGS_H

#include "http/listener.h"
#include "ra_sae.h"

#include <stdio.h>

/* "NAME=FILE" */
typedef struct dictionary_setting {
    char *name, *path;
} dictionary_setting;

typedef struct settings {
    bool help, version;              /* asked for: nothing else is checked */
    const char *probe;               /* a URL to ask, of argv: likewise; NULL: none */
    bool check_config, print_config; /* asked for beside everything else */
    http_address listen;
    http_address
        admin_listen; /* health, metrics and administration beside `listen`; port "": no such address */
    dictionary_setting *dictionaries;
    size_t dictionary_count;
    char *dictionary_dir; /* NULL: none */
    bool watch;           /* reload a dictionary when its file changes */
    char *device;
    bool tf32;
    char *config;           /* NULL: none */
    size_t threads;         /* I/O threads; 0: one a core */
    size_t compute_threads; /* 0: one a core */
    size_t max_body;        /* bytes */
    size_t max_rows;
    size_t drain_delay_seconds, drain_seconds; /* taking connections still; then finishing requests */
    size_t idle_seconds;
    size_t header_seconds;              /* from the first byte of a request to the end of its header */
    size_t max_connections;             /* 0: as many as there are descriptors for */
    size_t max_connections_per_address; /* 0: no limit */
    size_t max_in_flight;               /* requests that have begun and are not answered; 0: no limit */
    size_t max_queue;                   /* requests that wait for a compute thread */
    size_t max_batch, batch_delay_us;   /* rows joined into one product; how long to wait for more */
    size_t deadline_ms;                 /* for a request, from its first line */
    char *tls_certificate, *tls_key;    /* both or neither */
    char *keys;                         /* NULL: no keys are asked for */
    int metrics_access;                 /* auth_scope: what /metrics asks for */
    char **cors_origins;                /* "https://example.org", or one "*" */
    size_t cors_origin_count;
    int log_level;       /* ra_log_level */
    int log_format;      /* log_format */
    ra_sae_settings sae; /* the known ones complete files that lack them */
    int list_sources[8]; /* private: where the lists come from, a setting_source a setting_kind */
} settings;

/* The value of an environment variable, NULL when it is not set: getenv(). */
typedef char *settings_lookup(const char *name);

/* Fills *settings; on failure it is released. RA_ERR_NOT_FOUND and RA_ERR_IO for the file of --config, any
 * other code is wrong usage. */
ra_status settings_read(int argc, char **argv, settings_lookup *environment, settings *out, ra_error *err);
void settings_release(settings *read);

void settings_help(FILE *out);

/* A complete file for --config: every setting with what it means and the value it has now. */
void settings_print(const settings *chosen, FILE *out);

/* Looks at everything that the settings name, as a start would, without serving: the key file, certificate
 * and key, the dictionaries, the device, the addresses. The first sentence of what is wrong. */
ra_status settings_check(const settings *chosen, ra_error *err);

#endif
