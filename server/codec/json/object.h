/* object.h - reads JSON objects by a table of their members.
 *
 *     static const json_member members[] = {{"atom", read_atom, false}, {"scale", read_scale, true}};
 *     json_object_read(&scan, "the body", "{\"atom\": 5, \"scale\": 2.0}", members, 2, &request);
 *
 * Members may come in any order; an unknown member, and a missing one that is not optional, is RA_ERR_FORMAT
 * with the known or expected members. Thread safety: tables are constant.
 */
#ifndef RASAED_CODEC_JSON_OBJECT_H
#define RASAED_CODEC_JSON_OBJECT_H

#include "codec/json/scan.h"

/* A table has at most twelve. */
typedef struct json_member {
    const char *name;
    bool (*read)(json_scan *scan, void *request); /* passes the value; false when the scan has failed */
    bool optional;
} json_member;

/* Reads the next value. `what` names it, `wanted` shows what it should look like. */
bool json_object_read(json_scan *scan, const char *what, const char *wanted, const json_member *members,
                      size_t n, void *request);

/* Fail the scan: a member is missing; the body has no byte. Return false. */
bool json_object_missing(json_scan *scan, const char *what, const char *name, const char *wanted);
bool json_body_empty(json_scan *scan, const char *wanted);

/* Reads a body that is one such object, from its first byte to its last. */
ra_status json_body_read(const char *body, size_t size, const char *wanted, const json_member *members,
                         size_t n, void *request, ra_error *err);

#endif
