/* The programs and their clients: each script test_*.py in tests/cli, tests/http, tests/clients, tests/docs,
 * tests/bench, tests/deploy and tests/browser is one test of the suite below. It runs from the top of the tree with
 * RASAE_BUILD naming the build folder. When a script fails, its output is shown. `--fast` leaves them out. */
#include "harness.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 300 };

static glob_t scripts;

static void print_file(const char *path) {
    char buffer[4096];
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (fgets(buffer, sizeof buffer, file)) fputs(buffer, stderr);
    fclose(file);
}

START_TEST(test_script) {
    const char *script = scripts.gl_pathv[_i], *log = test_path("log");
    size_t length = strlen(script);
    const char *interpreter = strcmp(script + length - 3, ".py") == 0 ? "python3" : "bash";
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
        execlp(interpreter, interpreter, script, (char *)NULL);
        _exit(127);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (status != 0) print_file(log);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed (status %d); its output is above",
                  script, status);
}
END_TEST

__attribute__((constructor)) static void find_scripts(void) {
    static const char *const patterns[] = {
        "tests/cli/test_*.py",   "tests/http/test_*.py",   "tests/clients/test_*.py", "tests/docs/test_*.py",
        "tests/bench/test_*.py", "tests/deploy/test_*.py", "tests/browser/test_*.py"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        (void)glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &scripts);
    static const TTest *tests[1];
    static test_suite suite = {"programs", tests, 1, SECONDS, 0, NULL};
    tests[0] = test_script;
    suite.loops = (int)scripts.gl_pathc;
    if (suite.loops) test_suite_register(&suite);
}
