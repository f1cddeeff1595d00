/* spoilt_model.h - a model's file spoilt in one place, as a row of a table, and that it is refused. */
#ifndef RA_TEST_SPOILT_MODEL_H
#define RA_TEST_SPOILT_MODEL_H

#include "model_files.h"

typedef enum damage { DROP, SHAPE, TYPE, SET, LINES, META } damage;

typedef struct spoilt_model {
    damage damage;
    const char *name; /* of the tensor, or the key of the metadata */
    const char *text; /* LINES, META (NULL: none) */
    size_t a, b;      /* SHAPE: sizes, b = 0 for rank 1; SET: the element; TYPE: the ra_dtype */
    double value;     /* SET */
    ra_status status;
    const char *says[2]; /* besides the file's name */
} spoilt_model;

/* What `make` gives, so spoilt, does not open, and the message says why and where. */
void spoilt_model_is_refused(void (*make)(model_file *), const spoilt_model *row);

#endif
