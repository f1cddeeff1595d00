/* Sparse codes for kernels. Those of the host go into the stream's scratch memory, in one piece, through its pinned
 * slots, before the kernel that reads them. Nothing waits; the next operation's codes follow this kernel in the order of
 * the stream. Codes that the device keeps are there already.
 *
 * Those of the host are not kept from one operation to the next: the caller may change them in place, so they would
 * have to be compared, which reads host memory just as the copy into a slot does. */
#include "backend/cuda/codes.h"

/* Pieces of the memory begin at multiples of the widest load. */
static size_t padded(size_t bytes) {
    return (bytes + 15) & ~(size_t)15;
}

size_t cuda_lay_out(const cuda_array *arrays, size_t count, char *memory) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        *(void **)arrays[i].place = memory ? memory + bytes : NULL;
        bytes += padded(arrays[i].bytes);
    }
    return bytes;
}

ra_status cuda_codes_check(size_t rows, size_t entries, ra_error *err) {
    if (entries > INT32_MAX || rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "%zu entries of codes are too many for one operation; expected at most %d", entries,
                INT32_MAX);
    return RA_OK;
}

/* Into `block`, which has room for them. */
static ra_status upload(ra_backend_stream *s, const ra_codes *codes, bool values, char *block,
                        cuda_codes *on_device, size_t *bytes, ra_error *err) {
    _Static_assert(sizeof *codes->start == sizeof *on_device->start, "start goes up as it is");
    static const char zeros[16];
    size_t entries = ra_codes_entries(codes), starts = (codes->rows + 1) * sizeof *codes->start,
           indices = entries * sizeof *codes->index, floats = values ? entries * sizeof *codes->value : 0;
    size_t at_index = padded(starts), at_value = at_index + padded(indices);
    *bytes = at_value + padded(floats);
    if (!block) return RA_OK;
    const cuda_part parts[] = {{codes->start, starts},
                               {zeros, at_index - starts},
                               {codes->index, indices},
                               {zeros, at_value - at_index - indices},
                               {codes->value, floats}};
    RA_TRY(cuda_upload_parts(s, block, parts, sizeof parts / sizeof *parts, err));
    *on_device = (cuda_codes){.start = (const uint64_t *)(void *)block,
                              .index = (const int32_t *)(void *)(block + at_index),
                              .value = values ? (const float *)(void *)(block + at_value) : NULL,
                              .rows = codes->rows};
    for (size_t b = 0; b < codes->rows; b++) {
        size_t length = codes->start[b + 1] - codes->start[b];
        if (length > on_device->longest) on_device->longest = length;
    }
    return RA_OK;
}

ra_status cuda_codes_take(ra_backend_stream *s, const ra_codes *codes, const float *value, size_t extra,
                          cuda_codes *on_device, void **behind, ra_error *err) {
    bool own = value == codes->value;
    size_t bytes = 0;
    void *scratch = NULL;
    if (!codes->device) RA_TRY(upload(s, codes, own && value, NULL, on_device, &bytes, err));
    if (bytes + extra) RA_TRY(cuda_scratch(s, bytes + extra, &scratch, err));
    if (codes->device) {
        const cuda_kept *kept = cuda_kept_of(codes);
        *on_device = kept->codes;
        if (!own) on_device->value = value;
    } else {
        RA_TRY(upload(s, codes, own && value, scratch, on_device, &bytes, err));
        if (!own) on_device->value = value;
    }
    if (behind) *behind = (char *)scratch + bytes;
    return RA_OK;
}

/* ---- by latent ----------------------------------------------------------------------------------------- */

