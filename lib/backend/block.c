#include "ra_backend.h"

ra_status ra_block_reserve(ra_block *block, ra_backend *backend, size_t n, ra_error *err) {
    void *fresh = NULL;
    if (n == 0) n = 1; /* a member of a group may have no rows, and still points somewhere */
    if (block->backend == backend && n <= block->capacity) return RA_OK;
    ra_block_release(block); /* first: both may not fit */
    RA_TRY(ra_backend_operations(backend)->allocate(ra_backend_self(backend), n * sizeof *block->data, &fresh,
                                                    err));
    *block = (ra_block){ra_backend_retain(backend), fresh, n};
    return RA_OK;
}

void ra_block_release(ra_block *block) {
    if (block->backend) {
        ra_backend_operations(block->backend)->deallocate(ra_backend_self(block->backend), block->data);
        ra_backend_release(block->backend);
    }
    *block = (ra_block){0};
}
