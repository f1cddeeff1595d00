#include "codec/json/compare.h"
#include "codec/json/object.h"

#include <string.h>

static bool read_with(json_scan *scan, void *target) {
    json_string string;
    text *name = target;
    if (!json_scan_string(scan, "with", &string)) return false;
    json_string_decode(string, name);
    if (!name->failed && name->size && memchr(name->data, 0, name->size))
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "with is no name: it holds a NUL");
    text_append(name, "", 1);
    return !name->failed || json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: a name");
}

ra_status json_compare_parse(const char *body, size_t size, text *name, ra_error *err) {
    static const json_member members[] = {{"with", read_with, false}};
    return json_body_read(body, size, "{\"with\": \"NAME\"}", members, 1, name, err);
}
