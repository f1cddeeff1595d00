/* careful.h - a reply that is sent in pieces: a large one, so that nobody waits for it, and one whose bytes may change
 * while they are sent, those of a mapped file.
 *
 * In one turn of its thread, all the large replies together send HTTP_TURN_BYTES: the more there are, the smaller
 * are the pieces, from HTTP_MOST_PIECE down to HTTP_LEAST_PIECE.
 *
 * Thread safety: for the thread of the connection.
 */
#ifndef RASAED_HTTP_CAREFUL_H
#define RASAED_HTTP_CAREFUL_H

#include "http/http.h"

#include <microhttpd.h>

enum { HTTP_TURN_BYTES = 128 << 10, HTTP_MOST_PIECE = 128 << 10, HTTP_LEAST_PIECE = 16 << 10 };

bool http_is_for_pieces(const http_response *response);

/* Sends copies of the pieces of a response, each after its tail, if it asks for that, has said that it holds. The response
 * must live until it is sent. *count is the number of such replies of the thread, kept here. NULL when memory is short. */
struct MHD_Response *http_careful_response(const http_response *response, size_t *count);

#endif
