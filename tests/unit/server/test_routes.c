#include "harness.h"
#include "routes.h"

#include <string.h>

static size_t row_count(void) {
    size_t n = 0;
    while (routes_table()[n].pattern) n++;
    return n;
}

static route_match find(const char *path, http_method method) {
    http_target target;
    route_match match;
    ra_ok(http_target_parse(&target, path, NULL, &err));
    routes_find(&target, method, &match);
    http_target_release(&target);
    return match;
}

START_TEST(test_rows_are_complete_and_labels_differ) {
    const route *table = routes_table();
    for (size_t i = 0; i < row_count(); i++) {
        ck_assert_int_lt(table[i].method, HTTP_OTHER);
        ck_assert_int_eq(table[i].pattern[0], '/');
        ck_assert_ptr_nonnull((void *)(uintptr_t)table[i].handler);
        ck_assert_ptr_nonnull(table[i].query);
        if (table[i].method == HTTP_GET) ck_assert_uint_eq(table[i].takes, 0);
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(table[i].label, table[j].label);
    }
    ck_assert_str_eq(table[row_count()].label, "unknown");
    ck_assert_uint_eq(routes_count(), row_count() + 1);
    for (size_t i = 0; i < routes_count(); i++) ck_assert_str_eq(routes_labels()[i], table[i].label);
}
END_TEST

/* A heavy route without a cost would block an I/O thread, so every row states one: COST_NONE, too. */
START_TEST(test_every_row_states_its_cost) {
    for (size_t i = 0; i < row_count(); i++) {
        const route *row = &routes_table()[i];
        ck_assert_msg(row->cost.kind != COST_UNSTATED, "%s states no cost in server/routes.c", row->label);
        bool has_steps = row->cost.kind != COST_NONE && row->cost.kind < COST_READ;
        ck_assert_msg(has_steps == (row->cost.nanoseconds > 0), "%s: nanoseconds do not fit the kind of cost",
                      row->label);
    }
}
END_TEST

/* Routes that change the server, and no others, are only on the address for administration. Labels and lists are what its
 * users change: these are where the dictionaries are. */
START_TEST(test_each_row_is_on_its_address) {
    for (size_t i = 0; i < row_count(); i++) {
        const route *row = &routes_table()[i];
        bool both = strcmp(row->label, "live") == 0 || strcmp(row->label, "ready") == 0 ||
                    strcmp(row->label, "metrics") == 0;
        route_address expected = both                                                     ? ADDRESS_BOTH
                                 : row->key == AUTH_ADMIN && row->cost.kind != COST_STATE ? ADDRESS_ADMIN
                                                                                          : ADDRESS_MAIN;
        ck_assert_msg(row->address == expected, "%s is on address %d, expected %d", row->label, row->address,
                      expected);
    }
}
END_TEST

START_TEST(test_patterns_are_compiled) {
    for (size_t i = 0; i < row_count(); i++) {
        static const struct {
            char letter;
            route_capture capture;
        } kinds[] = {{'d', CAPTURE_DICTIONARY}, {'v', CAPTURE_VERSION}, {'m', CAPTURE_NAME},
                     {'a', CAPTURE_ASSET},      {'n', CAPTURE_TEXT},    {'i', CAPTURE_NUMBER},
                     {'f', CAPTURE_FILE}};
        const route *row = &routes_table()[i];
        size_t captured = 0;
        for (const char *at = strchr(row->pattern, '{'); at; at = strchr(at + 1, '{'), captured++) {
            ck_assert_uint_lt(captured, HTTP_CAPTURES);
            size_t kind = 0;
            while (kind < 7 && kinds[kind].letter != at[1]) kind++;
            ck_assert_msg(kind < 7 && at[2] == '}', "%s: unknown capture in %s", row->label, row->pattern);
            ck_assert_int_eq(row->captures[captured], kinds[kind].capture);
        }
        for (; captured < HTTP_CAPTURES; captured++)
            ck_assert_int_eq(row->captures[captured], CAPTURE_NOTHING);
    }
}
END_TEST

