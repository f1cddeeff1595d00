/* Every source and kind of a setting, and what --print-config prints
 * (server/settings/settings.c). */
#include "harness.h"
#include "telemetry/log.h"
#include "ra_memory.h"
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>

/* ---- an environment of our own ------------------------------------------------------------------------- */

static const char *variables[16][2];

static char *lookup(const char *name) {
    for (size_t i = 0; i < 16 && variables[i][0]; i++)
        if (strcmp(variables[i][0], name) == 0) return (char *)(uintptr_t)variables[i][1];
    return NULL;
}

/* main() gets its arguments without const and settings_read() takes them as they come. */
static ra_status read_list(settings *chosen, const char *const *argv, ra_error *err) {
    int argc = 0;
    while (argv[argc]) argc++;
    static char assigned[16][256];
    char *environment[17] = {NULL};
    for (size_t i = 0; i < 16 && variables[i][0]; i++) {
        snprintf(assigned[i], sizeof assigned[i], "%s=%s", variables[i][0], variables[i][1]);
        environment[i] = assigned[i];
    }
    return settings_read(argc, (char **)(uintptr_t)argv, lookup, environment, chosen, err);
}

#define READ(chosen, ...) read_list((chosen), (const char *[]){"rasaed", __VA_ARGS__, NULL}, &err)

START_TEST(test_defaults) {
    settings chosen;
    ra_ok(READ(&chosen, "--dictionary", "words=w.safetensors"));
    ck_assert_str_eq(chosen.listen, "127.0.0.1:8080");
    ck_assert_str_eq(chosen.device, "auto");
    ck_assert(!chosen.tf32);
    ck_assert_uint_eq(chosen.max_body, 64u << 20);
    ck_assert_uint_eq(chosen.threads, 0);
    ck_assert_int_eq(chosen.log_level, RA_LOG_INFO);
    ck_assert_uint_eq(chosen.sae.known, 0);
    ck_assert_uint_eq(chosen.dictionary.count, 1);
    ck_assert_str_eq(settings_dictionary(&chosen, 0).name, "words");
    ck_assert_str_eq(settings_dictionary(&chosen, 0).path, "w.safetensors");
    settings_close(&chosen);
}
END_TEST

START_TEST(test_every_kind_of_flag) {
    settings chosen;
    ra_ok(READ(&chosen, "--dictionary=a=x=y", "--threads=3", "--max-rows", "7", "--log-level=error",
               "--device=reference", "--top-k", "5", "--delta=0.5", "--no-multiplier", "--dictionary-kind=l2",
               "--listen", "[::1]:0"));
    ck_assert_str_eq(settings_dictionary(&chosen, 0).path, "x=y");
    ck_assert_uint_eq(chosen.threads, 3);
    ck_assert_uint_eq(chosen.max_rows, 7);
    ck_assert_int_eq(chosen.log_level, RA_LOG_ERROR);
    ck_assert_str_eq(chosen.device, "reference");
    ck_assert_str_eq(chosen.listen, "[::1]:0");
    ck_assert_uint_eq(chosen.sae.top_k, 5);
    ck_assert_double_eq(chosen.sae.delta, 0.5);
    ck_assert(!chosen.sae.use_multiplier);
    ck_assert_int_eq(chosen.sae.dictionary, RA_DICTIONARY_L2);
    ck_assert_uint_eq(chosen.sae.known, 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA |
                                            1u << RA_SET_USE_MULTIPLIER | 1u << RA_SET_DICTIONARY);
    settings_close(&chosen);
}
END_TEST

START_TEST(test_flag_over_environment_over_file_over_default) {
    static const char content[] = "# settings\n\n  threads = 4\r\nmax_rows=4\nmax_body = 4\n"
                                  "dictionary = a=file\ndictionary = b=file\ntop_k = 4\ndelta=4";
    const char *path = test_write("conf", content, strlen(content));
    static const char *const given[][2] = {{"RASAED_MAX_ROWS", "3"},
                                           {"RASAED_MAX_BODY", "3"},
                                           {"RASAED_TOP_K", "3"},
                                           {"RASAED_PORT", "tcp://10.0.0.1:80"}};
    memcpy(variables, given, sizeof given);
    settings chosen;
    ra_ok(READ(&chosen, "--max-body", "2", "--config", path));
    ck_assert_uint_eq(chosen.max_body, 2);
    ck_assert_uint_eq(chosen.max_rows, 3);
    ck_assert_uint_eq(chosen.threads, 4);
    ck_assert_uint_eq(chosen.idle_seconds, 60);
    ck_assert_uint_eq(chosen.sae.top_k, 3);
    ck_assert_double_eq(chosen.sae.delta, 4);
    ck_assert_uint_eq(chosen.dictionary.count, 2);
    settings_close(&chosen);
}
END_TEST

