/* Codes that the device keeps: what a selection leaves there, with their order by latent, for all operations of a
 * training step. The host learns how many there are and which latents have any, in the one copy that the selection waits
 * for. */
#include "backend/cuda/codes.h"

#include <string.h>

static void kept_free(ra_device_codes *self) {
    cuda_kept *kept = (cuda_kept *)(void *)self;
    if (kept->memory) {
        (void)cudaSetDevice(kept->context->ordinal);
        (void)cuda_check(kept->context, cudaFree(kept->memory), "freeing codes", NULL);
    }
    ra_free(kept->arrived);
    ra_free(kept);
}

ra_status cuda_codes_new(void *self, ra_device_codes **device, ra_error *err) {
    cuda_kept *kept = ra_calloc(1, sizeof *kept);
    if (!kept) RA_FAIL_MEMORY(err, "codes on a device", sizeof *kept);
    kept->head.free = kept_free;
    kept->context = self;
    *device = &kept->head;
    return RA_OK;
}

static size_t found_bytes(size_t latents) {
    return sizeof(cuda_found) + latents;
}

static size_t lay_out(cuda_kept *kept, size_t rows, size_t latents, size_t entries, char *memory) {
    const cuda_array arrays[] = {{&kept->codes.start, (rows + 1) * sizeof *kept->codes.start},
                                 {&kept->codes.index, entries * sizeof *kept->codes.index},
                                 {&kept->codes.value, entries * sizeof *kept->codes.value},
                                 {&kept->found, found_bytes(latents)},
                                 {&kept->activity.position, latents * sizeof *kept->activity.position},
                                 {&kept->activity.packed, entries * sizeof *kept->activity.packed}};
    size_t bytes = cuda_lay_out(arrays, sizeof arrays / sizeof *arrays, memory);
    kept->activity.active = memory ? (uint8_t *)(kept->found + 1) : NULL;
    return bytes + cuda_by_latent_layout(&kept->by_latent, latents, entries, memory ? memory + bytes : NULL);
}

/* The codes, the packed ones, and of scratch memory: a selection with its gaps, and marks. */
size_t cuda_codes_bytes(void *self, size_t rows, size_t latents, size_t entries) {
    cuda_kept kept = {0};
    cuda_marks marks;
    (void)self;
    if (entries == 0) entries = rows * latents / RA_KEPT_SHARE;
    size_t packed = entries * sizeof *kept.codes.index + latents * sizeof *kept.position,
           selected =
               entries * (sizeof *kept.codes.index + sizeof *kept.codes.value) + rows * sizeof(uint32_t);
    return lay_out(&kept, rows, latents, entries, NULL) + packed + selected +
           cuda_marks_layout(&marks, latents, rows, NULL);
}

/* Memory of the device that what was started may still use: cudaFree() waits. */
static ra_status grow(cuda_kept *kept, size_t bytes, ra_error *err) {
    if (bytes <= kept->bytes) return RA_OK;
    char *old = kept->memory;
    void *fresh = NULL;
    kept->memory = NULL;
    kept->bytes = 0;
    if (old) RA_TRY(cuda_check(kept->context, cudaFree(old), "freeing codes", err));
    RA_TRY(cuda_check(kept->context, cudaMalloc(&fresh, bytes), "making room for codes", err));
    kept->memory = fresh;
    kept->bytes = bytes;
    return RA_OK;
}

ra_status cuda_kept_reserve(cuda_kept *kept, size_t rows, size_t latents, size_t entries, ra_error *err) {
    if (found_bytes(latents) > kept->arrived_bytes) {
        char *larger = ra_realloc(kept->arrived, found_bytes(latents), 1);
        if (!larger) RA_FAIL_MEMORY(err, "the active latents", found_bytes(latents));
        kept->arrived = larger;
        kept->arrived_bytes = found_bytes(latents);
    }
    RA_TRY(grow(kept, lay_out(kept, rows, latents, entries, NULL), err));
    lay_out(kept, rows, latents, entries, kept->memory);
    kept->rows = rows;
    kept->latents = latents;
    kept->entries = entries;
    kept->of = NULL;
    kept->position = NULL;
    return RA_OK;
}

