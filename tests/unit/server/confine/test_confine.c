/* server/confine/{landlock,seccomp,privileges}.c: in a process of its own, each thing that is allowed and each that is not. */
#include "confine/confine.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A try returns 0 or an errno. */
typedef int attempt(void);
typedef struct trial {
    const char *name;
    attempt *try;
    int expected;
} trial;

static int outcome(long result) {
    return result < 0 ? errno : 0;
}

static int opened(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    int result = outcome(file);
    if (file >= 0) close(file);
    return result;
}

static char inside[512], outside[512], locked[512]; /* folders */

static const char *in(const char *folder, const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int read_inside(void) {
    return opened(in(inside, "file"), O_RDONLY);
}
static int read_outside(void) {
    return opened(in(outside, "file"), O_RDONLY);
}
static int write_inside(void) {
    return opened(in(inside, "new"), O_WRONLY | O_CREAT);
}
static int write_locked(void) {
    return opened(in(locked, "new"), O_WRONLY | O_CREAT);
}
static int write_outside(void) {
    return opened(in(outside, "new"), O_WRONLY | O_CREAT);
}
static int remove_locked(void) {
    return outcome(unlink(in(locked, "file")));
}
static int look_outside(void) {
    return outcome(access(in(outside, "file"), R_OK));
}
static int start_a_program(void) {
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}
static int start_a_process(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, NULL, 0);
    return outcome(child);
}
static void *nothing(void *context) {
    return context;
}
static int start_a_thread(void) {
    pthread_t thread;
    int result = pthread_create(&thread, NULL, nothing, NULL);
    if (result == 0) pthread_join(thread, NULL);
    return result;
}
static int make_a_socket(void) {
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = outcome(made);
    if (made >= 0) close(made);
    return result;
}
static int trace(void) {
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int kill_another(void) {
    return outcome(kill(getppid(), 0));
}
static int run_memory(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}
static int make_memory_run(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : outcome(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}
static int use_memory(void) {
    char *memory = malloc(8 << 20);
    if (!memory) return errno;
    memset(memory, 1, 8 << 20);
    free(memory);
    return 0;
}
static int signal_itself(void) {
    return outcome(syscall(SYS_tgkill, getpid(), gettid(), 0));
}
static int raise_a_limit(void) {
    struct rlimit limit = {1024, 1024};
    return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}
static int ask_for_a_limit(void) {
    struct rlimit limit;
    return outcome(getrlimit(RLIMIT_NOFILE, &limit));
}
static int be_readable_again(void) {
    return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static int call_nothing(void) {
    return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}
#ifdef __x86_64__
static int call_as_32_bits(void) { /* getpid() of the other table */
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return result < 0 ? -result : 0;
}
#endif

/* In a process of its own, since nothing of it can be taken back. */
static void in_a_process(void (*confine)(void), const trial *trials, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int status;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            confine();
            _exit(trials[i].try());
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status), "%s: ended by signal %d", trials[i].name, WTERMSIG(status));
        ck_assert_msg(WEXITSTATUS(status) == trials[i].expected, "%s: %s, expected %s", trials[i].name,
                      strerror(WEXITSTATUS(status)), strerror(trials[i].expected));
    }
}

enum { IS_THERE = 0, IS_MISSING = 99 };

static int has_landlock(void) {
    const char *why;
    return confine_files(NULL, 0, &why) > 0 ? IS_THERE : IS_MISSING;
}

static int has_filters(void) {
    const char *why;
    return confine_calls(CONFINE_SERVING, &why) ? IS_THERE : IS_MISSING;
}

/* Whether this kernel can: asked in a process of its own, too. */
static bool can(attempt *ask) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) _exit(ask());
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == IS_THERE;
}

static void to_files(void) {
    const confine_place places[] = {{inside, CONFINE_CHANGE},
                                    {locked, CONFINE_READ},
                                    {locked, CONFINE_REMOVE},
                                    {"/no/such/place", CONFINE_READ}};
    const char *why = NULL;
    if (!confine_files(places, sizeof places / sizeof *places, &why)) _exit(IS_MISSING);
}

static void to_calls(void) {
    const char *why = NULL;
    if (!confine_calls(CONFINE_SERVING, &why)) _exit(IS_MISSING);
}

static void to_changing_calls(void) {
    const char *why = NULL;
    if (!confine_calls(CONFINE_CHANGING, &why)) _exit(IS_MISSING);
}

static void beside_a_driver(void) {
    const char *why = NULL;
    if (!confine_calls(CONFINE_DEVICE, &why)) _exit(IS_MISSING);
}

