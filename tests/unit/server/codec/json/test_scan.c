#include "harness.h"
#include "codec/json/scan.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Scans a whole text in memory of exactly its size, so that a sanitizer sees a read beyond its end. */
static ra_status walk_bytes(const char *bytes, size_t size, ra_error *err) {
    char *exact = malloc(size ? size : 1);
    if (!exact) ck_abort();
    memcpy(exact, bytes, size);
    json_scan scan;
    json_scan_begin(&scan, exact, size, err);
    if (json_scan_skip(&scan, NULL)) json_scan_end(&scan);
    ra_status status = json_scan_close(&scan);
    free(exact);
    return status;
}

static ra_status walk(const char *body, ra_error *err) {
    return walk_bytes(body, strlen(body), err);
}

START_TEST(test_accepts_all_of_json) {
    static const char *const bodies[] = {
        "{}",
        "[]",
        " [ ] ",
        "\t{\r\n}\n",
        "0",
        "\"\"",
        "true",
        "false",
        "null",
        "-1.5e-3",
        "1e999", /* a JSON number may have any size */
        "[1,2 , 3]",
        "{\"a\":1,\"b\":[{},[],\"\",null,true,false]}",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":2}}", /* the same name in different objects */
        "{\"a\":1,\"A\":2,\"\":3,\"a \":4}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\uD83D\\uDC31\"",
        "\"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\xb1 \x7f\"",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) ra_ok(walk(bodies[i], &err));
}
END_TEST

START_TEST(test_refuses_what_is_not_json_and_says_where) {
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"", "expected a value at byte 0, found the end"},
        {"   ", "expected a value at byte 3, found the end"},
        {"hello", "expected a value at byte 0, found 'h'"},
        {"\xef\xbb\xbf{}", "expected a value at byte 0, found the byte 0xEF"},
        {"[1,2", "expected ',' or ']' at byte 4, found the end"},
        {"[1 2]", "expected ',' or ']' at byte 3, found '2'"},
        {"[1,2}", "expected ',' or ']' at byte 4, found '}'"},
        {"[1,]", "expected a value at byte 3, found ']'"},
        {"[,1]", "expected a value at byte 1, found ','"},
        {"[", "expected a value or ']' at byte 1, found the end"},
        {"{", "expected '\"' or '}' at byte 1, found the end"},
        {"{\"a\":1,}", "expected '\"' at byte 7, found '}'"},
        {"{\"a\" 1}", "expected ':' at byte 5, found '1'"},
        {"{\"a\":}", "expected a value at byte 5, found '}'"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}' at byte 7, found '\"'"},
        {"{a:1}", "expected '\"' at byte 1, found 'a'"},
        {"{'a':1}", "expected '\"' at byte 1, found '''"},
        {"[1] x", "expected the end of the body at byte 4, found 'x'"},
        {"{}{}", "expected the end of the body at byte 2, found '{'"},
        {"tru", "expected true at byte 0, found 't'"},
        {"truer", "expected the end of the body at byte 4, found 'r'"},
        {"[nul]", "expected null at byte 1, found 'n'"},
        {"[01]", "malformed number at byte 1"},
        {"[1.]", "malformed number at byte 1"},
        {"[-]", "malformed number at byte 1"},
        {"[1,2,3e]", "malformed number at byte 5"},
        {"[.5]", "expected a value at byte 1, found '.'"},
        {"[+1]", "expected a value at byte 1, found '+'"},
        {"[1,\x0b 2]", "expected a value at byte 3, found the byte 0x0B"},
        {"\"abc", "a string without its closing quote at byte 0"},
        {"[\"abc\\", "an unknown escape at byte 5"},
        {"\"a\nb\"", "an unescaped control character at byte 2"},
        {"\"\\x\"", "an unknown escape at byte 1"},
        {"\"\\u12\"", "\\u without four hexadecimal digits at byte 1"},
        {"\"\\u12g4\"", "\\u without four hexadecimal digits at byte 1"},
        {"\"\\ud800\"", "half of a surrogate pair at byte 1"},
        {"\"\\udc00\"", "half of a surrogate pair at byte 1"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair at byte 1"},
        {"\"\\ud800\\ud800\"", "half of a surrogate pair at byte 1"},
        {"\"\\ud800\\", "half of a surrogate pair at byte 1"},
        {"[\"\xff\"]", "a string that is not valid UTF-8 at byte 1"},
        {"\"\xc3\"", "a string that is not valid UTF-8 at byte 0"},
        {"\"\xed\xa0\x80\"", "a string that is not valid UTF-8 at byte 0"},
        {"// x", "expected a value at byte 0, found '/'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_fails(walk(cases[i].body, &err), RA_ERR_FORMAT, cases[i].message);
        ra_fails(walk(cases[i].body, &err), RA_ERR_FORMAT, "not JSON: ");
    }
    ra_fails(walk_bytes("[1]\0", 4, &err), RA_ERR_FORMAT, "byte 3, found the byte 0x00");
    ra_fails(walk_bytes("\"a\0b\"", 5, &err), RA_ERR_FORMAT, "control character");
    ra_fails(walk_bytes("\"\\\0\"", 4, &err), RA_ERR_FORMAT, "an unknown escape");
}
END_TEST

