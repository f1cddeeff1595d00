#include "harness.h"
#include "base/pool.h"
#include "ra_waiting.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef RA_SANITIZE
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

static void nothing(void *context, size_t part) {
    (void)context, (void)part;
}

static void *use_pool(void *pool) {
    ra_pool_run(pool, 4, nothing, NULL);
    return NULL;
}

static void *forbid(void *unused) {
    ra_waiting_forbid();
    return unused;
}

START_TEST(test_a_mark_is_for_one_thread) {
    pthread_t other;
    ra_pool *pool = NULL;
    ra_ok(ra_pool_new(2, 0, &pool, &err));
    ck_assert_int_eq(pthread_create(&other, NULL, forbid, NULL), 0);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    use_pool(pool);
    ra_pool_free(pool);
}
END_TEST

/* In a child, which ends as a mistake would end the program. */
START_TEST(test_a_marked_thread_that_uses_a_pool_ends_a_sanitized_build) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        ra_pool *pool = NULL;
        if (ra_pool_new(2, 0, &pool, NULL) != RA_OK) _exit(1);
        ra_waiting_forbid();
        use_pool(NULL); /* without a pool, the parts run here */
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        use_pool(pool);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (CHECKED)
        ck_assert(WIFSIGNALED(status));
    else
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

TEST_CASES(waiting, test_a_mark_is_for_one_thread,
           test_a_marked_thread_that_uses_a_pool_ends_a_sanitized_build)
