/* The table of settings.
 *
 * To add a setting: a member in `settings`, a row below. That gives it a flag, a variable in the environment, a key
 * in the file, a default, a range, a line in --help, in the manual page and in --print-config. The value reaches
 * its user through daemon.c, whose functions pass each part of the server its options from `settings`; the comment
 * there says which function passes which.
 *
 * In Kubernetes every service puts variables of its own into the environment; for one named "rasaed" they are
 * RASAED_PORT, RASAED_PORT_..., RASAED_SERVICE_HOST and RASAED_SERVICE_PORT. No key may make one of these. Others that
 * no row knows are refused: RASAED_KEY for RASAED_KEYS would start an open server.
 */
#include "settings/settings.h"
#include "http/auth.h"
#include "http/cors.h"
#include "http/proxies.h"
#include "ra_memory.h"
#include "serving/media.h"
#include "serving/rows.h"
#include "serving/registry/registry.h"
#include "telemetry/log.h"

#include <string.h>

static const char *const log_levels[] = {[RA_LOG_DEBUG] = "debug",
                                         [RA_LOG_INFO] = "info",
                                         [RA_LOG_WARNING] = "warning",
                                         [RA_LOG_ERROR] = "error",
                                         NULL};
static const char *const log_formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
static const char *const scopes[] = {
    [AUTH_OPEN] = "open", [AUTH_READ] = "read", [AUTH_ADMIN] = "admin", NULL};

static const char *const sandbox_modes[] = {
    [SANDBOX_ON] = "on", [SANDBOX_REQUIRE] = "require", [SANDBOX_OFF] = "off", NULL};

/* ---- checks of values ---------------------------------------------------------------------------------- */

static ra_status split_dictionary(const char *words, settings_dictionary_item *item, ra_error *err) {
    const char *equals = strchr(words, '=');
    if (!equals || !equals[1])
        RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" names no file, expected NAME=FILE", words);
    size_t size = (size_t)(equals - words);
    *item = (settings_dictionary_item){.path = equals + 1};
    if (size < sizeof item->name) memcpy(item->name, words, size);
    if (!registry_name_is_good(item->name))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the name \"%.*s\" is not 1 to 64 letters, digits, '.', '-' and '_'",
                (int)size, words);
    return RA_OK;
}

static ra_status check_dictionary(const char *words, ra_error *err) {
    settings_dictionary_item item;
    return split_dictionary(words, &item, err);
}

/* The name before the '=', and the shape after it. */
static ra_status split_shape(const char *words, settings_dictionary_item *item, ra_latent_items *items,
                             ra_error *err) {
    RA_TRY(split_dictionary(words, item, err));
    if (ra_latent_items_parse(item->path, items)) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "\"%s\" is not the shape of items; expected the rows of one, as 77 tokens, 16x16 patches, or "
            "5+16x16 after "
            "5 class and register tokens",
            item->path);
}

static ra_status check_shape(const char *words, ra_error *err) {
    const char *equals = strchr(words, '=');
    settings_dictionary_item item;
    ra_latent_items items;
    if (!equals || !equals[1]) RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" is not NAME=[SKIP+]HxW", words);
    return split_shape(words, &item, &items, err);
}

static ra_status check_address(const char *words, ra_error *err) {
    http_address address;
    return http_address_parse(words, &address, err);
}

static ra_status check_base_path(const char *words, ra_error *err) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    size_t size = strlen(words);
    if (words[0] == '/' && size > 1 && size < 128 && words[size - 1] != '/' && !strstr(words, "//") &&
        strspn(words, letters) == size)
        return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "\"%s\" is no prefix of paths; expected one such as /rasae: a slash first, none at the end",
            words);
}

static ra_status check_origin(const char *words, ra_error *err) {
    if (cors_origin_is_good(words)) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "\"%s\" is no origin; expected one such as https://example.org or http://localhost:3000, without "
            "a path, "
            "or *",
            words);
}

