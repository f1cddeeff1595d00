/* Which requests leave the I/O threads: by the stated cost, the body, the query and the dictionary. */
#include "cost.h"
#include "harness.h"

#include <string.h>

static const ra_model_info large = {.concepts = 10000, .dimensions = 768};
static const ra_model_info small = {.concepts = 10, .dimensions = 4};
static const ra_model_info on_device = {.concepts = 10, .dimensions = 4, .device_bytes = 1};

static bool heavy(cost stated, size_t body_size, const ra_model_info *info) {
    return cost_is_heavy(&stated, &(http_request){.body_size = body_size, .body_form = FORM_RAW}, info);
}

START_TEST(test_kinds_without_steps) {
    ck_assert(!heavy((cost){.kind = COST_NONE}, (size_t)1 << 30, &large));
    ck_assert(heavy((cost){.kind = COST_FILE}, 0, NULL));
    ck_assert(heavy((cost){.kind = COST_UNSTATED}, 0, &small));
}
END_TEST

START_TEST(test_steps_follow_body_and_dictionary) {
    ck_assert(heavy((cost){COST_SCAN, 0.3}, 768 * 4, &large));
    ck_assert(!heavy((cost){COST_SCAN, 0.3}, 4 * 4, &small));
    ck_assert(heavy((cost){COST_SCAN, 0.3}, 0, &large)); /* at least one row */
    ck_assert(!heavy((cost){COST_ENTRIES, 0.3}, 50 * 4, &large));
    ck_assert(heavy((cost){COST_ENTRIES, 0.3}, 50000 * 4, &large));
    ck_assert(heavy((cost){COST_SCAN, 0.3}, 1 << 20, NULL)); /* parsing alone */
    ck_assert(!heavy((cost){COST_SCAN, 0.3}, 1 << 10, NULL));
}
END_TEST

static bool search_is_heavy(const char *body, const char *target) {
    http_request request = {.body = body, .body_size = strlen(body), .body_form = FORM_JSON};
    ra_ok(http_target_parse(&request.target, target, NULL, &err));
    bool is = cost_is_heavy(&(cost){COST_QUERIES, 0.5}, &request,
                            &(ra_model_info){.concepts = 1000, .dimensions = 100});
    http_target_release(&request.target);
    return is;
}

START_TEST(test_numbers_of_atoms_count_as_rows) {
    ck_assert(!search_is_heavy("{\"vectors\":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]]}", "/"));
    ck_assert(search_is_heavy("{\"atoms\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}", "/"));
    ck_assert(search_is_heavy("{\"\\u0061toms\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}", "/"));
    ck_assert(search_is_heavy("{\"vectors\":[[1]]}", "/?fields=vector")); /* which writes more */
}
END_TEST

START_TEST(test_a_packed_body_counts_as_a_larger_one) {
    http_request request = {.body_size = 20000};
    ck_assert(!cost_is_heavy(&(cost){COST_ENTRIES, 0}, &request, NULL));
    request.coding = CODING_GZIP;
    ck_assert(cost_is_heavy(&(cost){COST_ENTRIES, 0}, &request, NULL));
}
END_TEST

START_TEST(test_atoms_are_those_of_the_query) {
    static const struct {
        const char *target;
        bool heavy;
    } cases[] = {{"/?limit=1000", true}, {"/?limit=1", false}, {"/", false}, {"/?ids=1,2,3", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_request request = {0};
        ra_ok(http_target_parse(&request.target, cases[i].target, NULL, &err));
        ck_assert_msg(cost_is_heavy(&(cost){COST_ATOMS, 25}, &request, &large) == cases[i].heavy, "%s",
                      cases[i].target);
        http_target_release(&request.target);
    }
}
END_TEST

START_TEST(test_a_device_computes_everything_in_turn) {
    ck_assert(heavy((cost){COST_SCAN, 0.3}, 4, &on_device));
    ck_assert(heavy((cost){COST_ENTRIES, 0.3}, 4, &on_device));
    ck_assert(!heavy((cost){COST_ATOMS, 25}, 4, &on_device));
    ck_assert(!heavy((cost){.kind = COST_NONE}, 4, &on_device));
}
END_TEST

START_TEST(test_what_computes_on_a_small_body_is_brief) {
    static const struct {
        cost_kind kind;
        bool computes;
    } cases[] = {{COST_SCAN, true},   {COST_QUERIES, true}, {COST_ENTRIES, true}, {COST_NONE, false},
                 {COST_ATOMS, false}, {COST_TABLE, false},  {COST_FILE, false},   {COST_UNSTATED, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cost stated = {cases[i].kind, 1};
        ck_assert(cost_is_brief(&stated, &(http_request){.body_size = 3000}) == cases[i].computes);
        ck_assert(!cost_is_brief(&stated, &(http_request){.body_size = 1 << 20}));
    }
}
END_TEST

TEST_CASES(cost, test_what_computes_on_a_small_body_is_brief, test_kinds_without_steps,
           test_steps_follow_body_and_dictionary, test_numbers_of_atoms_count_as_rows,
           test_a_packed_body_counts_as_a_larger_one, test_atoms_are_those_of_the_query,
           test_a_device_computes_everything_in_turn)
