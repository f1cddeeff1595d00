/* What a client reads when a request fails, in the words of both protocols (server/api/api.c, server/codec/problems.c). */
#include "harness.h"
#include "api/api.h"

#include <string.h>

static void expect(const char *path, const char *content_type, const char *body) {
    http_request request = {.target = {.path = path}, .write_problem = api_write_problem, .id = "a1"};
    http_response response = {0};
    ra_error_facts facts = {.where = "/ids/3", PROBLEM_COUNTS(7, 12)};
    http_problem(&request, &response, PROBLEM_UNKNOWN_ATOM, "there is no \"x\" here: \xff\xc3\xa9", &facts);
    text_append(&response.body, "", 1);
    ck_assert_str_eq(response.body.data, body);
    ck_assert_int_eq(response.status, 404);
    ck_assert_str_eq(response.content_type, content_type);
    http_response_release(&response);
}

START_TEST(test_a_problem_says_it_twice) {
    expect("/v1/x", "application/problem+json",
           "{\"type\":\"/problems#unknown_atom\",\"title\":\"Not "
           "Found\",\"status\":404,\"code\":\"unknown_atom\","
           "\"detail\":\"there is no \\\"x\\\" here: ���\",\"pointer\":\"/ids/3\",\"limit\":7,\"actual\":12,"
           "\"instance\":\"/v1/x\",\"request_id\":\"a1\","
           "\"error\":\"there is no \\\"x\\\" here: ���\"}\n");
}
END_TEST

/* Clients compare codes and see statuses: each row has both, and no two share a code. */
START_TEST(test_the_table_is_complete) {
    for (int i = PROBLEM_NONE + 1; i < PROBLEM_COUNT; i++) {
        const problem_row *row = problem_get((problem_kind)i);
        ck_assert_str_ne(http_status_text(row->status), "Unknown Status");
        ck_assert_uint_eq(strspn(row->code, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->code));
        ck_assert_int_eq(row->meaning[strlen(row->meaning) - 1], '.');
        for (int j = PROBLEM_NONE + 1; j < i; j++)
            ck_assert_str_ne(row->code, problem_get((problem_kind)j)->code);
    }
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

TEST_CASES(problems, test_a_problem_says_it_twice, test_the_table_is_complete,
           test_the_other_protocol_has_its_own_form)
