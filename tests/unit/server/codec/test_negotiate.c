#include "codec/negotiate.h"
#include "harness.h"

#include <string.h>

enum { J = 1 << FORM_JSON, R = 1 << FORM_RAW, N = 1 << FORM_NPY, S = 1 << FORM_SAFETENSORS, NOTHING = -1 };

static const struct {
    const char *accept;
    unsigned offered;
    form preferred;
    int chosen;
} choices[] = {
    {NULL, J | R | N, FORM_JSON, FORM_JSON},
    {"", J | R | N, FORM_JSON, FORM_JSON},
    {"*/*", J | R | N, FORM_JSON, FORM_JSON},
    {"*/*", S | R | N, FORM_SAFETENSORS, FORM_SAFETENSORS},
    {"*", J | R | N, FORM_JSON, FORM_JSON},
    {"application/*", J | R | N, FORM_JSON, FORM_JSON},
    {"application/json", J | R | N, FORM_JSON, FORM_JSON},
    {"application/octet-stream", J | R | N, FORM_JSON, FORM_RAW},
    {"Application/X-NPY", J | R | N, FORM_JSON, FORM_NPY},
    {"application/x-npy;q=0.9, application/json;q=0.8", J | R | N, FORM_JSON, FORM_NPY},
    {"application/x-npy;q=0.8, application/json;q=0.9", J | R | N, FORM_JSON, FORM_JSON},
    {"application/octet-stream, application/json", J | R | N, FORM_JSON, FORM_JSON},
    {"application/x-npy;q=0.5, */*;q=0.1", J | R | N, FORM_JSON, FORM_NPY},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", J | R | N, FORM_JSON, FORM_JSON},
    {"*/*;q=0.5, application/json;q=0", J | R | N, FORM_JSON, FORM_RAW},
    {"application/*;q=0.2, application/x-npy;q=0.1", J | R | N, FORM_JSON, FORM_JSON},
    {"application/json ; q=0.1 , application/x-npy ; q=0.2", J | R | N, FORM_JSON, FORM_NPY},
    {"application/json;charset=utf-8;q=0.4, application/x-npy;q=0.5", J | R | N, FORM_JSON, FORM_NPY},
    {"application/json;v=\"a,b;q=0\"", J | R | N, FORM_JSON, FORM_JSON},
    {"application/json;q=banana", J | R | N, FORM_JSON, FORM_JSON},
    {"application/json;q=0.0001", J | R | N, FORM_JSON, NOTHING},
    {"application/json;q=1.5", J | R | N, FORM_JSON, FORM_JSON},
    {",, ,", J | R | N, FORM_JSON, FORM_JSON},
    {"nonsense", J | R | N, FORM_JSON, FORM_JSON},
    {"image/png", J | R | N, FORM_JSON, NOTHING},
    {"image/*", J | R | N, FORM_JSON, NOTHING},
    {"appl/*", J | R | N, FORM_JSON, NOTHING},
    {"application/json;q=0", J, FORM_JSON, NOTHING},
    {"*/*;q=0", J | R | N, FORM_JSON, NOTHING},
    {"application/json", S | R | N, FORM_SAFETENSORS, NOTHING},
    {"application/octet-stream", S | R | N, FORM_SAFETENSORS, FORM_RAW},
};

START_TEST(test_accept_chooses) {
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        form chosen;
        bool any = form_choose(choices[i].accept, choices[i].offered, choices[i].preferred, &chosen);
        ck_assert_msg((any ? (int)chosen : NOTHING) == choices[i].chosen, "\"%s\": %d", choices[i].accept,
                      any ? (int)chosen : NOTHING);
    }
}
END_TEST

