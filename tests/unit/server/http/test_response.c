#include "harness.h"
#include "http/http.h"
#include "ra_memory.h"

#include <string.h>

static int http_status_of(ra_status status) {
    return problem_get(problem_of(&(ra_error){.code = status}))->status;
}

START_TEST(test_every_status_of_the_library_has_one_of_http) {
    for (int status = RA_OK + 1; status < RA_STATUS_COUNT; status++) {
        int http = http_status_of((ra_status)status);
        ck_assert_int_ge(http, 400);
        ck_assert_str_ne(http_status_text(http), "Unknown Status");
    }
    ck_assert_int_eq(http_status_of(RA_ERR_SHAPE), 400);
    ck_assert_int_eq(http_status_of(RA_ERR_NOT_FOUND), 404);
    ck_assert_int_eq(http_status_of(RA_ERR_STATE), 409);
    ck_assert_int_eq(http_status_of(RA_ERR_TOO_LARGE), 413);
    ck_assert_int_eq(http_status_of(RA_ERR_UNSUPPORTED), 501);
    ck_assert_int_eq(http_status_of(RA_ERR_MEMORY), 503);
    ck_assert_int_eq(http_status_of(RA_ERR_INTERNAL), 500);
    ck_assert_int_eq(http_status_of((ra_status)999), 500);
}
END_TEST

static bool holds(const text *body, const char *part) {
    return memmem(body->data, body->size, part, strlen(part)) != NULL;
}

static void write_shouting(const http_request *request, http_response *response, const char *sentence,
                           const ra_error_facts *facts) {
    ck_assert_ptr_nonnull(facts);
    response->content_type = "text/x-shout";
    text_format(&response->body, "%s: %d %s!", request->target.path, response->status, sentence);
}

START_TEST(test_a_problem_replaces_what_was_written_in_the_words_of_the_service) {
    http_request request = {.target = {.path = "/v1/x"}, .write_problem = write_shouting};
    http_response response = {.cacheable = true, .ranges = true};
    text_string(&response.body, "half a reply");
    http_problem(&request, &response, PROBLEM_UNKNOWN_PATH, "nothing", NULL);
    text_append(&response.body, "", 1);
    ck_assert_str_eq(response.body.data, "/v1/x: 404 nothing!\n");
    ck_assert_str_eq(response.content_type, "text/x-shout");
    ck_assert(!response.cacheable && !response.ranges);
    request.write_problem = NULL;
    http_problem(&request, &response, PROBLEM_INVALID_VALUE, "bad", NULL);
    ck_assert_str_eq(response.content_type, "text/plain; charset=utf-8");
    ck_assert_mem_eq(response.body.data, "bad\n", 4);
    http_response_release(&response);
}
END_TEST

static char logged[1024];

static void keep_line(void *context, ra_log_level level, const char *line) {
    (void)context, (void)level;
    strncpy(logged, line, sizeof logged - 1);
}

START_TEST(test_what_fails_inside_is_logged_and_not_told) {
    static const ra_status inside[] = {RA_ERR_IO, RA_ERR_INTERNAL, RA_ERR_DEVICE, RA_ERR_MEMORY};
    ra_log_set_sink(keep_line, NULL);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        http_request request = {.target = {.path = "/"}, .id = "abc"};
        http_response response = {0};
        http_fail(&request, &response, &(ra_error){.code = inside[i], .message = "/secret/file broke"});
        ck_assert_int_ge(response.status, 500);
        ck_assert(!holds(&response.body, "secret"));
        ck_assert_ptr_nonnull(strstr(logged, "abc"));
        ck_assert_ptr_nonnull(strstr(logged, "/secret/file broke"));
        http_response_release(&response);
    }
    ra_log_set_sink(NULL, NULL);
}
END_TEST

START_TEST(test_what_the_client_did_is_told) {
    http_request request = {.target = {.path = "/"}};
    http_response response = {0};
    http_fail(&request, &response, &(ra_error){.code = RA_ERR_SHAPE, .message = "3 is not 4"});
    ck_assert_int_eq(response.status, 400);
    ck_assert(holds(&response.body, "3 is not 4"));
    http_fail(&request, &response, &(ra_error){.code = RA_ERR_UNSUPPORTED, .message = "not offered"});
    ck_assert_int_eq(response.status, 501);
    ck_assert(holds(&response.body, "not offered"));
    http_response_release(&response);
}
END_TEST

START_TEST(test_headers_come_back_in_order_and_without_line_breaks) {
    http_response response = {0};
    http_response_header(&response, "Allow", "GET, HEAD");
    http_response_header(&response, "X-Bad", "a\r\nSet-Cookie: b\x7f");
    http_response_header(&response, "X-Empty", "");
    static const char *const expected[][2] = {
        {"Allow", "GET, HEAD"}, {"X-Bad", "aSet-Cookie: b"}, {"X-Empty", ""}};
    const char *name, *value;
    size_t position = 0;
    for (size_t i = 0; i < 3; i++) {
        ck_assert(http_response_next_header(&response, &position, &name, &value));
        ck_assert_str_eq(name, expected[i][0]);
        ck_assert_str_eq(value, expected[i][1]);
    }
    ck_assert(!http_response_next_header(&response, &position, &name, &value));
    http_response_reset(&response);
    position = 0;
    ck_assert(!http_response_next_header(&response, &position, &name, &value));
    http_response_release(&response);
}
END_TEST

START_TEST(test_a_header_is_there_whole_or_not_at_all) {
    char large[600];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    http_response response = {0};
    http_response_header(&response, "Allow", "GET");
    ra_memory_fail_at(1);
    http_response_header(&response, "X-Large", large);
    ra_memory_fail_at(0);
    const char *name, *value;
    size_t position = 0;
    ck_assert(http_response_next_header(&response, &position, &name, &value));
    ck_assert_str_eq(value, "GET");
    ck_assert(!http_response_next_header(&response, &position, &name, &value));
    http_response_release(&response);
}
END_TEST

START_TEST(test_methods_are_read_and_written_exactly) {
    ck_assert_int_eq(http_method_from_name("GET"), HTTP_GET);
    ck_assert_int_eq(http_method_from_name("OPTIONS"), HTTP_OPTIONS);
    ck_assert_int_eq(http_method_from_name("get"), HTTP_OTHER);
    ck_assert_int_eq(http_method_from_name("GETS"), HTTP_OTHER);
    ck_assert_str_eq(http_method_name(HTTP_POST), "POST");
}
END_TEST

TEST_CASES(response, test_every_status_of_the_library_has_one_of_http,
           test_a_problem_replaces_what_was_written_in_the_words_of_the_service,
           test_what_fails_inside_is_logged_and_not_told, test_what_the_client_did_is_told,
           test_headers_come_back_in_order_and_without_line_breaks,
           test_a_header_is_there_whole_or_not_at_all, test_methods_are_read_and_written_exactly)
