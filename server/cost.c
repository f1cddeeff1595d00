/* A number of a body takes about eight bytes in JSON and four in binary; a packed body is assumed to unpack
 * to four times its size. A body without the names of the members that hold rows holds numbers of atoms, each of which
 * stands for a row and takes two bytes at least. */
#include "cost.h"

#include <stdlib.h>
#include <string.h>

enum {
    JSON_NUMBER = 8,
    BINARY_NUMBER = 4,
    ATOM_NUMBER = 2,
    PACKED = 4,
    PARSE_NANOSECONDS = 4,
    WRITE_NANOSECONDS = 25, /* a number of an atom */
    SIFT_NANOSECONDS = 5,   /* an atom that is held against a query */
    FIND_NANOSECONDS = 100, /* an atom whose labels are searched: nearly all may be found */
    DEFAULT_ATOMS = 10,
    BRIEF_BYTES = 64 << 10 /* takes a quarter of a millisecond to parse, at most */
};

/* As the query asks; values that are not numbers will be refused soon. */
static double atoms_asked(const http_request *request) {
    const char *limit = http_target_parameter(&request->target, "limit");
    if (!limit) limit = http_target_parameter(&request->target, "k");
    const char *ids = http_target_parameter(&request->target, "ids");
    size_t count = ids ? 1 : DEFAULT_ATOMS;
    for (const char *c = ids; c && (c = strchr(c, ',')); c++) count++;
    return limit ? (double)strtoul(limit, NULL, 10) : (double)count;
}

static bool body_names(const http_request *request, const char *member) {
    return request->body && memmem(request->body, request->body_size, member, strlen(member));
}

static double items_asked(const http_request *request, const ra_model_info *info) {
    const char *k = http_target_parameter(&request->target, "k");
    size_t asked = k ? strtoul(k, NULL, 10) : info->item_count;
    return (double)(asked < info->item_count ? asked : info->item_count) *
           (double)(info->items.rows ? info->items.rows : 1) * (info->has_tokens ? 2 : 1);
}

/* To find the atoms first. */
static double find_cost(const http_request *request, const ra_model_info *info) {
    static const char *const sifted[] = {"sort", "order", "min_frequency", "dead", "point"};
    double atoms = (double)info->concepts;
    if (http_target_parameter(&request->target, "q") || body_names(request, "\"q\""))
        return FIND_NANOSECONDS * atoms;
    for (size_t i = 0; i < sizeof sifted / sizeof *sifted; i++)
        if (http_target_parameter(&request->target, sifted[i])) return SIFT_NANOSECONDS * atoms;
    return 0;
}

static bool holds_atoms(const http_request *request) {
    return request->body_form == FORM_JSON && !body_names(request, "\"vectors\"") &&
           !body_names(request, "\"inputs\"");
}

static double count_steps(cost_kind kind, const http_request *request, double bytes,
                          const ra_model_info *info) {
    double numbers = bytes / (request->body_form == FORM_JSON ? JSON_NUMBER : BINARY_NUMBER);
    double d = (double)info->dimensions, rows = numbers / d;
    switch (kind) {
    case COST_ENTRIES:
        return numbers * d;
    case COST_QUERIES:
        if (holds_atoms(request)) rows = bytes / ATOM_NUMBER;
        /* fall through */
    case COST_SCAN:
        return (rows < 1 ? 1 : rows) * (double)info->concepts * d;
    case COST_TABLE:
        return (double)info->concepts;
    case COST_TRAINING:
        return (double)info->training_bins * RA_TRAINING_COLUMNS;
    case COST_ITEMS:
        return items_asked(request, info);
    case COST_ATOMS:
        return atoms_asked(request) * d;
    default:
        return 0;
    }
}

/* Each result of a search, or concept of an explanation, with the parts of its atom. */
static double write_cost(cost_kind kind, const http_request *request) {
    bool parts =
        (kind == COST_SCAN || kind == COST_QUERIES) && http_target_parameter(&request->target, "fields");
    return parts ? WRITE_NANOSECONDS : 0;
}

/* However little it is, what a device computes goes through the batcher: it joins requests, and only its few
 * workspaces take memory on the device. */
static bool is_for_device(cost_kind kind, const ra_model_info *info) {
    bool computes = kind == COST_ENTRIES || kind == COST_SCAN || kind == COST_QUERIES;
    return computes && info->device_bytes > 0;
}

bool cost_is_heavy(const cost *stated, const http_request *request, const ra_model_info *info) {
    if (stated->kind == COST_NONE) return false;
    if (stated->kind >= COST_READ || stated->kind == COST_UNSTATED) return true;
    double bytes = (double)request->body_size * (request->coding == CODING_IDENTITY ? 1 : PACKED);
    double nanoseconds = bytes * PARSE_NANOSECONDS;
    if (info && nanoseconds <= HEAVY_NANOSECONDS)
        nanoseconds +=
            count_steps(stated->kind, request, bytes, info) *
                (stated->nanoseconds + write_cost(stated->kind, request)) +
            (stated->kind == COST_ATOMS || stated->kind == COST_QUERIES ? find_cost(request, info) : 0);
    return nanoseconds > HEAVY_NANOSECONDS || (info && is_for_device(stated->kind, info));
}

bool cost_is_brief(const cost *stated, const http_request *request) {
    bool computes = stated->kind == COST_SCAN || stated->kind == COST_QUERIES || stated->kind == COST_ENTRIES;
    return computes && request->body_size <= BRIEF_BYTES;
}
