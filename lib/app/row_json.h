/* row_json.h - where a row of data is from, in JSON: the item that it is a part of, and the picture or sound of it.
 *
 * In the same words wherever a row appears: on which a latent is strong, of a trace, near to a point. Thread safety: a text
 * belongs to one thread.
 */
#ifndef RA_APP_ROW_JSON_H
#define RA_APP_ROW_JSON_H

#include "app/json.h"
#include "ra_model.h"

/* The row of data whose media are asked for. */
typedef struct media_row {
    size_t row, item;  /* without items the row is its own */
    bool has_item;     /* false: the item is not known */
    const char *label; /* NULL: it has none */
} media_row;

/* Adds the address of a row's media to `out`; false, and nothing added, if it has none. */
typedef bool row_media(const void *source, const char *base, const media_row *row, text *out);

/* What is known of the rows of a model. */
typedef struct row_places {
    ra_latent_items items; /* that they are parts of; rows 0: of none */
    size_t rows;           /* of the data of the statistics; 0: unknown */
    row_media *media;      /* NULL: there are none, and null is written */
    const void *source;    /* for `media` */
    const char *base;      /* likewise: the prefix of links */
} row_places;

/* Those of a model, without media. */
row_places row_places_of(const ra_model *model);

/* "item" and "position": null when rows are not parts of items, and for a row that the data of the statistics do not
 * have: of other data, the items may be others. */
void json_row_item(text *out, const row_places *places, size_t row);

/* "media": an address or null. */
void json_row_media(text *out, const row_places *places, size_t row, const char *label);

#endif
