#include "eval/eval.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b, void *context) {
    const ra_labels *lines = context;
    return strcmp(ra_labels_at(lines, *(const size_t *)a), ra_labels_at(lines, *(const size_t *)b));
}

/* Sorts the rows by their names and numbers the different names. */
static void number_names(row_classes *classes, size_t *order) {
    for (size_t i = 0; i < classes->rows; i++) order[i] = i;
    qsort_r(order, classes->rows, sizeof *order, by_name, classes->lines);
    for (size_t i = 0; i < classes->rows; i++) {
        const char *name = ra_labels_at(classes->lines, order[i]);
        if (i == 0 || strcmp(name, classes->names[classes->count - 1]) != 0)
            classes->names[classes->count++] = name;
        classes->row_class[order[i]] = (int32_t)classes->count - 1;
    }
}

ra_status row_classes_open(const char *path, const ra_data *data, row_classes *classes, ra_error *err) {
    size_t rows = ra_data_source_rows(data);
    RA_TRY(ra_labels_open(path, &classes->lines, err));
    classes->rows = ra_labels_count(classes->lines);
    if (classes->rows != rows || rows > INT32_MAX)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one class for each data row", path,
                classes->rows, rows);
    for (size_t i = 0; i < rows; i++)
        if (!*ra_labels_at(classes->lines, i))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu is empty; expected the class of row %zu", path, i + 1,
                    i);
    classes->row_class = ra_malloc(rows, sizeof *classes->row_class);
    classes->names = ra_malloc(rows, sizeof *classes->names);
    size_t *order = ra_malloc(rows, sizeof *order);
    bool complete = classes->row_class && classes->names && order;
    if (complete) {
        number_names(classes, order);
        classes->rows = ra_data_rows(data);
        for (size_t i = 0; i < classes->rows; i++) /* classes of skipped rows are dropped */
            classes->row_class[i] = classes->row_class[ra_data_source_row(data, i)];
    }
    ra_free(order);
    if (complete) return RA_OK;
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the classes of %zu rows", rows);
}

void row_classes_release(row_classes *classes) {
    ra_labels_free(classes->lines);
    ra_free(classes->row_class);
    ra_free(classes->names);
    *classes = (row_classes){0};
}
