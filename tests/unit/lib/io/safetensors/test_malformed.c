/* Files that violate the format, and valid ones that look as if they did (lib/io/safetensors/header.c,
 * lib/io/json.c). */
#include "harness.h"
#include "ra_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file with this header, not padded, and `data` bytes after it, on disk as "raw.safetensors". */
static const char *write_raw(const char *header, size_t header_size, size_t data) {
    size_t size = 8 + header_size + data;
    unsigned char *file = calloc(1, size);
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)header_size >> 8 * i);
    memcpy(file + 8, header, header_size);
    const char *path = test_write("raw.safetensors", file, size);
    free(file);
    return path;
}

/* Pads as writers do, so that the data is aligned and the header is the only thing wrong. */
static const char *write_padded(const char *header, size_t data) {
    char padded[8192];
    size_t length = strlen(header), total = (length + 7) / 8 * 8;
    ck_assert_uint_le(total, sizeof padded);
    memset(padded, ' ', total);
    memcpy(padded, header, length);
    return write_raw(padded, total, data);
}

#define INFO(dtype, shape, begin, end)                                                                       \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define A INFO("F32", "[2]", 0, 8)

static const struct {
    const char *header;
    size_t data;
    const char *message;
} refused[] = {
    /* ranges */
    {"{\"a\":" A "}", 7, "\"a\" ends at byte 8 of the data, but the file holds 7"},
    {"{\"a\":" A "}", 0, "\"a\" ends at byte 8 of the data, but the file holds 0"},
    {"{\"a\":" A "}", 9, "the tensors cover 8 bytes of data, but the file holds 9"},
    {"{}", 1, "the tensors cover 0 bytes of data, but the file holds 1"},
    {"{\"a\":" INFO("F32", "[2]", 4, 12) "}", 12, "bytes 0 to 4 of the data belong to no tensor"},
    {"{\"a\":" A ",\"b\":" INFO("F32", "[1]", 12, 16) "}", 16,
     "bytes 8 to 12 of the data belong to no tensor"},
    {"{\"a\":" A ",\"b\":" INFO("F32", "[2]", 4, 12) "}", 12, "\"b\" overlaps \"a\""},
    {"{\"a\":" A ",\"b\":" A "}", 8, "\"b\" overlaps \"a\""},
    {"{\"b\":" INFO("U8", "[4]", 2, 6) ",\"a\":" A "}", 8, "\"b\" overlaps \"a\""},
    {"{\"a\":" A ",\"b\":" INFO("U8", "[0]", 3, 3) "}", 8, "\"b\" overlaps \"a\""},
    {"{\"a\":" A ",\"b\":" INFO("BOOL", "[4]", 4, 8) "}", 8, "\"b\" overlaps \"a\""},
    {"{\"a\":" INFO("BOOL", "[9]", 0, 9) "}", 8, "\"a\" ends at byte 9"},
    {"{\"a\":" INFO("F32", "[2]", 8, 0) "}", 8, "begins at byte 8 of the data but ends at byte 0"},
    {"{\"a\":" INFO("F32", "[2]", 0, 9007199254740991) "}", 8, "its data_offsets span 9007199254740991"},
    {"{\"a\":" INFO("F32", "[2]", 0, 9007199254740992) "}", 8, "only numbers below 2^53 are possible"},
    {"{\"a\":" INFO("F32", "[2]", 0, 9223372036854775808) "}", 8, "only numbers below 2^53 are possible"},
    {"{\"a\":" INFO("F32", "[2]", 0, 99999999999999999999) "}", 8, "a number beyond 64 bits"},
    /* shape against range */
    {"{\"a\":" INFO("F32", "[3]", 0, 8) "}", 8,
     "is F32 of shape [3], which takes 12 bytes, but its data_offsets span 8"},
    {"{\"a\":" INFO("F16", "[2]", 0, 8) "}", 8, "which takes 4 bytes"},
    {"{\"a\":" INFO("F32", "[]", 0, 8) "}", 8, "is F32 of shape [], which takes 4 bytes"},
    {"{\"a\":" INFO("F32", "[0]", 0, 8) "}", 8, "which takes 0 bytes"},
    {"{\"a\":" INFO("F32", "[4294967296,4294967296]", 0, 8) "}", 8, "larger than memory can address"},
    {"{\"a\":" INFO("F32", "[4611686018427387904]", 0, 8) "}", 8, "only numbers below 2^53"},
    {"{\"a\":" INFO("F32", "[2251799813685248,2048,2]", 0, 0) "}", 0, "larger than memory can address"},
    /* the members of a tensor */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "\"a\" has no member \"data_offsets\""},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"a\" has no member \"dtype\""},
    {"{\"a\":{\"dtype\":\"F32\",\"Shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"a\" has no member \"shape\""},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "two members \"dtype\""},
    {"{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\" that is not a string"},
    {"{\"a\":{\"dtype\":null,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\" that is not a string"},
    {"{\"a\":" INFO("F32F32F32F32F32F32F32F32F32F32F32", "[2]", 0, 8) "}", 8, "a dtype of 33 characters"},
    {"{\"a\":" INFO("F32", "2", 0, 8) "}", 8, "a \"shape\" that is not an array"},
    {"{\"a\":" INFO("F32", "{\"x\":2}", 0, 8) "}", 8, "a \"shape\" that is not an array"},
    {"{\"a\":" INFO("F32", "[\"2\"]", 0, 8) "}", 8, "that is not a number in its \"shape\""},
    {"{\"a\":" INFO("F32", "[[2]]", 0, 8) "}", 8, "that is not a number in its \"shape\""},
    {"{\"a\":" INFO("F32", "[null]", 0, 8) "}", 8, "that is not a number in its \"shape\""},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", 8, "has 1 data_offsets, but two"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "has 3 data_offsets, but two"},
    {"{\"a\":[1,2]}", 0, "\"a\" is not described by an object"},
    {"{\"a\":\"F32\"}", 0, "\"a\" is not described by an object"},
    {"{\"a\":null}", 0, "\"a\" is not described by an object"},
    /* numbers */
    {"{\"a\":" INFO("F32", "[2]", 0, 8.0) "}", 8, "in or after \"a\": a number that is not an integer"},
    {"{\"a\":" INFO("F32", "[2]", 0, 8e0) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[2]", 0, 1.5) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[-2]", 0, 8) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[2]", -0, 8) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[02]", 0, 8) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[2.]", 0, 8) "}", 8, "a number that is not an integer in plain digits"},
    {"{\"a\":" INFO("F32", "[+2]", 0, 8) "}", 8, "a value is missing"},
    {"{\"a\":" INFO("F32", "[NaN]", 0, 8) "}", 8, "a value is missing"},
    {"{\"a\":" INFO("F32", "[0x2]", 0, 8) "}", 8, "a comma or a closing bracket is missing"},
    {"{\"a\":" INFO("F32", "[1e999]", 0, 8) "}", 8, "a number that is not an integer in plain digits"},
    /* names */
    {"{\"a\":" A ",\"a\":" INFO("F32", "[1]", 8, 12) "}", 12, "two tensors have the name \"a\""},
    {"{\"a\":" A ",\"\\u0061\":" INFO("F32", "[1]", 8, 12) "}", 12, "two tensors have the name \"a\""},
    {"{\"a\":" A ",\"module.a\":" INFO("F32", "[1]", 8, 12) "}", 12, "two tensors have the name \"a\""},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}", 0, "__metadata__ holds \"k\" twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "two members __metadata__"},
    /* metadata */
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object of strings"},
    {"{\"__metadata__\":null}", 0, "__metadata__ is not an object of strings"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" in __metadata__ is not a string"},
    {"{\"__metadata__\":{\"k\":{}}}", 0, "\"k\" in __metadata__ is not a string"},
    /* JSON */
    {"{\"a\":" A "", 8, "a comma or a closing brace is missing"},
    {"{\"a\":" A ",}", 8, "in or after \"a\": a string in double quotes is missing"},
    {"{,\"a\":" A "}", 8, "a string in double quotes is missing"},
    {"{\"a\" " A "}", 8, "a colon is missing"},
    {"{\"a\":" A "} x", 8, "there is more after the closing brace"},
    {"{\"a\":" A "}{}", 8, "there is more after the closing brace"},
    {"{a:" A "}", 8, "a string in double quotes is missing"},
    {"{'a':" A "}", 8, "a string in double quotes is missing"},
    {"{\"a\":" INFO("F32", "[2,]", 0, 8) "}", 8, "a value is missing"},
    {"{\"a\":" INFO("F32", "[2", 0, 8) "}", 8, "a comma or a closing bracket is missing"},
    {"{\"a\":" INFO("F32", "[tru]", 0, 8) "}", 8, "a value is missing"},
    {"{\"a\\x\":" A "}", 8, "an escape that JSON does not have"},
    {"{\"a\\u12g4\":" A "}", 8, "four hexadecimal digits"},
    {"{\"a\\u0000\":" A "}", 8, "a string must not hold a NUL"},
    {"{\"a\\ud800\":" A "}", 8, "half of a surrogate pair"},
    {"{\"a\\ud800\\u0041\":" A "}", 8, "half of a surrogate pair"},
    {"{\"a\\udc00\\ud800\":" A "}", 8, "half of a surrogate pair"},
    {"{\"a\nb\":" A "}", 8, "a control character within a string"},
    {"{\"a", 0, "a string does not end"},
    {"{\"x\":{\"a\":[[[[[[[[1]]]]]]]]}}", 0, "the nesting is deeper than 8"},
    {"{", 0, "a string in double quotes is missing"},
    {"{\"caf\xe9\":" A "}", 8, "the header is not valid UTF-8"},
    {"{\"\xed\xa0\x80\":" A "}", 8, "the header is not valid UTF-8"},
    {" {\"a\":" A "}", 8, "does not begin with a brace"},
    {"[{\"a\":" A "}]", 8, "does not begin with a brace"},
    {"\xef\xbb\xbf{\"a\":" A "}", 8, "does not begin with a brace"},
    {"", 0, "raw.safetensors has 8 bytes"},
    {"", 8, "does not begin with a brace"},
};

