#include "http/cors.h"

#include <string.h>

/* The headers that scripts may read besides the few that every page may. */
static const char exposed[] =
    "ETag, Link, Retry-After, Content-Range, X-Request-Id, X-Error-Code, X-Dictionary-Revision, "
    "X-Tensor-Shape, X-Tensor-Dtype, Inference-Header-Content-Length, Traceparent";

/* The headers that scripts may send, and those that tracing tools and HTTP libraries of browsers add on their own.
 * Authorization must be named: no wildcard covers it. */
static const char accepted[] = "Authorization, X-API-Key, api-key, X-Secret-Key, Content-Type, "
                               "Content-Encoding, If-Match, If-None-Match, If-Range, Range, "
                               "X-Request-Id, X-Tensor-Shape, X-Tensor-Dtype, "
                               "Inference-Header-Content-Length, Traceparent, Tracestate, "
                               "Baggage, Sentry-Trace, X-Requested-With";

/* How long a browser may remember the answer, in seconds: the limit of Chromium. */
static const char remembered[] = "7200";

static bool is_any(const char *origin) {
    return strcmp(origin, "*") == 0;
}

/* host, host:port or [IPv6]:port, in lower case, as browsers send it */
static bool is_authority(const char *string) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t host = *string == '[' ? strcspn(string, "]") : strspn(string, letters);
    if (*string == '[') {
        if (string[host] != ']' || host < 3 || strspn(string + 1, "0123456789abcdef:.") != host - 1)
            return false;
        host++;
    }
    if (!host) return false;
    if (!string[host]) return true;
    size_t digits = strspn(string + host + 1, "0123456789");
    return string[host] == ':' && digits >= 1 && digits <= 5 && !string[host + 1 + digits];
}

bool cors_origin_is_good(const char *origin) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";
    if (is_any(origin)) return true;
    size_t scheme = strspn(origin, letters);
    return scheme && strncmp(origin + scheme, "://", 3) == 0 && is_authority(origin + scheme + 3);
}

/* The value of Access-Control-Allow-Origin for this request, NULL when the page may not read. */
static const char *allowed(const cors_policy *policy, const http_request *request) {
    const char *asking = request->headers[HTTP_ORIGIN];
    for (size_t i = 0; asking && i < policy->count; i++) {
        if (is_any(policy->origins[i])) return "*";
        if (strcmp(policy->origins[i], asking) == 0) return policy->origins[i];
    }
    return NULL;
}

static bool names_origins(const cors_policy *policy) {
    for (size_t i = 0; i < policy->count; i++)
        if (is_any(policy->origins[i])) return false;
    return policy->count > 0;
}

void cors_answer(const cors_policy *policy, const http_request *request, http_response *response) {
    if (!policy) return;
    if (names_origins(policy)) http_response_header(response, "Vary", "Origin");
    const char *origin = allowed(policy, request);
    if (!origin) return;
    http_response_header(response, "Access-Control-Allow-Origin", origin);
    if (request->method != HTTP_OPTIONS)
        http_response_header(response, "Access-Control-Expose-Headers", exposed);
}

void cors_preflight(const cors_policy *policy, const http_request *request, http_response *response,
                    const char *methods) {
    if (!policy || !request->headers[HTTP_ACCESS_CONTROL_REQUEST_METHOD] || !allowed(policy, request)) return;
    http_response_header(response, "Access-Control-Allow-Methods", methods);
    http_response_header(response, "Access-Control-Allow-Headers", accepted);
    http_response_header(response, "Access-Control-Max-Age", remembered);
}
