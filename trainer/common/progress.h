/* progress.h - how far a long piece of work is: one line redrawn on a terminal, plain lines elsewhere.
 *
 *     progress_meter progress;
 *     progress_open(&progress, quiet ? PROGRESS_SILENT : PROGRESS_LINES);
 *     progress_start(&progress, "training", steps);
 *     for (...)
 *         if (progress_due(&progress, done)) progress_show(&progress, done, rows, details, count);
 *     progress_close(&progress);
 *
 * The bar is drawn on stderr, at most ten times a second, as wide as the terminal is at that moment; fields
 * that do not fit are left out, last ones first. Plain lines go to stdout, every five per cent but not more
 * often than every two seconds, at least every thirty seconds, and for the last step. progress_due() is cheap
 * enough to be called after every step.
 *
 * While it is open the library's log lines pass through it, so that they do not tear the bar.
 *
 * Thread safety: one thread; log lines may come from others.
 */
#ifndef RASAE_COMMON_PROGRESS_H
#define RASAE_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum progress_mode {
    PROGRESS_SILENT, /* nothing */
    PROGRESS_BAR,    /* a bar when stderr is a terminal, else nothing */
    PROGRESS_LINES,  /* a bar when stderr and stdout are terminals, else lines on stdout */
} progress_mode;

typedef struct progress_meter {
    bool bar, lines; /* at most one of them */
    bool drawn;      /* the bar is on the screen now */
    const char *what;
    size_t total;          /* 0: unknown */
    double started, shown; /* seconds; when this piece began, when it was last shown */
    size_t shown_done;
} progress_meter;

typedef struct progress_field {
    char text[32];
} progress_field;

/* progress_close() has to follow. */
void progress_open(progress_meter *progress, progress_mode mode);
void progress_close(progress_meter *progress); /* takes the bar off the screen */

/* A line of its own: what happens next, or what came out. */
void progress_note(progress_meter *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A new piece of work of `total` steps. */
void progress_start(progress_meter *progress, const char *what, size_t total);
bool progress_due(const progress_meter *progress, size_t done);

/* rows: done so far, for the rate; 0: no rate. details: most important first. */
void progress_show(progress_meter *progress, size_t done, double rows, const progress_field *details,
                   size_t count);

/* For work whose steps are rows: shows how many are done, when it is due. */
void progress_rows(progress_meter *progress, size_t done);

/* For work that tells its own share: a callback of the library, whose context is the progress_meter. false:
 * the command was interrupted (command_catch_interrupts()). */
bool progress_share(void *meter, uint64_t done, uint64_t total);

double progress_elapsed(const progress_meter *progress); /* seconds since progress_start() */

#endif
