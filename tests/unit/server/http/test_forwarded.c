/* Whom the proxies name; the proxies are 10.0.0.0/8, 2001:db8::/32 and a socket of the file system. */
#include "harness.h"
#include "http/forwarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static http_proxies proxies;

static void trust(void) {
    static char v4[] = "10.0.0.0/8", v6[] = "2001:db8::/32", local[] = "unix";
    ra_ok(http_proxies_init(&proxies, (char *[]){v4, v6, local}, 3, &err));
}

/* "203.0.113.9", "proxy 10.0.0.1", "nobody"; and then ", broken 'WORDS'". */
static const char *read_headers(const http_headers *headers) {
    static char told[256];
    char name[IP_TEXT_SIZE] = "nobody";
    forwarded read;
    forwarded_read(&proxies, headers, &read);
    if (read.found) ip_write(&read.client, name);
    int n = snprintf(told, sizeof told, "%s%s", read.found && read.is_proxy ? "proxy " : "", name);
    if (read.broken)
        snprintf(told + n, sizeof told - (size_t)n, ", broken '%.*s'", (int)read.broken_size, read.broken);
    return told;
}

static void add(http_headers *headers, const char *name, const char *value) {
    ra_ok(http_headers_add(headers, name, strlen(name), value, strlen(value), &err));
}

typedef struct sample {
    const char *value, *told;
} sample;

static void check(const char *name, const sample *table, size_t count) {
    trust();
    for (size_t i = 0; i < count; i++) {
        http_headers headers = {0};
        add(&headers, name, table[i].value);
        const char *told = read_headers(&headers);
        ck_assert_msg(strcmp(told, table[i].told) == 0, "%s: %s is %s, not %s", name, table[i].value, told,
                      table[i].told);
    }
    http_proxies_release(&proxies);
}

START_TEST(test_x_forwarded_for) {
    static const sample table[] = {{"203.0.113.9", "203.0.113.9"},
                                   {"203.0.113.9, 198.51.100.4", "198.51.100.4"},
                                   {"203.0.113.9, 198.51.100.4, 10.0.0.7,10.1.1.1", "198.51.100.4"},
                                   {"10.0.0.7", "proxy 10.0.0.7"},
                                   {"10.0.0.9, 10.0.0.7", "proxy 10.0.0.9"},
                                   {"203.0.113.9, unix:", "203.0.113.9"},
                                   {"203.0.113.9, unix:, 10.0.0.7", "203.0.113.9"},
                                   {"2001:DB9::5", "2001:db9::5"},
                                   {"[2001:db9::5]", "2001:db9::5"},
                                   {"[2001:db9::5]:4711", "2001:db9::5"},
                                   {"\"[2001:db9::5]:4711\"", "2001:db9::5"},
                                   {"203.0.113.9:51234", "203.0.113.9"},
                                   {"203.0.113.9:_port", "203.0.113.9"},
                                   {"::ffff:203.0.113.9", "203.0.113.9"},
                                   {"203.0.113.9, 2001:db8::7", "203.0.113.9"},
                                   {"\t 203.0.113.9 \t", "203.0.113.9"},
                                   {", ,203.0.113.9,,", "203.0.113.9"},
                                   {"", "nobody"},
                                   {" , ", "nobody"},
                                   {"unknown", "nobody"},
                                   {"UNKNOWN, 10.0.0.7", "proxy 10.0.0.7"},
                                   {"_hidden, 10.0.0.7", "proxy 10.0.0.7"},
                                   {"unix:", "nobody"},
                                   /* what the client made up, broken or not, changes nothing */
                                   {"x'; DROP, 203.0.113.9", "203.0.113.9"},
                                   {"\", 203.0.113.9", "203.0.113.9"},
                                   {"127.0.0.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"},
                                   /* what a proxy should not have written */
                                   {"203.0.113.9 198.51.100.4", "nobody, broken '203.0.113.9 198.51.100.4'"},
                                   {"localhost, 10.0.0.7", "proxy 10.0.0.7, broken 'localhost'"},
                                   {"203.0.113.9, 256.1.1.1", "nobody, broken '256.1.1.1'"},
                                   {"203.0.113.9:", "nobody, broken '203.0.113.9:'"},
                                   {"203.0.113.9:123456", "nobody, broken '203.0.113.9:123456'"},
                                   {"203.0.113.9:8o", "nobody, broken '203.0.113.9:8o'"},
                                   {"[203.0.113.9]", "nobody, broken '[203.0.113.9]'"},
                                   {"[2001:db9::5", "nobody, broken '[2001:db9::5'"},
                                   {"[]", "nobody, broken '[]'"},
                                   {"[", "nobody, broken '['"},
                                   {"[2001:db9::5]x", "nobody, broken '[2001:db9::5]x'"},
                                   {"_", "nobody, broken '_'"},
                                   {"_a b", "nobody, broken '_a b'"},
                                   {":", "nobody, broken ':'"},
                                   {"::", "::"},
                                   {"\"\"", "nobody, broken '\"\"'"},
                                   {"for=203.0.113.9", "nobody, broken 'for=203.0.113.9'"},
                                   {"fe80::1%eth0", "nobody, broken 'fe80::1%eth0'"},
                                   {"\xff\xfe", "nobody, broken '\xff\xfe'"}};
    check("X-Forwarded-For", table, sizeof table / sizeof *table);
}
END_TEST

