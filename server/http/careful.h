/* careful.h - a reply that is sent in pieces: a large one, so that nobody waits for it, and one whose bytes may change
 * while they are sent, those of a mapped file.
 *
 * In one turn of its thread, all the large replies together take HTTP_TURN_BYTES, those that have waited longest first:
 * mostly one of them a whole piece. Small pieces of all of them would cost as many calls of the system as there are
 * replies, and the others would wait for these, too.
 *
 *     http_turns turns = {0};
 *     for each turn: http_turns_begin(&turns); ... http_careful_response(response, &turns) ...
 *
 * Thread safety: for the thread of the connection.
 */
#ifndef RASAED_HTTP_CAREFUL_H
#define RASAED_HTTP_CAREFUL_H

#include "http/http.h"

#include <microhttpd.h>

enum { HTTP_TURN_BYTES = 128 << 10, HTTP_MOST_PIECE = 128 << 10, HTTP_LEAST_PIECE = 16 << 10 };

/* The large replies of a thread that wait for their turn. */
typedef struct http_turns {
    size_t left; /* bytes, in this turn */
    struct http_sending *first, *last;
} http_turns;

void http_turns_begin(http_turns *turns);

bool http_is_for_pieces(const http_response *response);

/* Sends copies of the pieces of a response, each after its tail, if it asks for that, has said that it holds. The response
 * must live until it is sent. NULL when memory is short. */
struct MHD_Response *http_careful_response(const http_response *response, http_turns *turns);

#endif