START_TEST(test_refuses_a_broken_header) {
    ra_safetensors *file = NULL;
    const char *path = write_padded(refused[_i].header, refused[_i].data);
    ra_fails(ra_safetensors_open(path, &file, &err), RA_ERR_FORMAT, refused[_i].message);
    ra_fails(ra_safetensors_open(path, &file, &err), RA_ERR_FORMAT, "raw.safetensors");
    ck_assert_ptr_null(file);
}
END_TEST
TEST_CASES_LOOP(safetensors_refused, 0, sizeof refused / sizeof *refused, test_refuses_a_broken_header)

static const struct {
    const char *header;
    size_t data;
    size_t count;
    const char *first; /* name of the first tensor */
} accepted[] = {
    {"{}", 0, 0, NULL},
    {"{\"a\":" A "}", 8, 1, "a"},
    {"{ \"a\" :\n{ \"shape\" : [ 2 ] ,\t\"data_offsets\":[0 , 8],\r\"dtype\":\"F32\"} } \n", 8, 1, "a"},
    {"{\"b\":" INFO("F32", "[1]", 8, 12) ",\"a\":" A "}", 12, 2, "a"},
    {"{\"z\":" INFO("F32", "[0]", 8, 8) ",\"a\":" A ",\"y\":" INFO("F32", "[5,0]", 0, 0) "}", 8, 3, "y"},
    {"{\"a\":" INFO("F32", "[9007199254740991,9007199254740991,0]", 0, 0) "}", 0, 1, "a"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"extra\":[true,{\"x\":null}]}}", 8, 1,
     "a"},
    {"{\"__metadata__\":{},\"a\":" A "}", 8, 1, "a"},
    {"{\"module.a\":" A "}", 8, 1, "a"},
    {"{\"module.module.a\":" A "}", 8, 1, "module.a"},
    {"{\"modules.a\":" A "}", 8, 1, "modules.a"},
    {"{\"\":" A "}", 8, 1, ""},
    {"{\"\\u00e9\\ud83e\\udd8a\\n\\\"\\/\":" A "}", 8, 1, "\xc3\xa9\xf0\x9f\xa6\x8a\n\"/"},
    {"{\"a\":" INFO("F64", "[]", 0, 8) ",\"b\":" INFO("U8", "[1]", 8, 9) "}", 9, 2, "a"},
};

