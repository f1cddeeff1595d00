/* Compares points as strings of bytes: both lists are sorted and walked side by side. Points that were drawn
 * again all differ; points in another order are all found. */
#include "ra_memory.h"
#include "ra_metrics.h"

#include <stdlib.h>
#include <string.h>

typedef struct point_list {
    ra_matrix rows;
    size_t *order; /* [rows.rows] by their bytes */
} point_list;

static int by_bytes(const void *a, const void *b, void *context) {
    const ra_matrix *rows = context;
    return memcmp(ra_matrix_row(rows, *(const size_t *)a), ra_matrix_row(rows, *(const size_t *)b),
                  rows->cols * sizeof(float));
}

static ra_status read_points(const ra_model *model, point_list *list, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    RA_TRY(ra_matrix_init(&list->rows, info->points, info->dimensions, err));
    list->order = ra_malloc(info->points, sizeof *list->order);
    if (!list->order) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu points", info->points);
    for (size_t j = 0; j < info->points; j++) {
        list->order[j] = j;
        RA_TRY(ra_model_point(model, j, ra_matrix_row(&list->rows, j), err));
    }
    qsort_r(list->order, info->points, sizeof *list->order, by_bytes, &list->rows);
    return RA_OK;
}

static void count(const point_list *a, const point_list *b, ra_shared_points *points) {
    size_t bytes = a->rows.cols * sizeof(float), i = 0, j = 0;
    points->of = a->rows.rows < b->rows.rows ? a->rows.rows : b->rows.rows;
    for (size_t k = 0; k < points->of; k++)
        points->equal += memcmp(ra_matrix_row(&a->rows, k), ra_matrix_row(&b->rows, k), bytes) == 0;
    while (i < a->rows.rows && j < b->rows.rows) {
        int order = memcmp(ra_matrix_row(&a->rows, a->order[i]), ra_matrix_row(&b->rows, b->order[j]), bytes);
        points->common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
}

ra_status ra_count_shared_points(const ra_model *a, const ra_model *b, ra_shared_points *points,
                                 ra_error *err) {
    const ra_model_info *first = ra_model_get_info(a), *second = ra_model_get_info(b);
    point_list lists[2] = {0};
    *points = (ra_shared_points){0};
    if (!first->has_point_vectors || !second->has_point_vectors || first->dimensions != second->dimensions)
        return RA_OK;
    ra_status status = read_points(a, &lists[0], err);
    if (status == RA_OK) status = read_points(b, &lists[1], err);
    if (status == RA_OK) {
        points->known = true;
        count(&lists[0], &lists[1], points);
    }
    for (size_t i = 0; i < 2; i++) {
        ra_matrix_release(&lists[i].rows);
        ra_free(lists[i].order);
    }
    return status;
}
