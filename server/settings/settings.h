/* settings.h - how the daemon is told what to do: flags, environment, a file, defaults, in this order.
 *
 * Every setting is one row of the table in settings.c. `max_body` is --max-body on the command line, RASAED_MAX_BODY
 * in the environment, and "max_body = 1048576" in the file that --config names (app/settings.h). The settings that
 * a checkpoint may lack (ra_sae_settings_table()) are rows as well.
 *
 *     settings chosen;
 *     RA_TRY(settings_read(argc, argv, getenv, environ, &chosen, err));
 *     ...
 *     settings_close(&chosen);
 *
 * Thread safety: read once, before threads start; constant afterwards.
 */
#ifndef RASAED_SETTINGS_SETTINGS_H
#define RASAED_SETTINGS_SETTINGS_H

#include "app/settings.h"
#include "http/listener.h"
#include "ra_latent_statistics.h"
#include "ra_sae.h"

/* What the command line asks of the program, besides serving or instead of it. */
typedef struct settings_asked {
    uint64_t known;
    const char *config; /* NULL: no file */
    const char *probe;  /* a URL to ask; with it and `version` nothing else is read */
    bool check_config, print_config, version;
} settings_asked;

typedef enum sandbox_mode {
    SANDBOX_ON, /* as far as the system can */
    SANDBOX_REQUIRE,
    SANDBOX_OFF
} sandbox_mode;

typedef struct settings {
    uint64_t known;
    settings_list dictionary; /* "NAME=FILE" each: settings_dictionary() */
    const char *dictionary_dir;
    const char *listen;       /* http_address_parse() accepts it */
    const char *admin_listen; /* health, metrics and administration beside `listen`; NULL: no such address */
    const char *base_path;    /* "/rasae"; NULL: none */
    settings_list trusted_proxy; /* http_proxies_check() accepts each */
    const char *state;           /* the directory where changes are kept; NULL: none are */
    bool watch;                  /* reload a dictionary when its file changes */
    bool verify;                 /* compare a large file with the digest in it, too */
    size_t private_below;        /* bytes of a file that is copied into memory rather than mapped */
    const char *device;
    bool tf32;
    size_t threads;         /* I/O threads; 0: one per core */
    size_t compute_threads; /* 0: one per core */
    size_t max_body;        /* bytes */
    size_t max_rows;
    size_t max_batch, batch_delay_us;   /* rows joined into one computation; how long to wait for more */
    size_t max_queue;                   /* requests that wait for a compute thread */
    size_t deadline_ms;                 /* for a request, from its first line */
    size_t max_body_memory;             /* bytes of bodies at once; 0: a share of the memory */
    size_t max_in_flight;               /* requests that have begun and are not answered; 0: no limit */
    size_t max_connections;             /* 0: as many as there are descriptors for */
    size_t max_connections_per_address; /* 0: no limit */
    size_t header_seconds;              /* from the first byte of a request to the end of its header */
    size_t idle_seconds;
    size_t drain_delay_seconds, drain_seconds; /* still accepting connections; then finishing requests */
    const char *tls_certificate, *tls_key;     /* both or neither */
    const char *keys;                          /* NULL: no keys are asked for */
    int metrics_access;                        /* auth_scope: what /metrics asks for */
    settings_list data;                        /* "NAME=FILE": serving/rows.h */
    settings_list media, media_url;            /* "NAME=DIR", "NAME=TEMPLATE": serving/media.h */
    settings_list item_shape;                  /* "NAME=[SKIP+]HxW" each: settings_items() */
    settings_list cors_origin;                 /* "https://example.org", or one "*" */
    int log_format, log_level;                 /* log_format, ra_log_level */
    int sandbox;                               /* sandbox_mode: sandbox.h */
    settings_list readable;                    /* folders that the sandbox lets the daemon read as well */
    ra_sae_settings sae;                       /* the known ones complete files that lack them */
    bool help;                                 /* --help: nothing else is read */
    settings_asked asked;
    char *file; /* private: texts of --config point into it */
} settings;

/* Fills *settings; on failure it is closed. RA_ERR_NOT_FOUND and RA_ERR_IO for the file of --config, any other code
 * is wrong usage. argv is reordered. variables: environ, in which no unknown RASAED_... may be. */
ra_status settings_read(int argc, char **argv, settings_lookup *environment, char *const *variables,
                        settings *out, ra_error *err);
void settings_close(settings *read);

/* An item of `dictionary`: its name and, within the item, the path of its file. */
typedef struct settings_dictionary_item {
    char name[65];
    const char *path;
} settings_dictionary_item;

settings_dictionary_item settings_dictionary(const settings *chosen, size_t i);

/* *items <- the shape of the items of a dictionary, if one is given; else it stays. */
void settings_items(const settings *chosen, const char *name, ra_latent_items *items);

void settings_help(FILE *out);
int settings_wrong(const ra_error *err); /* prints it on stderr; returns the exit status */

/* A complete file for --config: every setting with what it means and the value it has now. */
void settings_print(const settings *chosen, FILE *out);

#endif
