/* The writer of JSON, compared with literal texts. */
#include "harness.h"
#include "app/json.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

static void check(text *out, const char *expected) {
    ck_assert(!out->failed);
    text_append(out, "", 1);
    ck_assert_str_eq(out->data, expected);
    text_release(out);
}

START_TEST(test_commas_stand_between_and_nowhere_else) {
    text out = {0};
    json_object(&out, NULL);
    json_array(&out, "a");
    json_count(&out, NULL, 1);
    json_float(&out, NULL, 2.5f);
    json_text(&out, NULL, "x[");
    json_array(&out, NULL);
    json_array_end(&out);
    json_object(&out, NULL);
    json_object_end(&out);
    json_bool(&out, NULL, true);
    json_text(&out, NULL, NULL);
    json_floats(&out, NULL, (float[]){1, -0.5f}, 2);
    json_floats(&out, NULL, NULL, 0);
    json_indices(&out, NULL, (int32_t[]){7, 8}, 2);
    json_array_end(&out);
    json_raw(&out, "b", "0.9");
    json_count(&out, "c", UINT64_MAX);
    json_object_end(&out);
    check(&out,
          "{\"a\":[1,2.5,\"x[\",[],{},true,null,[1,-0.5],[],[7,8]],\"b\":0.9,\"c\":18446744073709551615}");
}
END_TEST

START_TEST(test_documents_may_follow_each_other_line_by_line) {
    text out = {0};
    for (size_t i = 0; i < 2; i++) {
        json_object(&out, NULL);
        json_bool(&out, "first", i == 0);
        json_object_end(&out);
        text_string(&out, "\n");
    }
    check(&out, "{\"first\":true}\n{\"first\":false}\n");
}
END_TEST

START_TEST(test_numbers_read_back_and_those_that_are_none_are_null) {
    text out = {0};
    json_array(&out, NULL);
    json_float(&out, NULL, NAN);
    json_float(&out, NULL, INFINITY);
    json_float(&out, NULL, -INFINITY);
    json_float(&out, NULL, 0);
    json_float(&out, NULL, 0.1f);
    json_real(&out, NULL, NAN);
    json_real(&out, NULL, 0.1);
    json_real(&out, NULL, 1.0 / 3);
    json_real(&out, NULL, -2);
    json_null(&out, NULL);
    json_array_end(&out);
    check(&out, "[null,null,null,0,0.1,null,0.1,0.3333333333333333,-2,null]");
}
END_TEST

START_TEST(test_strings_are_escaped_and_bytes_that_are_no_text_replaced) {
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"\\", "\"\\\\\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f", "\"\\u0001\\u001f\""},
        {"\x7f/", "\"\x7f/\""},
        {"na\xc3\xafve \xf0\x9f\x90\xb1", "\"na\xc3\xafve \xf0\x9f\x90\xb1\""},
        {"cut \xc3", "\"cut \xEF\xBF\xBD\""},
        {"\xff\"\xfe", "\"\xEF\xBF\xBD\\\"\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text out = {0};
        json_text(&out, NULL, cases[i].from);
        check(&out, cases[i].to);
    }
}
END_TEST

START_TEST(test_a_document_is_printed_as_a_line) {
    char line[64] = "";
    ra_error err = {0};
    text out = {0};
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    json_object(&out, NULL);
    json_text(&out, "name", "words");
    json_object_end(&out);
    ck_assert_int_eq(json_print(&out, file, &err), RA_OK);
    ck_assert_ptr_null(out.data);
    rewind(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "{\"name\":\"words\"}\n");
    ck_assert_int_eq(fclose(file), 0);
}
END_TEST

START_TEST(test_short_memory_is_said_when_printing) {
    ra_error err = {0};
    text out = {0};
    ra_memory_fail_at(1);
    json_object(&out, NULL);
    json_text(&out, "name", "words");
    ra_memory_fail_at(0);
    json_object_end(&out);
    ck_assert_int_eq(json_print(&out, stdout, &err), RA_ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(err.message, "out of memory"));
}
END_TEST

TEST_CASES(json, test_commas_stand_between_and_nowhere_else,
           test_documents_may_follow_each_other_line_by_line,
           test_numbers_read_back_and_those_that_are_none_are_null,
           test_strings_are_escaped_and_bytes_that_are_no_text_replaced, test_a_document_is_printed_as_a_line,
           test_short_memory_is_said_when_printing)
