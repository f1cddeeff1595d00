/* probe.h - asks a server one GET and looks at nothing but the status: what a health check does.
 *
 *     RA_TRY(http_probe("http://127.0.0.1:8080/health/ready", 5, err));
 *
 * RA_OK: it answered 200. RA_ERR_ARGUMENT: this is no URL to ask. RA_ERR_STATE: it answered something else.
 * RA_ERR_IO: no answer within `seconds`, or none that is HTTP. Over https the certificate is not looked at:
 * who asks is beside the server and sends nothing worth hiding, and certificates rarely name 127.0.0.1.
 *
 * Thread safety: any thread.
 */
#ifndef RASAED_HTTP_PROBE_H
#define RASAED_HTTP_PROBE_H

#include "ra_status.h"

#include <stdbool.h>

/* A URL without a path asks for /health/ready, one without a port for that of its scheme. */
ra_status http_probe(const char *url, unsigned seconds, ra_error *err);

/* Over a connected stream socket, which it closes; `name` is that of the server in the sentence
 * of a failure. */
ra_status http_probe_over(int descriptor, bool secure, const char *name, const char *path, unsigned seconds,
                          ra_error *err);

#endif
