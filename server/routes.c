/* The table of routes.
 *
 * To add an endpoint:
 *   1. write its handler in the file of its family in api/, and declare it in api/api.h
 *   2. add its row to the table below
 *   3. describe it in proto/openapi.json, with its label as x-route, and add its path to the lists in tests/clients/test_openapi.py
 *   4. test its values in tests/http/test_endpoints.py, and add its line to server/README.md
 *
 * routes.h explains the columns. Rows are compared in order; HEAD, OPTIONS, 404 and 405 follow from the rows.
 * Costs are in nanoseconds per step, measured on one core; cost.h says what a step is.
 */
#include "routes.h"

#include <pthread.h>
#include <string.h>

#define GET HTTP_GET
#define POST HTTP_POST
#define PUT HTTP_PUT
#define DELETE HTTP_DELETE
#define D "/v1/dictionaries/{d}"
#define M "/v2/models/{d}"
#define V M "/versions/{v}"

/* clang-format off */
static route table[] = {
    /* ---- health and metrics */
    {GET, "/health/live", api_live, "live",
        .key = AUTH_OPEN, .cost = {COST_NONE}, .address = ADDRESS_BOTH},
    {GET, "/health/ready", api_ready, "ready",
        .key = AUTH_OPEN, .cost = {COST_NONE}, .address = ADDRESS_BOTH},
    {GET, "/metrics", api_metrics, "metrics",
        .key = AUTH_METRICS, .cost = {COST_NONE}, .address = ADDRESS_BOTH},

    /* ---- the server, and its dictionaries */
    {GET, "/v1", api_server, "server", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, "/v1/dictionaries", api_dictionaries, "dictionaries",
        .key = AUTH_READ, .query = "offset limit state", .cost = {COST_NONE}},
    {GET, D, api_dictionary, "dictionary",
        .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, D "/dictionary", api_dictionary_file, "dictionary_file",
        .key = AUTH_READ, .gives = FORMS_FILE, .query = "format", .cost = {COST_NONE}},
    {GET, D "/artifact", api_artifact, "artifact", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, D "/standardization", api_standardization, "standardization",
        .key = AUTH_READ, .gives = FORMS_MATRIX, .query = "format", .cost = {COST_NONE}},
    {POST, D "/reload", api_reload, "reload",
        .key = AUTH_ADMIN, .takes = FORMS_NOTHING, .cost = {COST_FILE}, .address = ADDRESS_ADMIN, .revives = true},
    {POST, "/v1/dictionaries/{m}/load", api_load, "load",
        .key = AUTH_ADMIN, .takes = FORMS_NOTHING, .cost = {COST_FILE}, .address = ADDRESS_ADMIN},
    {POST, "/v1/dictionaries/{m}/unload", api_unload, "unload",
        .key = AUTH_ADMIN, .takes = FORMS_NOTHING, .cost = {COST_FILE}, .address = ADDRESS_ADMIN},

    /* ---- atoms and points */
    {GET, D "/atoms", api_atoms, "atoms",
        .key = AUTH_READ, .gives = FORMS_MATRIX | FORMS_LINES, .query = "offset limit ids q sort order min_frequency dead point fields format",
        .cost = {COST_ATOMS, 25}},
    {POST, D "/atoms", api_atoms_by_ids, "atoms_by_ids",
        .key = AUTH_READ, .takes = FORMS_JSON, .gives = FORMS_MATRIX | FORMS_LINES,
        .query = "fields format", .cost = {COST_ENTRIES, 25}},
    {GET, D "/atoms/{i}", api_atom, "atom",
        .key = AUTH_READ, .gives = FORMS_MATRIX, .query = "fields format", .cost = {COST_NONE}},
    {GET, D "/atoms/{i}/neighbors", api_neighbors, "neighbors",
        .key = AUTH_READ, .query = "k metric fields", .cost = {COST_SCAN, 0.5}},
    {GET, D "/atoms/{i}/cofiring", api_cofiring, "cofiring",
        .key = AUTH_READ, .query = "k measure fields", .cost = {COST_ATOMS, 25}},
    {GET, D "/atoms/{i}/items", api_items, "items",
        .key = AUTH_READ, .gives = FORMS_MATRIX, .query = "k format", .cost = {COST_ITEMS, 25}},
    {GET, D "/media/{f}", api_media, "media", .key = AUTH_READ, .cost = {COST_READ}},
    {GET, D "/table", api_table, "table",
        .key = AUTH_READ, .gives = FORMS_TABLE, .query = "columns format", .cost = {COST_TABLE, 400}},
    {GET, D "/training", api_training, "training",
        .key = AUTH_READ, .gives = FORMS_COLUMNS, .query = "columns format", .cost = {COST_TRAINING, 30}},
    {GET, D "/points", api_points, "points",
        .key = AUTH_READ, .gives = FORMS_MATRIX | FORMS_LINES, .query = "offset limit fields format", .cost = {COST_ATOMS, 25}},
    {GET, D "/rows", api_rows, "rows",
        .key = AUTH_READ, .gives = FORMS_MATRIX | FORMS_LINES, .query = "offset limit format", .cost = {COST_READ}},
    {GET, D "/contrasts", api_contrasts, "contrasts", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, D "/contrasts/{n}", api_contrast, "contrast",
        .key = AUTH_READ, .gives = FORMS_COLUMNS, .query = "sort order offset limit fields format", .cost = {COST_TABLE, 400}},
    {GET, D "/points/{i}", api_point, "point",
        .key = AUTH_READ, .gives = FORMS_MATRIX, .query = "format", .cost = {COST_NONE}},

    /* ---- what is kept in the state directory */
    {GET, D "/atoms/{i}/label", api_label, "label", .key = AUTH_READ, .cost = {COST_NONE}},
    {PUT, D "/atoms/{i}/label", api_set_label, "set_label",
        .key = AUTH_ADMIN, .takes = FORMS_JSON, .cost = {COST_STATE}, .own_tag = true},
    {DELETE, D "/atoms/{i}/label", api_unset_label, "unset_label",
        .key = AUTH_ADMIN, .takes = FORMS_NOTHING, .cost = {COST_STATE}, .own_tag = true},
    {GET, D "/labels", api_labels, "labels",
        .key = AUTH_READ, .gives = FORMS_LINES, .query = "offset limit format", .cost = {COST_TABLE, 100}},
    {POST, D "/labels", api_import_labels, "import_labels",
        .key = AUTH_ADMIN, .takes = FORMS_LINES, .cost = {COST_STATE}},
    {GET, D "/lists", api_lists, "lists", .key = AUTH_READ, .cost = {COST_STATE}},
    {GET, D "/lists/{n}", api_list, "list", .key = AUTH_READ, .cost = {COST_STATE}},
    {PUT, D "/lists/{n}", api_put_list, "put_list",
        .key = AUTH_ADMIN, .takes = FORMS_JSON, .cost = {COST_STATE}, .own_tag = true},
    {DELETE, D "/lists/{n}", api_delete_list, "delete_list",
        .key = AUTH_ADMIN, .takes = FORMS_NOTHING, .cost = {COST_STATE}, .own_tag = true},

    /* ---- computing */
    {POST, D "/search", api_search, "search",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_MATRIX | FORMS_LINES,
        .query = "k metric as exclude_self exclude min_score q min_frequency dead point fields format",
        .cost = {COST_QUERIES, 0.5}},
    {POST, D "/reconstruct", api_reconstruct, "reconstruct",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_MATRIX,
        .query = "format", .cost = {COST_ENTRIES, 0.3}},
    {POST, D "/encode", api_encode, "encode",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_MATRIX,
        .query = "format", .cost = {COST_SCAN, 0.3}},
    {POST, D "/explain", api_explain, "explain",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_LINES,
        .query = "k fields format", .cost = {COST_SCAN, 0.3}},
    {POST, D "/steer", api_steer, "steer",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_MATRIX,
        .query = "steer on method format", .cost = {COST_SCAN, 0.3}},
    {POST, D "/compare", api_compare, "compare", .key = AUTH_READ, .takes = FORMS_JSON, .cost = {COST_PAIRS}},
    {POST, D "/edit", api_edit, "edit",
        .key = AUTH_READ, .takes = FORMS_MATRIX, .gives = FORMS_MATRIX,
        .query = "set keep_error format", .cost = {COST_SCAN, 0.3}},

    /* ---- as Neuronpedia's inference server */
    {POST, "/v1/util/sae-vector", api_sae_vector, "sae_vector",
        .key = AUTH_READ, .takes = FORMS_JSON, .query = "which", .cost = {COST_NONE}},
    {GET, "/v1/capabilities", api_capabilities, "capabilities",
        .key = AUTH_READ, .cost = {COST_NONE}},
    {POST, "/v1/util/sae-topk-by-decoder-cossim", api_sae_topk, "sae_topk",
        .key = AUTH_READ, .takes = FORMS_JSON, .cost = {COST_SCAN, 0.5}},

    /* ---- the contract and its page */
    {GET, "/openapi.json", api_openapi, "openapi", .key = AUTH_OPEN, .cost = {COST_NONE}},
    {GET, "/problems", api_problems, "problems", .key = AUTH_OPEN, .cost = {COST_NONE}},
    {GET, "/", api_index, "index", .key = AUTH_OPEN, .query = "embed panels theme", .cost = {COST_NONE}, .page = true},
    {GET, "/explorer/{a}", api_explorer, "explorer", .key = AUTH_OPEN, .cost = {COST_NONE}, .page = true},
    {GET, "/docs", api_docs, "docs", .key = AUTH_OPEN, .cost = {COST_NONE}, .page = true},
    {GET, "/docs/docs.css", api_docs_css, "docs_css", .key = AUTH_OPEN, .cost = {COST_NONE}, .page = true},
    {GET, "/docs/docs.js", api_docs_js, "docs_js", .key = AUTH_OPEN, .cost = {COST_NONE}, .page = true},
    {GET, "/docs/tensors.md", api_tensors, "docs_tensors", .key = AUTH_OPEN, .cost = {COST_NONE}, .page = true},

    /* ---- the Open Inference Protocol */
    {GET, "/v2", api_oip_server, "v2_server", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, "/v2/health/live", api_oip_live, "v2_live", .key = AUTH_OPEN, .cost = {COST_NONE}},
    {GET, "/v2/health/ready", api_oip_server_ready, "v2_ready", .key = AUTH_OPEN, .cost = {COST_NONE}},
    {GET, "/v2/models/stats", api_oip_all_statistics, "v2_all_stats", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, M, api_oip_model, "v2_model", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, V, api_oip_model, "v2_version", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, M "/ready", api_oip_ready, "v2_model_ready", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, V "/ready", api_oip_ready, "v2_version_ready", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, M "/config", api_oip_config, "v2_model_config", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, V "/config", api_oip_config, "v2_version_config", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, M "/stats", api_oip_statistics, "v2_model_stats", .key = AUTH_READ, .cost = {COST_NONE}},
    {GET, V "/stats", api_oip_statistics, "v2_version_stats", .key = AUTH_READ, .cost = {COST_NONE}},
    {POST, M "/infer", api_oip_infer, "v2_infer",
        .key = AUTH_READ, .takes = FORMS_OIP, .cost = {COST_ENTRIES, 0.3}},
    {POST, V "/infer", api_oip_infer, "v2_version_infer",
        .key = AUTH_READ, .takes = FORMS_OIP, .cost = {COST_ENTRIES, 0.3}},
    {POST, "/v2/repository/index", api_oip_index, "v2_index",
        .key = AUTH_READ, .takes = FORMS_OIP, .cost = {COST_NONE}},
    {POST, "/v2/repository/models/{m}/load", api_oip_load, "v2_load",
        .key = AUTH_ADMIN, .takes = FORMS_OIP, .cost = {COST_FILE}, .address = ADDRESS_ADMIN},
    {POST, "/v2/repository/models/{m}/unload", api_oip_unload, "v2_unload",
        .key = AUTH_ADMIN, .takes = FORMS_OIP, .cost = {COST_FILE}, .address = ADDRESS_ADMIN},

    {.method = HTTP_OTHER, .label = "unknown", .cost = {COST_NONE}},
};
/* clang-format on */

