/* Signals are blocked in the main thread, which takes them out of its queue with sigwait(). Libraries may
 * have started threads before main() that do not block them; if the system hands a signal to one of those,
 * the handler passes it on to the main thread and does nothing else.
 *
 * Until the server listens, SIGTERM and SIGINT simply end the process: nothing is under way that could be
 * lost, and a large checkpoint takes time to load.
 */
#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_NANOSECONDS = 10000000 };

static pthread_t main_thread;
static int (*status_at_once)(void);

/* Sent by a thread of this process to the main thread; its number says nothing but that there is news. */
static int wake_signal(void) {
    return SIGRTMIN;
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

static void pass_on(int signal) {
    pthread_kill(main_thread, signal);
}

static void end_at_once(int signal) {
    _exit(128 + signal);
}

static void end_with_status(int signal) {
    (void)signal;
    _exit(status_at_once());
}

/* From now on the signal waits in the queue of this thread. */
static void hold(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    handle(signal, pass_on);
}

/* The first process of a container has no default actions, so ending it takes a handler, too. */
void signals_while_loading(void) {
    main_thread = pthread_self();
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN); /* a limit on the size of files is then an error, like a full disk */
    handle(SIGTERM, end_at_once);
    handle(SIGINT, end_at_once);
    handle(SIGUSR1, SIG_IGN);
    handle(SIGUSR2, SIG_IGN);
    handle(SIGALRM, SIG_IGN);
    hold(SIGHUP);
    hold(wake_signal());
}

void signals_while_serving(void) {
    hold(SIGTERM);
    hold(SIGINT);
}

static sigset_t stop_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void signals_while_stopping(int (*status)(void)) {
    sigset_t set = stop_signals();
    status_at_once = status;
    handle(SIGTERM, end_with_status);
    handle(SIGINT, end_with_status);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int signals_wait(void) {
    sigset_t set = stop_signals();
    sigaddset(&set, SIGHUP);
    sigaddset(&set, wake_signal());
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) == 0) return signal == wake_signal() ? SIGNALS_WOKEN : signal;
    }
}

int signals_pause(void) {
    sigset_t set = stop_signals();
    int signal = sigtimedwait(&set, NULL, &(struct timespec){.tv_nsec = PAUSE_NANOSECONDS});
    return signal > 0 ? signal : SIGNALS_WOKEN;
}

void signals_wake(void) {
    pthread_kill(main_thread, wake_signal());
}
