/* A reply on its way out: newline, compression, tags, conditions, ranges. */
#include "harness.h"
#include "http/http.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static int released;

static void count_release(void *owner) {
    (void)owner;
    released++;
}

static http_request request;
static http_response response;

static void make(const char *path, const char *type, size_t size) {
    http_response_reset(&response);
    request = (http_request){.method = HTTP_GET, .target = {.path = path}};
    response.status = 200;
    response.content_type = type;
    response.cacheable = true;
    for (size_t i = 0; i < size; i++) text_append(&response.body, &"0123456789"[i % 10], 1);
}

static void with_tail(const void *data, size_t size) {
    response.tail = (http_tail){.data = data, .size = size, .release = count_release, .owner = &request};
    response.ranges = true;
}

static const char *header(const char *wanted) {
    const char *name, *value;
    for (size_t at = 0; http_response_next_header(&response, &at, &name, &value);)
        if (strcmp(name, wanted) == 0) return value;
    return NULL;
}

static void keep_tag(char *tag) {
    ck_assert_ptr_nonnull(header("ETag"));
    memcpy(tag, header("ETag"), strlen(header("ETag")) + 1);
}

START_TEST(test_a_tail_of_several_pieces_is_one_file) {
    static const char first[] = "abcd", second[] = "efg", third[] = "h";
    const http_piece more[] = {{second, 3}, {third, 1}};
    static const struct {
        const char *range, *bytes;
    } cases[] = {{NULL, "012abcdefgh"}, {"bytes=2-3", "2a"},  {"bytes=6-8", "def"}, {"bytes=4-", "bcdefgh"},
                 {"bytes=-2", "gh"},    {"bytes=10-10", "h"}, {"bytes=7-7", "e"}};
    char tag[HTTP_TAG_SIZE] = "";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sent[32] = "";
        make("/v1/x", "application/x-safetensors", 3);
        with_tail(first, 4);
        response.tail.more = more;
        response.tail.more_count = 2;
        request.headers[HTTP_RANGE] = cases[i].range;
        http_response_finish(&request, &response);
        http_piece pieces[HTTP_PIECES];
        size_t count = http_response_pieces(&response, pieces);
        for (size_t j = 0; j < count; j++) strncat(sent, pieces[j].data, pieces[j].size);
        ck_assert_str_eq(sent, cases[i].bytes);
        ck_assert_uint_eq(http_response_size(&response), strlen(cases[i].bytes));
        ck_assert_int_eq(response.status, cases[i].range ? 206 : 200);
        if (i) ck_assert_str_eq(header("ETag"), tag);
        keep_tag(tag);
    }
    make("/v1/x", "application/x-safetensors", 3);
    with_tail(first, 4);
    response.tail.more = more;
    response.tail.more_count = 1; /* without the last one it is another file */
    http_response_finish(&request, &response);
    ck_assert_str_ne(header("ETag"), tag);
    http_response_reset(&response);
}
END_TEST

START_TEST(test_json_ends_with_a_newline_and_nothing_else_does) {
    make("/v1/x", "application/json", 3);
    http_response_finish(&request, &response);
    ck_assert_mem_eq(response.body.data, "012\n", 4);
    ck_assert_uint_eq(response.body.size, 4);
    make("/v1/x", "application/octet-stream", 3);
    http_response_finish(&request, &response);
    ck_assert_uint_eq(response.body.size, 3);
    make("/v1/x", NULL, 0);
    http_response_finish(&request, &response);
    ck_assert_uint_eq(http_response_size(&response), 0);
}
END_TEST

START_TEST(test_tags_are_of_the_bytes) {
    char one[HTTP_TAG_SIZE], two[HTTP_TAG_SIZE], packed[HTTP_TAG_SIZE], tail[HTTP_TAG_SIZE];
    make("/v1/x", "application/json", 5000);
    http_response_finish(&request, &response);
    keep_tag(one);
    ck_assert_str_eq(header("Vary"), "Accept, Accept-Encoding");
    make("/v1/x", "application/json", 5000);
    http_response_finish(&request, &response);
    ck_assert_str_eq(header("ETag"), one);
    make("/v1/x", "application/json", 5001);
    http_response_finish(&request, &response);
    keep_tag(two);
    ck_assert_str_ne(one, two);
    make("/v1/x", "application/json", 5000);
    request.headers[HTTP_ACCEPT_ENCODING] = "gzip";
    http_response_finish(&request, &response);
    keep_tag(packed);
    ck_assert_str_ne(packed, one);
    make("/v1/x", "application/octet-stream", 5);
    with_tail("abc", 3);
    http_response_finish(&request, &response);
    keep_tag(tail);
    make("/v1/x", "application/octet-stream", 5);
    with_tail("abd", 3);
    http_response_finish(&request, &response);
    ck_assert_str_ne(header("ETag"), tail);
    make("/v1/x", "application/json", 10);
    response.cacheable = false;
    http_response_finish(&request, &response);
    ck_assert_ptr_null(header("ETag"));
    make("/v1/x", "application/json", 10);
    request.method = HTTP_POST;
    http_response_finish(&request, &response);
    ck_assert_ptr_null(header("ETag"));
}
END_TEST

