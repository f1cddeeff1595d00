/* Uploads sparse codes, which are host memory, into the stream's scratch memory: in one piece, through its
 * pinned slots, before the kernel that reads them. Nothing waits; the next operation's codes follow this
 * kernel in the order of the stream.
 *
 * A training step uploads the same codes several times. They are not kept: the caller may change them in
 * place, so they would have to be compared, which reads host memory just as the copy into a slot does. */
#include "backend/cuda/codes.h"

/* Pieces of the memory begin at multiples of the widest load. */
static size_t padded(size_t bytes) {
    return (bytes + 15) & ~(size_t)15;
}

ra_status cuda_codes_upload(ra_backend_stream *s, const ra_codes *codes, const float *value, size_t extra,
                            cuda_codes *on_device, void **behind, ra_error *err) {
    _Static_assert(sizeof *codes->start == sizeof *on_device->start, "start goes up as it is");
    static const char zeros[16];
    size_t entries = ra_codes_entries(codes), starts = (codes->rows + 1) * sizeof *codes->start,
           indices = entries * sizeof *codes->index,
           values = value == codes->value ? entries * sizeof *codes->value : 0;
    size_t at_index = padded(starts), at_value = at_index + padded(indices), end = at_value + padded(values);
    void *scratch;
    RA_TRY(cuda_scratch(s, end + extra, &scratch, err));
    const cuda_part parts[] = {{codes->start, starts},
                               {zeros, at_index - starts},
                               {codes->index, indices},
                               {zeros, at_value - at_index - indices},
                               {codes->value, values}};
    RA_TRY(cuda_upload_parts(s, scratch, parts, sizeof parts / sizeof *parts, err));
    char *block = scratch;
    *on_device = (cuda_codes){.start = scratch,
                              .index = (const int32_t *)(void *)(block + at_index),
                              .value = values ? (const float *)(void *)(block + at_value) : value,
                              .rows = codes->rows};
    for (size_t b = 0; b < codes->rows; b++) {
        size_t length = codes->start[b + 1] - codes->start[b];
        if (length > on_device->longest) on_device->longest = length;
    }
    if (behind) *behind = block + end;
    return RA_OK;
}

/* ---- by latent ----------------------------------------------------------------------------------------- */

/* The entries by latent, in one piece of memory with the layout of the device. */
typedef struct transposed {
    char *block;
    size_t latents; /* with entries */
    size_t start_bytes, latent_bytes, entry_bytes, bytes;
} transposed;

static void lay_out(transposed *t, size_t latents, size_t entries) {
    t->latents = latents;
    t->start_bytes = padded((latents + 1) * sizeof(uint64_t));
    t->latent_bytes = padded(latents * sizeof(int32_t));
    t->entry_bytes = padded(entries * sizeof(uint32_t));
    t->bytes = t->start_bytes + t->latent_bytes + 2 * t->entry_bytes;
}

/* Pointers into memory of this layout, of the host or the device. */
static cuda_by_latent at(const transposed *t, void *block) {
    char *bytes = block;
    return (cuda_by_latent){
        .start = block,
        .latent = (int32_t *)(void *)(bytes + t->start_bytes),
        .row = (uint32_t *)(void *)(bytes + t->start_bytes + t->latent_bytes),
        .entry = (uint32_t *)(void *)(bytes + t->start_bytes + t->latent_bytes + t->entry_bytes),
        .latents = t->latents,
    };
}

/* A counting sort. */
static ra_status transpose(const ra_codes *codes, transposed *t, ra_error *err) {
    size_t entries = ra_codes_entries(codes), used = 0;
    if (entries > UINT32_MAX || codes->rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "%zu entries of codes are too many for one operation; expected at most %u", entries,
                UINT32_MAX);
    uint64_t *position = ra_calloc(codes->latents, sizeof *position);
    if (!position) RA_FAIL_MEMORY(err, "the transposed codes", codes->latents * sizeof *position);
    for (size_t e = 0; e < entries; e++) position[codes->index[e]]++;
    for (size_t k = 0; k < codes->latents; k++) used += position[k] > 0;
    lay_out(t, used, entries);
    t->block = ra_calloc(t->bytes, 1);
    if (!t->block) {
        ra_free(position);
        RA_FAIL_MEMORY(err, "the transposed codes", t->bytes);
    }
    cuda_by_latent view = at(t, t->block);
    uint64_t *start = (uint64_t *)(void *)t->block, total = 0;
    int32_t *latent = (int32_t *)(uintptr_t)view.latent;
    uint32_t *row = (uint32_t *)(uintptr_t)view.row, *entry = (uint32_t *)(uintptr_t)view.entry;
    used = 0;
    for (size_t k = 0; k < codes->latents; k++) {
        uint64_t count = position[k];
        position[k] = total;
        if (!count) continue;
        latent[used] = (int32_t)k;
        start[used++] = total;
        total += count;
    }
    start[used] = total;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            uint64_t to = position[codes->index[e]]++;
            row[to] = (uint32_t)b;
            entry[to] = (uint32_t)e;
        }
    ra_free(position);
    return RA_OK;
}

ra_status cuda_codes_upload_by_latent(ra_backend_stream *s, const ra_codes *codes, const float *value,
                                      cuda_by_latent *on_device, const float **value_on_device,
                                      ra_error *err) {
    transposed t = {0};
    void *scratch;
    ra_status status;
    size_t values = value == codes->value ? ra_codes_entries(codes) * sizeof *value : 0;
    RA_TRY(transpose(codes, &t, err));
    RA_TRY_OUT(status, cuda_scratch(s, t.bytes + values, &scratch, err));
    const cuda_part parts[] = {{t.block, t.bytes}, {value, values}};
    RA_TRY_OUT(status, cuda_upload_parts(s, scratch, parts, values ? 2 : 1, err));
    *on_device = at(&t, scratch);
    *value_on_device = values ? (const float *)(void *)((char *)scratch + t.bytes) : value;
out:
    ra_free(t.block);
    return status;
}
