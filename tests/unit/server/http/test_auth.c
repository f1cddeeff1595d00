#include "harness.h"
#include "http/auth.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_KEY "reader-0123456789"
#define ADMIN_KEY "admin-0123456789abcdef=="
#define OTHER_KEY "another-reader/+~._-42"

static const char *key_file(const char *content) {
    const char *path = test_write("keys", content, strlen(content));
    ck_assert_int_eq(chmod(path, 0600), 0);
    return path;
}

static auth_keys *open_keys(const char *content) {
    auth_keys *keys = NULL;
    ra_ok(auth_open(key_file(content), &keys, &err));
    return keys;
}

/* With the header Authorization. */
static auth_verdict check_with(auth_keys *keys, auth_scope needed, const char *header) {
    const char *headers[HTTP_HEADER_COUNT] = {[HTTP_AUTHORIZATION] = header};
    return auth_check(keys, needed, headers, NULL);
}

START_TEST(test_verdicts) {
    static const struct {
        auth_scope needed;
        const char *header;
        auth_verdict expected;
    } table[] = {
        {AUTH_OPEN, NULL, AUTH_GRANTED},
        {AUTH_OPEN, "Bearer wrong", AUTH_GRANTED},
        {AUTH_READ, NULL, AUTH_NO_KEY},
        {AUTH_READ, "", AUTH_BAD_KEY},
        {AUTH_READ, "Bearer", AUTH_BAD_KEY},
        {AUTH_READ, "Bearer ", AUTH_BAD_KEY},
        {AUTH_READ, "Basic " READ_KEY, AUTH_BAD_KEY},
        {AUTH_READ, READ_KEY, AUTH_BAD_KEY},
        {AUTH_READ, "Bearer " READ_KEY, AUTH_GRANTED},
        {AUTH_READ, "bearer   " READ_KEY " \t", AUTH_GRANTED},
        {AUTH_READ, "Bearer " OTHER_KEY, AUTH_GRANTED},
        {AUTH_READ, "Bearer " ADMIN_KEY, AUTH_GRANTED},
        {AUTH_READ, "Bearer " READ_KEY "x", AUTH_BAD_KEY},
        {AUTH_READ, "Bearer " READ_KEY " x", AUTH_BAD_KEY},
        {AUTH_READ, "Bearer reader-012345678", AUTH_BAD_KEY},
        {AUTH_READ, "Bearer READER-0123456789", AUTH_BAD_KEY},
        {AUTH_ADMIN, NULL, AUTH_NO_KEY},
        {AUTH_ADMIN, "Bearer " READ_KEY, AUTH_TOO_LOW},
        {AUTH_ADMIN, "Bearer wrong", AUTH_BAD_KEY},
        {AUTH_ADMIN, "Bearer " ADMIN_KEY, AUTH_GRANTED},
    };
    auth_keys *keys = open_keys("# keys\n\n  read " READ_KEY "\r\nadmin\t" ADMIN_KEY "  \nread " OTHER_KEY);
    ck_assert_uint_eq(auth_count(keys), 3);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(check_with(keys, table[i].needed, table[i].header) == table[i].expected,
                      "row %zu: '%s'", i, table[i].header ? table[i].header : "none");
    auth_free(keys);
}
END_TEST

START_TEST(test_the_headers_that_clients_have) {
    static const http_header_id bare[] = {HTTP_X_API_KEY, HTTP_API_KEY, HTTP_X_SECRET_KEY};
    static const struct {
        const char *value;
        auth_verdict expected;
    } table[] = {
        {READ_KEY, AUTH_GRANTED},           {" " ADMIN_KEY "\t", AUTH_GRANTED}, {"", AUTH_BAD_KEY},
        {"Bearer " READ_KEY, AUTH_BAD_KEY}, {READ_KEY " x", AUTH_BAD_KEY},      {READ_KEY "x", AUTH_BAD_KEY},
    };
    auth_keys *keys = open_keys("read " READ_KEY "\nadmin " ADMIN_KEY "\n");
    for (size_t h = 0; h < sizeof bare / sizeof *bare; h++) {
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            const char *headers[HTTP_HEADER_COUNT] = {[0] = NULL};
            headers[bare[h]] = table[i].value;
            ck_assert_msg(auth_check(keys, AUTH_READ, headers, NULL) == table[i].expected,
                          "header %zu, row %zu", h, i);
            headers[HTTP_AUTHORIZATION] = "Bearer " READ_KEY; /* even the same key twice */
            ck_assert_int_eq(auth_check(keys, AUTH_READ, headers, NULL), AUTH_SEVERAL);
            ck_assert_int_eq(auth_check(keys, AUTH_OPEN, headers, NULL), AUTH_GRANTED);
            ck_assert_int_eq(auth_check(NULL, AUTH_READ, headers, NULL), AUTH_GRANTED);
        }
        const char *headers[HTTP_HEADER_COUNT] = {[0] = NULL};
        headers[bare[h]] = READ_KEY;
        ck_assert_int_eq(auth_check(keys, AUTH_ADMIN, headers, NULL), AUTH_TOO_LOW);
    }
    auth_free(keys);
}
END_TEST

