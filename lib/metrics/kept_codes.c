#include "metrics/kept_codes.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct entry {
    int32_t index;
    float value;
} entry;

void ra_kept_codes_init(ra_kept_codes *kept, size_t latents, size_t bytes, const char *folder) {
    *kept = (ra_kept_codes){.codes = {.latents = latents}, .bytes = bytes, .folder = folder, .keeps = true};
}

void ra_kept_codes_release(ra_kept_codes *kept) {
    if (kept->on_disk) close(kept->file);
    ra_free(kept->buffer);
    ra_codes_release(&kept->codes);
    *kept = (ra_kept_codes){0};
}

/* A capacity that holds `needed`, and more, so that few calls copy; never more than `most`. */
static size_t grown(size_t capacity, size_t needed, size_t most) {
    size_t more = capacity + capacity / 2;
    if (more < needed) more = needed;
    return more > most ? most : more;
}

static ra_status reserve_rows(ra_kept_codes *kept, size_t rows, ra_error *err) {
    ra_codes *codes = &kept->codes;
    if (rows <= codes->row_capacity && codes->start) return RA_OK;
    size_t capacity = grown(codes->row_capacity, rows, UINT32_MAX);
    size_t *start = ra_realloc(codes->start, capacity + 1, sizeof *start);
    if (!start) RA_FAIL_MEMORY(err, "the codes of all rows", (capacity + 1) * sizeof *start);
    if (!codes->start) start[0] = 0;
    codes->start = start;
    codes->row_capacity = capacity;
    return RA_OK;
}

static ra_status reserve_entries(ra_kept_codes *kept, size_t entries, ra_error *err) {
    ra_codes *codes = &kept->codes;
    if (entries <= codes->entry_capacity) return RA_OK;
    size_t capacity = grown(codes->entry_capacity, entries, kept->bytes / RA_KEPT_BYTES_PER_ENTRY);
    int32_t *index = ra_realloc(codes->index, capacity, sizeof *index);
    if (index) codes->index = index;
    float *value = ra_realloc(codes->value, capacity, sizeof *value);
    if (value) codes->value = value;
    if (!index || !value) RA_FAIL_MEMORY(err, "the codes of all rows", capacity * RA_KEPT_BYTES_PER_ENTRY);
    codes->entry_capacity = capacity;
    return RA_OK;
}

/* ---- on disk ------------------------------------------------------------------------------------------ */

static ra_status fail_file(const ra_kept_codes *kept, const char *what, ra_error *err) {
    int code = errno;
    RA_FAIL(err, RA_ERR_IO, "the codes of all rows do not fit into memory, and %s in %s failed: %s", what,
            kept->folder, strerror(code));
}

/* The buffer has room for so many entries. */
static ra_status reserve_buffer(ra_kept_codes *kept, size_t entries, entry **buffer, ra_error *err) {
    if (entries > kept->buffer_entries) {
        ra_free(kept->buffer);
        kept->buffer_entries = 0;
        kept->buffer = ra_malloc(entries, sizeof **buffer);
        if (!kept->buffer) RA_FAIL_MEMORY(err, "codes for a file", entries * sizeof **buffer);
        kept->buffer_entries = entries;
    }
    *buffer = kept->buffer;
    return RA_OK;
}

static ra_status append(ra_kept_codes *kept, const int32_t *index, const float *value, size_t count,
                        ra_error *err) {
    entry *buffer = NULL;
    RA_TRY(reserve_buffer(kept, count, &buffer, err));
    for (size_t e = 0; e < count; e++) buffer[e] = (entry){index[e], value[e]};
    const char *bytes = (const char *)buffer;
    for (size_t left = count * sizeof *buffer; left > 0;) {
        ssize_t written = write(kept->file, bytes, left);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_file(kept, "writing a file of them", err);
        bytes += written;
        left -= (size_t)written;
    }
    return RA_OK;
}

/* Moves the codes from memory into a file, which has no name from the start. */
static ra_status move_to_disk(ra_kept_codes *kept, ra_error *err) {
    enum { AT_ONCE = 1 << 16 };
    static const char name[] = "/.codes.XXXXXX";
    ra_codes *codes = &kept->codes;
    ra_text path = {0};
    size_t entries = codes->rows ? ra_codes_entries(codes) : 0;
    ra_text_add(&path, kept->folder);
    ra_text_add_bytes(&path, name, sizeof name); /* with its NUL */
    if (path.failed) RA_FAIL_MEMORY(err, "the name of a file", path.size);
    kept->file = mkostemp(path.data, O_CLOEXEC);
    if (kept->file >= 0) unlink(path.data);
    ra_text_release(&path);
    if (kept->file < 0) return fail_file(kept, "making a file for them", err);
    kept->on_disk = true;
    for (size_t from = 0; from < entries; from += AT_ONCE)
        RA_TRY(append(kept, codes->index + from, codes->value + from,
                      entries - from < AT_ONCE ? entries - from : AT_ONCE, err));
    ra_free(codes->index);
    ra_free(codes->value);
    codes->index = NULL;
    codes->value = NULL;
    codes->entry_capacity = 0;
    return RA_OK;
}