START_TEST(test_words_for_what_is_not_finite_get_their_own_answer) {
    ra_fails(walk("[1,NaN]", &err), RA_ERR_NOT_FINITE, "NaN at byte 3: numbers must be finite");
    ra_fails(walk("Infinity", &err), RA_ERR_NOT_FINITE, "Infinity at byte 0: numbers must be finite");
    ra_fails(walk("{\"a\":-Infinity}", &err), RA_ERR_NOT_FINITE,
             "-Infinity at byte 5: numbers must be finite");
}
END_TEST

START_TEST(test_refuses_a_member_twice) {
    ra_fails(walk("{\"a\":1,\"b\":2,\"a\":3}", &err), RA_ERR_FORMAT, "the member \"a\" at byte 13 is twice");
    ra_fails(walk("{\"a\":1,\"\\u0061\":3}", &err), RA_ERR_FORMAT,
             "the member \"\\u0061\" at byte 7 is twice");
    ra_fails(walk("{\"x\":{\"\":1,\"\":3}}", &err), RA_ERR_FORMAT, "the member \"\" at byte 11 is twice");
    ra_fails(walk("{\"a\":1,\"x\":{\"b\":0},\"a\":3}", &err), RA_ERR_FORMAT, "the member \"a\" at byte 19");
    ra_fails(walk("{\"\xf0\x9f\x90\xb1\":1,\"\\ud83d\\udc31\":3}", &err), RA_ERR_FORMAT, "is twice");
    ra_ok(walk("{\"\\u0000\":1,\"\":2,\"\\u0000\\u0000\":3}", &err));
}
END_TEST

START_TEST(test_refuses_a_member_twice_among_many) {
    enum { MEMBERS = 20000 };
    static char body[16 * MEMBERS + 64];
    for (int twice = 0; twice < 2; twice++) {
        size_t n = (size_t)snprintf(body, sizeof body, "{");
        for (int i = 0; i < MEMBERS; i++)
            n += (size_t)snprintf(body + n, sizeof body - n, "\"k%d\":0,", (i * 7919) % MEMBERS);
        size_t last = n;
        snprintf(body + n, sizeof body - n, "\"%s\":0}", twice ? "k1234" : "new");
        char message[64];
        snprintf(message, sizeof message, "\"k1234\" at byte %zu is twice", last);
        if (twice)
            ra_fails(walk(body, &err), RA_ERR_FORMAT, message);
        else
            ra_ok(walk(body, &err));
    }
}
END_TEST

START_TEST(test_nesting_is_limited) {
    char body[256];
    for (int depth = JSON_SCAN_DEPTH; depth <= JSON_SCAN_DEPTH + 1; depth++) {
        memset(body, '[', (size_t)depth);
        memset(body + depth, ']', (size_t)depth);
        body[2 * depth] = '\0';
        if (depth == JSON_SCAN_DEPTH)
            ra_ok(walk(body, &err));
        else
            ra_fails(walk(body, &err), RA_ERR_FORMAT, "nested more than 32 levels deep at byte 32");
    }
    memset(body, '[', sizeof body);
    ra_fails(walk_bytes(body, sizeof body, &err), RA_ERR_FORMAT, "nested more than 32 levels deep");
    ra_ok(
        walk("[[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]],[[[]]]]", &err));
}
END_TEST

static json_string string_of(const char *raw) {
    return (json_string){raw, strlen(raw)};
}