static void make_folders(void) {
    char *const folders[] = {inside, outside, locked};
    static const char *const names[] = {"inside", "outside", "locked"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(folders[i], sizeof inside, "%s", test_path(names[i]));
        ck_assert_int_eq(mkdir(folders[i], 0700), 0);
        close(open(in(folders[i], "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
}

START_TEST(test_files_below_the_places_and_no_others) {
    static const trial trials[] = {
        {"read inside", read_inside, 0},
        {"read outside", read_outside, EACCES},
        {"write inside", write_inside, 0},
        {"write where only reading is allowed", write_locked, EACCES},
        {"write outside", write_outside, EACCES},
        {"remove where that is allowed", remove_locked, 0},
        {"ask about a file outside", look_outside, 0},
        {"start a program", start_a_program, EACCES},
        {"start a thread", start_a_thread, 0},
    };
    if (!can(has_landlock)) return;
    make_folders();
    in_a_process(to_files, trials, sizeof trials / sizeof *trials);
}
END_TEST

#ifndef RA_SANITIZE /* which make calls of their own */
START_TEST(test_calls_of_serving_and_no_others) {
    static const trial trials[] = {
        {"read", read_outside, 0},
        {"write", write_outside, EPERM},
        {"start a program", start_a_program, EPERM},
        {"start a process", start_a_process, EPERM},
        {"start a thread", start_a_thread, 0},
        {"make a socket", make_a_socket, EPERM},
        {"trace", trace, EPERM},
        {"kill another process", kill_another, EPERM},
        {"signal itself", signal_itself, 0},
        {"memory that runs", run_memory, EPERM},
        {"memory that will run", make_memory_run, EPERM},
        {"memory", use_memory, 0},
        {"raise a limit", raise_a_limit, EPERM},
        {"ask for a limit", ask_for_a_limit, 0},
        {"be readable again", be_readable_again, EPERM},
        {"a call that no list has", call_nothing, EPERM},
#ifdef __x86_64__
        {"a call with the numbers of 32 bits", call_as_32_bits, EPERM},
#endif
    };
    if (!can(has_filters)) return;
    make_folders();
    in_a_process(to_calls, trials, sizeof trials / sizeof *trials);
}
END_TEST

START_TEST(test_files_are_written_where_there_is_a_state) {
    static const trial trials[] = {{"write", write_outside, 0}, {"start a program", start_a_program, EPERM}};
    if (!can(has_filters)) return;
    make_folders();
    in_a_process(to_changing_calls, trials, sizeof trials / sizeof *trials);
}
END_TEST

START_TEST(test_a_driver_may_do_more) {
    static const trial trials[] = {
        {"start a process", start_a_process, 0},     {"make a socket", make_a_socket, 0},
        {"memory that runs", run_memory, 0},         {"write", write_outside, 0},
        {"start a program", start_a_program, EPERM}, {"trace", trace, EPERM}};
    if (!can(has_filters)) return;
    make_folders();
    in_a_process(beside_a_driver, trials, sizeof trials / sizeof *trials);
}
END_TEST

/* A thread that was there before is confined to the calls, too. */
static pthread_barrier_t confined;

static void *socket_later(void *result) {
    pthread_barrier_wait(&confined);
    *(int *)result = make_a_socket();
    return NULL;
}

static int on_an_older_thread(void) {
    int result = 0;
    pthread_t thread;
    pthread_barrier_init(&confined, NULL, 2);
    if (pthread_create(&thread, NULL, socket_later, &result) != 0) return IS_MISSING;
    to_calls();
    pthread_barrier_wait(&confined);
    pthread_join(thread, NULL);
    return result;
}

static void not_yet(void) {
}

START_TEST(test_the_filter_holds_for_all_threads) {
    static const trial trials[] = {{"a socket on an older thread", on_an_older_thread, EPERM}};
    if (can(has_filters)) in_a_process(not_yet, trials, 1);
}
END_TEST
#endif

static int has_new_privileges(void) {
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 1 ? 0 : 1;
}
static int is_secret(void) {
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1;
}
static void openly(void) {
    confine_privileges(false);
}
static void secretly(void) {
    confine_privileges(true);
}

START_TEST(test_privileges_and_memory) {
    static const trial open[] = {{"open", has_new_privileges, 0}}, secret[] = {{"secret", is_secret, 0}};
    in_a_process(openly, open, 1);
    in_a_process(secretly, secret, 1);
}
END_TEST

#ifdef RA_SANITIZE
TEST_CASES(confine, test_files_below_the_places_and_no_others, test_privileges_and_memory)
#else
TEST_CASES(confine, test_files_below_the_places_and_no_others, test_calls_of_serving_and_no_others,
           test_files_are_written_where_there_is_a_state, test_a_driver_may_do_more,
           test_the_filter_holds_for_all_threads, test_privileges_and_memory)
#endif
