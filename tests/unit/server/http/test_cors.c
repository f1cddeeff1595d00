#include "harness.h"
#include "http/cors.h"

#include <string.h>

START_TEST(test_good_and_bad_origins) {
    static const char *const good[] = {"*",
                                       "https://example.org",
                                       "http://localhost:3000",
                                       "http://127.0.0.1:8080",
                                       "http://[::1]:8080",
                                       "https://a-b.example_2.org",
                                       "chrome-extension://abcdef"};
    static const char *const bad[] = {"",
                                      "null",
                                      "example.org",
                                      "https://",
                                      "https://example.org/",
                                      "https://example.org/path",
                                      "https://Example.org",
                                      "https://example.org:",
                                      "https://example.org:123456",
                                      "https://example.org:80x",
                                      "https://user@example.org",
                                      "https://*.example.org",
                                      "http://[::1",
                                      "http://[]",
                                      "http://[::1]x",
                                      "**",
                                      "https://a b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(cors_origin_is_good(good[i]), "%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!cors_origin_is_good(bad[i]), "%s is taken", bad[i]);
}
END_TEST

static const char *header_of(const http_response *response, const char *wanted) {
    const char *name, *value;
    for (size_t at = 0; http_response_next_header(response, &at, &name, &value);)
        if (strcmp(name, wanted) == 0) return value;
    return NULL;
}

static bool same(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char a_org[] = "https://a.org", b_org[] = "https://b.org", star[] = "*";

START_TEST(test_answers) {
    static char *const one[] = {a_org, b_org};
    static char *const any[] = {star};
    static const cors_policy none = {NULL, 0}, listed = {one, 2}, open = {any, 1};
    static const struct {
        const cors_policy *policy;
        const char *origin, *allowed, *vary;
    } table[] = {
        {&none, "https://a.org", NULL, NULL},
        {NULL, "https://a.org", NULL, NULL},
        {&listed, NULL, NULL, "Origin"},
        {&listed, "https://a.org", "https://a.org", "Origin"},
        {&listed, "https://b.org", "https://b.org", "Origin"},
        {&listed, "https://c.org", NULL, "Origin"},
        {&listed, "https://a.org.evil", NULL, "Origin"},
        {&listed, "null", NULL, "Origin"},
        {&open, NULL, NULL, NULL},
        {&open, "https://c.org", "*", NULL},
        {&open, "null", "*", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_request request = {.method = HTTP_GET, .headers[HTTP_ORIGIN] = table[i].origin};
        http_response response = {0};
        cors_answer(table[i].policy, &request, &response);
        ck_assert_msg(same(header_of(&response, "Access-Control-Allow-Origin"), table[i].allowed), "row %zu",
                      i);
        ck_assert_msg(same(header_of(&response, "Vary"), table[i].vary), "row %zu", i);
        const char *exposed = header_of(&response, "Access-Control-Expose-Headers");
        ck_assert_msg(!exposed == !table[i].allowed, "row %zu", i);
        if (exposed) ck_assert_ptr_nonnull(strstr(exposed, "Inference-Header-Content-Length"));
        ck_assert_ptr_null(header_of(&response, "Access-Control-Allow-Credentials"));
        http_response_release(&response);
    }
}
END_TEST

START_TEST(test_preflight) {
    static char *const origins[] = {a_org};
    static const cors_policy policy = {origins, 1};
    static const struct {
        const char *origin, *asked;
        bool answered;
    } table[] = {{"https://a.org", "POST", true},
                 {"https://a.org", NULL, false},
                 {"https://b.org", "POST", false},
                 {NULL, "POST", false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_request request = {.method = HTTP_OPTIONS};
        http_response response = {0};
        request.headers[HTTP_ORIGIN] = table[i].origin;
        request.headers[HTTP_ACCESS_CONTROL_REQUEST_METHOD] = table[i].asked;
        cors_answer(&policy, &request, &response);
        cors_preflight(&policy, &request, &response, "POST, OPTIONS");
        const char *methods = header_of(&response, "Access-Control-Allow-Methods");
        ck_assert_msg(same(methods, table[i].answered ? "POST, OPTIONS" : NULL), "row %zu", i);
        if (methods) {
            ck_assert_ptr_nonnull(
                strstr(header_of(&response, "Access-Control-Allow-Headers"), "Authorization"));
            ck_assert_ptr_nonnull(header_of(&response, "Access-Control-Max-Age"));
        }
        http_response_release(&response);
    }
}
END_TEST

TEST_CASES(cors, test_good_and_bad_origins, test_answers, test_preflight)
