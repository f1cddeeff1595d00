/* items.h - the codes of whole items: for each latent those of the I items in which it is strongest.
 *
 * An item is an image of P patches or a text of P tokens, whose rows follow one another. How strong a latent is in an item
 * is its largest code there; items without a code above 0 are not kept, and of equal ones the earlier comes first.
 *
 * One pass. Memory is K (I + 1) P numbers of 4 bytes: the results, and the codes of each latent in the last item that it
 * was active in. They are compared with the kept ones when the latent is active in another item.
 *
 * Add rows in their order. How they are divided into calls makes no difference.
 */
#ifndef RA_METRICS_ITEMS_H
#define RA_METRICS_ITEMS_H

#include "metrics/statistics.h"

typedef struct ra_item_codes {
    size_t latents, count, parts; /* K, I, P; count 0: nothing is kept */
    size_t rows;                  /* so far */
    int64_t *open;                /* [K] the last item that the latent was active in; -1: none */
    float *open_peak;             /* [K] its largest code there */
    float *open_codes;            /* [K,P] */
    int64_t *item;                /* [K,I] the strongest first; -1 after the last */
    float *peak;                  /* [K,I] */
    float *codes;                 /* [K,I,P] */
    int64_t *peak_row;            /* [K,I] the row of the largest code, of ra_item_codes_view() */
    ra_labels *labels;
} ra_item_codes;

/* RA_ERR_TOO_LARGE when they need more than `bytes`. */
ra_status ra_item_codes_init(ra_item_codes *items, size_t latents, size_t count, size_t parts, size_t bytes,
                             ra_error *err);
void ra_item_codes_release(ra_item_codes *items); /* leaves {0}, which is valid */

void ra_item_codes_add(ra_item_codes *items, const ra_codes *codes, const ra_latent_rows *rows);

/* After the last row. The view lives in `items`. */
ra_status ra_item_codes_view(ra_item_codes *items, const ra_latent_rows *rows, ra_latent_statistics *view,
                             ra_error *err);

#endif
