/* points.h - named moments at which a sanitized build can be told to sleep, so that what rarely happens between two
 * steps happens each time.
 *
 *     SLEEP_AT="settled=20000 swapped=50000" build/sanitize-thread/rasaed ...       microseconds
 *
 * Other builds have no such moments. Thread safety: any thread.
 */
#ifndef RASAED_HTTP_POINTS_H
#define RASAED_HTTP_POINTS_H

/* The names. To add one, add a row and call point_reached() there. */
#define POINT_LIST(X)                                                                                        \
    X(settled) /* a request is settled, and its connection is not resumed yet */                             \
    X(taken)   /* a connection is accepted, and its I/O thread does not know it yet */                       \
    X(swapped) /* a generation is replaced, and not released yet */                                          \
    X(retired) /* nobody holds a generation any more, and it is not freed yet */                             \
    X(stopped) /* the I/O threads are asked to end, and nobody waits for them yet */

typedef enum point {
#define X(name) POINT_##name,
    POINT_LIST(X)
#undef X
        POINTS
} point;

#ifdef RA_SANITIZE
void point_reached(point at);
#else
static inline void point_reached(point at) {
    (void)at;
}
#endif

#endif
