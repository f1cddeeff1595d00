/* trace.h - the header traceparent, by which a request is followed through several services.
 *
 * Nothing is traced here: a good header is given back with the response, and its trace id stands in the log.
 * Source: W3C Trace Context, "traceparent Header". Thread safety: no state.
 */
#ifndef RASAED_HTTP_TRACE_H
#define RASAED_HTTP_TRACE_H

#include <stdbool.h>

enum { TRACE_ID_SIZE = 33 };

/* 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, or what a later version may look like. NULL is not
 * good. */
bool trace_parent_is_good(const char *header);

/* id <- its 32 hexadecimal digits; "" for a header that is not good. Returns id. */
const char *trace_id(const char *header, char id[TRACE_ID_SIZE]);

#endif