enum { ROUTES = sizeof table / sizeof *table };

static const char *labels[ROUTES];

/* ---- compiling ----------------------------------------------------------------------------------------- */

static route_capture capture_of(char letter) {
    switch (letter) {
    case 'd':
        return CAPTURE_DICTIONARY;
    case 'v':
        return CAPTURE_VERSION;
    case 'm':
        return CAPTURE_NAME;
    case 'a':
        return CAPTURE_ASSET;
    case 'f':
        return CAPTURE_FILE;
    case 'n':
        return CAPTURE_TEXT;
    default:
        return CAPTURE_NUMBER;
    }
}

static void compile(void) {
    for (route *row = table; row < table + ROUTES; row++) {
        route_capture *capture = row->captures;
        labels[row - table] = row->label;
        if (!row->query) row->query = "";
        for (const char *at = row->pattern; at && (at = strchr(at, '{')); at++)
            *capture++ = capture_of(at[1]);
        for (const char *at = row->pattern; at && (at = strchr(at, '/')); at++) {
            row->segments++;
            row->last = at[1];
            row->open = strncmp(at, "/{f}", 4) == 0;
        }
    }
}

const route *routes_table(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compile);
    return table;
}

size_t routes_count(void) {
    return ROUTES;
}

const char *const *routes_labels(void) {
    routes_table();
    return labels;
}