START_TEST(test_dictionaries_come_from_one_source) {
    static const char content[] = "dictionary = f=file\n";
    static const char *const given[][2] = {{"RASAED_DICTIONARY", "a=1;b=2"}, {"RASAED_CONFIG", NULL}};
    memcpy(variables, given, sizeof given);
    variables[1][1] = test_write("conf", content, strlen(content));
    settings chosen;
    ra_ok(READ(&chosen, "--threads", "1"));
    ck_assert_uint_eq(chosen.dictionary.count, 2);
    ck_assert_str_eq(settings_dictionary(&chosen, 1).name, "b");
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--dictionary", "c=3"));
    ck_assert_uint_eq(chosen.dictionary.count, 1);
    ck_assert_str_eq(settings_dictionary(&chosen, 0).name, "c");
    settings_close(&chosen);
    variables[0][0] = "OTHER";
    ra_ok(READ(&chosen, "--threads", "1"));
    ck_assert_str_eq(settings_dictionary(&chosen, 0).name, "f");
    settings_close(&chosen);
}
END_TEST

START_TEST(test_shapes_of_items) {
    static const char content[] =
        "dictionary = a=1\ndictionary = b=2\nitem_shape = a=5+16x16\nitem_shape = b=77\n";
    const char *path = test_write("conf", content, strlen(content));
    ra_latent_items items = {0};
    settings chosen;
    ra_ok(READ(&chosen, "--config", path));
    settings_items(&chosen, "a", &items);
    ck_assert(items.rows == 261 && items.width == 16 && items.skip == 5);
    settings_items(&chosen, "b", &items);
    ck_assert(items.rows == 77 && items.width == 0 && items.skip == 0);
    settings_items(&chosen, "c", &items);
    ck_assert_uint_eq(items.rows, 77);
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--dictionary-dir", "d", "--item-shape", "later=2x2"));
    settings_close(&chosen);
    static const char *const wrong[][2] = {
        {"a", "\"a\" is not NAME=[SKIP+]HxW"},
        {"a=", "is not NAME="},
        {"a/b=2", "the name \"a/b\""},
        {"a=x4", "\"x4\" is not the shape of items; expected the rows of one"},
        {"a=2x0", "\"2x0\" is not"},
        {"c=2", "about dictionary \"c\", which is not served"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ra_fails(READ(&chosen, "--dictionary", "a=1", "--item-shape", wrong[i][0]), RA_ERR_ARGUMENT,
                 wrong[i][1]);
    ra_fails(READ(&chosen, "--dictionary", "a=1", "--item-shape", "a=2", "--item-shape", "a=2x1"),
             RA_ERR_ARGUMENT, "the shape of the items of \"a\" is given twice");
}
END_TEST

START_TEST(test_switches_and_origins) {
    static const char content[] = "watch = true\ncors_origin = https://a.org\ncors_origin = https://b.org\n";
    const char *path = test_write("conf", content, strlen(content));
    settings chosen;
    ra_ok(READ(&chosen, "--config", path, "--dictionary-dir", "d"));
    ck_assert(chosen.watch);
    ck_assert_str_eq(chosen.dictionary_dir, "d");
    ck_assert_uint_eq(chosen.cors_origin.count, 2);
    ck_assert_str_eq(chosen.cors_origin.items[1], "https://b.org");
    ck_assert_ptr_null(chosen.admin_listen);
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--config", path, "--dictionary-dir", "d", "--watch=false", "--cors-origin", "*",
               "--admin-listen", ":9090"));
    ck_assert(!chosen.watch);
    ck_assert_uint_eq(chosen.cors_origin.count, 1);
    ck_assert_str_eq(chosen.cors_origin.items[0], "*");
    ck_assert_str_eq(chosen.admin_listen, ":9090");
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--watch", "--dictionary-dir", "d", "--log-format", "json", "--tf32"));
    ck_assert(chosen.watch);
    ck_assert(chosen.tf32);
    ck_assert_int_eq(chosen.log_format, LOG_JSON);
    settings_close(&chosen);
}
END_TEST

