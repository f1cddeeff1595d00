/* Reads rows of mapped files.
 *
 * Rows of [rows, d] and [n, tokens, d] lie one after another, and one conversion reads a run of them. Rows of
 * [n, d, h, w] are columns of their image's matrix [d, h * w], so a run is a transposition. Number by number
 * it would touch d cache lines per row and use one number of each. Instead it proceeds in tiles of 32
 * channels by 64 pixels: whole cache lines are converted into a small buffer, which is then read column by
 * column.
 *
 * Large data, those that do not stay in memory, are read with read() (disk.h). The system is told before what
 * will be read: a page fault in a mapping would read what lies around the page, too, again and again. */
#include "data/disk.h"
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

/* out [n] <- numbers from `element` on; false if they have to be taken from the mapping. */
static bool read_disk(ra_disk *disk, const ra_data_file *file, size_t element, size_t n, float *out) {
    enum { PIECE = 8192 };
    double piece[PIECE]; /* aligned for any type */
    size_t size = ra_dtype_size(file->dtype);
    if (file->dtype == RA_F32) return ra_disk_read(disk, file, element * size, n * size, out);
    for (size_t done = 0; done < n; done += PIECE) {
        size_t count = n - done < PIECE ? n - done : PIECE;
        if (!ra_disk_read(disk, file, (element + done) * size, count * size, piece)) return false;
        ra_convert_to_f32(file->dtype, piece, out + done, count);
    }
    return true;
}

/* out [n,d] <- n rows of one file from `first` on. disk: of large data; NULL: of others. */
static void read_file(ra_disk *disk, const ra_data_file *file, size_t first, size_t n, size_t d, float *out) {
    if (disk && read_disk(disk, file, first * d, n * d, out)) return;
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

size_t ra_data_segment(const ra_data *data, size_t first, size_t n, const ra_data_file **file, size_t *row) {
    size_t skipped = ra_data_skipped_before(data, first), source = first + skipped;
    *file = ra_data_file_of(data, source);
    *row = source - (*file)->first;
    size_t rest = (*file)->rows - *row, count = n < rest ? n : rest;
    if (skipped < data->bad_count && data->bad[skipped] - source < count)
        count = (size_t)data->bad[skipped] - source;
    return count;
}

static void read_rows(ra_disk *disk, const ra_data *data, size_t first, size_t n, float *out) {
    while (n > 0) {
        const ra_data_file *file;
        size_t row, count = ra_data_segment(data, first, n, &file, &row);
        read_file(data->large ? disk : NULL, file, row, count, data->dimensions, out);
        first += count;
        n -= count;
        out += count * data->dimensions;
    }
}

void ra_data_read_raw(const ra_data *data, size_t first, size_t n, float *out) {
    ra_disk disk = {0};
    read_rows(&disk, data, first, n, out);
    ra_disk_close(&disk);
}

/* Many rows are a pass over the data: while the caller works on these, the system reads as many more. */
void ra_data_read(const ra_data *data, size_t first, size_t n, float *out) {
    enum { MANY_NUMBERS = 1 << 15, PIECE_NUMBERS = 1 << 21 };
    size_t d = data->dimensions, piece = data->large ? PIECE_NUMBERS / d + 1 : n;
    for (size_t done = 0, count; done < n; done += count) {
        count = n - done < piece ? n - done : piece;
        if (count * d >= MANY_NUMBERS) ra_data_read_ahead(data, first + done, 2 * count);
        ra_data_read_raw(data, first + done, count, out + done * d);
    }
    ra_data_standardize(data, out, n);
}

/* ---- rows in any order ---------------------------------------------------------------------------------- */

enum { PIECE_ROWS = 1024 };

typedef struct wanted {
    uint64_t row;
    size_t place; /* in the caller's list */
} wanted;

static int by_row(const void *a, const void *b) {
    uint64_t x = ((const wanted *)a)->row, y = ((const wanted *)b)->row;
    return (x > y) - (x < y);
}

/* Piece by piece in the order of the disk; the system is told all rows of a piece before. */
static void gather_large(const ra_data *data, const uint64_t *rows, size_t n, float *out) {
    wanted list[PIECE_ROWS];
    size_t d = data->dimensions;
    ra_disk disk = {0};
    for (size_t from = 0; from < n; from += PIECE_ROWS) {
        size_t count = n - from < PIECE_ROWS ? n - from : PIECE_ROWS;
        for (size_t i = 0; i < count; i++) list[i] = (wanted){rows[from + i], from + i};
        qsort(list, count, sizeof *list, by_row);
        if (count > 1) ra_data_will_need(data, rows + from, count);
        for (size_t i = 0, run; i < count; i += run) { /* one read for neighbors that stay neighbors */
            for (run = 1; i + run < count && list[i + run].row == list[i].row + run &&
                          list[i + run].place == list[i].place + run;)
                run++;
            read_rows(&disk, data, (size_t)list[i].row, run, out + list[i].place * d);
        }
    }
    ra_disk_close(&disk);
    ra_data_standardize(data, out, n);
}

void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out) {
    if (data->large) {
        gather_large(data, rows, n, out);
        return;
    }
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

static void announce(const ra_data *data, const uint64_t *source_rows, size_t n) {
    ra_data_range ranges[PIECE_ROWS];
    size_t found = ra_data_ranges(data, source_rows, n, ranges);
    for (size_t i = 0; i < found; i++) ra_mapping_advise(ranges[i].start, ranges[i].bytes, RA_ACCESS_SOON);
}

void ra_data_will_need(const ra_data *data, const uint64_t *rows, size_t n) {
    uint64_t sorted[PIECE_ROWS];
    if (!data->large) return;
    for (size_t from = 0; from < n; from += PIECE_ROWS) {
        size_t count = n - from < PIECE_ROWS ? n - from : PIECE_ROWS;
        for (size_t i = 0; i < count; i++) sorted[i] = ra_data_source_row(data, rows[from + i]);
        qsort(sorted, count, sizeof *sorted, ascending);
        announce(data, sorted, count);
    }
}

void ra_data_read_sources(const ra_data *data, const uint64_t *source_rows, size_t n, float *out) {
    ra_disk disk = {0};
    for (size_t i = 0; i < n; i++) {
        const ra_data_file *file = ra_data_file_of(data, source_rows[i]);
        if (data->large && i % PIECE_ROWS == 0)
            announce(data, source_rows + i, n - i < PIECE_ROWS ? n - i : PIECE_ROWS);
        read_file(data->large ? &disk : NULL, file, (size_t)source_rows[i] - file->first, 1, data->dimensions,
                  out + i * data->dimensions);
    }
    ra_disk_close(&disk);
}

void ra_data_read_ahead(const ra_data *data, size_t first, size_t n) {
    size_t rest = first < data->rows ? data->rows - first : 0, row;
    if (!data->large) return;
    for (n = n < rest ? n : rest; n > 0;) {
        const ra_data_file *file;
        size_t count = ra_data_segment(data, first, n, &file, &row), d = data->dimensions,
               image = row / file->plane, images = (row + count - 1) / file->plane - image + 1;
        ra_mapping_advise(at(file, image * file->plane * d),
                          images * file->plane * d * ra_dtype_size(file->dtype), RA_ACCESS_SOON);
        first += count;
        n -= count;
    }
}
