/* data.h - the inside of ra_data, for the files of this folder:
 *
 *   data.c     opening, the two ways to number rows, standardization
 *   disk.c     parts of files that are larger than memory
 *   window.c   rows that are held in memory
 *   scan.c     the one pass that looks for rows that are not finite
 *   read.c     reads rows, whatever the shape of their file; prefetching
 *   measure.c  mean and scale
 *   survey.c   what may be wrong with the data
 *   holdout.c  rows that are skipped to be measured on
 */
#ifndef RA_DATA_DATA_H
#define RA_DATA_DATA_H

#include "ra_data.h"

/* The numbers of one file, [images, d, plane]: every pixel of a plane is a row. plane is 1 if the rows lie
 * one after another. */
typedef struct ra_data_file {
    ra_array *array;
    ra_dtype dtype;
    const char *numbers;
    size_t rows, plane;
    size_t first;                 /* the number of its first row, over all files */
    size_t item_rows, item_width; /* of ra_data_items() */
    /* disk.c: where the numbers are in the file, and which file that is; direct: they can be read there */
    size_t offset;
    uint64_t device, inode;
    bool direct;
} ra_data_file;

struct ra_data {
    size_t rows, source_rows, dimensions; /* the rows that are used; those in the files; d */
    uint64_t *bad;                        /* the numbers in the files of the skipped rows, ascending */
    size_t bad_count, bad_capacity;
    uint64_t
        *held; /* the numbers in the files of the rows that are held out, ascending; they are skipped, too */
    size_t held_count;
    float *mean, *scale; /* [d] each, one allocation; NULL: no standardization */
    size_t memory;       /* bytes that there are */
    double bytes;        /* of all files */
    bool large;          /* more than half of the memory */
    size_t count;
    ra_data_file files[]; /* [count] */
};

/* Finds the rows that are not finite: lists them in `bad` if they are to be skipped, otherwise fails. */
ra_status ra_data_scan(ra_data *data, bool skip, ra_error *err);

/* Draws the rows that are held out and adds them to `bad`. */
ra_status ra_data_hold_out(ra_data *data, double share, ra_error *err);

/* out [n,d] <- the rows with these ascending and distinct numbers in the files, not standardized. */
void ra_data_read_sources(const ra_data *data, const uint64_t *source_rows, size_t n, float *out);

/* The file that holds a row, given by its number in the files. */
const ra_data_file *ra_data_file_of(const ra_data *data, uint64_t source_row);

/* The rows from `first` on, at most n, that lie one after another in one file: returns how many; *row <- the number of the
 * first one in *file. */
size_t ra_data_segment(const ra_data *data, size_t first, size_t n, const ra_data_file **file, size_t *row);

/* The number of skipped rows before a row. */
size_t ra_data_skipped_before(const ra_data *data, uint64_t row);

/* out [n,d] <- n rows from `first` on, not standardized. */
void ra_data_read_raw(const ra_data *data, size_t first, size_t n, float *out);

/* The bytes of rows, given by their ascending and distinct numbers in the files: one range for rows that lie
 * close together. Writes at most n ranges and returns how many. */
typedef struct ra_data_range {
    const char *start;
    size_t bytes;
} ra_data_range;
size_t ra_data_ranges(const ra_data *data, const uint64_t *source_rows, size_t n, ra_data_range *ranges);

#endif
