/* The programs and their clients: each script test_*.py in tests/cli, tests/http, tests/clients, tests/docs,
 * tests/bench, tests/deploy and tests/browser is one test of the suite below. It runs from the top of the tree with
 * RASAE_BUILD naming the build folder, beside the unit tests (scripts.h). When a script fails, its output is shown.
 * `--fast` leaves them out. */
#include "harness.h"
#include "scripts.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { SECONDS = TEST_SLOWER * 300 };

static glob_t scripts;

static void print_file(const char *path) {
    char buffer[4096];
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (fgets(buffer, sizeof buffer, file)) fputs(buffer, stderr);
    fclose(file);
}

START_TEST(test_script) {
    const char *script = scripts.gl_pathv[_i];
    script_result result = scripts_wait((size_t)_i);
    if (result.status != 0) print_file(result.log);
    ck_assert_msg(!result.late, "%s took more than %d seconds; its output is above", script, SECONDS);
    ck_assert_msg(WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0,
                  "%s failed (status %d); its output is above", script, result.status);
}
END_TEST

/* build/tests/times says how long each took. */
static void begin(void) {
    char times[512];
    const char *build = getenv("RASAE_BUILD");
    snprintf(times, sizeof times, "%s/tests/times", build ? build : "build");
    scripts_start(scripts.gl_pathv, scripts.gl_pathc, SECONDS, test_folder(), times);
}

__attribute__((constructor)) static void find_scripts(void) {
    static const char *const patterns[] = {
        /* those that take longest first */
        "tests/browser/test_*.py", "tests/clients/test_*.py", "tests/bench/test_*.py", "tests/docs/test_*.py",
        "tests/http/test_*.py",    "tests/cli/test_*.py",     "tests/deploy/test_*.py"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        (void)glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &scripts);
    static const TTest *tests[1];
    enum { WAIT = 3600 }; /* for its turn and its time: a test that waits does nothing else */
    static test_suite suite = {"programs", tests, 1, WAIT, 0, begin, NULL};
    tests[0] = test_script;
    suite.loops = (int)scripts.gl_pathc;
    if (suite.loops) test_suite_register(&suite);
}