static ra_status read_entries(ra_kept_codes *kept, size_t first, size_t count, ra_codes *codes,
                              ra_error *err) {
    entry *buffer = NULL;
    RA_TRY(reserve_buffer(kept, count, &buffer, err));
    for (size_t done = 0, all = count * sizeof *buffer; done < all;) {
        ssize_t got =
            pread(kept->file, (char *)buffer + done, all - done, (off_t)(first * sizeof *buffer + done));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;
        if (got <= 0) return fail_file(kept, "reading the file of them", err);
        done += (size_t)got;
    }
    for (size_t e = 0; e < count; e++) {
        codes->index[e] = buffer[e].index;
        codes->value[e] = buffer[e].value;
    }
    return RA_OK;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static bool fits(const ra_kept_codes *kept, size_t rows, size_t entries) {
    size_t starts = rows * sizeof *kept->codes.start;
    return starts <= kept->bytes && entries <= (kept->bytes - starts) / RA_KEPT_BYTES_PER_ENTRY;
}

ra_status ra_kept_codes_add(ra_kept_codes *kept, const ra_codes *more, ra_error *err) {
    ra_codes *codes = &kept->codes;
    if (!kept->keeps) return RA_OK;
    size_t before = codes->rows ? ra_codes_entries(codes) : 0, added = ra_codes_entries(more);
    size_t rows = codes->rows + more->rows, entries = before + added;
    if (rows > UINT32_MAX || (!kept->folder && !fits(kept, rows, entries))) {
        ra_kept_codes_release(kept);
        return RA_OK;
    }
    if (!kept->on_disk && !fits(kept, rows, entries)) RA_TRY(move_to_disk(kept, err));
    RA_TRY(reserve_rows(kept, rows, err));
    if (kept->on_disk) {
        RA_TRY(append(kept, more->index, more->value, added, err));
    } else {
        RA_TRY(reserve_entries(kept, entries, err));
        if (added) {
            memcpy(codes->index + before, more->index, added * sizeof *codes->index);
            memcpy(codes->value + before, more->value, added * sizeof *codes->value);
        }
    }
    for (size_t b = 0; b < more->rows; b++) codes->start[codes->rows + b + 1] = before + more->start[b + 1];
    codes->rows = rows;
    return RA_OK;
}

ra_status ra_kept_codes_read(ra_kept_codes *kept, size_t first, size_t rows, ra_codes *codes, ra_error *err) {
    const ra_codes *all = &kept->codes;
    if (!kept->on_disk) return ra_codes_slice(all, first, rows, codes, err);
    size_t from = all->start[first], entries = all->start[first + rows] - from;
    RA_TRY(ra_codes_reserve(codes, rows, all->latents, entries, err));
    for (size_t b = 0; b <= rows; b++) codes->start[b] = all->start[first + b] - from;
    return read_entries(kept, from, entries, codes, err);
}

/* ---- by latent ---------------------------------------------------------------------------------------- */

ra_status ra_codes_order_set(ra_codes_order *order, const ra_codes *codes, size_t first_row, ra_error *err) {
    size_t entries = ra_codes_entries(codes);
    order->codes = codes;
    order->first_row = first_row;
    if (codes->latents + 1 > order->latent_capacity) {
        ra_free(order->start);
        order->latent_capacity = 0;
        order->start = ra_malloc(codes->latents + 1, sizeof *order->start);
        if (!order->start)
            RA_FAIL_MEMORY(err, "the codes by latent", (codes->latents + 1) * sizeof *order->start);
        order->latent_capacity = codes->latents + 1;
    }
    if (entries > order->entry_capacity) {
        ra_free(order->row);
        ra_free(order->value);
        order->entry_capacity = 0;
        order->row = ra_malloc(entries, sizeof *order->row);
        order->value = ra_malloc(entries, sizeof *order->value);
        if (!order->row || !order->value)
            RA_FAIL_MEMORY(err, "the codes by latent", entries * (sizeof(uint32_t) + sizeof(float)));
        order->entry_capacity = entries;
    }
    ra_codes_by_latent(codes, codes->value, order->start, order->row, order->value);
    return RA_OK;
}

void ra_codes_order_release(ra_codes_order *order) {
    ra_free(order->start);
    ra_free(order->row);
    ra_free(order->value);
    *order = (ra_codes_order){0};
}
