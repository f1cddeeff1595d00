/* weight.h - which requests are too heavy for an I/O thread.
 *
 * An I/O thread that computes serves none of its other connections meanwhile. So what would take it longer
 * than HEAVY_NANOSECONDS is answered on a compute thread, which costs some microseconds of handing over. The
 * estimate is rough on purpose: it is made from the route, the bytes of the body and the size of the
 * dictionary, before anything is parsed, since parsing is part of the work.
 *
 * Thread safety: no state of its own.
 */
#ifndef RASAED_COST_H
#define RASAED_COST_H

#include "api/rasaed.h"
#include "http/http.h"

enum { HEAVY_NANOSECONDS = 200000 };

/* The request is admitted and its body complete. */
bool weight_is_heavy(rasaed *server, const http_request *request);

#endif