START_TEST(test_content_types) {
    static const struct {
        const char *type;
        int is;
    } types[] = {{NULL, FORM_JSON},
                 {"", FORM_JSON},
                 {"application/json; charset=utf-8", FORM_JSON},
                 {"application/x-www-form-urlencoded", FORM_JSON},
                 {"TEXT/JSON", FORM_JSON},
                 {"application/octet-stream", FORM_RAW},
                 {"application/x-npy;x=y", FORM_NPY},
                 {"application/x-safetensors", FORM_SAFETENSORS},
                 {"application/jsonx", NOTHING},
                 {"application", NOTHING},
                 {"multipart/form-data; boundary=x", NOTHING}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        form is;
        bool known = form_from_content_type(types[i].type, &is);
        ck_assert_msg((known ? (int)is : NOTHING) == types[i].is, "\"%s\"", types[i].type);
    }
}
END_TEST

START_TEST(test_names) {
    char list[64];
    form which;
    for (int i = 0; i < FORM_COUNT; i++) {
        form back;
        ck_assert(form_from_content_type(form_media_type((form)i), &back));
        ck_assert_int_eq((int)back, i);
    }
    ck_assert(form_from_name("npy", &which));
    ck_assert_int_eq(which, FORM_NPY);
    ck_assert(!form_from_name("NPY", &which));
    ck_assert(!form_from_name("", &which));
    ck_assert_str_eq(form_names(J | R | N, list, sizeof list), "json, raw and npy");
    ck_assert_str_eq(form_names(J, list, sizeof list), "json");
    ck_assert_str_eq(form_names(J | S, list, sizeof list), "json and safetensors");
}
END_TEST

START_TEST(test_accept_encoding) {
    enum { GZIP = 1 << CODING_GZIP, ZSTD = 1 << CODING_ZSTD, DEFLATE = 1 << CODING_DEFLATE };
    static const struct {
        const char *header;
        unsigned offered;
        content_coding expected;
    } table[] = {
        {"gzip", GZIP | ZSTD, CODING_GZIP},
        {"GZIP", GZIP | ZSTD, CODING_GZIP},
        {"x-gzip", GZIP | ZSTD, CODING_GZIP},
        {"zstd", GZIP | ZSTD, CODING_ZSTD},
        {"gzip, deflate, br, zstd", GZIP | ZSTD, CODING_ZSTD}, /* Chromium */
        {"gzip, deflate, br", GZIP | ZSTD, CODING_GZIP},
        {"zstd;q=0.5, gzip", GZIP | ZSTD, CODING_GZIP},
        {"zstd;q=0, gzip;q=0.1", GZIP | ZSTD, CODING_GZIP},
        {"deflate, gzip;q=0.1", GZIP, CODING_GZIP},
        {"deflate, gzip", GZIP | DEFLATE, CODING_GZIP},
        {"deflate, gzip;q=0.1", GZIP | DEFLATE, CODING_DEFLATE},
        {"*", GZIP | ZSTD, CODING_GZIP},
        {"br;q=1, *;q=0.2", GZIP | ZSTD, CODING_GZIP},
        {"*;q=0.5, zstd", GZIP | ZSTD, CODING_ZSTD},
        {NULL, GZIP | ZSTD, CODING_IDENTITY},
        {"", GZIP | ZSTD, CODING_IDENTITY},
        {"identity", GZIP | ZSTD, CODING_IDENTITY},
        {"gzip;q=0", GZIP | ZSTD, CODING_IDENTITY},
        {"gzip;q=0.000, br", GZIP | ZSTD, CODING_IDENTITY},
        {"br", GZIP | ZSTD, CODING_IDENTITY},
        {"*;q=0", GZIP | ZSTD, CODING_IDENTITY},
        {"*, gzip;q=0", GZIP | ZSTD, CODING_IDENTITY},
        {"gzipx", GZIP | ZSTD, CODING_IDENTITY},
        {"zstd", GZIP, CODING_IDENTITY},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(coding_choose(table[i].header, table[i].offered) == table[i].expected, "row %zu", i);
}
END_TEST

TEST_CASES(negotiate, test_accept_chooses, test_content_types, test_names, test_accept_encoding)