ra_status cuda_kept_finish(ra_backend_stream *s, cuda_kept *kept, ra_codes *codes, size_t rows,
                           size_t latents, cuda_marks marks, bool marked, bool *complete, ra_error *err) {
    cuda_by_latent *by = &kept->by_latent;
    cuda_found found;
    RA_TRY(cuda_check(s->context,
                      ra_cuda_transpose(s->handle, kept->codes, latents, marks, marked, by->division,
                                        kept->activity, (uint32_t *)(uintptr_t)by->row,
                                        (uint32_t *)(uintptr_t)by->entry),
                      "codes by latent", err));
    RA_TRY(cuda_download_bytes(s, kept->arrived, kept->found, found_bytes(latents), err));
    RA_TRY(cuda_wait(s, err));
    memcpy(&found, kept->arrived, sizeof found);
    RA_TRY(cuda_codes_check(rows, found.entries, err));
    kept->head.entries = found.entries;
    kept->head.active = (const uint8_t *)kept->arrived + sizeof found;
    kept->codes.longest = found.longest;
    *complete = found.entries <= kept->entries;
    codes->rows = rows;
    codes->latents = latents;
    return RA_OK;
}

/* ---- packed, and on the host --------------------------------------------------------------------------- */

/* Whether the latents are numbered as the device has done: the active ones in their order, and no others. */
static bool is_packed(const cuda_kept *kept, const int32_t *position, size_t latents) {
    int32_t active = 0;
    for (size_t k = 0; k < latents; k++)
        if (position[k] != (kept->head.active[k] ? active++ : -1)) return false;
    return kept->head.entries > 0;
}

/* Only where another member of a group has more active latents does the device have to number them anew. */
static ra_status pack(ra_backend_stream *s, const ra_codes *codes, const int32_t *position, ra_codes *packed,
                      ra_error *err) {
    const cuda_kept *from = cuda_kept_of(codes);
    cuda_kept *kept = cuda_kept_of(packed);
    size_t entries = from->head.entries;
    int32_t *index;
    kept->of = from;
    kept->codes = from->codes;
    kept->head.entries = entries;
    if (is_packed(from, position, codes->latents)) {
        kept->codes.index = from->activity.packed;
        kept->position = from->activity.position;
        return RA_OK;
    }
    const cuda_array arrays[] = {{&index, from->entries * sizeof *index},
                                 {&kept->position, codes->latents * sizeof *position}};
    RA_TRY(grow(kept, cuda_lay_out(arrays, 2, NULL), err));
    cuda_lay_out(arrays, 2, kept->memory);
    RA_TRY(cuda_upload_parts(s, kept->position, &(cuda_part){position, codes->latents * sizeof *position}, 1,
                             err));
    RA_TRY(cuda_check(s->context,
                      ra_cuda_pack_latents(s->handle, from->codes.index, kept->position, entries, index),
                      "packing codes", err));
    kept->codes.index = index;
    return RA_OK;
}

ra_status cuda_codes_pack(void *self, ra_backend_stream *stream, const ra_codes *codes,
                          const int32_t *position, size_t latents, ra_codes *packed, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    ra_status status = pack(s, codes, position, packed, err);
    if (status == RA_OK) {
        packed->rows = codes->rows;
        packed->latents = latents;
    }
    return cuda_leave(s, status);
}

static ra_status view(ra_backend_stream *s, ra_codes *codes, ra_error *err) {
    const cuda_kept *kept = cuda_kept_of(codes);
    size_t entries = kept->head.entries;
    RA_TRY(ra_codes_reserve(codes, codes->rows, codes->latents, entries, err));
    if (codes->rows == 0) return RA_OK;
    RA_TRY(cuda_download_bytes(s, codes->start, kept->codes.start, (codes->rows + 1) * sizeof *codes->start,
                               err));
    RA_TRY(cuda_download_bytes(s, codes->index, kept->codes.index, entries * sizeof *codes->index, err));
    RA_TRY(cuda_download_bytes(s, codes->value, kept->codes.value, entries * sizeof *codes->value, err));
    return cuda_wait(s, err);
}

ra_status cuda_codes_view(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, view(s, codes, err));
}
