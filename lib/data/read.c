/* Reads rows of mapped files.
 *
 * Rows of [rows, d] and [n, tokens, d] lie one after another, and one conversion reads a run of them. Rows of
 * [n, d, h, w] are columns of their image's matrix [d, h * w], so a run is a transposition. Number by number
 * it would touch d cache lines per row and use one number of each. Instead it proceeds in tiles of 32
 * channels by 64 pixels: whole cache lines are converted into a small buffer, which is then read column by
 * column.
 *
 * The system reads ahead for sequential reads, and stops doing so for others: neither needs advice. It cannot
 * know which rows a shuffled order takes next; ra_data_will_need() tells it. */
#include "data/data.h"
#include "tensor/half.h"
#include "tensor/vectors.h"

#include <stdlib.h>
#include <string.h>

enum { TILE_CHANNELS = 32, TILE_PIXELS = 64 };

static const char *at(const ra_data_file *file, size_t element) {
    return file->numbers + element * ra_dtype_size(file->dtype);
}

/* out [pixels, channels of d] <- the transposed source, whose rows are `plane` numbers apart. */
static void read_tile(const ra_data_file *file, size_t element, size_t channels, size_t pixels, size_t d,
                      float *out) {
    float tile[TILE_CHANNELS][TILE_PIXELS];
    for (size_t c = 0; c < channels; c++)
        ra_convert_to_f32(file->dtype, at(file, element + c * file->plane), tile[c], pixels);
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) out[p * d + c] = tile[c][p];
}

/* out [d] <- one pixel, `plane` numbers from channel to channel: every number is in a cache line of its own,
 * and a loop without calls has many of them in flight at once. */
static void read_pixel(const ra_data_file *file, size_t element, size_t d, float *out) {
    size_t plane = file->plane;
    const float *wide = (const float *)(const void *)at(file, element);
    const uint16_t *narrow = (const uint16_t *)(const void *)at(file, element);
    switch (file->dtype) {
    case RA_F32:
        for (size_t c = 0; c < d; c++) out[c] = wide[c * plane];
        break;
    case RA_F16:
        for (size_t c = 0; c < d; c++) out[c] = ra_f16_to_f32(narrow[c * plane]);
        break;
    case RA_BF16:
        for (size_t c = 0; c < d; c++) out[c] = ra_bf16_to_f32(narrow[c * plane]);
        break;
    default:
        for (size_t c = 0; c < d; c++)
            ra_convert_to_f32(file->dtype, at(file, element + c * plane), out + c, 1);
    }
}

/* out [n,d] <- n pixels of one image from `pixel` on. */
static void read_image(const ra_data_file *file, size_t image, size_t pixel, size_t n, size_t d, float *out) {
    size_t start = image * d * file->plane + pixel;
    if (n == 1) {
        read_pixel(file, start, d, out);
        return;
    }
    for (size_t p = 0; p < n; p += TILE_PIXELS)
        for (size_t c = 0; c < d; c += TILE_CHANNELS) {
            size_t pixels = n - p < TILE_PIXELS ? n - p : TILE_PIXELS;
            size_t channels = d - c < TILE_CHANNELS ? d - c : TILE_CHANNELS;
            read_tile(file, start + c * file->plane + p, channels, pixels, d, out + p * d + c);
        }
}

/* out [n,d] <- n rows of one file from `first` on. */
static void read_file(const ra_data_file *file, size_t first, size_t n, size_t d, float *out) {
    if (file->plane == 1) {
        ra_convert_to_f32(file->dtype, at(file, first * d), out, n * d);
        return;
    }
    while (n > 0) {
        size_t pixel = first % file->plane, rest = file->plane - pixel, count = n < rest ? n : rest;
        read_image(file, first / file->plane, pixel, count, d, out);
        first += count;
        n -= count;
        out += count * d;
    }
}

void ra_data_read_raw(const ra_data *data, size_t first, size_t n, float *out) {
    size_t d = data->dimensions;
    while (n > 0) { /* those in one file, with no skipped row between them */
        size_t skipped = ra_data_skipped_before(data, first), source = first + skipped;
        const ra_data_file *file = ra_data_file_of(data, source);
        size_t rest = file->rows - (source - file->first), count = n < rest ? n : rest;
        if (skipped < data->bad_count && data->bad[skipped] - source < count)
            count = (size_t)data->bad[skipped] - source;
        read_file(file, source - file->first, count, d, out);
        first += count;
        n -= count;
        out += count * d;
    }
}

void ra_data_read_source(const ra_data *data, uint64_t source_row, float *out) {
    const ra_data_file *file = ra_data_file_of(data, source_row);
    read_file(file, (size_t)source_row - file->first, 1, data->dimensions, out);
}

void ra_data_read(const ra_data *data, size_t first, size_t n, float *out) {
    ra_data_read_raw(data, first, n, out);
    ra_data_standardize(data, out, n);
}

void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out) {
    for (size_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && rows[i + run] == rows[i] + run;) run++;
        ra_data_read(data, (size_t)rows[i], run, out + i * data->dimensions);
    }
}

/* ---- prefetching -------------------------------------------------------------------------------------- */

enum { NEAR_BYTES = 4096 }; /* a gap of at most one page is read too: the system reads whole pages */

/* The whole image, because a row has a number in each of its planes. */
static ra_data_range range_of(const ra_data *data, uint64_t source_row) {
    const ra_data_file *file = ra_data_file_of(data, source_row);
    size_t image = ((size_t)source_row - file->first) / file->plane, numbers = data->dimensions * file->plane;
    return (ra_data_range){at(file, image * numbers), numbers * ra_dtype_size(file->dtype)};
}

size_t ra_data_ranges(const ra_data *data, const uint64_t *source_rows, size_t n, ra_data_range *ranges) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        ra_data_range next = range_of(data, source_rows[i]);
        ra_data_range *last = count ? &ranges[count - 1] : NULL;
        bool same_file =
            last && ra_data_file_of(data, source_rows[i]) == ra_data_file_of(data, source_rows[i - 1]);
        if (same_file && next.start <= last->start + last->bytes + NEAR_BYTES)
            last->bytes = (size_t)(next.start - last->start) + next.bytes;
        else
            ranges[count++] = next;
    }
    return count;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void ra_data_will_need(const ra_data *data, const uint64_t *rows, size_t n) {
    enum { PIECE = 1024 };
    uint64_t sorted[PIECE];
    ra_data_range ranges[PIECE];
    if (!data->large) return;
    for (size_t from = 0; from < n; from += PIECE) {
        size_t count = n - from < PIECE ? n - from : PIECE;
        for (size_t i = 0; i < count; i++) sorted[i] = ra_data_source_row(data, rows[from + i]);
        qsort(sorted, count, sizeof *sorted, ascending);
        size_t found = ra_data_ranges(data, sorted, count, ranges);
        for (size_t i = 0; i < found; i++)
            ra_mapping_advise(ranges[i].start, ranges[i].bytes, RA_ACCESS_SOON);
    }
}
