/* spill.h - an array that grows, in memory while it is small beside the memory there is, then in a file without a name in
 * the folder of the output, which goes when the array does.
 *
 *     spill bytes = {.beside = "codes.safetensors"};
 *     RA_TRY(spill_reserve(&bytes, 4096, err));
 *     spill_release(&bytes);
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_COMMON_SPILL_H
#define RASAE_COMMON_SPILL_H

#include "ra.h"

typedef struct spill {
    const char *beside; /* the output; not owned */
    void *data;         /* NULL: empty. Moves when it grows */
    size_t capacity;    /* bytes */
    int file;           /* its descriptor and 1 more; 0: it is in memory */
} spill;

/* At least so many bytes; keeps what is there. RA_ERR_IO if the disk is full: then it is as before. */
ra_status spill_reserve(spill *array, size_t bytes, ra_error *err);
void spill_release(spill *array); /* leaves an empty one */

#endif
