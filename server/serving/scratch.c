#include "serving/scratch.h"
#include "ra_memory.h"

#include <pthread.h>

enum { KEPT_BYTES = 16 << 20 };

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_failure;

static void free_scratch(void *pointer) {
    scratch *own = pointer;
    for (int i = 0; i < SCRATCH_BUFFERS; i++) ra_free(own->buffers[i]);
    ra_codes_release(&own->codes);
    ra_workspace_free(own->workspace);
    ra_free(own);
}

static void make_key(void) {
    key_failure = pthread_key_create(&key, free_scratch);
}

static ra_status make(scratch **out, ra_error *err) {
    ra_status status;
    scratch *own = ra_calloc(1, sizeof *own);
    if (!own) RA_FAIL_MEMORY(err, "the scratch of a thread", sizeof *own);
    RA_TRY_OUT(status, ra_workspace_new_serial(&own->workspace, err));
    if (pthread_setspecific(key, own) != 0)
        RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: the scratch of a thread"));
    *out = own;
out:
    if (status != RA_OK) free_scratch(own);
    return status;
}

ra_status scratch_get(scratch **own, ra_error *err) {
    pthread_once(&once, make_key);
    if (key_failure) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the scratch of a thread");
    *own = pthread_getspecific(key);
    return *own ? RA_OK : make(own, err);
}

static ra_status reserve(int which, size_t count, size_t size, void **buffer, ra_error *err) {
    scratch *own;
    size_t bytes;
    RA_TRY(scratch_get(&own, err));
    if (__builtin_mul_overflow(count, size, &bytes))
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
    if (bytes > own->bytes[which] || !own->buffers[which]) {
        void *grown = ra_malloc(bytes, 1);
        if (!grown) RA_FAIL_MEMORY(err, "the scratch of a thread", bytes);
        ra_free(own->buffers[which]);
        own->buffers[which] = grown;
        own->bytes[which] = bytes;
    }
    *buffer = own->buffers[which];
    return RA_OK;
}

#define X(name, type)                                                                                        \
    ra_status scratch_##name(size_t count, type **out, ra_error *err) {                                      \
        void *buffer = NULL;                                                                                 \
        ra_status status = reserve(SCRATCH_##name, count, sizeof **out, &buffer, err);                       \
        *out = buffer;                                                                                       \
        return status;                                                                                       \
    }
SCRATCH_LIST(X)
#undef X

void scratch_trim(void) {
    pthread_once(&once, make_key);
    scratch *own = key_failure ? NULL : pthread_getspecific(key);
    if (!own) return;
    for (int i = 0; i < SCRATCH_BUFFERS; i++) {
        if (own->bytes[i] <= KEPT_BYTES) continue;
        ra_free(own->buffers[i]);
        own->buffers[i] = NULL;
        own->bytes[i] = 0;
    }
    if (own->codes.entry_capacity > KEPT_BYTES / 8) ra_codes_release(&own->codes);
}
