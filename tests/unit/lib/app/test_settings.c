/* Settings of a program (lib/app/settings/{flags,file,help,values}.c): the grammar of the command line, precedence of the sources, help and file. */
#include "harness.h"
#include "app/settings.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- a program ----------------------------------------------------------------------------------------- */

typedef struct mine {
    uint64_t known;
    const char *output, *address;
    size_t count;
    double rate;
    bool quiet, shuffle;
    int kind;
    settings_list item;
} mine;

typedef struct asked {
    uint64_t known;
    bool version;
} asked;

static ra_status check_address(const char *words, ra_error *err) {
    if (strchr(words, ':')) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" has no port", words);
}

static const char *const kinds[] = {"apple", "pear", NULL};

#define AT(member) offsetof(mine, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .argument = "OUT", .help = "where it goes"},
    {"listen", RA_SETTING_TEXT, AT(address), .check = check_address, .fallback = "here:1", .argument = "H:P",
        .help = "where to listen"},
    {"max_count", RA_SETTING_COUNT, AT(count), .max = 100, .fallback = "7", .argument = "N",
        .help = "a number whose explanation is much too long to stand on one line beside the flag, and so goes on below"},
    {"rate", RA_SETTING_REAL, AT(rate), .min = -1, .max = 1, .argument = "X", .help = "a rate"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .fallback = "false", .help = "say nothing"},
    {"mix", RA_SETTING_BOOL, AT(shuffle), .flag = "no-shuffle", .fallback = "true", .help = "keep the order"},
    {"kind", RA_SETTING_NAME, AT(kind), .names = kinds, .fallback = "pear", .argument = "KIND", .help = "apple or pear"},
    {"item", RA_SETTING_LIST, AT(item), .check = check_address, .argument = "A:B", .help = "may be repeated"},
};
static const ra_setting asked_rows[] = {
    {"version", RA_SETTING_BOOL, offsetof(asked, version), .help = "print the version"},
};
/* clang-format on */

static const ra_settings_table table = {rows, sizeof rows / sizeof *rows}, asked_table = {asked_rows, 1};
static mine chosen;
static asked questions;
static const settings_group groups[] = {{.title = "Flags", .table = &table, .values = &chosen},
                                        {.table = &asked_table, .values = &questions, .flags_only = true}};
static const command_line line = {.program = "prog do",
                                  .usage = "A [B]",
                                  .about = "Does it.\n",
                                  .below = "Example:\n  prog do a\n",
                                  .groups = groups,
                                  .group_count = 2,
                                  .min_arguments = 1,
                                  .max_arguments = 2,
                                  .arguments = "A and maybe B",
                                  .environment = "PROG_"};

static const char *const *arguments;
static int argument_count;

static ra_status read_words(const char *const *words, ra_error *err) {
    static const char *argv[32];
    bool help;
    int argc = 1;
    settings_release(&line);
    chosen = (mine){0};
    questions = (asked){0};
    argv[0] = "do";
    for (; words[argc - 1]; argc++) argv[argc] = words[argc - 1];
    arguments = argv;
    ra_status status = settings_read_flags(&line, &argc, (char **)(uintptr_t)argv, &help, err);
    argument_count = argc;
    return status;
}

#define READ(...) read_words((const char *[]){__VA_ARGS__, NULL}, &err)

/* ---- the command line ---------------------------------------------------------------------------------- */

START_TEST(test_every_way_of_writing_a_flag) {
    ra_ok(READ("a", "-o", "x", "--max-count=3", "--rate", "-0.5", "b", "--quiet", "--no-shuffle", "--kind",
               "apple", "--item", "a:1;b:2", "--item=c:3", "--version"));
    ck_assert_str_eq(chosen.output, "x");
    ck_assert_uint_eq(chosen.count, 3);
    ck_assert_double_eq(chosen.rate, -0.5);
    ck_assert(chosen.quiet);
    ck_assert(!chosen.shuffle && ra_setting_known(&chosen, 5));
    ck_assert_int_eq(chosen.kind, 0);
    ck_assert_uint_eq(chosen.item.count, 3);
    ck_assert_str_eq(chosen.item.items[1], "b:2");
    ck_assert(questions.version);
    ck_assert_int_eq(argument_count, 2);
    ck_assert_str_eq(arguments[0], "a");
    ck_assert_str_eq(arguments[1], "b");
    settings_release(&line);
    ck_assert_ptr_null(chosen.item.items);
}
END_TEST

START_TEST(test_bools_are_set_and_cleared) {
    ra_ok(READ("a", "--shuffle", "--quiet=false"));
    ck_assert(chosen.shuffle);
    ck_assert(!chosen.quiet && ra_setting_known(&chosen, 4));
    ra_ok(READ("a", "--shuffle=false", "--no-quiet"));
    ck_assert(!chosen.shuffle);
    ck_assert(!chosen.quiet);
}
END_TEST