START_TEST(test_accepts_a_legal_header) {
    ra_safetensors *file = NULL;
    ra_ok(ra_safetensors_open(write_padded(accepted[_i].header, accepted[_i].data), &file, &err));
    ck_assert_uint_eq(ra_safetensors_count(file), accepted[_i].count);
    if (accepted[_i].first)
        ck_assert_str_eq(ra_safetensors_name(file, 0), accepted[_i].first);
    else
        ck_assert_ptr_null(ra_safetensors_name(file, 0));
    ra_safetensors_free(file);
}
END_TEST
TEST_CASES_LOOP(safetensors_accepted, 0, sizeof accepted / sizeof *accepted, test_accepts_a_legal_header)

/* ---- whole files --------------------------------------------------------------------------------------- */

START_TEST(test_refuses_files_that_are_not_safetensors) {
    ra_safetensors *f = NULL;
    ra_fails(ra_safetensors_open(test_path("missing"), &f, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_safetensors_open(test_folder(), &f, &err), RA_ERR_ARGUMENT, "is a directory");
    ra_fails(ra_safetensors_open(test_write("empty", "", 0), &f, &err), RA_ERR_FORMAT, "is empty");
    ra_fails(ra_safetensors_open(test_write("short", "\x02\0\0\0\0\0\0\0{", 9), &f, &err), RA_ERR_FORMAT,
             "has 9 bytes, but a safetensors file has at least 10");
    ra_fails(ra_safetensors_open(test_write("text", "this is a plain text file", 25), &f, &err),
             RA_ERR_FORMAT, "text is not a safetensors file");
    ra_fails(ra_safetensors_open(test_write("huge", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), &f, &err),
             RA_ERR_FORMAT, "announces a header of 18446744073709551615 bytes, but only 2 follow");
    ra_fails(ra_safetensors_open(test_write("over", "\x03\0\0\0\0\0\0\0{}", 10), &f, &err), RA_ERR_FORMAT,
             "announces a header of 3 bytes, but only 2 follow: it is truncated or not a safetensors file");
    ra_fails(ra_safetensors_open(test_golden("topk-mse.x.npy"), &f, &err), RA_ERR_FORMAT,
             "topk-mse.x.npy is a NumPy array, not a model. Did you swap MODEL and DATA?");
    ck_assert_ptr_null(f);
}
END_TEST

START_TEST(test_refuses_an_absurdly_long_header) {
    ra_safetensors *file = NULL;
    const char *path = test_path("sparse"); /* a sparse file, so that the test is fast */
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    unsigned char length[9] = {0, 0xe2, 0xf5, 0x05, 0, 0, 0, 0, '{'}; /* 100,000,256 */
    ck_assert_uint_eq(fwrite(length, 1, 9, stream), 9);
    ck_assert_int_eq(fseek(stream, 100000300, SEEK_SET), 0);
    ck_assert_int_eq(fputc(0, stream), 0);
    ck_assert_int_eq(fclose(stream), 0);
    ra_fails(ra_safetensors_open(path, &file, &err), RA_ERR_FORMAT,
             "a header of 100000256 bytes, but at most");
}
END_TEST

START_TEST(test_refuses_an_oversized_description) {
    static const char begin[] = "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":[1";
    enum { ONES = 40000, USED = sizeof begin - 1 + 2 * ONES + 3 };
    static char header[USED];
    memcpy(header, begin, sizeof begin - 1);
    for (size_t i = 0; i < ONES; i++) memcpy(header + sizeof begin - 1 + 2 * i, ",1", 2);
    memcpy(header + USED - 3, "]}}", 3);
    ra_safetensors *file = NULL;
    ra_fails(ra_safetensors_open(write_raw(header, USED, 4), &file, &err), RA_ERR_FORMAT,
             "but at most 65536 are possible");
}
END_TEST

START_TEST(test_misaligned_tensors_are_copied) {
    static const char header[] = "{\"a\":" INFO("U8", "[2]", 0, 2) ",\"b\":" INFO("F32", "[2]", 2, 10) "}   ";
    char raw[sizeof header - 1 + 10];
    ra_safetensors *file = NULL;
    memcpy(raw, header, sizeof header - 1);
    memcpy(raw + sizeof header - 1, "xyabcdefgh", 10);
    uint64_t length = sizeof header - 1;
    char whole[8 + sizeof raw];
    memcpy(whole, &length, 8);
    memcpy(whole + 8, raw, sizeof raw);
    ra_ok(ra_safetensors_open(test_write("odd", whole, sizeof whole), &file, &err));
    ck_assert_mem_eq(ra_safetensors_find(file, "b")->data, "abcdefgh", 8);
    ck_assert_uint_eq((uintptr_t)ra_safetensors_find(file, "b")->data % 4, 0);
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_foreign_tensors_leave_the_others_readable) {
    static const char header[] =
        "{\"mask\":" INFO("BOOL", "[3,4]", 0, 12) ",\"a\":" INFO("F32", "[1]", 12, 16) ",\"steps\":" INFO(
            "I64", "[]", 16,
            24) ",\"b\":" INFO("F32", "[1]", 24,
                               28) ",\"half\":" INFO("F8_E4M3", "[]", 28,
                                                     29) ",\"case\":" INFO("f32", "[1]", 29,
                                                                           33) ",\"deep\":" INFO("F32",
                                                                                                 "[1,1,1,1,1,"
                                                                                                 "1,1,1,1]",
                                                                                                 33,
                                                                                                 37) "}    ";
    static const struct {
        const char *name, *text;
        ra_status code;
        const char *why;
    } foreign[] = {
        {"mask", "BOOL [3, 4]", RA_ERR_DTYPE, "but only F32, F16"},
        {"half", "F8_E4M3 []", RA_ERR_DTYPE, "but only F32, F16"},
        {"case", "f32 [1]", RA_ERR_DTYPE, "but only F32, F16"},
        {"deep", "F32 with 9 dimensions", RA_ERR_SHAPE, "but at most 8"},
    };
    enum { FOREIGN = sizeof foreign / sizeof *foreign, PADDING = (4 - (sizeof header - 1) % 8 + 8) % 8 };
    char padded[sizeof header - 1 + PADDING]; /* the data at 4 past a multiple of 8: "steps" is copied */
    memset(padded, ' ', sizeof padded);
    memcpy(padded, header, sizeof header - 1);
    ra_safetensors *file = NULL;
    ra_tensor tensor;
    ra_ok(ra_safetensors_open(write_raw(padded, sizeof padded, 37), &file, &err));
    ck_assert_uint_eq(ra_safetensors_count(file), 3);
    ck_assert_str_eq(ra_safetensors_name(file, 0), "a");
    ck_assert_str_eq(ra_safetensors_name(file, 1), "steps");
    ck_assert_str_eq(ra_safetensors_name(file, 2), "b");
    ck_assert_uint_eq((uintptr_t)ra_safetensors_at(file, 1)->data % 8, 0);
    ra_ok(ra_safetensors_get(file, "b", &tensor, &err));
    for (size_t i = 0; i < FOREIGN; i++) {
        const char *text = NULL;
        ck_assert_str_eq(ra_safetensors_foreign(file, i, &text), foreign[i].name);
        ck_assert_msg(strncmp(text, foreign[i].text, strlen(foreign[i].text)) == 0, "%s", text);
        ck_assert_ptr_null(ra_safetensors_find(file, foreign[i].name));
        ra_fails(ra_safetensors_get(file, foreign[i].name, &tensor, &err), foreign[i].code, foreign[i].text);
        ra_fails(ra_safetensors_get(file, foreign[i].name, &tensor, &err), foreign[i].code, foreign[i].why);
    }
    ck_assert_ptr_null(ra_safetensors_foreign(file, FOREIGN, NULL));
    ra_safetensors_free(file);
}
END_TEST

/* ---- damage to a real file ----------------------------------------------------------------------------- */

static volatile unsigned char touched;

/* Every view lies within the mapping: its first and last byte can be read. */
static void touch(const ra_safetensors *file) {
    for (size_t i = 0; i < ra_safetensors_count(file); i++) {
        const ra_tensor *tensor = ra_safetensors_at(file, i);
        size_t size = ra_tensor_bytes(tensor);
        const unsigned char *data = tensor->data;
        if (size == 0) continue;
        touched = (unsigned char)(touched + data[0] + data[size - 1]);
        ck_assert_uint_eq((uintptr_t)data % ra_dtype_size(tensor->dtype), 0);
    }
}

/* Opens a damaged file: either it is an error with a message, or all of it can be read. */
static bool survives(const void *bytes, size_t size) {
    ra_safetensors *file = NULL;
    ra_error err = {0};
    ra_status status = ra_safetensors_open(test_write("damaged", bytes, size), &file, &err);
    if (status != RA_OK) {
        ck_assert_msg(strstr(err.message, "damaged"), "the message does not name the file: %s", err.message);
        ck_assert_ptr_null(file);
        return false;
    }
    touch(file);
    ra_safetensors_free(file);
    return true;
}

/* A golden file in memory that may be changed. */
static unsigned char *golden_copy(const char *name, size_t *size, size_t *header) {
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_golden(name), &mapping, &err));
    unsigned char *copy = malloc(mapping.size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, mapping.data, mapping.size);
    *size = mapping.size;
    *header = 8 + copy[0] + 256u * copy[1];
    ra_mapping_close(&mapping);
    return copy;
}

