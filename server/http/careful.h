/* careful.h - a reply whose bytes may change while they are sent, those of a mapped file.
 *
 * Thread safety: for the thread of the connection.
 */
#ifndef RASAED_HTTP_CAREFUL_H
#define RASAED_HTTP_CAREFUL_H

#include "http/http.h"

#include <microhttpd.h>

/* Sends copies of the pieces of a response, each after its tail has said that it holds. The response must live until
 * it is sent. NULL when memory is short. */
struct MHD_Response *http_careful_response(const http_response *response);

#endif
