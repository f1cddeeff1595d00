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
    size_t bytes;
    cuda_by_latent view; /* its arrays, in `block` */
} transposed;

/* The arrays of a cuda_by_latent, one behind the other; the sizes are known, `block` may be NULL. Returns their
 * bytes. */
static size_t lay_out(cuda_by_latent *view, size_t entries, char *block) {
    const struct {
        const void **array;
        size_t bytes;
    } arrays[] = {
        {(const void **)(void *)&view->start, (view->latents + 1) * sizeof *view->start},
        {(const void **)(void *)&view->latent, view->latents * sizeof *view->latent},
        {(const void **)(void *)&view->row, entries * sizeof *view->row},
        {(const void **)(void *)&view->entry, entries * sizeof *view->entry},
        {(const void **)(void *)&view->part_start, (view->parts + 1) * sizeof *view->part_start},
        {(const void **)(void *)&view->part_latent, view->parts * sizeof *view->part_latent},
        {(const void **)(void *)&view->part_sum, view->parts * sizeof *view->part_sum},
        {(const void **)(void *)&view->divided, view->divided_count * sizeof *view->divided},
    };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = block ? block + bytes : NULL;
        bytes += padded(arrays[i].bytes);
    }
    return bytes;
}

static size_t parts_of(uint64_t count) {
    return (size_t)((count + RA_CUDA_PART_ENTRIES - 1) / RA_CUDA_PART_ENTRIES);
}

static void count(cuda_by_latent *view, const uint64_t *of_latent, size_t latents) {
    for (size_t k = 0; k < latents; k++) {
        size_t parts = parts_of(of_latent[k]);
        view->latents += parts > 0;
        view->parts += parts;
        if (parts < 2) continue;
        view->divided_count++;
        view->sums += parts;
    }
}

/* The parts of one latent, whose entries begin at `start`; *next: the first free part, partial sum, and divided
 * latent. */
typedef struct next_free {
    size_t part, sum, divided;
} next_free;

static void divide(cuda_by_latent *view, next_free *next, int32_t latent, uint64_t start, uint64_t entries) {
    size_t parts = parts_of(entries);
    uint64_t *part_start = (uint64_t *)(uintptr_t)view->part_start;
    int32_t *part_latent = (int32_t *)(uintptr_t)view->part_latent,
            *part_sum = (int32_t *)(uintptr_t)view->part_sum;
    if (parts > 1)
        ((cuda_divided *)(uintptr_t)view->divided)[next->divided++] =
            (cuda_divided){latent, (int32_t)next->sum, (int32_t)parts};
    for (size_t p = 0; p < parts; p++) {
        part_start[next->part] = start + p * RA_CUDA_PART_ENTRIES;
        part_latent[next->part] = latent;
        part_sum[next->part++] = parts > 1 ? (int32_t)next->sum++ : -1;
    }
    part_start[next->part] = start + entries;
}

/* A counting sort; position [K] <- how many entries each latent has, then where they are. */
static void sort(const ra_codes *codes, cuda_by_latent *view, uint64_t *position) {
    uint64_t *start = (uint64_t *)(uintptr_t)view->start, total = 0;
    int32_t *latent = (int32_t *)(uintptr_t)view->latent;
    uint32_t *row = (uint32_t *)(uintptr_t)view->row, *entry = (uint32_t *)(uintptr_t)view->entry;
    next_free next = {0};
    size_t used = 0;
    for (size_t k = 0; k < codes->latents; k++) {
        uint64_t entries = position[k];
        position[k] = total;
        if (!entries) continue;
        latent[used] = (int32_t)k;
        start[used++] = total;
        divide(view, &next, (int32_t)k, total, entries);
        total += entries;
    }
    start[used] = total;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            uint64_t to = position[codes->index[e]]++;
            row[to] = (uint32_t)b;
            entry[to] = (uint32_t)e;
        }
}

static ra_status transpose(const ra_codes *codes, transposed *t, ra_error *err) {
    size_t entries = ra_codes_entries(codes);
    if (entries > INT32_MAX || codes->rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "%zu entries of codes are too many for one operation; expected at most %d", entries,
                INT32_MAX);
    uint64_t *position = ra_calloc(codes->latents, sizeof *position);
    if (!position) RA_FAIL_MEMORY(err, "the transposed codes", codes->latents * sizeof *position);
    for (size_t e = 0; e < entries; e++) position[codes->index[e]]++;
    count(&t->view, position, codes->latents);
    t->bytes = lay_out(&t->view, entries, NULL);
    t->block = ra_calloc(t->bytes, 1);
    if (t->block) {
        lay_out(&t->view, entries, t->block);
        sort(codes, &t->view, position);
    }
    ra_free(position);
    if (!t->block) RA_FAIL_MEMORY(err, "the transposed codes", t->bytes);
    return RA_OK;
}

ra_status cuda_codes_upload_by_latent(ra_backend_stream *s, const ra_codes *codes, const float *value,
                                      size_t d, cuda_by_latent *on_device, const float **value_on_device,
                                      float **partial, ra_error *err) {
    transposed t = {0};
    void *scratch;
    ra_status status;
    size_t entries = ra_codes_entries(codes),
           values = value == codes->value ? padded(entries * sizeof *value) : 0;
    RA_TRY(transpose(codes, &t, err));
    size_t sums = partial ? t.view.sums * d * sizeof **partial : 0;
    RA_TRY_OUT(status, cuda_scratch(s, t.bytes + values + sums, &scratch, err));
    const cuda_part parts[] = {{t.block, t.bytes}, {value, entries * sizeof *value}};
    RA_TRY_OUT(status, cuda_upload_parts(s, scratch, parts, values ? 2 : 1, err));
    *on_device = t.view;
    lay_out(on_device, entries, scratch);
    char *behind = (char *)scratch + t.bytes;
    *value_on_device = values ? (const float *)(void *)behind : value;
    if (partial) *partial = (float *)(void *)(behind + values);
out:
    ra_free(t.block);
    return status;
}