/* What settings_print() writes, read from a file again, prints the same. */
static char *printed(const settings *chosen) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    settings_print(chosen, out);
    fclose(out);
    return text;
}

START_TEST(test_printed_settings_read_back) {
    settings chosen;
    ra_ok(READ(&chosen, "--dictionary", "a=x;b=y z", "--listen", "[::1]:0", "--max-rows", "9", "--watch",
               "--tf32", "--cors-origin", "http://[::1]:3000", "--keys", "k", "--delta", "0.1",
               "--no-multiplier"));
    char *first = printed(&chosen);
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--config", test_write("conf", first, strlen(first))));
    char *second = printed(&chosen);
    ck_assert_str_eq(first, second);
    ck_assert_str_eq(settings_dictionary(&chosen, 1).path, "y z");
    ck_assert_str_eq(chosen.listen, "[::1]:0");
    ck_assert(!chosen.sae.use_multiplier);
    settings_close(&chosen);
    free(first);
    free(second);
}
END_TEST

START_TEST(test_questions_stand_beside_settings) {
    settings chosen;
    ra_ok(READ(&chosen, "--print-config"));
    ck_assert(chosen.asked.print_config);
    settings_close(&chosen);
    ra_ok(READ(&chosen, "--dictionary=a=b", "--check-config", "--max-rows=3"));
    ck_assert(chosen.asked.check_config);
    ck_assert_uint_eq(chosen.max_rows, 3);
    settings_close(&chosen);
    ra_fails(READ(&chosen, "--check-config"), RA_ERR_ARGUMENT, "there is no dictionary");
    ra_fails(READ(&chosen, "--check-config=1", "--dictionary=a=b"), RA_ERR_ARGUMENT,
             "expected true or false");
}
END_TEST

START_TEST(test_memory_that_runs_out) {
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        settings chosen;
        ra_error err = {0};
        ra_memory_fail_at(n);
        status = READ(&chosen, "--dictionary", "a=x;b=y", "--cors-origin", "*", "--keys", "k");
        ra_memory_fail_at(0);
        ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
        if (status == RA_OK) settings_close(&chosen);
    }
}
END_TEST

