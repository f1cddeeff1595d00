/* kept_codes.h - the codes of all rows, in memory or in a file, and their order by latent.
 *
 * What needs all rows of a latent at once (cofiring.h, quantiles.h) and what does not fit into memory for all
 * latents at once (pairs.h) works through the latents in bands. With the codes kept, the data are encoded
 * once, whatever the number of bands; without them, each band takes another pass over the data. The results
 * are the same.
 *
 * Codes that do not fit into memory go to a file without a name, which the system removes with the process.
 *
 * Thread safety: one thread. */
#ifndef RA_METRICS_KEPT_CODES_H
#define RA_METRICS_KEPT_CODES_H

#include "ra_tensor.h"

/* {0} keeps nothing. */
typedef struct ra_kept_codes {
    ra_codes codes;     /* of the rows so far; on disk, only rows and start */
    size_t bytes;       /* the most that they may take in memory, with their order by latent */
    const char *folder; /* for the file; not owned; NULL: there shall be none */
    bool keeps;         /* false: they do not fit, and are no longer there */
    bool on_disk;
    int file;     /* on disk: index and value of each code, one after the other */
    void *buffer; /* [buffer_entries] of the file */
    size_t buffer_entries;
} ra_kept_codes;

enum { RA_KEPT_BYTES_PER_ENTRY = 16 }; /* index, value; row and value by latent */
enum { RA_KEPT_CHUNK_ROWS = 16384 };   /* to read at once */

void ra_kept_codes_init(ra_kept_codes *kept, size_t latents, size_t bytes, const char *folder);
void ra_kept_codes_release(ra_kept_codes *kept); /* leaves {0} */

/* Adds rows, or gives up if they do not fit and there is no folder. */
ra_status ra_kept_codes_add(ra_kept_codes *kept, const ra_codes *codes, ra_error *err);

/* codes <- `rows` rows from row `first` on. */
ra_status ra_kept_codes_read(ra_kept_codes *kept, size_t first, size_t rows, ra_codes *codes, ra_error *err);

/* Codes with the order of their entries by latent. {0} is valid. */
typedef struct ra_codes_order {
    const ra_codes *codes; /* not owned */
    size_t first_row;      /* the number of its first row */
    size_t *start;         /* [K + 1] where each latent begins in row and value */
    uint32_t *row;         /* [entries], from 0 in `codes`, ascending */
    float *value;          /* [entries] */
    size_t latent_capacity, entry_capacity;
} ra_codes_order;

/* Keeps its memory when reused; `codes` must live as long as the order is used. */
ra_status ra_codes_order_set(ra_codes_order *order, const ra_codes *codes, size_t first_row, ra_error *err);
void ra_codes_order_release(ra_codes_order *order); /* leaves {0} */

#endif