/* ---- the tables ---------------------------------------------------------------------------------------- */

#define COUNT(member) RA_SETTING_COUNT, offsetof(settings, member)
#define BOOL(member) RA_SETTING_BOOL, offsetof(settings, member)
#define NAME(member) RA_SETTING_NAME, offsetof(settings, member)
#define TEXT(member) RA_SETTING_TEXT, offsetof(settings, member)
#define LIST(member) RA_SETTING_LIST, offsetof(settings, member)
#define ASKED(type, member) RA_SETTING_##type, offsetof(settings_asked, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"dictionary", LIST(dictionary), .check = check_dictionary, .argument = "NAME=FILE",
        .help = "serve FILE, an artifact or a checkpoint, as NAME; may be repeated"},
    {"listen", TEXT(listen), .known_as = "port host bind address", .check = check_address, .fallback = "127.0.0.1:8080", .argument = "HOST:PORT",
        .help = "where to listen; port 0 takes a free one, IPv6 is written [::1]:8080, a socket of the file system "
                "unix:/PATH[,mode=0660][,owner=USER:GROUP]"},
    {"admin_listen", TEXT(admin_listen), .check = check_address, .argument = "HOST:PORT",
        .help = "a second address for health, metrics and administration"},
    {"base_path", TEXT(base_path), .check = check_base_path, .argument = "PATH",
        .help = "the prefix under which a proxy shows this server, such as /rasae; links begin with it, and paths may"},
    {"trusted_proxy", LIST(trusted_proxy), .check = http_proxies_check, .argument = "NETWORK",
        .help = "a proxy (10.0.0.0/8, 192.0.2.7, 2001:db8::/32, or unix) whose X-Forwarded-For, or else Forwarded, "
                "says who its client is; may be repeated"},
    {"dictionary_dir", TEXT(dictionary_dir), .argument = "DIR",
        .help = "serve every *.safetensors file in DIR under its name without the suffix"},
    {"state", TEXT(state), .argument = "DIR",
        .help = "keep labels and lists that clients set (with an admin key) in a database in DIR, which is made if it "
                "is missing; without it nothing can be set"},
    {"watch", BOOL(watch), .fallback = "false", .help = "reload a dictionary when its file changes"},
    {"verify", BOOL(verify), .fallback = "false",
        .help = "compare every dictionary's file with the digest in it, not only one of at most 128 MiB"},
    {"private_below", COUNT(private_below), .max = 0x1p62, .bytes = true, .fallback = "67108864", .argument = "BYTES",
        .help = "read a dictionary's file of at most this size into memory of its own; map a larger one"},
    {"device", TEXT(device), .fallback = "auto", .argument = "NAME", .help = "auto, cpu, reference or cuda"},
    {"tf32", BOOL(tf32), .fallback = "false",
        .help = "let a device round the factors of its products to 10 bits (TF32), which is faster"},
    {"threads", COUNT(threads), .max = 1024, .fallback = "0", .argument = "N",
        .help = "I/O threads; 0: one per core"},
    {"compute_threads", COUNT(compute_threads), .max = 1024, .fallback = "0", .argument = "N",
        .help = "threads for one large computation; 0: one per core"},
    {"max_body", COUNT(max_body), .min = 1, .max = 0x1p62, .bytes = true, .fallback = "67108864", .argument = "BYTES",
        .help = "largest request body, such as 64M"},
    {"max_body_memory", COUNT(max_body_memory), .max = 0x1p62, .bytes = true, .fallback = "0", .argument = "BYTES",
        .help = "most memory for request bodies at once; further ones are answered 503; 0: a quarter of the memory"},
    {"max_rows", COUNT(max_rows), .min = 1, .max = 1 << 30, .fallback = "4096", .argument = "N",
        .help = "most rows in one request"},
    {"max_batch", COUNT(max_batch), .min = 1, .max = 1 << 20, .fallback = "256", .argument = "N",
        .help = "most rows of waiting requests that are joined into one computation"},
    {"batch_delay_us", COUNT(batch_delay_us), .max = 1000000, .fallback = "0", .argument = "N",
        .help = "microseconds that a computation waits for requests to join it"},
    {"max_queue", COUNT(max_queue), .min = 1, .max = 1 << 20, .fallback = "1024", .argument = "N",
        .help = "most requests that wait for a computation; further ones are answered 503"},
    {"deadline_ms", COUNT(deadline_ms), .min = 1, .max = 86400000, .fallback = "30000", .argument = "N",
        .help = "milliseconds after which a request that still waits is answered 503"},
    {"max_in_flight", COUNT(max_in_flight), .max = 1 << 24, .fallback = "4096", .argument = "N",
        .help = "most requests at once; further ones are answered 503; 0: no limit"},
    {"max_connections", COUNT(max_connections), .max = 1 << 24, .fallback = "0", .argument = "N",
        .help = "most connections at once; 0: as many as the limit on open files allows"},
    {"max_connections_per_address", COUNT(max_connections_per_address), .max = 1 << 24, .fallback = "0",
        .argument = "N", .help = "most connections from one client address, or requests at once of one behind a trusted proxy; 0: no limit"},
    {"header_seconds", COUNT(header_seconds), .min = 1, .max = 3600, .fallback = "10", .argument = "N",
        .help = "longest time in which the header of a request may arrive"},
    {"idle_seconds", COUNT(idle_seconds), .min = 1, .max = 86400, .fallback = "60", .argument = "N",
        .help = "close a connection after this time without traffic"},
    {"drain_delay_seconds", COUNT(drain_delay_seconds), .max = 86400, .fallback = "0", .argument = "N",
        .help = "how long a stop, no longer ready, still accepts connections before it drains"},
    {"drain_seconds", COUNT(drain_seconds), .max = 86400, .fallback = "20", .argument = "N",
        .help = "how long a stop waits for running requests"},
    {"tls_certificate", TEXT(tls_certificate), .argument = "FILE",
        .help = "serve https with this certificate chain (PEM); needs --tls-key"},
    {"tls_key", TEXT(tls_key), .argument = "FILE", .help = "private key of the certificate (PEM)"},
    {"keys", TEXT(keys), .argument = "FILE",
        .help = "require a key from this file, whose lines are \"read KEY\" or \"admin KEY\", and perhaps a name for the log"},
    {"metrics_access", NAME(metrics_access), .names = scopes, .fallback = "open", .argument = "KEY",
        .help = "open, read or admin: the key that /metrics requires when there is a key file"},
    {"cors_origin", LIST(cors_origin), .check = check_origin, .argument = "ORIGIN",
        .help = "let web pages of this origin (https://example.org), or of any (*), read replies; may be repeated"},
    {"data", LIST(data), .check = rows_check, .argument = "NAME=FILE",
        .help = "show rows of this file, activations that dictionary NAME was trained or measured on; repeat it for shards"},
    {"media", LIST(media), .check = media_check_folder, .argument = "NAME=DIR",
        .help = "serve the pictures and sounds in DIR as the media of the rows of dictionary NAME; may be repeated"},
    {"media_url", LIST(media_url), .check = media_check_url, .argument = "NAME=TEMPLATE",
        .help = "the address of the media of a row, with {label}, {path} (the label with its slashes), {row} or {item} in it; "
                "without http:// or https:// a file of --media (may be repeated)"},
    {"item_shape", LIST(item_shape), .check = check_shape, .argument = "NAME=[SKIP+]HxW",
        .help = "the rows of dictionary NAME are parts of items, HxW patches or N tokens after SKIP class and register tokens, "
                "where its file does not say; may be repeated"},
    {"sandbox", NAME(sandbox), .names = sandbox_modes, .fallback = "on", .argument = "MODE",
        .help = "once it serves, open no file but those of its settings, start no program, make no connection: on as far as the "
                "system can, require (or do not start), or off"},
    {"readable", LIST(readable), .argument = "DIR",
        .help = "a folder that the sandbox lets the daemon read as well, for links that will lead there; may be repeated"},
    {"log_format", NAME(log_format), .names = log_formats, .fallback = "text", .argument = "FORMAT",
        .help = "text or json, one line per event"},
    {"log_level", NAME(log_level), .names = log_levels, .fallback = "info", .argument = "LEVEL",
        .help = "debug, info (every request), warning or error"},
};

