/* cors.h - which pages in a browser may read the replies: Cross-Origin Resource Sharing of the Fetch
 * standard, for a list of origins.
 *
 *     cors_policy policy = {origins, count};           an empty list: no header is ever sent
 *     cors_answer(&policy, request, response);         on every response
 *     cors_preflight(&policy, request, response, "GET, HEAD, OPTIONS");      also on the answer to OPTIONS
 *
 * With "*" any page may read. With a list the header names the origin that asks, and `Vary: Origin` keeps
 * caches from giving its reply to another one. Cookies and other credentials are never allowed; a bearer key
 * that the page itself holds and sends works.
 *
 * Thread safety: the policy is constant.
 */
#ifndef RASAED_HTTP_CORS_H
#define RASAED_HTTP_CORS_H

#include "http/http.h"

typedef struct cors_policy {
    char *const *origins; /* all valid; borrowed */
    size_t count;
} cors_policy;

/* "*", or scheme://host with an optional port, as a browser sends it in Origin. */
bool cors_origin_is_good(const char *origin);

/* In both, NULL is a policy with an empty list. */

/* The headers that let the page read this response and its headers. */
void cors_answer(const cors_policy *policy, const http_request *request, http_response *response);

/* What the page may send, for a browser that asks first (OPTIONS with Access-Control-Request-Method). */
void cors_preflight(const cors_policy *policy, const http_request *request, http_response *response,
                    const char *methods);

#endif