START_TEST(test_strings_are_decoded) {
    static const struct {
        const char *raw, *decoded;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC\\ud83d\\uDC31!", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb1!"},
        {"\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
        {"\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_string string = string_of(cases[i].raw);
        text out = {0};
        json_string_decode(string, &out);
        char *decoded = text_detach(&out, NULL);
        ck_assert_str_eq(decoded, cases[i].decoded);
        ck_assert(json_string_is(string, decoded));
        ck_assert(!json_string_is(string, "something else"));
        ra_free(decoded);
    }
    ck_assert(!json_string_is(string_of("\\u0000"), ""));
    ck_assert(!json_string_is(string_of("ab"), "a"));
    ck_assert(!json_string_is(string_of("a"), "ab"));
}
END_TEST

START_TEST(test_long_strings_are_shown_in_whole_characters) {
    char raw[100];
    memset(raw, 'x', sizeof raw);
    ck_assert_int_eq(json_string_shown((json_string){raw, 64}), 64);
    ck_assert_int_eq(json_string_shown((json_string){raw, 65}), 64);
    memcpy(raw + 62, "\xf0\x9f\x90\xb1", 4);
    ck_assert_int_eq(json_string_shown((json_string){raw, 100}), 62);
}
END_TEST

START_TEST(test_walks_members_and_values) {
    static const char body[] =
        " {\"name\" : \"a\\u0062\", \"n\":-12,\"list\":[1.5, [] ,{\"x\":1}], \"flag\":true} ";
    json_scan scan;
    ra_error err = {0};
    json_string key, name = {0};
    json_value value;
    int64_t n = 0;
    json_scan_begin(&scan, body, sizeof body - 1, &err);
    ck_assert_int_eq(json_scan_peek(&scan), JSON_OBJECT);
    ck_assert(json_scan_object(&scan));
    ck_assert(json_scan_member(&scan, &key) && json_string_is(key, "name"));
    ck_assert(json_scan_string(&scan, "name", &name) && json_string_is(name, "ab"));
    ck_assert(json_scan_member(&scan, &key) && json_string_is(key, "n"));
    ck_assert(json_scan_i64(&scan, "n", &n) && n == -12);
    ck_assert(json_scan_member(&scan, &key) && json_string_is(key, "list"));
    ck_assert(json_scan_skip(&scan, &value));
    ck_assert_int_eq(value.type, JSON_ARRAY);
    ck_assert_uint_eq(value.size, strlen("[1.5, [] ,{\"x\":1}]"));
    ck_assert_mem_eq(value.text, "[1.5, [] ,{\"x\":1}]", value.size);
    ck_assert(json_scan_member(&scan, &key) && json_string_is(key, "flag"));
    ck_assert_int_eq(json_scan_peek(&scan), JSON_TRUE);
    ck_assert(json_scan_skip(&scan, NULL));
    ck_assert(!json_scan_member(&scan, &key));
    ck_assert(json_scan_end(&scan));
    ck_assert_int_eq(json_scan_close(&scan), RA_OK);
    ck_assert_str_eq(err.message, "");
}
END_TEST

START_TEST(test_the_first_failure_stays) {
    static const char body[] = "[1, oops";
    json_scan scan;
    ra_error err = {0};
    json_position place = {.name = "list"};
    float value;
    json_string key;
    json_scan_begin(&scan, body, sizeof body - 1, &err);
    ck_assert(json_scan_array(&scan));
    ck_assert(json_scan_next_f32(&scan, &place, &value));
    ck_assert(!json_scan_next_f32(&scan, &place, &value));
    char first[RA_ERROR_MESSAGE_SIZE];
    memcpy(first, err.message, sizeof first);
    ck_assert_str_eq(first, "not JSON: expected a value at byte 4, found 'o'");
    ck_assert(!json_scan_next_f32(&scan, &place, &value));
    ck_assert(!json_scan_fail(&scan, RA_ERR_MEMORY, "another"));
    ck_assert(!json_scan_object(&scan) && !json_scan_array(&scan) && !json_scan_element(&scan));
    ck_assert(!json_scan_member(&scan, &key) && !json_scan_string(&scan, "x", &key));
    ck_assert(!json_scan_skip(&scan, NULL) && !json_scan_end(&scan));
    ck_assert_int_eq(json_scan_peek(&scan), JSON_INVALID);
    ck_assert_uint_eq(json_scan_zeros(&scan), 0);
    int64_t whole;
    ck_assert(!json_scan_i64(&scan, "x", &whole) && !json_scan_next_i64(&scan, &place, &whole));
    ck_assert_int_eq(json_scan_close(&scan), RA_ERR_FORMAT);
    ck_assert_str_eq(err.message, first);
}
END_TEST

static ra_status one_string(const char *body, ra_error *err) {
    json_scan scan;
    json_string string;
    json_scan_begin(&scan, body, strlen(body), err);
    json_scan_string(&scan, "metric", &string);
    return json_scan_close(&scan);
}

static ra_status one_whole_number(const char *body, ra_error *err) {
    json_scan scan;
    int64_t value;
    json_scan_begin(&scan, body, strlen(body), err);
    json_scan_i64(&scan, "k", &value);
    return json_scan_close(&scan);
}

START_TEST(test_wrong_types_are_named) {
    ra_fails(one_string("12", &err), RA_ERR_FORMAT, "metric is a number, expected a string");
    ra_fails(one_string("{\"a\":1}", &err), RA_ERR_FORMAT, "metric is an object, expected a string");
    ra_fails(one_string("[1", &err), RA_ERR_FORMAT, "not JSON: expected ',' or ']' at byte 2");
    ra_fails(one_whole_number("\"10\"", &err), RA_ERR_FORMAT, "k is a string, expected a whole number");
    ra_fails(one_whole_number("null", &err), RA_ERR_FORMAT, "k is null, expected a whole number");
    ra_fails(one_whole_number("1.5", &err), RA_ERR_ARGUMENT, "k is 1.5, expected a whole number");
    ra_fails(one_whole_number("NaN", &err), RA_ERR_NOT_FINITE, "NaN at byte 0 (k): numbers must be finite");
    ra_fails(one_whole_number("01", &err), RA_ERR_FORMAT, "not JSON: malformed number at byte 0");
    ra_fails(one_whole_number("", &err), RA_ERR_FORMAT, "not JSON: expected a value at byte 0");
    ra_fails(one_whole_number("99999999999999999999", &err), RA_ERR_ARGUMENT, "k is 99999999999999999999");
}
END_TEST

START_TEST(test_runs_of_zeros_are_counted) {
    static const struct {
        const char *body;
        size_t zeros; /* after the first element */
        float next;   /* the element after them */
    } cases[] = {
        {"[1,0,0,0,5]", 3, 5},           {"[1,0.0,0.0,5]", 2, 5},       {"[1, 0, 0, 5]          ", 2, 5},
        {"[1, 0.0, 0.0, 0.0, 5]", 3, 5}, {"[1,0,5]         ", 1, 5},    {"[1,0.5,0,0,0,0,0]", 0, 0.5f},
        {"[1,0e1,0,0,0,0,0]", 0, 0},     {"[1,00,0,0,0,0,0,0]", 0, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_scan scan;
        json_position place = {.name = "row"};
        float value = -1;
        json_scan_begin(&scan, cases[i].body, strlen(cases[i].body), NULL);
        json_scan_array(&scan);
        ck_assert_uint_eq(json_scan_zeros(&scan), 0); /* none at the start: the bracket is not a comma */
        ck_assert(json_scan_next_f32(&scan, &place, &value));
        size_t zeros = 0;
        value = -1;
        zeros += json_scan_zeros(&scan);
        while (json_scan_next_f32(&scan, &place, &value) && value == 0 && zeros < cases[i].zeros) zeros++;
        ck_assert_uint_eq(zeros, cases[i].zeros);
        if (cases[i].next >= 0) ck_assert_float_eq(value, cases[i].next);
        json_scan_close(&scan);
    }
    /* Far from the end of the body, one call passes the whole run. */
    json_scan scan;
    float value;
    static const char body[] = "[7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1.25,1.25]";
    json_scan_begin(&scan, body, sizeof body - 1, NULL);
    json_scan_array(&scan);
    ck_assert(json_scan_next_f32(&scan, &(json_position){.name = "row"}, &value));
    ck_assert_uint_eq(json_scan_zeros(&scan), 16);
    ck_assert(json_scan_next_f32(&scan, &(json_position){.name = "row"}, &value));
    ck_assert_float_eq(value, 1.25f);
    json_scan_close(&scan);
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    ra_memory_fail_at(1);
    ra_error err = {0};
    ra_status status = walk("{\"a\":1}", &err);
    ra_memory_fail_at(0);
    ck_assert_int_eq(status, RA_ERR_MEMORY);
    ck_assert_int_eq(err.code, RA_ERR_MEMORY);
}
END_TEST

START_TEST(test_a_request_without_a_body_has_no_value) {
    json_scan scan;
    ra_error err = {0};
    json_scan_begin(&scan, NULL, 0, &err);
    ck_assert_int_eq(json_scan_peek(&scan), JSON_INVALID);
    ck_assert(!json_scan_skip(&scan, NULL));
    ck_assert_int_eq(json_scan_close(&scan), RA_ERR_FORMAT);
}
END_TEST

TEST_CASES(json_scan, test_accepts_all_of_json, test_a_request_without_a_body_has_no_value,
           test_refuses_what_is_not_json_and_says_where,
           test_words_for_what_is_not_finite_get_their_own_answer, test_refuses_a_member_twice,
           test_refuses_a_member_twice_among_many, test_nesting_is_limited, test_strings_are_decoded,
           test_long_strings_are_shown_in_whole_characters, test_walks_members_and_values,
           test_the_first_failure_stays, test_wrong_types_are_named, test_runs_of_zeros_are_counted,
           test_short_memory_is_an_error)