/* A request goes by the name that the key file gives its key, and by none if it is refused. */
START_TEST(test_names_of_keys) {
    static const struct {
        const char *header, *expected;
    } table[] = {{"Bearer " READ_KEY, "notebook-1"},
                 {"Bearer " OTHER_KEY, "notebook-1"},
                 {"Bearer " ADMIN_KEY, ""},
                 {"Bearer wrong", ""}};
    auth_keys *keys =
        open_keys("read " READ_KEY " notebook-1 \nadmin " ADMIN_KEY "\nread " OTHER_KEY "\tnotebook-1\r\n");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *headers[HTTP_HEADER_COUNT] = {[HTTP_AUTHORIZATION] = table[i].header};
        char name[HTTP_KEY_NAME_SIZE] = "of another";
        auth_check(keys, AUTH_READ, headers, name);
        ck_assert_str_eq(name, table[i].expected);
    }
    auth_free(keys);
}
END_TEST

START_TEST(test_without_a_key_file) {
    ck_assert_int_eq(check_with(NULL, AUTH_OPEN, NULL), AUTH_GRANTED);
    ck_assert_int_eq(check_with(NULL, AUTH_READ, NULL), AUTH_GRANTED);
    ck_assert_int_eq(check_with(NULL, AUTH_ADMIN, "Bearer " ADMIN_KEY), AUTH_DISABLED);
    auth_free(NULL);
}
END_TEST

/* The message names the line and never its content. */
START_TEST(test_refuses_bad_files) {
    static const struct {
        const char *content, *expected;
    } table[] = {
        {"", "has no keys"},
        {"# read " READ_KEY "\n", "has no keys"},
        {"read " READ_KEY "\nwrite secret-0123456789\n", "line 2: expected \"read KEY\""},
        {"secret-0123456789\n", "line 1: expected \"read KEY\""},
        {"read\n", "line 1: the key has 0 characters, expected 16 to 512"},
        {"read secret\n", "line 1: the key has 6 characters"},
        {"read secret-0123456789 # mine\n", "line 1: the key has a character"},
        {"read secret-\"0123456789\"\n", "line 1: the key has a character"},
        {"read =secret-0123456789\n", "line 1: the key has a character"},
        {"read secret-0123456789\n\nadmin secret-0123456789\n", "line 3: the key is the same as in line 1"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        auth_keys *keys = NULL;
        ra_error err = {0};
        ck_assert_int_eq(auth_open(key_file(table[i].content), &keys, &err), RA_ERR_FORMAT);
        ck_assert_msg(strstr(err.message, table[i].expected), "row %zu: %s", i, err.message);
        ck_assert_msg(!strstr(err.message, "secret"), "the key is told: %s", err.message);
        ck_assert_ptr_null(keys);
    }
    auth_keys *keys = NULL;
    ra_fails(auth_open("/nonexistent/keys", &keys, &err), RA_ERR_NOT_FOUND, "/nonexistent/keys");
    ra_fails(auth_open(test_folder(), &keys, &err), RA_ERR_ARGUMENT, "not a regular file");
    ra_fails(auth_open(test_write("keys", "read\0x", 6), &keys, &err), RA_ERR_FORMAT, "not a text file");
}
END_TEST

START_TEST(test_a_long_key_is_refused) {
    char content[1024];
    auth_keys *keys = NULL;
    memset(content, 'k', sizeof content);
    memcpy(content, "read ", 5);
    content[5 + 512] = '\0';
    ra_ok(auth_open(key_file(content), &keys, &err));
    auth_free(keys);
    content[5 + 512] = 'k';
    content[5 + 513] = '\0';
    ra_fails(auth_open(key_file(content), &keys, &err), RA_ERR_FORMAT, "513 characters");
}
END_TEST

START_TEST(test_reload_takes_all_or_nothing) {
    auth_keys *keys = open_keys("read " READ_KEY "\n");
    key_file("admin " ADMIN_KEY "\nread short\n");
    ra_fails(auth_reload(keys, &err), RA_ERR_FORMAT, "line 2");
    ck_assert_int_eq(check_with(keys, AUTH_READ, "Bearer " READ_KEY), AUTH_GRANTED);
    ck_assert_int_eq(check_with(keys, AUTH_READ, "Bearer " ADMIN_KEY), AUTH_BAD_KEY);
    key_file("admin " ADMIN_KEY "\n");
    ra_ok(auth_reload(keys, &err));
    ck_assert_int_eq(check_with(keys, AUTH_READ, "Bearer " READ_KEY), AUTH_BAD_KEY);
    ck_assert_int_eq(check_with(keys, AUTH_ADMIN, "Bearer " ADMIN_KEY), AUTH_GRANTED);
    auth_free(keys);
}
END_TEST

static void *keep_checking(void *context) {
    for (int i = 0; i < 2000; i++)
        if (check_with(context, AUTH_READ, "Bearer " READ_KEY) != AUTH_GRANTED) return context;
    return NULL;
}

START_TEST(test_checks_run_beside_reloads) {
    auth_keys *keys = open_keys("read " READ_KEY "\n");
    pthread_t thread;
    void *failure = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_checking, keys), 0);
    for (int i = 0; i < 50; i++) ra_ok(auth_reload(keys, &err));
    pthread_join(thread, &failure);
    ck_assert_ptr_null(failure);
    auth_free(keys);
}
END_TEST

