/* data.h - the inside of opened data, and what its files share.
 *
 *   data.c         opening, the two countings of rows, standardization
 *   data_scan.c    the one pass that looks for rows which are not finite
 *   data_read.c    rows out of the files, whatever their shape; prefetching
 *   data_measure.c mean and scale
 */
#ifndef RA_DATA_DATA_H
#define RA_DATA_DATA_H

#include "ra_data.h"

/* One file's numbers: [images, d, plane], of which every pixel of a plane is a row. plane is 1 for rows that
 * lie one after another. */
typedef struct ra_data_file {
    ra_array *array;
    ra_dtype dtype;
    const char *numbers;
    size_t rows, plane;
    size_t first; /* number of its first row among those of all files */
} ra_data_file;

struct ra_data {
    size_t rows, source_rows, dimensions; /* used; in the files; d */
    uint64_t *bad;                        /* numbers in the files of rows that are skipped, ascending */
    size_t bad_count, bad_capacity;
    float *mean, *scale; /* [d] each, one block; NULL: rows are given out as they are */
    bool large;          /* more than half of the memory: will_need() is worth its system calls */
    size_t count;
    ra_data_file files[]; /* [count] */
};

/* Fills `bad`, or refuses what is not finite. */
ra_status ra_data_scan(ra_data *data, bool skip, ra_error *err);

/* The file that a row in the files lies in. */
const ra_data_file *ra_data_file_of(const ra_data *data, uint64_t source_row);

/* How many skipped rows come before a row. */
size_t ra_data_skipped_before(const ra_data *data, uint64_t row);

/* out [n,d] <- n rows in order from `first`, as they are in the files. */
void ra_data_read_raw(const ra_data *data, size_t first, size_t n, float *out);

/* The bytes that rows occupy, one range for those that lie close together; source_rows ascend and none is in
 * there twice. ranges has room for n. Returns how many there are. */
typedef struct ra_data_range {
    const char *start;
    size_t bytes;
} ra_data_range;
size_t ra_data_ranges(const ra_data *data, const uint64_t *source_rows, size_t n, ra_data_range *ranges);

#endif