START_TEST(test_forwarded) {
    static const sample table[] = {
        /* RFC 7239, sections 4 and 7 */
        {"for=192.0.2.43", "192.0.2.43"},
        {"For=\"[2001:db9:cafe::17]:4711\"", "2001:db9:cafe::17"},
        {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
        {"for=192.0.2.43, for=198.51.100.17", "198.51.100.17"},
        {"for=\"_gazonk\"", "nobody"},
        {"for=_hidden, for=_SEVKISEK", "nobody"},
        {"for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown", "nobody"},
        {"for=192.0.2.43, for=\"[2001:db8:cafe::17]\"", "192.0.2.43"},
        {"for=unknown, for=10.0.0.7", "proxy 10.0.0.7"},
        /* other ways to say it */
        {"FOR=192.0.2.43:80", "192.0.2.43"},
        {"for=\"192.0.2.43:_x1\"", "192.0.2.43"},
        {"for=\"\\1\\9\\2.0.2.43\"", "192.0.2.43"},
        {"proto=https;host=\"a,b;c=d\";for=192.0.2.43", "192.0.2.43"},
        {"for=192.0.2.43;host=\"a\\\", for=203.0.113.1, \\\"\"", "192.0.2.43"},
        {"for=192.0.2.43;host=\"a\\\\\"", "192.0.2.43"},
        {";for=192.0.2.43; ;proto=http;", "192.0.2.43"},
        {" for=192.0.2.43 ,\t, ", "192.0.2.43"},
        {"for=\"unix:\"", "nobody"},
        {"for=192.0.2.43, for=\"unix:\"", "192.0.2.43"},
        {"by=203.0.113.43;proto=http", "nobody"},
        {"", "nobody"},
        /* what the client made up, broken or not, changes nothing */
        {"for=\", for=192.0.2.43", "192.0.2.43"},
        {"for=\"x, for=\"[2001:db9::1]\"", "2001:db9::1"},
        {"for=203.0.113.1;x=\", for=192.0.2.43;host=\"h\"", "192.0.2.43"},
        {"for=203.0.113.1\\, for=\"192.0.2.43:1\"", "192.0.2.43"},
        {"\\\", for=192.0.2.43", "192.0.2.43"},
        {"=,;,\",\\, for=192.0.2.43, for=10.0.0.1", "192.0.2.43"},
        /* what a proxy should not have written */
        {"192.0.2.43", "nobody, broken '192.0.2.43'"},
        {"for=", "nobody, broken 'for='"},
        {"for=\"\"", "nobody, broken 'for=\"\"'"},
        {"for", "nobody, broken 'for'"},
        {"for=\"192.0.2.43", "nobody, broken 'for=\"192.0.2.43'"},
        {"for=192.0.2.43\"", "nobody, broken 'for=192.0.2.43\"'"},
        {"for=\"192.0.2.43\"x", "nobody, broken 'for=\"192.0.2.43\"x'"},
        {"for=192.0.2.43;for=192.0.2.44", "nobody, broken 'for=192.0.2.43;for=192.0.2.44'"},
        {"for=192.0.2.43 for=192.0.2.44", "nobody, broken 'for=192.0.2.43 for=192.0.2.44'"},
        {"for=192.0.2.43;proto", "nobody, broken 'for=192.0.2.43;proto'"},
        {"for=\"192.0.2.43\\", "nobody, broken 'for=\"192.0.2.43\\'"},
        {"for=example.org, for=10.0.0.7", "proxy 10.0.0.7, broken 'for=example.org'"}};
    check("Forwarded", table, sizeof table / sizeof *table);
}
END_TEST

START_TEST(test_several_lines_are_one_list) {
    trust();
    http_headers headers = {0};
    ck_assert_str_eq(read_headers(&headers), "nobody");
    add(&headers, "X-Forwarded-For", "203.0.113.9"); /* the client's; HAProxy adds a line of its own */
    add(&headers, "x-forwarded-for", "198.51.100.4");
    ck_assert_str_eq(read_headers(&headers), "198.51.100.4");
    add(&headers, "X-FORWARDED-FOR", "10.0.0.7, 10.0.0.8");
    ck_assert_str_eq(read_headers(&headers), "198.51.100.4");
    /* of more lines than are kept, the last ones */
    for (int i = 0; i < HTTP_LAST_LINES; i++) add(&headers, "X-Forwarded-For", i ? "10.0.0.1" : "192.0.2.1");
    ck_assert_str_eq(read_headers(&headers), "192.0.2.1");
    add(&headers, "X-Forwarded-For", "10.0.0.3");
    ck_assert_str_eq(read_headers(&headers), "proxy 10.0.0.1");
    http_proxies_release(&proxies);
}
END_TEST

START_TEST(test_x_forwarded_for_wins) {
    trust();
    http_headers headers = {0};
    add(&headers, "Forwarded", "for=203.0.113.9");
    ck_assert_str_eq(read_headers(&headers), "203.0.113.9");
    add(&headers, "X-Forwarded-For", "198.51.100.4");
    ck_assert_str_eq(read_headers(&headers), "198.51.100.4");
    http_proxies_release(&proxies);
}
END_TEST

START_TEST(test_two_headers_that_differ_are_told) {
    static const struct {
        const char *plain, *standard;
        bool disputed;
    } table[] = {{"198.51.100.4", "for=203.0.113.9", true},
                 {"198.51.100.4, 10.0.0.1", "for=198.51.100.4", false},
                 {"198.51.100.4", "for=unknown", false},
                 {"unknown", "for=198.51.100.4", false},
                 {"198.51.100.4", NULL, false},
                 {NULL, "for=198.51.100.4", false}};
    trust();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_headers headers = {0};
        forwarded read;
        if (table[i].plain) add(&headers, "X-Forwarded-For", table[i].plain);
        if (table[i].standard) add(&headers, "Forwarded", table[i].standard);
        forwarded_read(&proxies, &headers, &read);
        ck_assert_msg(read.disputed == table[i].disputed, "%zu", i);
    }
    http_proxies_release(&proxies);
}
END_TEST