/* A latent of c entries has c / 256 parts, rounded up; of several, at most c / 128. */
size_t cuda_by_latent_layout(cuda_by_latent *codes, size_t latents, size_t entries, char *memory) {
    cuda_division *by = &codes->division;
    codes->latents = latents;
    codes->most_parts = entries / RA_CUDA_PART_ENTRIES + (latents < entries ? latents : entries);
    codes->most_divided = entries / (RA_CUDA_PART_ENTRIES + 1);
    codes->most_sums = codes->most_divided ? entries / (RA_CUDA_PART_ENTRIES / 2) : 0;
    const cuda_array arrays[] = {{&by->start, (latents + 1) * sizeof *by->start},
                                 {&by->part_start, (codes->most_parts + 1) * sizeof *by->part_start},
                                 {&by->part_latent, codes->most_parts * sizeof *by->part_latent},
                                 {&by->part_sum, codes->most_parts * sizeof *by->part_sum},
                                 {&by->divided, codes->most_divided * sizeof *by->divided},
                                 {&by->counts, sizeof *by->counts},
                                 {&codes->row, entries * sizeof *codes->row},
                                 {&codes->entry, entries * sizeof *codes->entry}};
    return cuda_lay_out(arrays, sizeof arrays / sizeof *arrays, memory);
}

size_t cuda_marks_layout(cuda_marks *marks, size_t latents, size_t rows, char *memory) {
    size_t words = latents * ra_cuda_mark_words(rows);
    const cuda_array arrays[] = {{&marks->bits, words * sizeof *marks->bits},
                                 {&marks->before, words * sizeof *marks->before},
                                 {&marks->count, latents * sizeof *marks->count}};
    return cuda_lay_out(arrays, sizeof arrays / sizeof *arrays, memory);
}

/* Of the host's codes: they, their order by latent, and what is needed to make that. */
static ra_status transpose(ra_backend_stream *s, const ra_codes *codes, bool values, size_t extra,
                           size_t most, cuda_by_latent *on_device, const float **value, void **behind,
                           ra_error *err) {
    size_t entries = ra_codes_entries(codes), K = codes->latents, bytes;
    cuda_codes by_row;
    cuda_marks marks;
    void *scratch;
    RA_TRY(cuda_codes_check(codes->rows, entries, err));
    RA_TRY(upload(s, codes, values, NULL, &by_row, &bytes, err));
    size_t made = cuda_by_latent_layout(on_device, K, entries, NULL),
           marked = cuda_marks_layout(&marks, K, codes->rows, NULL), sums = on_device->most_sums * extra;
    RA_TRY(cuda_scratch(s, bytes + made + marked + (sums < most ? sums : most), &scratch, err));
    char *at_made = (char *)scratch + bytes;
    RA_TRY(upload(s, codes, values, scratch, &by_row, &bytes, err));
    cuda_by_latent_layout(on_device, K, entries, at_made);
    cuda_marks_layout(&marks, K, codes->rows, at_made + made);
    if (behind) *behind = at_made + made + marked;
    *value = by_row.value;
    return cuda_check(s->context,
                      ra_cuda_transpose(s->handle, by_row, K, marks, false, on_device->division,
                                        (cuda_activity){0}, (uint32_t *)(uintptr_t)on_device->row,
                                        (uint32_t *)(uintptr_t)on_device->entry),
                      "codes by latent", err);
}

ra_status cuda_codes_take_by_latent(ra_backend_stream *s, const ra_codes *codes, const float *value,
                                    size_t extra, size_t most, cuda_by_latent *on_device,
                                    const float **value_on_device, void **behind, ra_error *err) {
    const cuda_kept *kept = cuda_kept_of(codes);
    bool own = value == codes->value;
    *on_device = (cuda_by_latent){0};
    *value_on_device = value;
    if (!kept) {
        const float *uploaded;
        RA_TRY(transpose(s, codes, own, extra, most, on_device, &uploaded, behind, err));
        if (own) *value_on_device = uploaded;
        return RA_OK;
    }
    *on_device = (kept->of ? kept->of : kept)->by_latent;
    on_device->position = kept->position;
    if (own) *value_on_device = kept->codes.value;
    size_t sums = on_device->most_sums * extra;
    if (!behind || !sums) return RA_OK;
    return cuda_scratch(s, sums < most ? sums : most, behind, err);
}