START_TEST(test_who_has_it_gets_nothing) {
    char tag[HTTP_TAG_SIZE];
    make("/v1/x", "application/json", 10);
    http_response_finish(&request, &response);
    keep_tag(tag);
    make("/v1/x", "application/json", 10);
    request.headers[HTTP_IF_NONE_MATCH] = tag;
    http_response_finish(&request, &response);
    ck_assert_int_eq(response.status, 304);
    ck_assert_str_eq(header("ETag"), tag);
    ck_assert_uint_eq(http_response_size(&response), 0);
    make("/v1/x", "application/json", 11);
    request.headers[HTTP_IF_NONE_MATCH] = tag;
    http_response_finish(&request, &response);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(test_packing) {
    text plain = {0};
    make("/v1/x", "application/json", 5000);
    request.headers[HTTP_ACCEPT_ENCODING] = "gzip";
    http_response_finish(&request, &response);
    ck_assert_str_eq(header("Content-Encoding"), "gzip");
    ra_ok(content_unpack(CODING_GZIP, response.body.data, response.body.size, 5001, &plain, &err));
    ck_assert_uint_eq(plain.size, 5001); /* with the newline */
    text_release(&plain);
    static const struct {
        const char *type, *accepts;
        size_t size;
        bool verbatim;
    } not_packed[] = {{"application/json", "gzip;q=0", 5000, false},
                      {"application/json", "gzip", 1000, false},
                      {"application/octet-stream", "gzip", 5000, false},
                      {"application/json", "gzip", 5000, true}};
    for (size_t i = 0; i < 4; i++) {
        make("/v1/x", not_packed[i].type, not_packed[i].size);
        response.verbatim = not_packed[i].verbatim;
        request.headers[HTTP_ACCEPT_ENCODING] = not_packed[i].accepts;
        http_response_finish(&request, &response);
        ck_assert_ptr_null(header("Content-Encoding"));
    }
    make("/v1/x", "application/json", 5000);
    request.headers[HTTP_ACCEPT_ENCODING] = "gzip";
    ra_memory_fail_at(3); /* when memory is short it is sent unpacked */
    http_response_finish(&request, &response);
    ra_memory_fail_at(0);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* The pieces of `size` bytes of body "0123456789..." and the tail, joined. */
static size_t join(char *bytes) {
    http_piece pieces[HTTP_PIECES];
    size_t size = 0, count = http_response_pieces(&response, pieces);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_gt(pieces[i].size, 0);
        memcpy(bytes + size, pieces[i].data, pieces[i].size);
        size += pieces[i].size;
    }
    ck_assert_uint_eq(size, http_response_size(&response));
    return size;
}

START_TEST(test_ranges_cross_the_border_between_body_and_tail) {
    enum { BODY = 7, TAIL = 6, ALL = BODY + TAIL };
    static const char whole[] = "0123456abcdef";
    char range[64], wanted[64], got[ALL];
    for (size_t first = 0; first < ALL; first++)
        for (size_t last = first; last < ALL; last++) {
            make("/v1/x", "application/octet-stream", BODY);
            with_tail("abcdef", TAIL);
            snprintf(range, sizeof range, "bytes=%zu-%zu", first, last);
            snprintf(wanted, sizeof wanted, "bytes %zu-%zu/13", first, last);
            request.headers[HTTP_RANGE] = range;
            http_response_finish(&request, &response);
            ck_assert_int_eq(response.status, 206);
            ck_assert_str_eq(header("Content-Range"), wanted);
            ck_assert_uint_eq(join(got), last - first + 1);
            ck_assert_mem_eq(got, whole + first, last - first + 1);
        }
}
END_TEST

START_TEST(test_ranges_that_are_none) {
    char got[16], tag[HTTP_TAG_SIZE];
    released = 0;
    make("/v1/x", "application/octet-stream", 7);
    with_tail("abcdef", 6);
    request.headers[HTTP_RANGE] = "bytes=13-";
    http_response_finish(&request, &response);
    ck_assert_int_eq(response.status, 416);
    ck_assert_str_eq(header("Content-Range"), "bytes */13");
    ck_assert_int_eq(released, 1);

    make("/v1/x", "application/octet-stream", 7);
    with_tail("abcdef", 6);
    http_response_finish(&request, &response);
    keep_tag(tag);
    ck_assert_str_eq(header("Accept-Ranges"), "bytes");
    ck_assert_uint_eq(join(got), 13);

    make("/v1/x", "application/octet-stream", 7);
    with_tail("abcdef", 6);
    request.headers[HTTP_RANGE] = "bytes=0-1";
    request.headers[HTTP_IF_RANGE] = "\"other\"";
    http_response_finish(&request, &response);
    ck_assert_int_eq(response.status, 200);

    make("/v1/x", "application/octet-stream", 7);
    with_tail("abcdef", 6);
    request.headers[HTTP_RANGE] = "bytes=0-1";
    request.headers[HTTP_IF_RANGE] = tag;
    http_response_finish(&request, &response);
    ck_assert_int_eq(response.status, 206);
    http_response_release(&response);
    ck_assert_int_eq(released, 4);
}
END_TEST

TEST_CASES(representation, test_json_ends_with_a_newline_and_nothing_else_does,
           test_a_tail_of_several_pieces_is_one_file, test_tags_are_of_the_bytes,
           test_who_has_it_gets_nothing, test_packing, test_ranges_cross_the_border_between_body_and_tail,
           test_ranges_that_are_none)
