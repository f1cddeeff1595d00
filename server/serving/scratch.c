#include "serving/scratch.h"
#include "ra_memory.h"

#include <pthread.h>

enum { KEPT_BYTES = 16 << 20 };

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_failure;

static void free_scratch(void *pointer) {
    scratch *mine = pointer;
    for (int i = 0; i < SCRATCH_BLOCK_COUNT; i++) ra_free(mine->blocks[i]);
    ra_codes_release(&mine->codes);
    ra_workspace_free(mine->workspace);
    ra_free(mine);
}

static void make_key(void) {
    key_failure = pthread_key_create(&key, free_scratch);
}

ra_status scratch_get(scratch **out, ra_error *err) {
    pthread_once(&once, make_key);
    scratch *mine = key_failure ? NULL : pthread_getspecific(key);
    if (!mine && !key_failure) {
        mine = ra_calloc(1, sizeof *mine);
        ra_status status = mine ? ra_workspace_new(&mine->workspace, err) : RA_OK;
        if (status != RA_OK) {
            ra_free(mine);
            return status;
        }
        if (mine && pthread_setspecific(key, mine) != 0) {
            free_scratch(mine);
            mine = NULL;
        }
    }
    if (!mine) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a thread's scratch");
    *out = mine;
    return RA_OK;
}

ra_status scratch_reserve(scratch *mine, scratch_block which, size_t count, size_t size, void **block,
                          ra_error *err) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
    if (bytes > mine->bytes[which] || !mine->blocks[which]) {
        void *grown = ra_malloc(bytes, 1);
        if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu bytes of scratch", bytes);
        ra_free(mine->blocks[which]);
        mine->blocks[which] = grown;
        mine->bytes[which] = bytes;
    }
    *block = mine->blocks[which];
    return RA_OK;
}

void scratch_trim(void) {
    pthread_once(&once, make_key);
    scratch *mine = key_failure ? NULL : pthread_getspecific(key);
    if (!mine) return;
    for (int i = 0; i < SCRATCH_BLOCK_COUNT; i++) {
        if (mine->bytes[i] <= KEPT_BYTES) continue;
        ra_free(mine->blocks[i]);
        mine->blocks[i] = NULL;
        mine->bytes[i] = 0;
    }
    if (mine->codes.entry_capacity > KEPT_BYTES / 8) ra_codes_release(&mine->codes);
}
