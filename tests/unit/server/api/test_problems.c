/* What a client reads when a request fails, in the words of both protocols (server/api/api.c). */
#include "harness.h"
#include "api/api.h"

static void expect(const char *path, const char *content_type, const char *body) {
    http_request request = {.target = {.path = path}, .write_problem = api_write_problem};
    http_response response = {0};
    http_problem(&request, &response, 404, "there is no \"x\" here: \xff\xc3\xa9");
    text_append(&response.body, "", 1);
    ck_assert_str_eq(response.body.data, body);
    ck_assert_int_eq(response.status, 404);
    ck_assert_str_eq(response.content_type, content_type);
    http_response_release(&response);
}

START_TEST(test_a_problem_says_it_twice) {
    expect("/v1/x", "application/problem+json",
           "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
           "\"detail\":\"there is no \\\"x\\\" here: ���\",\"instance\":\"/v1/x\","
           "\"error\":\"there is no \\\"x\\\" here: ���\"}\n");
}
END_TEST

START_TEST(test_the_other_protocol_has_its_own_form) {
    static const char body[] = "{\"error\":\"there is no \\\"x\\\" here: ���\"}\n";
    expect("/v2", "application/json", body);
    expect("/v2/models/x", "application/json", body);
    http_request request = {.target = {.path = "/v20"}};
    ck_assert(!api_is_oip(&request));
}
END_TEST

TEST_CASES(problems, test_a_problem_says_it_twice, test_the_other_protocol_has_its_own_form)
