/* tls.h - certificate and key for https, read from their files, and read again while connections go on.
 *
 * Both are PEM; the file of the certificate holds its chain. New connections get the pair that was read last; those that
 * are open keep theirs.
 *
 *     http_tls *tls = NULL;
 *     RA_TRY(http_tls_open("fullchain.pem", "key.pem", &tls, err));
 *     ...
 *     if (http_tls_changed(tls)) RA_TRY(http_tls_reload(tls, err));       on failure the old pair stays
 *     http_tls_free(tls);                                                 after the servers that use it
 *
 * The log warns of a certificate that has expired, soon will, or is not valid yet, whenever it is read.
 * Thread safety: any thread may ask and reload at any time; opening and freeing belong to one. A process has one at a
 * time.
 */
#ifndef RASAED_HTTP_TLS_H
#define RASAED_HTTP_TLS_H

#include "ra_status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct http_tls http_tls;

enum { HTTP_TLS_SOON_DAYS = 14 }; /* before its end, a certificate is worth a warning */

/* RA_ERR_NOT_FOUND, RA_ERR_IO, or RA_ERR_FORMAT for a file that is not PEM or two that do not belong together. */
ra_status http_tls_open(const char *certificate_path, const char *key_path, http_tls **tls, ra_error *err);
ra_status http_tls_reload(http_tls *tls, ra_error *err);

/* Whether a file is another one since the last read, and the same as at the last call: a pair that is being written
 * is left alone. */
bool http_tls_changed(http_tls *tls);

/* When the first certificate of the chain ends, in seconds since 1970. */
int64_t http_tls_expires(http_tls *tls);

void http_tls_free(http_tls *tls); /* overwrites the key; NULL is fine */

/* What the HTTP library asks for each connection: a gnutls_certificate_retrieve_function3. */
void *http_tls_retrieve(void);

/* Sends as much as the socket takes now. The session is one of GnuTLS whose handshake is done. */
void http_tls_send(void *session, const void *data, size_t size);

#endif