static const ra_setting asked_rows[] = {
    {"config", ASKED(TEXT, config), .argument = "FILE", .help = "read settings, one \"key = value\" per line"},
    {"check_config", ASKED(BOOL, check_config),
        .help = "check all settings and the files they name, print OK or what is wrong, and exit"},
    {"print_config", ASKED(BOOL, print_config),
        .help = "print a complete file for --config with the values in force, and exit"},
    {"probe", ASKED(TEXT, probe), .argument = "URL",
        .help = "ask a running server, as health checks do (/health/ready when URL has no path); the exit status "
                "is 0 when it answers 200, else 1"},
    {"version", ASKED(BOOL, version), .help = "print the version"},
};
/* clang-format on */

static const ra_settings_table table = {rows, sizeof rows / sizeof *rows},
                               asked_table = {asked_rows, sizeof asked_rows / sizeof *asked_rows};

static const char about[] = "Serves dictionaries of Relaxed Archetypal SAEs over HTTP.\n";

static const char below[] =
    "Every setting can also be given in the environment (RASAED_MAX_BODY for --max-body; the items of a\n"
    "list with ';' between them; an unknown one is refused) and in the file of --config (max_body = "
    "1048576). RASAED_CONFIG names that\n"
    "file, too. A flag wins over the environment, the environment over the file.\n\n"
    "SIGHUP reloads all dictionaries, the key file and the certificate. SIGTERM and SIGINT let running "
    "requests\n"
    "finish, then stop. A socket from a service manager (LISTEN_FDS) takes the place of --listen.\n"
    "Exit status: 0 stopped as asked, 1 failed, 2 wrong usage, 3 the device is lost.\n";

