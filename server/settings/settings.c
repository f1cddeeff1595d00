/* The table of settings and what reads it.
 *
 * To add a setting: a member in `settings`, a row below. That gives it a flag, a variable in the environment,
 * a key in the file, a default, a range, a line in --help and one in --print-config. A new kind of value is a
 * row in settings_values.c.
 *
 * Values are set from the weakest source to the strongest, so that the last one stays.
 *
 * In Kubernetes every service puts variables of its own into the environment; for one named "rasaed" they
 * are RASAED_PORT, RASAED_PORT_..., RASAED_SERVICE_HOST and RASAED_SERVICE_PORT. No key may make one of
 * these, and variables that no row knows are left alone.
 */
#include "telemetry/log.h"
#include "http/auth.h"
#include "ra_memory.h"
#include "settings/table.h"

#include <ctype.h>
#include <string.h>

static const char *const log_levels[] = {[RA_LOG_DEBUG] = "debug",
                                         [RA_LOG_INFO] = "info",
                                         [RA_LOG_WARNING] = "warning",
                                         [RA_LOG_ERROR] = "error",
                                         NULL};

static const char *const log_formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};
static const char *const scopes[] = {
    [AUTH_OPEN] = "open", [AUTH_READ] = "read", [AUTH_ADMIN] = "admin", NULL};

#define AT(member) offsetof(settings, member)
#define MIB ((size_t)1 << 20)