START_TEST(test_refuses_wrong_flags) {
    static const struct {
        const char *flag, *value, *expected;
    } table[] = {
        {"--bogus", "1", "there is no flag --bogus"},
        {"--max_rows", "1", "(did you mean --max-rows?)"}, /* keys are spelled with dashes here */
        {"file", NULL, "--dictionary NAME=FILE"},
        {"-v", NULL, "there is no flag -v"},
        {"--threads", NULL, "--threads needs a value"},
        {"--threads", "--max-rows", "--threads needs a value"},
        {"--threads", "", "whole number from 0 to 1024"},
        {"--threads", "1025", "whole number from 0 to 1024"},
        {"--max-rows", "0", "from 1"},
        {"--max-body", "99999999999999999999", "whole number"},
        {"--no-multiplier=x", NULL, "takes no value"},
        {"--log-level", "all", "debug"},
        {"--device=", NULL, "--device needs a value"},
        {"--listen", "8080", "--listen: "},
        {"--dictionary", "x", "expected NAME=FILE"},
        {"--dictionary", "a=;b=c", "expected NAME=FILE"},
        {"--dictionary", "a b=c", "\"a b\""},
        {"--dictionary", "a=b;a=c", "\"a\" is given twice"},
        {"--top-k", "-1", "--top-k"},
        {"--config", "/nonexistent/file", "/nonexistent/file"},
        {"--watch=yes", NULL, "expected true or false"},
        {"--log-format", "xml", "expected text or json"},
        {"--metrics-access", "none", "expected open, read or admin"},
        {"--cors-origin", "example.org", "--cors-origin: \"example.org\" is no origin"},
        {"--cors-origin", "*;https://x/", "\"https://x/\""},
        {"--admin-listen", "9090", "--admin-listen: "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        settings chosen;
        ra_error err = {0};
        ra_status status =
            read_list(&chosen, (const char *[]){"rasaed", table[i].flag, table[i].value, NULL}, &err);
        ck_assert_msg(status != RA_OK, "%s is accepted", table[i].flag);
        ck_assert_msg(strstr(err.message, table[i].expected), "\"%s\" is not in \"%s\"", table[i].expected,
                      err.message);
        ck_assert_ptr_null(chosen.dictionary.items); /* released */
    }
    settings chosen;
    ra_fails(READ(&chosen, "--threads=1"), RA_ERR_ARGUMENT, "there is no dictionary");
    ra_fails(READ(&chosen, "--dictionary=a=b", "--tls-key=k"), RA_ERR_ARGUMENT,
             "--tls-key is given without --tls-certificate");
    ra_fails(READ(&chosen, "--dictionary=a=b", "--tls-certificate=c"), RA_ERR_ARGUMENT,
             "--tls-certificate is given without --tls-key");
}
END_TEST

START_TEST(test_an_unknown_variable_is_refused) {
    static const struct {
        const char *name, *value, *expected; /* NULL: it is left alone */
    } table[] = {
        {"RASAED_KEY", "file",
         "the environment has RASAED_KEY, which is no setting (did you mean RASAED_KEYS?)"},
        {"RASAED_key", "file", "RASAED_key, which is no setting"},
        {"RASAED_MAXBODY", "1", "did you mean RASAED_MAX_BODY?"},
        {"RASAED_PORT", "8080", "did you mean RASAED_LISTEN?"},
        {"RASAED_CHECK_CONFIG", "true", "RASAED_CHECK_CONFIG, which is no setting"},
        {"RASAED_", "", "RASAED_, which is no setting"},
        {"RASAED_ENTIRELY_DIFFERENT", "1", "RASAED_ENTIRELY_DIFFERENT, which is no setting;"},
        {"RASAED_KEYS", "file", NULL},
        {"RASAE_KEY", "file", NULL},
        {"RASAED_PORT", "tcp://10.0.0.7:80", NULL},
        {"RASAED_PORT_80_TCP_ADDR", "10.0.0.7", NULL},
        {"RASAED_SERVICE_HOST", "10.0.0.7", NULL},
        {"RASAED_SERVICE_PORT", "80", NULL},
        {"RASAED_SERVICE_PORT_HTTP", "80", NULL},
        {"RASAED_STAGING_PORT", "tcp://10.0.0.7:80", NULL},
        {"RASAED_STAGING_SERVICE_HOST", "10.0.0.7", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        settings chosen;
        ra_error err = {0};
        variables[0][0] = table[i].name;
        variables[0][1] = table[i].value;
        ra_status status = READ(&chosen, "--dictionary", "a=b");
        ck_assert_msg(status == (table[i].expected ? RA_ERR_ARGUMENT : RA_OK), "%s: %s", table[i].name,
                      err.message);
        if (status == RA_OK) settings_close(&chosen);
        if (table[i].expected)
            ck_assert_msg(strstr(err.message, table[i].expected), "\"%s\" is not in \"%s\"",
                          table[i].expected, err.message);
    }
}
END_TEST

START_TEST(test_sizes_have_units) {
    static const struct {
        const char *words;
        size_t bytes; /* 0: refused */
    } table[] = {{"1", 1},
                 {"64K", 64 << 10},
                 {"64M", 64 << 20},
                 {"2G", (size_t)2 << 30},
                 {"1T", (size_t)1 << 40},
                 {"3MiB", 3 << 20},
                 {"3MB", 0},
                 {"M", 0},
                 {"1.5M", 0},
                 {"1 M", 0},
                 {"1k", 0},
                 {"-1M", 0},
                 {"0K", 0},
                 {"99999999999T", 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        settings chosen;
        ra_error err = {0};
        ra_status status = READ(&chosen, "--dictionary", "a=b", "--max-body", table[i].words);
        ck_assert_msg((status == RA_OK) == (table[i].bytes > 0), "%s: %s", table[i].words, err.message);
        if (status == RA_OK) ck_assert_uint_eq(chosen.max_body, table[i].bytes);
        if (status == RA_OK)
            settings_close(&chosen);
        else
            ck_assert_ptr_nonnull(strstr(err.message, "with K, M, G or T behind it"));
    }
}
END_TEST

/* Neither the environment nor a file has to be in order for it. */
START_TEST(test_a_probe_looks_at_flags_alone) {
    static const char *const given[][2] = {{"RASAED_MAX_ROWS", "many"},
                                           {"RASAED_CONFIG", "/nonexistent/file"}};
    memcpy(variables, given, sizeof given);
    settings chosen;
    ra_ok(READ(&chosen, "--probe", "http://h/"));
    ck_assert_str_eq(chosen.asked.probe, "http://h/");
    ra_ok(READ(&chosen, "--probe=http://h/"));
    ck_assert_str_eq(chosen.asked.probe, "http://h/");
    ra_fails(READ(&chosen, "--probe"), RA_ERR_ARGUMENT, "--probe needs a value: --probe URL");
    ra_fails(READ(&chosen, "--probed", "x"), RA_ERR_ARGUMENT, "no flag --probed (did you mean --probe?)");
}
END_TEST

START_TEST(test_refuses_wrong_lines_of_a_file) {
    static const struct {
        const char *content, *expected;
        size_t size; /* 0: up to the NUL */
        ra_status code;
    } table[] = {
        {"\n\nbogus = 1\n", "line 3: there is no setting \"bogus\"", 0, RA_ERR_FORMAT},
        {"max-rows = 1\n", "there is no setting \"max-rows\" (did you mean max_rows?)", 0, RA_ERR_FORMAT},
        {"max_rows\n", "not of the form key = value", 0, RA_ERR_FORMAT},
        {"= 1\n", "there is no setting \"\"", 0, RA_ERR_FORMAT},
        {"config = other\n", "there is no setting \"config\"", 0, RA_ERR_FORMAT},
        {"max_rows = x\n", "line 1: max_rows is \"x\"", 0, RA_ERR_ARGUMENT},
        {"max_rows = 1\nmax_rows = 2\n", "line 2: max_rows is given more than once", 0, RA_ERR_ARGUMENT},
        {"threads = 1\nthreads = 1\n", "line 2: threads is given more than once", 0, RA_ERR_ARGUMENT},
        {"a\0b", "not a text file", 3, RA_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *path =
            test_write("conf", table[i].content, table[i].size ? table[i].size : strlen(table[i].content));
        settings chosen;
        ra_fails(READ(&chosen, "--dictionary", "a=b", "--config", path), table[i].code, table[i].expected);
    }
    settings chosen; /* although a flag decides */
    ra_fails(READ(&chosen, "--dictionary", "a=b", "--threads=3", "--config",
                  test_write("conf", "threads = 1\nthreads = 2\n", 24)),
             RA_ERR_ARGUMENT, "line 2: threads is given more than once");
}
END_TEST

START_TEST(test_help_names_every_setting_and_asks_for_nothing_else) {
    settings chosen;
    ra_ok(READ(&chosen, "--bogus", "--help"));
    ck_assert(chosen.help);
    ra_ok(READ(&chosen, "--version"));
    ck_assert(chosen.asked.version);
    char *help = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&help, &size);
    settings_help(out);
    fclose(out);
    static const char *const flags[] = {
        "--listen HOST:PORT", "--dictionary NAME=FILE", "--config FILE",       "--top-k k",
        "--no-multiplier",    "--dictionary-kind KIND", "--running-threshold", "RASAED_MAX_BODY"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        ck_assert_msg(strstr(help, flags[i]), "%s is not in the help", flags[i]);
    free(help);
}
END_TEST

TEST_CASES(settings, test_defaults, test_every_kind_of_flag,
           test_flag_over_environment_over_file_over_default, test_dictionaries_come_from_one_source,
           test_shapes_of_items, test_switches_and_origins, test_printed_settings_read_back,
           test_questions_stand_beside_settings, test_memory_that_runs_out, test_refuses_wrong_flags,
           test_an_unknown_variable_is_refused, test_sizes_have_units, test_refuses_wrong_lines_of_a_file,
           test_help_names_every_setting_and_asks_for_nothing_else, test_a_probe_looks_at_flags_alone)
