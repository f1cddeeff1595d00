/* past.h - an answer that is sent past the library, where the library sends none: it has answered a malformed head in
 * words of its own, or a body is too long and does not end.
 *
 * The response is written to the socket as one message. It is small, and the socket's buffer is empty: nothing was sent
 * before it. What does not fit is lost, as the connection is about to end.
 */
#ifndef RASAED_HTTP_PAST_H
#define RASAED_HTTP_PAST_H

#include "http/http.h"

/* tls: the session of GnuTLS; NULL for plain HTTP. id: the request's; "" for none. */
void http_past_send(int descriptor, void *tls, const http_response *response, const char *id);

#endif