START_TEST(test_a_flipped_byte_never_crashes) {
    static const unsigned char masks[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x0b, 0x12};
    size_t size, header, lived = 0, died = 0;
    unsigned char *bytes = golden_copy("dict-one.expected.safetensors", &size, &header);
    for (size_t at = 0; at < header; at++)
        for (size_t m = 0; m < sizeof masks; m++) {
            bytes[at] ^= masks[m];
            if (survives(bytes, size))
                lived++;
            else
                died++;
            bytes[at] ^= masks[m];
        }
    ck_assert_uint_gt(died, 1000);
    ck_assert_uint_gt(lived, 0); /* a changed letter in a name breaks nothing */
    ck_assert(survives(bytes, size));
    free(bytes);
}
END_TEST

START_TEST(test_a_changed_token_never_crashes) {
    static const char *const tokens[] = {"0", "9", "99999", "-1",   "[",  "]",       "{",  "}",   "\"",
                                         ",", ":", "1e9",   "null", "\\", "\\u0000", "U8", "F64", "\xff"};
    size_t size, header;
    unsigned char *bytes = golden_copy("dict-basic.checkpoint.safetensors", &size, &header),
                  *changed = malloc(size);
    ck_assert_ptr_nonnull(changed);
    for (size_t at = 8; at < header; at += 3)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            size_t length = strlen(tokens[t]);
            if (at + length > header) continue;
            memcpy(changed, bytes, size);
            memcpy(changed + at, tokens[t], length);
            survives(changed, size);
        }
    free(changed);
    free(bytes);
}
END_TEST

START_TEST(test_truncation_at_any_length_is_refused) {
    size_t size, header;
    unsigned char *bytes = golden_copy("dict-basic.checkpoint.safetensors", &size, &header);
    for (size_t length = 0; length < size; length += length < header ? 1 : 97)
        ck_assert_msg(!survives(bytes, length), "%zu of %zu bytes were taken for a whole file", length, size);
    ck_assert(!survives(bytes, size - 1));
    free(bytes);
}
END_TEST

TEST_CASES_SLOW(safetensors_malformed, 60, test_refuses_files_that_are_not_safetensors,
                test_refuses_an_absurdly_long_header, test_refuses_an_oversized_description,
                test_foreign_tensors_leave_the_others_readable, test_misaligned_tensors_are_copied,
                test_a_flipped_byte_never_crashes, test_a_changed_token_never_crashes,
                test_truncation_at_any_length_is_refused)
