/* The head of a request: target, headers, and what each of them says (server/http, server/codec/negotiate.c). Lines: the
 * target, then one header each; which function a header's value goes to follows from its name. */
#include "codec/coding.h"
#include "codec/negotiate.h"
#include "fuzz/fuzz.h"
#include "http/conditions.h"
#include "http/forwarded.h"
#include "http/headers.h"
#include "http/target.h"
#include "ra_memory.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static void use_target(const char *raw) {
    static const char *const bases[] = {NULL, "/rasae"};
    for (size_t i = 0; i < 2; i++) {
        ra_error err = {0};
        http_target target;
        ra_status status = http_target_parse(&target, raw, bases[i], &err);
        fuzz_expect_error(status, &err);
        if (status == RA_OK) {
            for (size_t s = 0; s < target.segment_count; s++)
                fuzz_expect(ra_utf8_valid(target.segments[s], strlen(target.segments[s])), "not UTF-8");
            for (size_t p = 0; p < target.parameter_count; p++) {
                http_list list = {0};
                fuzz_expect(http_target_parameter(&target, target.parameters[p].name),
                            "a parameter is not found");
                for (size_t n = 0; n < 64 && http_target_list(&target, target.parameters[p].name, &list); n++)
                    fuzz_read(list.entry, (size_t)(list.end - list.entry));
            }
        }
        http_target_release(&target);
    }
}

static void use_values(const http_headers *headers) {
    char id[TRACE_ID_SIZE];
    form body, reply;
    content_coding coding;
    size_t first = 0, length = 0;
    int64_t seconds;
    const char *const *values = headers->values;
    (void)form_from_content_type(values[HTTP_CONTENT_TYPE], &body);
    for (unsigned offered = 1; offered < 1u << FORM_COUNT; offered += 7)
        if (form_choose(values[HTTP_ACCEPT], offered | 1u << FORM_JSON, FORM_JSON, &reply))
            fuzz_expect((offered | 1u << FORM_JSON) >> reply & 1, "a form was chosen that is not offered");
    (void)content_coding_from_name(values[HTTP_CONTENT_ENCODING], &coding);
    (void)coding_choose(values[HTTP_ACCEPT_ENCODING], 15);
    const preconditions wanted = {values[HTTP_IF_MATCH], values[HTTP_IF_NONE_MATCH],
                                  values[HTTP_IF_MODIFIED_SINCE], values[HTTP_IF_UNMODIFIED_SINCE]};
    (void)preconditions_check(&wanted, "\"a\"", 784111777);
    if (values[HTTP_IF_RANGE]) (void)tag_is_current(values[HTTP_IF_RANGE], "\"a\"");
    if (values[HTTP_IF_MODIFIED_SINCE] && http_date_read(values[HTTP_IF_MODIFIED_SINCE], &seconds) &&
        seconds >= 0) {
        char date[HTTP_DATE_SIZE];
        int64_t again;
        fuzz_expect(http_date_read(http_date_write(seconds, date), &again) && again == seconds,
                    "a date that was written reads as another");
    }
    if (values[HTTP_RANGE] && range_parse(values[HTTP_RANGE], 1000, &first, &length) == RANGE_PART)
        fuzz_expect(length > 0 && first < 1000 && length <= 1000 - first, "a range beyond the content");
    fuzz_expect(trace_parent_is_good(values[HTTP_TRACEPARENT]) ==
                    (trace_id(values[HTTP_TRACEPARENT], id)[0] != '\0'),
                "a trace without an id");
}

/* The address as a socket of its family has it, or of any other. */
static void use_peer(const ip_address *address) {
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr other = {.sa_family = AF_UNIX};
    ip_address again = {{0}};
    memcpy(&v6.sin6_addr, address->bytes, IP_BYTES);
    memcpy(&v4.sin_addr, address->bytes + IP_BYTES - sizeof v4.sin_addr, sizeof v4.sin_addr);
    const void *peer = ip_is_v4(address) ? (const void *)&v4 : &v6;
    fuzz_expect(ip_of_peer(peer, &again) && memcmp(&again, address, sizeof again) == 0,
                "a peer has another address");
    fuzz_expect(!ip_of_peer(&other, &again), "a peer of another family has an address");
}

static void use_forwarded(const http_headers *headers) {
    static const char *const items[] = {"10.0.0.0/8", "2001:db8::/32"};
    ra_error err = {0};
    http_proxies proxies = {0};
    fuzz_expect(http_proxies_init(&proxies, (char *const *)items, 2, &err) == RA_OK, "no proxies");
    forwarded who = {0};
    forwarded_read(&proxies, headers, &who);
    if (who.found) {
        char string[IP_TEXT_SIZE];
        ip_address again;
        ip_write(&who.client, string);
        fuzz_expect(ip_parse(string, strlen(string), &again), "an address that was written is not read");
        use_peer(&who.client);
    }
    if (who.broken) fuzz_read(who.broken, who.broken_size);
    http_proxies_release(&proxies);
}

static void run(const uint8_t *bytes, size_t size) {
    enum { MOST = 32 };
    char *lines[MOST];
    size_t count = 0;
    ra_error err = {0};
    http_headers headers = {0};
    char *target = fuzz_line(&bytes, &size);
    use_target(target);
    fuzz_expect_error(http_headers_first_line("GET", target, &err), &err);
    ra_status status = RA_OK;
    while (status == RA_OK && size && count < MOST) {
        char *line = lines[count++] = fuzz_line(&bytes, &size), *colon = strchr(line, ':');
        size_t name = colon ? (size_t)(colon - line) : strlen(line);
        const char *value = colon ? colon + 1 + (colon[1] == ' ') : "";
        if (colon) *colon = '\0'; /* as the library cuts a line */
        err = (ra_error){0};
        status = http_headers_add(&headers, line, name, value, strlen(value), &err);
        fuzz_expect_error(status, &err);
    }
    if (status == RA_OK) {
        for (int version_1 = 0; version_1 < 2; version_1++) {
            err = (ra_error){0};
            fuzz_expect_error(http_headers_finish(&headers, version_1, &err), &err);
        }
        use_values(&headers);
        use_forwarded(&headers);
    }
    while (count) ra_free(lines[--count]);
    ra_free(target);
}
FUZZ_TARGET(head, FUZZ_BYTES, run)