/* A command line whose values are those of *of. */
typedef struct settings_line {
    settings_group groups[3];
    command_line line;
} settings_line;

static const command_line *make_line(settings_line *made, settings *of) {
    static const ra_sae_settings nothing_known = {0};
    *made = (settings_line){
        .groups = {{.title = "Settings", .table = &table, .values = of},
                   {.title = "Other", .table = &asked_table, .values = &of->asked, .flags_only = true},
                   {.title = "Settings for files that lack them (the settings in a file are never changed)",
                    .table = ra_sae_settings_table(),
                    .values = &of->sae,
                    .defaults = &nothing_known}},
        .line = {.program = "rasaed",
                 .usage = "--dictionary NAME=FILE [--dictionary NAME=FILE ...] [settings]",
                 .about = about,
                 .below = below,
                 .group_count = 3,
                 .arguments = "flags only; a file is given as --dictionary NAME=FILE",
                 .environment = "RASAED_"}};
    made->line.groups = made->groups;
    return &made->line;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

settings_dictionary_item settings_dictionary(const settings *chosen, size_t i) {
    settings_dictionary_item item;
    ra_error impossible; /* it was checked */
    (void)split_dictionary(chosen->dictionary.items[i], &item, &impossible);
    return item;
}

void settings_items(const settings *chosen, const char *name, ra_latent_items *items) {
    for (size_t i = 0; i < chosen->item_shape.count; i++) {
        settings_dictionary_item item;
        ra_latent_items given = {0};
        ra_error impossible; /* it was checked */
        (void)split_shape(chosen->item_shape.items[i], &item, &given, &impossible);
        if (strcmp(item.name, name) == 0) *items = given;
    }
}

static bool is_served(const settings *read, const char *name) {
    for (size_t i = 0; i < read->dictionary.count; i++)
        if (strcmp(settings_dictionary(read, i).name, name) == 0) return true;
    return read->dictionary_dir != NULL; /* whose files may come later */
}

static ra_status check_shapes(const settings *read, ra_error *err) {
    settings_dictionary_item first, second;
    ra_latent_items items;
    for (size_t i = 0; i < read->item_shape.count; i++) {
        RA_TRY(split_shape(read->item_shape.items[i], &second, &items, err));
        if (!is_served(read, second.name))
            RA_FAIL(err, RA_ERR_ARGUMENT, "--item-shape is about dictionary \"%s\", which is not served",
                    second.name);
        for (size_t j = 0; j < i; j++) {
            RA_TRY(split_shape(read->item_shape.items[j], &first, &items, err));
            if (strcmp(first.name, second.name) == 0)
                RA_FAIL(err, RA_ERR_ARGUMENT, "the shape of the items of \"%s\" is given twice", first.name);
        }
    }
    return RA_OK;
}

static ra_status check_names(const settings *read, ra_error *err) {
    for (size_t i = 0; i < read->dictionary.count; i++)
        for (size_t j = 0; j < i; j++) {
            settings_dictionary_item first = settings_dictionary(read, j),
                                     second = settings_dictionary(read, i);
            if (strcmp(first.name, second.name) == 0)
                RA_FAIL(err, RA_ERR_ARGUMENT, "the dictionary name \"%s\" is given twice", first.name);
        }
    return RA_OK;
}

/* Checks that need several settings. */
static ra_status check_together(const settings *read, ra_error *err) {
    RA_TRY(check_names(read, err));
    RA_TRY(check_shapes(read, err));
    if (!read->tls_certificate != !read->tls_key)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is given without %s: https needs both",
                read->tls_key ? "--tls-key" : "--tls-certificate",
                read->tls_key ? "--tls-certificate" : "--tls-key");
    if (read->dictionary.count == 0 && !read->dictionary_dir && !read->asked.print_config)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "there is no dictionary to serve; give --dictionary NAME=FILE or --dictionary-dir DIR");
    return RA_OK;
}