/* Nothing that may stand before the entry of a proxy changes what that says; nothing at all is read beyond its end. */
START_TEST(test_hostile_bytes) {
    static const char letters[] = ",;=\"\\[]:._ \tfor=unix10203af\xff";
    trust();
    srand(17);
    for (int i = 0; i < 200000; i++) {
        char before[24], *line = malloc(64);
        size_t size = (size_t)rand() % sizeof before;
        for (size_t k = 0; k < size; k++) before[k] = letters[(size_t)rand() % (sizeof letters - 1)];
        bool standard = i % 2;
        int n = snprintf(line, 64, "%.*s,%s", (int)size, before,
                         standard ? "for=\"[2001:db9::5]:1\"" : "2001:db9::5");
        http_headers headers = {0}, alone = {0};
        char *exact = strndup(line, (size_t)n), *only = strndup(before, size);
        add(&headers, standard ? "Forwarded" : "X-Forwarded-For", exact);
        add(&alone, standard ? "Forwarded" : "X-Forwarded-For", only);
        ck_assert_msg(strcmp(read_headers(&headers), "2001:db9::5") == 0, "%s", exact);
        (void)read_headers(&alone);
        free(exact);
        free(only);
        free(line);
    }
    http_proxies_release(&proxies);
}
END_TEST

TEST_CASES(forwarded, test_x_forwarded_for, test_forwarded, test_several_lines_are_one_list,
           test_x_forwarded_for_wins, test_two_headers_that_differ_are_told, test_hostile_bytes)
