/* tls.h - certificate and key for https, read from their files.
 *
 * Both are PEM; the file of the certificate holds its chain. They are read once: a new certificate needs a
 * restart.
 */
#ifndef RASAED_HTTP_TLS_H
#define RASAED_HTTP_TLS_H

#include "ra_status.h"

typedef struct http_tls {
    char *certificate, *key; /* text; both NULL: plain http */
} http_tls;

/* RA_ERR_NOT_FOUND, RA_ERR_IO, or RA_ERR_FORMAT for a file that is not PEM or two that do not belong
 * together; then *tls is {0}. */
ra_status http_tls_read(const char *certificate_path, const char *key_path, http_tls *tls, ra_error *err);
/* Sends as much as the socket takes now. The session is one of GnuTLS whose handshake is done. */
void http_tls_send(void *session, const void *data, size_t size);

void http_tls_release(http_tls *tls); /* overwrites the key; leaves {0} */

#endif
