/* The table says what each family of routes does for a row, and how long a step of it takes on one core of an
 * ordinary machine. A number of a body takes about eight bytes in JSON and four in binary; a packed body is
 * taken for four times its size.
 *
 * To weigh a new endpoint: a row here. What has none is always answered in place.
 */
#include "cost.h"
#include "routes.h"

#include <stdlib.h>
#include <string.h>

typedef enum steps {
    STEPS_ENTRIES, /* d for every number of the body: sparse decoding */
    STEPS_SCAN,    /* K d for every row of the body, at least one: encoding, searching */
    STEPS_ATOMS,   /* d for every atom that is asked for: writing them out */
    STEPS_FILE     /* no end: reading and preparing a dictionary */
} steps;

typedef struct weight {
    api_handler *handler;
    steps steps;
    double nanoseconds; /* a step */
} weight;

static const weight weights[] = {
    {api_reconstruct, STEPS_ENTRIES, 0.3},
    {api_oip_infer, STEPS_ENTRIES, 0.3},
    {api_encode, STEPS_SCAN, 0.3},
    {api_explain, STEPS_SCAN, 0.3},
    {api_steer, STEPS_SCAN, 0.3},
    {api_search, STEPS_SCAN, 0.5},
    {api_neighbors, STEPS_SCAN, 0.5},
    {api_sae_topk, STEPS_SCAN, 0.5},
    {api_atoms, STEPS_ATOMS, 25},
    {api_reload, STEPS_FILE, 0},
    {api_oip_load, STEPS_FILE, 0},
    {api_oip_unload, STEPS_FILE, 0}, /* waits for a load that is under way */
};

enum { JSON_NUMBER = 8, BINARY_NUMBER = 4, PACKED = 4, PARSE_NANOSECONDS = 4, DEFAULT_ATOMS = 10 };

static const weight *find(const http_request *request) {
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (weights[i].handler == request->route->handler) return &weights[i];
    return NULL;
}

static double numbers_of(const http_request *request, double bytes) {
    return bytes / (request->body_form == FORM_JSON ? JSON_NUMBER : BINARY_NUMBER);
}

/* As the query says it; what is no number will be refused soon. */
static double atoms_asked(const http_request *request) {
    const char *limit = http_target_parameter(&request->target, "limit");
    const char *ids = http_target_parameter(&request->target, "ids");
    size_t count = ids ? 1 : DEFAULT_ATOMS;
    for (const char *c = ids; c && (c = strchr(c, ',')); c++) count++;
    return limit ? (double)strtoul(limit, NULL, 10) : (double)count;
}

static double count_steps(const weight *row, const http_request *request, double numbers,
                          const ra_model_info *info) {
    double d = (double)info->dimensions, rows = numbers / d;
    switch (row->steps) {
    case STEPS_ENTRIES:
        return numbers * d;
    case STEPS_SCAN:
        return (rows < 1 ? 1 : rows) * (double)info->concepts * d;
    case STEPS_ATOMS:
        return atoms_asked(request) * d;
    case STEPS_FILE:
        break;
    }
    return 0;
}

/* The dictionary of the path; of the others the body's size alone is known. */
static served *acquire(rasaed *server, const http_request *request) {
    bool named = strstr(request->route->pattern, "{d}") != NULL;
    return named ? registry_acquire(server->dictionaries, request->captures[0])
                 : registry_acquire_at(server->dictionaries, 0);
}

/* What a device computes goes there in turn, however little it is: the batcher joins it with what others
 * want, and only its few workspaces take memory there. */
static bool is_for_device(const weight *row, const ra_model_info *info) {
    return row->steps != STEPS_ATOMS && info->device_bytes > 0;
}

bool weight_is_heavy(rasaed *server, const http_request *request) {
    const weight *row = find(request);
    bool for_device = false;
    if (!row) return false;
    if (row->steps == STEPS_FILE) return true;
    double bytes = (double)request->body_size * (request->coding == CODING_IDENTITY ? 1 : PACKED);
    double cost = bytes * PARSE_NANOSECONDS;
    served *dictionary = acquire(server, request);
    if (dictionary) {
        const ra_model_info *info = ra_model_get_info(dictionary->model);
        for_device = is_for_device(row, info);
        cost += count_steps(row, request, numbers_of(request, bytes), info) * row->nanoseconds;
        served_release(dictionary);
    }
    return for_device || cost > HEAVY_NANOSECONDS;
}
