/* auth.h - who may do what: bearer keys from a file.
 *
 * Each line of a key file is `read KEY` or `admin KEY`, and may go on with a name: `read KEY NAME`; empty lines
 * and lines that begin with # are skipped. A key is a bearer token of 16 to 512 characters (letters, digits,
 * - . _ ~ + / and = at the end). A name has 1 to 64 letters, digits, dots, dashes and underscores; the log calls
 * the key so. An admin key may do everything that a read key may. Several keys of one kind, also of one name,
 * allow changing them without an interruption.
 *
 *     auth_keys *keys = NULL;
 *     RA_TRY(auth_open("keys", &keys, err));
 *     auth_verdict verdict = auth_check(keys, AUTH_READ, request->headers, NULL);
 *     if (verdict != AUTH_GRANTED) auth_refuse(verdict, request, response);
 *     ...
 *     auth_reload(keys, err);                 the file has changed: takes all new keys or keeps all old ones
 *     auth_free(keys);
 *
 * Clients send the key as Authorization: Bearer KEY, or bare in X-API-Key, in api-key, or in X-Secret-Key, which
 * Neuronpedia's inference servers read; in one of them only.
 *
 * No message and no log line ever holds a key. Thread safety: any thread may check and reload at any time;
 * opening and freeing belong to one.
 */
#ifndef RASAED_HTTP_AUTH_H
#define RASAED_HTTP_AUTH_H

#include "http/http.h"

/* The key that a route requires. */
typedef enum auth_scope {
    AUTH_OPEN,   /* none */
    AUTH_READ,   /* any key, if there is a key file */
    AUTH_ADMIN,  /* an admin key; without a key file nobody has access */
    AUTH_METRICS /* one of the above, by the setting metrics_access */
} auth_scope;

typedef struct auth_keys auth_keys;

/* Reads the file. Errors name the line, never its content. The log warns when others than the owner may read
 * the file. */
ra_status auth_open(const char *path, auth_keys **keys, ra_error *err);

/* Reads the file again; on failure the old keys stay. */
ra_status auth_reload(auth_keys *keys, ra_error *err);

size_t auth_count(auth_keys *keys);
void auth_free(auth_keys *keys); /* NULL is fine */

typedef enum auth_verdict {
    AUTH_GRANTED,
    AUTH_SEVERAL, /* keys in more than one header: 400 */
    AUTH_NO_KEY,  /* no key was sent: 401 */
    AUTH_BAD_KEY, /* the key is not in the file, or not a bearer token at all: 401 */
    AUTH_TOO_LOW, /* a read key where an admin key is required: 403 */
    AUTH_DISABLED /* an admin route without a key file: 403 */
} auth_verdict;

/* headers [HTTP_HEADER_COUNT] of the request, NULL where absent. `keys` NULL: there is no key file. name (may be
 * NULL) <- that of the key that the request has; "" when it has none, or none was looked for. */
auth_verdict auth_check(auth_keys *keys, auth_scope needed, const char *const *headers,
                        char name[HTTP_KEY_NAME_SIZE]);

/* The reply to every verdict but AUTH_GRANTED, with its challenge (RFC 6750). */
void auth_refuse(auth_verdict verdict, const http_request *request, http_response *response);

#endif