static ra_status read_all(int argc, char **argv, settings_lookup *environment, char *const *variables,
                          settings *out, ra_error *err) {
    settings_line made;
    const command_line *line = make_line(&made, out);
    RA_TRY(settings_read_flags(line, &argc, argv, &out->help, err));
    if (out->help || out->asked.version || out->asked.probe) return RA_OK;
    RA_TRY(settings_read_environment(line, environment, err));
    RA_TRY(settings_check_environment(line, variables, "RASAED_CONFIG", err));
    const char *path = out->asked.config ? out->asked.config : environment("RASAED_CONFIG");
    if (path) RA_TRY(settings_read_file(line, path, &out->file, err));
    settings_default(line);
    return check_together(out, err);
}

ra_status settings_read(int argc, char **argv, settings_lookup *environment, char *const *variables,
                        settings *out, ra_error *err) {
    *out = (settings){0};
    ra_status status = read_all(argc, argv, environment, variables, out, err);
    if (status != RA_OK) settings_close(out);
    return status;
}

void settings_close(settings *read) {
    settings_line made;
    settings_release(make_line(&made, read));
    ra_free(read->file);
    *read = (settings){0};
}

/* ---- telling ------------------------------------------------------------------------------------------- */

void settings_help(FILE *out) {
    settings_line made;
    settings none = {0};
    settings_print_help(make_line(&made, &none), out);
}

void settings_print(const settings *chosen, FILE *out) {
    settings_line made;
    settings copy = *chosen;
    settings_print_file(make_line(&made, &copy), out);
}

int settings_wrong(const ra_error *err) {
    settings_line made;
    settings none = {0};
    return command_line_wrong(make_line(&made, &none), "%s", err->message);
}