START_TEST(test_two_dashes_end_the_flags) {
    ra_ok(READ("--quiet", "--", "--max-count", "-o"));
    ck_assert_int_eq(argument_count, 2);
    ck_assert_str_eq(arguments[0], "--max-count");
    ck_assert_uint_eq(chosen.count, 0);
    ra_ok(READ("-")); /* is an argument */
    ck_assert_int_eq(argument_count, 1);
}
END_TEST

START_TEST(test_wrong_command_lines) {
    static const struct {
        const char *words[4], *expected;
    } cases[] = {
        {{"a", "--bogus", "1"}, "there is no flag --bogus"},
        {{"a", "--max-cuont=1"}, "there is no flag --max-cuont=1 (did you mean --max-count?)"},
        {{"a", "--max_count", "1"}, "(did you mean --max-count?)"},
        {{"a", "-q"}, "there is no flag -q"},
        {{"a", "-ox"}, "there is no flag -ox"},
        {{"a", "-o"}, "-o needs a value: -o OUT"},
        {{"a", "--output"}, "-o needs a value: -o OUT"},
        {{"a", "--output="}, "-o needs a value"},
        {{"a", "--rate", "--quiet"}, "--rate needs a value: --rate X"},
        {{"a", "--no-quiet=1"}, "--no-quiet takes no value, but \"1\" was given"},
        {{"a", "--quiet=1"}, "--quiet is \"1\", expected true or false"},
        {{"a", "--max-count", "101"}, "--max-count is \"101\", expected a whole number from 0 to 100"},
        {{"a", "--kind", "plum"}, "--kind is \"plum\", expected apple or pear"},
        {{"a", "--listen", "8"}, "--listen: \"8\" has no port"},
        {{"a", "--item", "a:1;b"}, "--item: \"b\" has no port"},
        {{"a", "--rate=0", "--rate=0"}, "--rate is given more than once"},
        {{"a", "--shuffle", "--no-shuffle"}, "--no-shuffle is given more than once"},
        {{"a", "b", "c"}, "\"c\" is one argument too many: prog do takes A and maybe B"},
        {{"--quiet"}, "prog do needs A and maybe B"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ra_fails(read_words(cases[i].words, &err), RA_ERR_ARGUMENT, cases[i].expected);
    settings_release(&line);
}
END_TEST

START_TEST(test_help_is_asked_for_among_anything) {
    bool help;
    int argc = 3;
    ra_error err = {0};
    char name[] = "do", bogus[] = "--bogus", flag[] = "--help", *argv[] = {name, bogus, flag, NULL};
    ck_assert_int_eq(settings_read_flags(&line, &argc, argv, &help, &err), RA_OK);
    ck_assert(help);
}
END_TEST

/* ---- the sources --------------------------------------------------------------------------------------- */

static const char *variables[4][2];

static char *lookup(const char *name) {
    for (size_t i = 0; i < 4 && variables[i][0]; i++)
        if (strcmp(variables[i][0], name) == 0) return (char *)(uintptr_t)variables[i][1];
    return NULL;
}

START_TEST(test_flag_over_environment_over_file_over_default) {
    static const char content[] = "# a file\n\n max_count = 4\r\nkind=apple\nrate = 0.5\nmix = false\n"
                                  "item = f:1\nitem = f:2\n";
    static const char *const given[][2] = {
        {"PROG_KIND", "pear"}, {"PROG_RATE", "0.25"}, {"PROG_VERSION", "12"}};
    char *file = NULL;
    memcpy(variables, given, sizeof given);
    ra_ok(READ("a", "--rate", "1", "--item", "x:1"));
    ra_ok(settings_read_environment(&line, lookup, &err));
    ra_ok(settings_read_file(&line, test_write("conf", content, strlen(content)), &file, &err));
    settings_default(&line);
    ck_assert_double_eq(chosen.rate, 1);
    ck_assert_int_eq(chosen.kind, 1);
    ck_assert_uint_eq(chosen.count, 4);
    ck_assert_str_eq(chosen.address, "here:1");
    ck_assert(!chosen.shuffle);
    ck_assert_uint_eq(chosen.item.count, 1); /* a list comes from one source */
    ck_assert(!questions.version);
    ra_free(file);
    settings_release(&line);
}
END_TEST

START_TEST(test_values_that_do_not_hold_are_checked_all_the_same) {
    static const char *const given[][2] = {{"PROG_MAX_COUNT", "many"}};
    memcpy(variables, given, sizeof given);
    ra_ok(READ("a", "--max-count", "1"));
    ra_fails(settings_read_environment(&line, lookup, &err), RA_ERR_ARGUMENT, "PROG_MAX_COUNT is \"many\"");
    ck_assert_uint_eq(chosen.count, 1);
    variables[0][0] = "PROG_ITEM";
    ra_ok(READ("a", "--item", "x:1"));
    ra_fails(settings_read_environment(&line, lookup, &err), RA_ERR_ARGUMENT,
             "PROG_ITEM: \"many\" has no port");
    ck_assert_uint_eq(chosen.item.count, 1);
    settings_release(&line);
}
END_TEST

START_TEST(test_wrong_files) {
    static const struct {
        const char *content, *expected;
        ra_status code;
    } cases[] = {
        {"\n\nbogus = 1\n", "line 3: there is no setting \"bogus\"", RA_ERR_FORMAT},
        {"max-count = 1\n", "there is no setting \"max-count\" (did you mean max_count?)", RA_ERR_FORMAT},
        {"version = true\n", "there is no setting \"version\"", RA_ERR_FORMAT},
        {"kind\n", "line 1: \"kind\" is not of the form key = value", RA_ERR_FORMAT},
        {"kind = plum\n", "line 1: kind is \"plum\", expected apple or pear", RA_ERR_ARGUMENT},
        {"kind = pear\nkind = pear\n", "line 2: kind is given more than once", RA_ERR_ARGUMENT},
        {"output =\n", "line 1: output needs a value", RA_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *file = NULL;
        const char *path = test_write("conf", cases[i].content, strlen(cases[i].content));
        ra_ok(READ("a"));
        ra_fails(settings_read_file(&line, path, &file, &err), cases[i].code, cases[i].expected);
        ra_free(file);
    }
}
END_TEST

START_TEST(test_memory_that_runs_out) {
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error err = {0};
        ra_memory_fail_at(n);
        status = READ("a", "--item", "a:1;b:2", "--item", "c:3");
        ra_memory_fail_at(0);
        ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
    }
    settings_release(&line);
}
END_TEST

/* ---- what is printed ----------------------------------------------------------------------------------- */

static char *printed(void (*print)(const command_line *line, FILE *out)) {
    char *words = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&words, &size);
    print(&line, out);
    fclose(out);
    return words;
}

START_TEST(test_help) {
    ra_ok(READ("a"));
    char *help = printed(settings_print_help);
    ck_assert_str_eq(
        help, "Usage: prog do A [B]\n\nDoes it.\n\nFlags:\n"
              "  -o, --output OUT              where it goes\n"
              "      --listen H:P              where to listen (here:1)\n"
              "      --max-count N             a number whose explanation is much too long to stand on one "
              "line beside the\n"
              "                                flag, and so goes on below (7)\n"
              "      --rate X                  a rate\n"
              "      --quiet                   say nothing\n"
              "      --no-shuffle              keep the order\n"
              "      --kind KIND               apple or pear (pear)\n"
              "      --item A:B                may be repeated\n"
              "      --version                 print the version\n"
              "      --help                    print this text\n\n"
              "Example:\n  prog do a\n");
    free(help);
}
END_TEST

START_TEST(test_the_file_reads_back) {
    char *file = NULL;
    ra_ok(READ("a", "--item", "a:1;b:2", "--rate=0.1", "--no-shuffle", "--kind=apple"));
    settings_default(&line);
    char *first = printed(settings_print_file);
    ck_assert_ptr_nonnull(strstr(first, "\n# where it goes\n# output = OUT\n"));
    ck_assert_ptr_nonnull(strstr(first, "\n# may be repeated\nitem = a:1\nitem = b:2\n"));
    ck_assert_ptr_nonnull(strstr(first, "\n# false: keep the order (true)\nmix = false\n"));
    ck_assert_ptr_null(strstr(first, "version"));
    ra_ok(READ("a"));
    ra_ok(settings_read_file(&line, test_write("conf", first, strlen(first)), &file, &err));
    char *second = printed(settings_print_file);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
    ra_free(file);
    settings_release(&line);
}
END_TEST

START_TEST(test_defaults_of_a_group) {
    const mine others = {.known = 1u << 2, .count = 9};
    settings_group group = groups[0];
    group.defaults = &others;
    const command_line own = {.program = "prog", .groups = &group, .group_count = 1};
    ra_ok(READ("a"));
    settings_default(&own);
    ck_assert_uint_eq(chosen.count, 9);
    ck_assert(!ra_setting_known(&chosen, 6)); /* not what its row falls back on */
}
END_TEST

TEST_CASES(app_settings, test_every_way_of_writing_a_flag, test_bools_are_set_and_cleared,
           test_two_dashes_end_the_flags, test_wrong_command_lines, test_help_is_asked_for_among_anything,
           test_flag_over_environment_over_file_over_default,
           test_values_that_do_not_hold_are_checked_all_the_same, test_wrong_files, test_memory_that_runs_out,
           test_help, test_the_file_reads_back, test_defaults_of_a_group)
