/* Lines lie one after another in a ring of bytes. Producers copy under a mutex that is held for nothing else; the
 * writer takes as many whole lines as one write() to a pipe may have, and writes without the mutex.
 *
 * Only the producer that finds the ring empty wakes the writer. */
#include "telemetry/log_ring.h"
#include "ra_memory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct log_ring {
    log_ring_options options;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t filled, emptied;
    char *data; /* [options.bytes] */
    size_t first, used;
    uint64_t dropped, told; /* lines; of which so many have been told */
    bool writing;           /* what the writer took is not written yet */
};

/* ---- the ring, under its lock ---------------------------------------------------------------------------- */

static void put(log_ring *ring, const char *line, size_t size) {
    size_t at = (ring->first + ring->used) % ring->options.bytes, head = ring->options.bytes - at;
    if (head > size) head = size;
    memcpy(ring->data + at, line, head);
    memcpy(ring->data, line + head, size - head);
    ring->used += size;
}

static bool fits(const log_ring *ring, size_t size) {
    return size <= ring->options.bytes - ring->used;
}

/* At the place where lines are missing, once half of the ring is free: a descriptor that takes a line now and then gets
 * a few long pieces of the log, not every tenth line and how many are missing between. */
static void tell_dropped(log_ring *ring) {
    char line[LOG_RING_LINE_MOST];
    if (ring->dropped == ring->told || ring->used > ring->options.bytes / 2) return;
    put(ring, line, ring->options.dropped(line, ring->dropped - ring->told));
    ring->told = ring->dropped;
}

/* chunk [LOG_RING_LINE_MOST] <- whole lines from the front. */
static size_t take(log_ring *ring, char *chunk) {
    size_t size = ring->used < LOG_RING_LINE_MOST ? ring->used : LOG_RING_LINE_MOST;
    size_t head = ring->options.bytes - ring->first;
    if (head > size) head = size;
    memcpy(chunk, ring->data + ring->first, head);
    memcpy(chunk + head, ring->data, size - head);
    while (size > 0 && chunk[size - 1] != '\n') size--;
    ring->first = (ring->first + size) % ring->options.bytes;
    ring->used -= size;
    return size;
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

/* Waits as long as it takes; false: the descriptor takes nothing any more. It may be non-blocking, which whoever else
 * has it decides. */
static bool write_all(int descriptor, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = descriptor, .events = POLLOUT}, 1, -1);
        } else if (written < 0 && errno != EINTR) {
            return false;
        } else if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static size_t count_lines(const char *bytes, size_t size) {
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) lines += bytes[i] == '\n';
    return lines;
}

static void *run(void *context) {
    log_ring *ring = context;
    char chunk[LOG_RING_LINE_MOST];
    (void)prctl(PR_SET_NAME, "rasaed-log");
    pthread_mutex_lock(&ring->lock);
    for (;;) {
        if (ring->used == 0) tell_dropped(ring);
        size_t size = take(ring, chunk);
        ring->writing = size > 0;
        if (size > 0) {
            pthread_mutex_unlock(&ring->lock);
            bool taken = write_all(ring->options.descriptor, chunk, size);
            pthread_mutex_lock(&ring->lock);
            if (!taken) ring->dropped += count_lines(chunk, size);
            if (!taken) ring->told = ring->dropped; /* nobody reads it */
        } else {
            pthread_cond_broadcast(&ring->emptied);
            pthread_cond_wait(&ring->filled, &ring->lock);
        }
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

ra_status log_ring_start(const log_ring_options *options, log_ring **out, ra_error *err) {
    pthread_condattr_t steady;
    pthread_t thread;
    log_ring *ring = ra_calloc(1, sizeof *ring);
    char *data = ra_malloc(options->bytes, 1);
    if (!ring || !data) {
        ra_free(ring);
        ra_free(data);
        RA_FAIL_MEMORY(err, "the log", options->bytes);
    }
    ring->options = *options;
    ring->data = data;
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->filled, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&ring->emptied, &steady);
    pthread_condattr_destroy(&steady);
    int failure = pthread_create(&thread, NULL, run, ring);
    if (failure) {
        ra_free(data);
        ra_free(ring);
        RA_FAIL(err, RA_ERR_IO, "the thread that writes the log cannot be started: %s", strerror(failure));
    }
    pthread_detach(thread);
    *out = ring;
    return RA_OK;
}

void log_ring_put(log_ring *ring, const char *line, size_t size) {
    pthread_mutex_lock(&ring->lock);
    bool idle = ring->used == 0;
    tell_dropped(ring);
    if (ring->dropped == ring->told && fits(ring, size))
        put(ring, line, size);
    else
        ring->dropped++;
    if (idle) pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

uint64_t log_ring_dropped(log_ring *ring) {
    pthread_mutex_lock(&ring->lock);
    uint64_t dropped = ring->dropped;
    pthread_mutex_unlock(&ring->lock);
    return dropped;
}

bool log_ring_flush(log_ring *ring, unsigned milliseconds) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += milliseconds / 1000;
    end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&ring->lock);
    int waited = 0;
    while ((ring->used > 0 || ring->writing || ring->told < ring->dropped) && waited == 0) {
        pthread_cond_signal(&ring->filled);
        waited = pthread_cond_timedwait(&ring->emptied, &ring->lock, &end);
    }
    pthread_mutex_unlock(&ring->lock);
    return waited == 0;
}
