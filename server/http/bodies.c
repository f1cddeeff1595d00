#include "http/bodies.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdbool.h>

enum {
    MOST = 8,
    LEAST_BYTES = 64 << 10, /* allocating less costs little */
    KEPT_BYTES = 16 << 20   /* in all */
};

typedef struct kept {
    char *buffer[MOST];
    size_t capacity[MOST], count, bytes;
} kept;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool works;

static void free_kept(void *pointer) {
    kept *own = pointer;
    for (size_t i = 0; i < own->count; i++) ra_free(own->buffer[i]);
    ra_free(own);
}

static void make_key(void) {
    works = pthread_key_create(&key, free_kept) == 0;
}

static kept *own_kept(void) {
    pthread_once(&once, make_key);
    return works ? pthread_getspecific(key) : NULL;
}

char *http_bodies_take(size_t least, size_t *capacity) {
    kept *own = own_kept();
    size_t best = MOST;
    for (size_t i = 0; own && i < own->count; i++)
        if (own->capacity[i] >= least && (best == MOST || own->capacity[i] < own->capacity[best])) best = i;
    if (best == MOST) return NULL;
    char *taken = own->buffer[best];
    *capacity = own->capacity[best];
    own->bytes -= *capacity;
    own->count--;
    own->buffer[best] = own->buffer[own->count];
    own->capacity[best] = own->capacity[own->count];
    return taken;
}

void http_bodies_give(char *buffer, size_t capacity) {
    kept *own = own_kept();
    if (!own && works && capacity >= LEAST_BYTES && (own = ra_calloc(1, sizeof *own)) &&
        pthread_setspecific(key, own) != 0) {
        ra_free(own);
        own = NULL;
    }
    if (!own || capacity < LEAST_BYTES || own->count == MOST || capacity > KEPT_BYTES - own->bytes) {
        ra_free(buffer);
        return;
    }
    own->buffer[own->count] = buffer;
    own->capacity[own->count++] = capacity;
    own->bytes += capacity;
}
