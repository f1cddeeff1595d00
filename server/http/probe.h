/* probe.h - sends a server one GET and looks only at the status, as a health check does.
 *
 *     RA_TRY(http_probe("http://127.0.0.1:8080/health/ready", 5, err));
 *
 * RA_OK: the answer was 200. RA_ERR_ARGUMENT: not a URL that can be probed. RA_ERR_STATE: another answer.
 * RA_ERR_IO: no answer within `seconds`, or none in HTTP. The certificate of https is not verified: the check
 * runs beside the server and sends nothing secret, and certificates rarely name 127.0.0.1.
 *
 * Thread safety: any thread.
 */
#ifndef RASAED_HTTP_PROBE_H
#define RASAED_HTTP_PROBE_H

#include "ra_status.h"

/* The default path is /health/ready, the default port that of the scheme. */
ra_status http_probe(const char *url, unsigned seconds, ra_error *err);

#endif
