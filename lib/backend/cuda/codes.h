/* codes.h - sparse codes where the kernels can read them: those of the host in the scratch memory of an entered stream,
 * those that the device keeps where they are (kept.c). */
#ifndef RA_BACKEND_CUDA_CODES_H
#define RA_BACKEND_CUDA_CODES_H

#include "backend/cuda/context.h"

/* value: codes->value, which goes with the codes, or device memory, or NULL. *behind (unless NULL) <- `extra` bytes of
 * scratch memory, aligned to 16. */
ra_status cuda_codes_take(ra_backend_stream *entered, const ra_codes *codes, const float *value, size_t extra,
                          cuda_codes *on_device, void **behind, ra_error *err);

/* The same by latent; value is not NULL. *behind (unless NULL) <- `extra` bytes for each partial sum, and *extra_bytes <-
 * of them all, but at most `most`. */
ra_status cuda_codes_take_by_latent(ra_backend_stream *entered, const ra_codes *codes, const float *value,
                                    size_t extra, size_t most, cuda_by_latent *on_device,
                                    const float **value_on_device, void **behind, ra_error *err);

/* ---- memory that kernels by latent need ---------------------------------------------------------------- */

/* The arrays of a piece of memory, one behind the other, each from a multiple of 16 bytes on. */
typedef struct cuda_array {
    void *place; /* of a pointer to it */
    size_t bytes;
} cuda_array;
size_t cuda_lay_out(const cuda_array *arrays, size_t count,
                    char *memory); /* NULL: only counts; returns the bytes */

/* The memory of codes by latent with at most so many entries, and the scratch memory of their making. */
size_t cuda_by_latent_layout(cuda_by_latent *codes, size_t latents, size_t entries, char *memory);
size_t cuda_marks_layout(cuda_marks *marks, size_t latents, size_t rows, char *memory);

/* More entries than an operation can number. */
ra_status cuda_codes_check(size_t rows, size_t entries, ra_error *err);

/* ---- kept.c -------------------------------------------------------------------------------------------- */

typedef struct cuda_kept {
    ra_device_codes head;
    cuda_context *context;
    const struct cuda_kept *of; /* packed codes are those, with latents of other numbers */
    char *memory;
    size_t rows, latents, entries; /* for which there is memory */
    size_t bytes;
    cuda_codes codes;
    cuda_by_latent by_latent;
    cuda_found *found; /* [1], and behind it: */
    int32_t *position; /* [latents] of packed ones: that of each latent */
    cuda_activity
        activity;  /* of these codes, and how they are packed if no other latents are active elsewhere */
    char *arrived; /* found and active on the host */
    size_t arrived_bytes;
} cuda_kept;

static inline cuda_kept *cuda_kept_of(const ra_codes *codes) {
    return (cuda_kept *)(void *)codes->device;
}

/* By threshold, room at first for one in so many scores. */
enum { RA_KEPT_SHARE = 32 };

/* Room for a selection; its contents are lost where it has to grow. */
ra_status cuda_kept_reserve(cuda_kept *kept, size_t rows, size_t latents, size_t entries, ra_error *err);

/* The selection is complete, but for its order by latent: starts that, waits, and tells the host what was found.
 * marks: scratch; marked: their bits are set. `complete` is false if there are more entries than there was room for. */
ra_status cuda_kept_finish(ra_backend_stream *entered, cuda_kept *kept, ra_codes *codes, size_t rows,
                           size_t latents, cuda_marks marks, bool marked, bool *complete, ra_error *err);

ra_status cuda_codes_new(void *self, ra_device_codes **device, ra_error *err);
size_t cuda_codes_bytes(void *self, size_t rows, size_t latents, size_t entries);
ra_status cuda_codes_pack(void *self, ra_backend_stream *stream, const ra_codes *codes,
                          const int32_t *position, size_t latents, ra_codes *packed, ra_error *err);
ra_status cuda_codes_view(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err);

#endif