static const setting_row rows[] = {
    {"dictionary", SETTING_FILES, AT(dictionaries), NULL, 0, 0, NULL, "NAME=FILE",
     "serves FILE, an artifact or a checkpoint, as NAME; may be repeated"},
    {"listen", SETTING_ADDRESS, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "HOST:PORT",
     "where to listen; port 0 takes a free one, IPv6 is written [::1]:8080"},
    {"admin_listen", SETTING_ADDRESS, AT(admin_listen), NULL, 0, 0, NULL, "HOST:PORT",
     "a second address for health, metrics and administration"},
    {"dictionary_dir", SETTING_TEXT, AT(dictionary_dir), NULL, 0, 0, NULL, "DIR",
     "serves every *.safetensors file in DIR under its name without the suffix"},
    {"watch", SETTING_SWITCH, AT(watch), "false", 0, 0, NULL, NULL,
     "reloads a dictionary when its file changes"},
    {"device", SETTING_TEXT, AT(device), "auto", 0, 0, NULL, "NAME", "auto, cpu, reference or cuda"},
    {"tf32", SETTING_SWITCH, AT(tf32), "false", 0, 0, NULL, NULL,
     "lets a device round the factors of its products to 10 bits (TF32), which is faster"},
    {"threads", SETTING_COUNT, AT(threads), "0", 0, 1024, NULL, "N", "I/O threads; 0: one a core"},
    {"compute_threads", SETTING_COUNT, AT(compute_threads), "0", 0, 1024, NULL, "N",
     "threads for one large computation; 0: one a core"},
    {"max_body", SETTING_COUNT, AT(max_body), "67108864", 1, SIZE_MAX / 2, NULL, "BYTES",
     "largest request body"},
    {"max_rows", SETTING_COUNT, AT(max_rows), "4096", 1, 1 << 30, NULL, "N", "most rows of a batch"},
    {"max_batch", SETTING_COUNT, AT(max_batch), "256", 1, 1 << 20, NULL, "N",
     "most rows of waiting requests that are joined into one computation"},
    {"batch_delay_us", SETTING_COUNT, AT(batch_delay_us), "0", 0, 1000000, NULL, "N",
     "microseconds that a computation waits for requests to join it"},
    {"max_queue", SETTING_COUNT, AT(max_queue), "1024", 1, 1 << 20, NULL, "N",
     "most requests that wait for a computation; further ones are answered 503"},
    {"deadline_ms", SETTING_COUNT, AT(deadline_ms), "30000", 1, 86400000, NULL, "N",
     "milliseconds after which a request that waits is answered 503"},
    {"max_in_flight", SETTING_COUNT, AT(max_in_flight), "4096", 0, 1 << 24, NULL, "N",
     "most requests at once; further ones are answered 503; 0: no limit"},
    {"max_connections", SETTING_COUNT, AT(max_connections), "0", 0, 1 << 24, NULL, "N",
     "most connections at once; 0: as many as the open files allow"},
    {"max_connections_per_address", SETTING_COUNT, AT(max_connections_per_address), "0", 0, 1 << 24, NULL,
     "N", "most connections of one client address; 0: no limit"},
    {"header_seconds", SETTING_COUNT, AT(header_seconds), "10", 1, 3600, NULL, "N",
     "longest time a request's header may take to arrive"},
    {"idle_seconds", SETTING_COUNT, AT(idle_seconds), "60", 1, 86400, NULL, "N",
     "a connection without traffic for so long is closed"},
    {"drain_delay_seconds", SETTING_COUNT, AT(drain_delay_seconds), "0", 0, 86400, NULL, "N",
     "how long a stop, not ready any more, still takes connections before it drains"},
    {"drain_seconds", SETTING_COUNT, AT(drain_seconds), "20", 0, 86400, NULL, "N",
     "how long a stop waits for the requests that have begun"},
    {"tls_certificate", SETTING_TEXT, AT(tls_certificate), NULL, 0, 0, NULL, "FILE",
     "serves https with this certificate chain (PEM); needs --tls-key"},
    {"tls_key", SETTING_TEXT, AT(tls_key), NULL, 0, 0, NULL, "FILE", "the certificate's private key (PEM)"},
    {"keys", SETTING_TEXT, AT(keys), NULL, 0, 0, NULL, "FILE",
     "asks clients for a key of this file: lines \"read KEY\" and \"admin KEY\""},
    {"metrics_access", SETTING_NAME, AT(metrics_access), "open", 0, 0, scopes, "KEY",
     "open, read or admin: the key that /metrics asks for when there are keys"},
    {"cors_origin", SETTING_ORIGINS, AT(cors_origins), NULL, 0, 0, NULL, "ORIGIN",
     "pages of this origin (https://example.org), or of any (*), may read replies; may be repeated"},
    {"log_format", SETTING_NAME, AT(log_format), "text", 0, 0, log_formats, "FORMAT",
     "text or json, one line an event"},
    {"log_level", SETTING_NAME, AT(log_level), "info", 0, 0, log_levels, "LEVEL",
     "debug, info (logs every request), warning or error"},
    {"config", SETTING_TEXT, AT(config), NULL, 0, 0, NULL, "FILE",
     "reads settings, one \"key = value\" a line"},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* ---- names: every setting has a number, ours first, then those of ra_sae_settings_table() -------------- */

size_t setting_count(void) {
    return ROWS + ra_sae_settings_table()->count;
}

const setting_row *setting_get(size_t i) {
    return i < ROWS ? &rows[i] : NULL;
}

/* The library's `dictionary` says how a plain dictionary is normalized; here that word is taken. */
const char *setting_key(size_t i) {
    if (i < ROWS) return rows[i].key;
    return i == ROWS + RA_SET_DICTIONARY ? "dictionary_kind" : ra_sae_settings_table()->rows[i - ROWS].key;
}

/* The flag without its dashes in front. A "no-" flag takes no value and says false. */
const char *setting_flag(size_t i, char *buffer, size_t size) {
    const char *name = i < ROWS || i == ROWS + RA_SET_DICTIONARY
                           ? setting_key(i)
                           : ra_sae_settings_table()->rows[i - ROWS].flag;
    size_t n = 0;
    for (; name[n] && n + 1 < size; n++) buffer[n] = name[n] == '_' ? '-' : name[n];
    buffer[n] = '\0';
    return buffer;
}

/* A switch of the library takes no value at all, one of ours may: --watch=false against a file's true. */
static bool is_library_switch(size_t i) {
    return i >= ROWS && ra_sae_settings_table()->rows[i - ROWS].type == RA_SETTING_BOOL;
}

static bool is_switch(size_t i) {
    return i < ROWS ? rows[i].kind == SETTING_SWITCH : is_library_switch(i);
}

const char *setting_variable(size_t i, char *buffer, size_t size) {
    snprintf(buffer, size, "RASAED_%s", setting_key(i));
    for (char *c = buffer; *c; c++) *c = (char)toupper((unsigned char)*c);
    return buffer;
}

static size_t find(const char *name, size_t size, bool by_flag) {
    char flag[64];
    for (size_t i = 0; i < setting_count(); i++) {
        const char *candidate = by_flag ? setting_flag(i, flag, sizeof flag) : setting_key(i);
        if (strlen(candidate) == size && strncmp(candidate, name, size) == 0) return i;
    }
    return setting_count();
}

/* ---- sources, from the weakest to the strongest -------------------------------------------------------- */

static ra_status read_defaults(settings *to, ra_error *err) {
    ra_status status = RA_OK;
    for (size_t i = 0; i < ROWS && status == RA_OK; i++)
        if (rows[i].standard) status = setting_set(to, i, rows[i].standard, rows[i].key, FROM_DEFAULT, err);
    return status;
}

static char *trim(char *content) {
    while (isspace((unsigned char)*content)) content++;
    size_t size = strlen(content);
    while (size && isspace((unsigned char)content[size - 1])) content[--size] = '\0';
    return content;
}

static ra_status read_line(settings *to, char *line, const char *path, size_t number, ra_error *err) {
    char where[512], *key = trim(line);
    if (!*key || *key == '#') return RA_OK;
    char *equals = strchr(key, '=');
    if (!equals)
        RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: '%s' is not written key = value", path, number, key);
    *equals = '\0';
    key = trim(key);
    size_t i = find(key, strlen(key), false);
    if (i == setting_count() || strcmp(key, "config") == 0)
        RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: there is no setting '%s'", path, number, key);
    snprintf(where, sizeof where, "%s, line %zu: %s", path, number, key);
    return setting_set(to, i, trim(equals + 1), where, FROM_FILE, err);
}

static ra_status copy_text(const ra_mapping *file, char **content, ra_error *err) {
    *content = ra_malloc(file->size + 1, 1);
    if (!*content) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the settings");
    if (file->size) memcpy(*content, file->data, file->size);
    (*content)[file->size] = '\0';
    return RA_OK;
}

static ra_status read_file(settings *to, const char *path, ra_error *err) {
    ra_mapping file = {0};
    ra_status status = ra_mapping_open(path, &file, err);
    if (status != RA_OK) return status;
    char *content = NULL;
    if (file.size && memchr(file.data, '\0', file.size))
        status = ra_error_set(err, RA_ERR_FORMAT, "%s is not a text file", path);
    else
        status = copy_text(&file, &content, err);
    ra_mapping_close(&file);
    size_t number = 1;
    for (char *line = content, *next; status == RA_OK && line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        status = read_line(to, line, path, number, err);
    }
    ra_free(content);
    return status;
}

static ra_status read_environment(settings *to, settings_lookup *environment, ra_error *err) {
    ra_status status = RA_OK;
    for (size_t i = 0; i < setting_count() && status == RA_OK; i++) {
        char name[64];
        const char *content = environment(setting_variable(i, name, sizeof name));
        if (content) status = setting_set(to, i, content, name, FROM_ENVIRONMENT, err);
    }
    return status;
}

/* A flag of the command line with its value. */
typedef struct flag_given {
    size_t i; /* the setting */
    const char *text;
    char where[128]; /* "--listen" */
} flag_given;

/* Asks something of the program and sets nothing. */
static bool is_question(const char *flag) {
    static const char *const questions[] = {"--help", "--version", "--check-config", "--print-config"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (strcmp(questions[i], flag) == 0) return true;
    return false;
}

/* Reads the flag at argv[*at] and moves behind it. A value that starts with two dashes is written
 * --flag=VALUE. A question leaves given->text NULL. */
static ra_status read_flag(int argc, char **argv, int *at, flag_given *given, ra_error *err) {
    const char *flag = argv[(*at)++];
    given->i = setting_count();
    if (is_question(flag)) return RA_OK;
    if (strncmp(flag, "--", 2) != 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "'%s' is not a flag; a file is given as --dictionary NAME=FILE", flag);
    size_t size = strcspn(flag, "=");
    given->i = find(flag + 2, size - 2, true);
    given->text = flag[size] ? flag + size + 1 : NULL;
    snprintf(given->where, sizeof given->where, "%.*s", (int)(size < 100 ? size : 100), flag);
    if (given->i == setting_count())
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no flag %s; --help lists them", given->where);
    if (is_switch(given->i)) {
        if (given->text && is_library_switch(given->i))
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s takes no value", given->where);
        if (!given->text) given->text = strncmp(flag, "--no-", 5) == 0 ? "false" : "true";
    }
    if (!given->text && *at < argc && strncmp(argv[*at], "--", 2) != 0) given->text = argv[(*at)++];
    if (!given->text) RA_FAIL(err, RA_ERR_ARGUMENT, "%s needs a value", given->where);
    return RA_OK;
}

/* Sets the setting `only`, or all of them when it is setting_count(); every flag is checked. */
static ra_status read_flags(settings *to, int argc, char **argv, size_t only, ra_error *err) {
    ra_status status = RA_OK;
    for (int at = 1; at < argc && status == RA_OK;) {
        flag_given given = {0};
        status = read_flag(argc, argv, &at, &given, err);
        if (status == RA_OK && given.text && (only == setting_count() || only == given.i))
            status = setting_set(to, given.i, given.text, given.where, FROM_FLAGS, err);
    }
    return status;
}

static bool asks(int argc, char **argv, const char *flag) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0) return true;
    return false;
}

