/* document.h - files that the build puts into the program, as replies.
 *
 * To add one: the file, a row in the list of docs.c or of explorer.c and, for docs.c, its handler in api.h and its row
 * in routes.c.
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_DOCUMENT_H
#define RASAED_API_DOCUMENT_H

#include "api/api.h"

#include <stddef.h>

/* Sends the bytes from start to end with an entity tag and the policy of our pages, which may load only what this server
 * has. A page of HTML leads to its own address when the path has a slash too many or, at the prefix, too few. */
ra_status document_send(api_call *call, const char *content_type, const char *start, const char *end);

#endif
