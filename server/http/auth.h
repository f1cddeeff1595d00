/* auth.h - who may do what: bearer keys from a file.
 *
 * A key file has a line for each key, `read KEY` or `admin KEY`; empty lines and lines that begin with # are
 * skipped. A key is a bearer token of 16 to 512 characters (letters, digits, - . _ ~ + / and = at the end).
 * An admin key may do all that a read key may. Several keys of a kind let them be changed without a gap.
 *
 *     auth_keys *keys = NULL;
 *     RA_TRY(auth_open("keys", &keys, err));
 *     auth_verdict verdict = auth_check(keys, AUTH_READ, request->headers[HTTP_AUTHORIZATION]);
 *     if (verdict != AUTH_GRANTED) auth_refuse(verdict, request, response);
 *     ...
 *     auth_reload(keys, err);                 the file changed: all of the new keys, or all of the old ones
 *     auth_free(keys);
 *
 * No message and no log line ever holds a key. Thread safety: any thread may check and reload at any time;
 * opening and freeing belong to one.
 */
#ifndef RASAED_HTTP_AUTH_H
#define RASAED_HTTP_AUTH_H

#include "http/http.h"

/* What a route asks for. */
typedef enum auth_scope {
    AUTH_OPEN,   /* nothing */
    AUTH_READ,   /* any key, when there is a key file */
    AUTH_ADMIN,  /* an admin key; without a key file nobody may */
    AUTH_METRICS /* one of the above: the setting metrics_access */
} auth_scope;

typedef struct auth_keys auth_keys;

/* Reads the file. Failures name the line, never what stands there. A file that others than its owner may read
 * is worth a warning in the log. */
ra_status auth_open(const char *path, auth_keys **keys, ra_error *err);

/* Reads it again; on failure the old keys stay. */
ra_status auth_reload(auth_keys *keys, ra_error *err);

size_t auth_count(auth_keys *keys);
void auth_free(auth_keys *keys); /* NULL is fine */

typedef enum auth_verdict {
    AUTH_GRANTED,
    AUTH_NO_KEY,  /* none was given: 401 */
    AUTH_BAD_KEY, /* one that is not in the file, or no bearer token at all: 401 */
    AUTH_TOO_LOW, /* a read key where an admin key is needed: 403 */
    AUTH_DISABLED /* an admin route without a key file: 403 */
} auth_verdict;

/* `header` is the value of Authorization, NULL without one. `keys` NULL: there is no key file. */
auth_verdict auth_check(auth_keys *keys, auth_scope needed, const char *header);

/* The reply to everything but AUTH_GRANTED, with the challenge that belongs to it (RFC 6750). */
void auth_refuse(auth_verdict verdict, const http_request *request, http_response *response);

#endif