static const char *warned;

static void listen_for_warnings(void *context, ra_log_level level, const char *line) {
    (void)context;
    if (level == RA_LOG_WARNING && strstr(line, "others than its owner")) warned = "yes";
}

START_TEST(test_warns_when_others_may_read) {
    const char *path = key_file("read " READ_KEY "\n");
    auth_keys *keys = NULL;
    ra_log_set_sink(listen_for_warnings, NULL);
    ra_ok(auth_open(path, &keys, &err));
    ck_assert_ptr_null(warned);
    ck_assert_int_eq(chmod(path, 0640), 0);
    ra_ok(auth_reload(keys, &err));
    ck_assert_ptr_nonnull(warned);
    ra_log_set_sink(NULL, NULL);
    auth_free(keys);
}
END_TEST

START_TEST(test_memory_that_runs_out) {
    const char *path = key_file("read " READ_KEY "\nadmin " ADMIN_KEY "\n");
    ra_status status = RA_ERR_MEMORY;
    auth_keys *keys = NULL;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_memory_fail_at(n);
        status = auth_open(path, &keys, NULL);
        ra_memory_fail_at(0);
        ck_assert(status == RA_OK || (status == RA_ERR_MEMORY && !keys));
    }
    auth_free(keys);
}
END_TEST

START_TEST(test_refusals_carry_their_challenge) {
    static const struct {
        auth_verdict verdict;
        int status;
        const char *challenge;
    } table[] = {{AUTH_NO_KEY, 401, "Bearer realm=\"rasaed\""},
                 {AUTH_BAD_KEY, 401, "Bearer realm=\"rasaed\", error=\"invalid_token\""},
                 {AUTH_TOO_LOW, 403, "Bearer realm=\"rasaed\", error=\"insufficient_scope\""},
                 {AUTH_DISABLED, 403, NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_request request = {.target.path = "/x"};
        http_response response = {0};
        size_t at = 0;
        const char *name, *value = NULL;
        auth_refuse(table[i].verdict, &request, &response);
        ck_assert_int_eq(response.status, table[i].status);
        ck_assert(http_response_next_header(&response, &at, &name, &value));
        ck_assert_str_eq(name, "X-Error-Code");
        ck_assert(http_response_next_header(&response, &at, &name, &value) == (table[i].challenge != NULL));
        if (table[i].challenge) ck_assert_str_eq(value, table[i].challenge);
        if (table[i].challenge) ck_assert_str_eq(name, "WWW-Authenticate");
        http_response_release(&response);
    }
}
END_TEST

TEST_CASES(auth, test_verdicts, test_the_headers_that_clients_have, test_names_of_keys,
           test_without_a_key_file, test_refuses_bad_files, test_a_long_key_is_refused,
           test_reload_takes_all_or_nothing, test_checks_run_beside_reloads, test_warns_when_others_may_read,
           test_memory_that_runs_out, test_refusals_carry_their_challenge)