/* ---- finding a row ------------------------------------------------------------------------------------- */

/* Where a segment of a pattern ends. */
static bool ends(const char *part) {
    return !*part || *part == '/';
}

/* Every request is held against every pattern. Nearly all differ in this. */
static bool may_match(const route *row, const http_target *target) {
    size_t count = target->segment_count;
    if (row->open) return count >= row->segments;
    return count == row->segments && (row->last == '{' || row->last == target->segments[count - 1][0]);
}

static bool matches(const char *pattern, const http_target *target, const char **captures) {
    size_t captured = 0;
    for (size_t i = 0; i < target->segment_count; i++) {
        const char *segment = target->segments[i];
        if (!*pattern++) return false;
        if (*pattern == '{' && *segment) {
            captures[captured++] = segment;
            if (pattern[1] == 'f') return true; /* the rest of the path */
            while (!ends(pattern)) pattern++;
            continue;
        }
        while (*segment && *segment == *pattern && !ends(pattern)) segment++, pattern++;
        if (*segment || !ends(pattern)) return false;
    }
    return target->segment_count > 0 && !*pattern;
}

void routes_find(const http_target *target, http_method method, route_match *match) {
    http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    *match = (route_match){0};
    const route *row = routes_table();
    for (; row->pattern; row++) {
        const char *captures[HTTP_CAPTURES] = {NULL};
        if (!may_match(row, target) || !matches(row->pattern, target, captures)) continue;
        match->methods |= 1u << row->method | 1u << HTTP_OPTIONS;
        if (row->method == HTTP_GET) match->methods |= 1u << HTTP_HEAD;
        if (row->method != wanted || match->route) continue;
        match->route = row;
        memcpy(match->captures, captures, sizeof captures);
    }
    if (!match->methods) match->route = row;
}
