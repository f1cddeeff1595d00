/* json_object.h - JSON objects read by a table of their members.
 *
 *     static const json_member members[] = {{"atom", read_atom, false}, {"scale", read_scale, true}};
 *     json_object_read(&scan, "the body", "{\"atom\": 5, \"scale\": 2.0}", members, 2, &request);
 *
 * Members may stand in any order; one that is unknown, or missing without being optional, is RA_ERR_FORMAT,
 * with what is known or expected. Thread safety: tables are constant.
 */
#ifndef RASAED_CODEC_JSON_OBJECT_H
#define RASAED_CODEC_JSON_OBJECT_H

#include "codec/json/scan.h"

/* At most eight in a table. */
typedef struct json_member {
    const char *name;
    bool (*read)(json_scan *scan, void *request); /* passes the value; false when the walk has failed */
    bool optional;
} json_member;

/* The object that stands next. `what` names it, `wanted` says what it should look like. */
bool json_object_read(json_scan *scan, const char *what, const char *wanted, const json_member *members,
                      size_t n, void *request);

/* A body that is one such object, from its first byte to its last. */
ra_status json_body_read(const char *body, size_t size, const char *wanted, const json_member *members,
                         size_t n, void *request, ra_error *err);

#endif
