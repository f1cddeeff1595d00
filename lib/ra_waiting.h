/* ra_waiting.h - threads that must not wait for a computation, a load or a scan of another thread.
 *
 * A thread that serves many connections at once keeps all of them waiting when it waits itself. Such a thread
 * marks itself, and whatever can take long checks the mark:
 *
 *     ra_waiting_forbid();                 // once, on the thread
 *     ra_waiting_check("the thread pool"); // where a thread is about to wait
 *
 * A mistake ends a sanitized build with one line that says what the thread was about to wait for; other
 * builds check nothing. Thread safety: each thread has its own mark.
 */
#ifndef RA_WAITING_H
#define RA_WAITING_H

void ra_waiting_forbid(void);
void ra_waiting_check(const char *what);

#endif