/* --probe URL or --probe=URL. NULL: not asked for. */
static ra_status find_probe(int argc, char **argv, const char **url, ra_error *err) {
    static const char flag[] = "--probe";
    *url = NULL;
    for (int i = 1; i < argc && !*url; i++) {
        if (strncmp(argv[i], flag, sizeof flag - 1) != 0) continue;
        const char *rest = argv[i] + sizeof flag - 1;
        if (*rest == '=') *url = rest + 1;
        if (*rest) continue;
        if (i + 1 == argc) RA_FAIL(err, RA_ERR_ARGUMENT, "%s needs a URL", flag);
        *url = argv[i + 1];
    }
    return RA_OK;
}

/* What no single setting can tell. */
static ra_status check_together(const settings *read, ra_error *err) {
    if (!read->tls_certificate != !read->tls_key)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is given without %s: https needs both",
                read->tls_key ? "--tls-key" : "--tls-certificate",
                read->tls_key ? "--tls-certificate" : "--tls-key");
    if (read->dictionary_count == 0 && !read->dictionary_dir && !read->print_config)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "no dictionary is given: say --dictionary NAME=FILE or --dictionary-dir DIR");
    return RA_OK;
}

static ra_status read_all(settings *to, int argc, char **argv, settings_lookup *environment, ra_error *err) {
    char variable[64];
    size_t config = find("config", strlen("config"), false);
    const char *path = environment(setting_variable(config, variable, sizeof variable));
    ra_status status = read_defaults(to, err);
    if (status == RA_OK) status = read_flags(to, argc, argv, config, err);
    if (status == RA_OK && to->config) path = to->config;
    if (status == RA_OK && path) status = read_file(to, path, err);
    if (status == RA_OK) status = read_environment(to, environment, err);
    if (status == RA_OK) status = read_flags(to, argc, argv, setting_count(), err);
    return status == RA_OK ? check_together(to, err) : status;
}

ra_status settings_read(int argc, char **argv, settings_lookup *environment, settings *out, ra_error *err) {
    *out = (settings){.help = asks(argc, argv, "--help"),
                      .version = asks(argc, argv, "--version"),
                      .check_config = asks(argc, argv, "--check-config"),
                      .print_config = asks(argc, argv, "--print-config")};
    if (out->help || out->version) return RA_OK;
    ra_status status = find_probe(argc, argv, &out->probe, err);
    if (status != RA_OK || out->probe) return status;
    status = read_all(out, argc, argv, environment, err);
    if (status != RA_OK) settings_release(out);
    return status;
}
