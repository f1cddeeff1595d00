#include "harness.h"
#include "telemetry/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const request_event plain = {.id = "8c1f",
                                    .method = "GET",
                                    .route = "atom",
                                    .path = "/v1/dictionaries/words/atoms/5",
                                    .client = "::1",
                                    .dictionary = "words",
                                    .status = 200,
                                    .bytes_in = 1,
                                    .bytes_out = 7421,
                                    .us = {11, 2, 31, 10, 54}};

static const char *line_of(const request_event *event, log_format format) {
    static char line[8193];
    size_t size = log_request_line(event, format, "2025-11-23T08:15:02.417Z", line, sizeof line - 1);
    line[size] = '\0';
    return line;
}

START_TEST(test_both_formats) {
    ck_assert_str_eq(
        line_of(&plain, LOG_TEXT),
        "2025-11-23T08:15:02.417Z info    request id=8c1f method=GET route=atom "
        "path=/v1/dictionaries/words/atoms/5 status=200 bytes_in=1 bytes_out=7421 us=54 us_receive=11 "
        "us_queue=2 us_compute=31 us_send=10 client=::1 dictionary=words");
    request_event traced = plain;
    traced.dictionary = NULL;
    traced.trace_id = "4bf9";
    ck_assert_str_eq(
        line_of(&traced, LOG_JSON),
        "{\"time\":\"2025-11-23T08:15:02.417Z\",\"level\":\"info\",\"message\":\"request\",\"id\":\"8c1f\","
        "\"method\":\"GET\",\"route\":\"atom\",\"path\":\"/v1/dictionaries/words/atoms/5\",\"status\":200,"
        "\"bytes_in\":1,\"bytes_out\":7421,\"us\":54,\"us_receive\":11,\"us_queue\":2,\"us_compute\":31,"
        "\"us_send\":10,\"client\":\"::1\",\"trace_id\":\"4bf9\"}");
}
END_TEST

START_TEST(test_nothing_can_be_forged) {
    static const struct {
        const char *path, *shown;
    } table[] = {
        {"/a b", "\"/a b\""},
        {"/a\nerror forged", "\"/a\\u000aerror forged\""},
        {"/a\r\x1b[2J\x7f", "\"/a\\u000d\\u001b[2J\\u007f\""},
        {"/a\" status=200 x=\"", "\"/a\\\" status=200 x=\\\"\""},
        {"/a\\", "\"/a\\\\\""},
        {"/caf\xc3\xa9/\xf0\x9f\x90\xb6", "\"/caf\xc3\xa9/\xf0\x9f\x90\xb6\""},
        {"/\xff\xc3(\xe0\x80\x80\xed\xa0\x80\xf4\x90\x80\x80\xc2\x9b",
         "\"/"
         "\\u00ff\\u00c3("
         "\\u00e0\\u0080\\u0080\\u00ed\\u00a0\\u0080\\u00f4\\u0090\\u0080\\u0080\\u00c2\\u009b\""},
        {"", "\"\""},
        {"/a=b", "\"/a=b\""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        request_event event = plain;
        char expected[256];
        event.path = table[i].path;
        snprintf(expected, sizeof expected, " path=%s status=200 ", table[i].shown);
        ck_assert_msg(strstr(line_of(&event, LOG_TEXT), expected), "%s", line_of(&event, LOG_TEXT));
        snprintf(expected, sizeof expected, ",\"path\":%s,\"status\":200,", table[i].shown);
        ck_assert_msg(strstr(line_of(&event, LOG_JSON), expected), "%s", line_of(&event, LOG_JSON));
    }
}
END_TEST

START_TEST(test_long_values_are_cut_at_a_character) {
    static char path[5000];
    request_event event = plain;
    for (size_t i = 0; i + 1 < sizeof path; i += 2) memcpy(path + i, "\xc3\xa9", 2);
    path[sizeof path - 1] = '\0';
    event.path = path;
    const char *line = line_of(&event, LOG_JSON);
    ck_assert_ptr_nonnull(strstr(line, "\xc3\xa9...\",\"status\":200"));
    ck_assert_uint_lt(strlen(line), 2000);
}
END_TEST

/* With the longest values, escaped to six times their length, a line is still whole. */
START_TEST(test_the_worst_line_fits) {
    static char worst[1200];
    memset(worst, '\x01', sizeof worst - 1);
    request_event event = plain;
    event.id = event.method = event.route = event.path = event.client = event.dictionary = event.trace_id =
        worst;
    const char *line = line_of(&event, LOG_JSON);
    ck_assert_int_eq(line[strlen(line) - 1], '}');
    ck_assert_uint_lt(strlen(line), 4096); /* one write() into a pipe */
}
END_TEST

START_TEST(test_a_small_buffer_is_never_left) {
    char line[40];
    for (size_t size = 0; size < sizeof line; size++) {
        memset(line, '#', sizeof line);
        ck_assert_uint_le(log_request_line(&plain, LOG_JSON, "2025", line, size), size);
        for (size_t i = size; i < sizeof line; i++) ck_assert_int_eq(line[i], '#');
    }
}
END_TEST

/* The output of ra_log() and log_request() on standard error, at a level. */
static const char *logged(ra_log_level level, log_format format) {
    static char content[8192];
    int saved = dup(STDERR_FILENO), pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
    request_event failed = plain;
    failed.status = 500;
    log_start(level, format);
    ra_log(RA_LOG_DEBUG, "a detail");
    ra_log(RA_LOG_WARNING, "two\nlines and \"quotes\"");
    log_request(&plain);
    log_request(&failed);
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    close(pipes[1]);
    ssize_t size = read(pipes[0], content, sizeof content - 1);
    close(pipes[0]);
    close(saved);
    ra_log_set_sink(NULL, NULL);
    ck_assert_int_ge((int)size, 0);
    content[size] = '\0';
    return content;
}

static size_t count_lines(const char *content) {
    size_t lines = 0;
    for (; (content = strchr(content, '\n')); content++) lines++;
    return lines;
}

START_TEST(test_levels) {
    static const struct {
        ra_log_level level;
        size_t lines;
    } table[] = {{RA_LOG_DEBUG, 4}, {RA_LOG_INFO, 3}, {RA_LOG_WARNING, 2}, {RA_LOG_ERROR, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_uint_eq(count_lines(logged(table[i].level, LOG_TEXT)), table[i].lines);
    const char *text = logged(RA_LOG_WARNING, LOG_TEXT);
    ck_assert_ptr_nonnull(strstr(text, " warning two\\u000alines and \\\"quotes\\\"\n"));
    ck_assert_ptr_nonnull(strstr(text, " error   request "));
    ck_assert_ptr_nonnull(
        strstr(logged(RA_LOG_WARNING, LOG_JSON), "\"message\":\"two\\u000alines and \\\"quotes\\\"\"}\n"));
}
END_TEST

TEST_CASES(log, test_both_formats, test_nothing_can_be_forged, test_long_values_are_cut_at_a_character,
           test_the_worst_line_fits, test_a_small_buffer_is_never_left, test_levels)
