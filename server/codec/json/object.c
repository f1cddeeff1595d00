/* Mistakes are found as early as possible but reported as late as necessary: a value of the wrong type, or of
 * an unknown member, is still read to its end first, because "not JSON, byte 17" is the better answer to a
 * truncated body.
 */
#include "codec/json/object.h"

#include <stdio.h>

enum { MAX_MEMBERS = 12 };

static const char *name_list(const json_member *members, size_t n, char *list, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < n && used < size; i++) {
        int more = snprintf(list + used, size - used, "%s\"%s\"", i ? ", " : "", members[i].name);
        used += more > 0 ? (size_t)more : 0;
    }
    return list;
}

static bool fail_unknown(json_scan *scan, const char *what, json_string key, const json_member *members,
                         size_t n) {
    char known[192];
    if (!json_scan_skip(scan, NULL)) return false;
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_UNKNOWN_PARAMETER},
                               "%s has an unknown member \"%.*s\"; expected %s", what, json_string_shown(key),
                               key.raw, name_list(members, n, known, sizeof known));
}

bool json_object_missing(json_scan *scan, const char *what, const char *name, const char *wanted) {
    ra_error_facts facts = {.kind = PROBLEM_MISSING_PARAMETER};
    snprintf(facts.where, sizeof facts.where, "%s", name);
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &facts, "%s has no member \"%s\"; expected %s", what,
                               name, wanted);
}

bool json_body_empty(json_scan *scan, const char *wanted) {
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_MALFORMED_BODY},
                               "the body is empty, expected %s", wanted);
}

bool json_object_read(json_scan *scan, const char *what, const char *wanted, const json_member *members,
                      size_t n, void *request) {
    bool seen[MAX_MEMBERS] = {false};
    json_string key;
    if (!json_scan_expect(scan, JSON_OBJECT, what, wanted)) return false;
    json_scan_object(scan);
    while (json_scan_member(scan, &key)) {
        size_t i = 0;
        while (i < n && !json_string_is(key, members[i].name)) i++;
        if (i == n) return fail_unknown(scan, what, key, members, n);
        if (!members[i].read(scan, request)) return false;
        seen[i] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (!seen[i] && !members[i].optional) return json_object_missing(scan, what, members[i].name, wanted);
    return scan->status == RA_OK;
}

ra_status json_body_read(const char *body, size_t size, const char *wanted, const json_member *members,
                         size_t n, void *request, ra_error *err) {
    json_scan scan;
    json_scan_begin(&scan, body, size, err);
    if (size == 0)
        json_body_empty(&scan, wanted);
    else if (json_object_read(&scan, "the body", wanted, members, n, request))
        json_scan_end(&scan);
    return json_scan_close(&scan);
}