/* A new row needs a decision about who may use it. */
START_TEST(test_who_may_do_what) {
    static const char *const changing[] = {"reload",    "load",       "unload",      "v2_load",
                                           "v2_unload", "set_label",  "unset_label", "import_labels",
                                           "put_list",  "delete_list"};
    static const char *const open[] = {"live", "ready",    "v2_live", "v2_ready", "openapi",      "problems",
                                       "docs", "docs_css", "docs_js", "index",    "docs_tensors", "explorer"};
    for (size_t i = 0; i < row_count(); i++) {
        const route *row = &routes_table()[i];
        auth_scope expected = strcmp(row->label, "metrics") == 0 ? AUTH_METRICS : AUTH_READ;
        for (size_t j = 0; j < sizeof changing / sizeof *changing; j++)
            if (strcmp(row->label, changing[j]) == 0) expected = AUTH_ADMIN;
        for (size_t j = 0; j < sizeof open / sizeof *open; j++)
            if (strcmp(row->label, open[j]) == 0) expected = AUTH_OPEN;
        ck_assert_msg(row->key == expected, "%s requires %d, expected %d", row->label, row->key, expected);
    }
}
END_TEST

/* Replaces "{d}" and "{i}" by examples. */
static void example(const char *pattern, char *path) {
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            *path++ = *pattern;
            continue;
        }
        *path++ = pattern[1] == 'i' ? '7' : 'w';
        pattern += 2;
    }
    *path = '\0';
}

START_TEST(test_every_row_is_found_by_its_own_path) {
    for (size_t i = 0; i < row_count(); i++) {
        const route *row = &routes_table()[i];
        char path[128];
        example(row->pattern, path);
        route_match match = find(path, row->method);
        ck_assert_msg(match.route == row, "%s leads to %s", path,
                      match.route ? match.route->label : "nothing");
        ck_assert(match.methods >> row->method & 1);
    }
}
END_TEST

START_TEST(test_captures_come_in_the_order_of_the_path) {
    http_target target;
    route_match match;
    ra_ok(http_target_parse(&target, "/v1/dictionaries/words/atoms/12/neighbors", NULL, &err));
    routes_find(&target, HTTP_GET, &match);
    ck_assert_str_eq(match.route->label, "neighbors");
    ck_assert_str_eq(match.captures[0], "words");
    ck_assert_str_eq(match.captures[1], "12");
    http_target_release(&target);
}
END_TEST

START_TEST(test_head_takes_the_row_of_get) {
    route_match match = find("/health/live", HTTP_HEAD);
    ck_assert_str_eq(match.route->label, "live");
    ck_assert_uint_eq(match.methods, 1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_OPTIONS);
}
END_TEST

START_TEST(test_a_known_path_with_another_method_has_methods_and_no_row) {
    route_match match = find("/v1/dictionaries/words/search", HTTP_GET);
    ck_assert_ptr_null(match.route);
    ck_assert_uint_eq(match.methods, 1u << HTTP_POST | 1u << HTTP_OPTIONS);
    match = find("/v1/dictionaries", HTTP_OTHER);
    ck_assert_ptr_null(match.route);
}
END_TEST

START_TEST(test_unknown_paths_lead_to_the_last_row) {
    static const char *const paths[] = {"/v3",
                                        "/%2F",
                                        "/v1/dictionaries/words/atoms%2F",
                                        "/v1/dictionaries/words/atoms/1/2",
                                        "/v1/dictionaries/words/atoms/1/neighbors/x",
                                        "/V1/dictionaries",
                                        "/v1/dictionarie",
                                        "/v1/dictionariess",
                                        "/%7Bd%7D"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        route_match match = find(paths[i], HTTP_GET);
        ck_assert_msg(match.methods == 0, "%s is known", paths[i]);
        ck_assert_str_eq(match.route->label, "unknown");
    }
}
END_TEST

TEST_CASES(routes, test_rows_are_complete_and_labels_differ, test_every_row_states_its_cost,
           test_each_row_is_on_its_address, test_patterns_are_compiled, test_who_may_do_what,
           test_every_row_is_found_by_its_own_path, test_captures_come_in_the_order_of_the_path,
           test_head_takes_the_row_of_get, test_a_known_path_with_another_method_has_methods_and_no_row,
           test_unknown_paths_lead_to_the_last_row)
