/* changes.h - JSON request bodies that change what is kept: labels of atoms, and named lists. As requests.h, whose errors
 * these have, too.
 *
 *   a label     {"label": "dog", "explanation": "any dog, not wolves", "source": "gpt-4o", "score": 0.8}
 *   labels      {"labels": [{"atom": 5, "label": "dog", ...}, ...]}, or NDJSON, one such object per line; a null label takes
 *               back what was set. The last line of an export, {"complete": true, ...}, is passed over, and so are the members
 *               of an export that say what the server knows itself
 *   a list      {"atoms": [5, 9], "description": "animals"}
 *
 * Ownership: `out` owns its memory; the function after it releases it. After an error it is {0}. Thread safety: no state.
 */
#ifndef RASAED_CODEC_JSON_CHANGES_H
#define RASAED_CODEC_JSON_CHANGES_H

#include "app/text.h"
#include "ra_io.h"

#include <stdbool.h>

/* Bytes of the texts. Those of a label are as many as a file may have (ra_io.h), so that labels can go both ways. */
enum {
    LABEL_BYTES = RA_LABEL_BYTES,
    EXPLANATION_BYTES = RA_EXPLANATION_BYTES,
    SOURCE_BYTES = RA_LABEL_SOURCE_BYTES,
    DESCRIPTION_BYTES = 4096
};

typedef struct label_change {
    size_t atom;                              /* the caller checks it */
    const char *label, *explanation, *source; /* NULL: not given, or null */
    double score;                             /* NaN: likewise */
} label_change;

typedef struct label_changes {
    label_change *items; /* [count] */
    size_t count, capacity;
    text texts;
} label_changes;

/* One, whose atom the path names: it must have a label. */
ra_status json_label_parse(const char *body, size_t size, label_changes *out, ra_error *err);
/* At most `most` of them. lines: NDJSON. */
ra_status json_labels_parse(const char *body, size_t size, bool lines, size_t most, label_changes *out,
                            ra_error *err);
void label_changes_release(label_changes *changes); /* leaves {0} */

typedef struct list_change {
    uint32_t *atoms; /* [count] the caller checks them */
    size_t count;
    const char *description; /* NULL: not given, or null */
    text texts;
} list_change;

ra_status json_list_parse(const char *body, size_t size, size_t most, list_change *out, ra_error *err);
void list_change_release(list_change *change); /* leaves {0} */

#endif
