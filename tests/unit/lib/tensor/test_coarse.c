/* lib/tensor/coarse.c: whatever exceeds its bar is found, of rows of every kind; and little else is. Scores are bounds, or near. */
#include "harness.h"

#include "base/pool.h"
#include "data_files.h"
#include "ra_memory.h"
#include "tensor/coarse.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    size_t columns, rows, d, from;
} shapes[] = {{1, 1, 1, 0},      {47, 9, 5, 0},     {48, 8, 64, 3},
              {50, 130, 67, 60}, {100, 70, 768, 0}, {49, 65, 1030, 64}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct meeting {
    const float *columns, *rows;
    size_t column_count, row_count, d;
    size_t *met; /* [columns, rows] how often */
    float bar;
    bool turned;
} meeting;

static double product(const meeting *m, size_t column, size_t row) {
    return ra_dot_f64(m->columns + column * m->d, m->rows + row * m->d, m->d);
}

static float find(void *context, size_t column, size_t row) {
    meeting *m = context;
    ck_assert_uint_lt(column, m->column_count);
    ck_assert_uint_lt(row, m->row_count);
    m->met[column * m->row_count + row]++;
    return m->bar;
}

static void compare_all(meeting *m, ra_pool *pool, size_t from, bool magnitudes) {
    ra_coarse columns, rows;
    ra_ok(ra_coarse_init(&columns, true, m->column_count + 3, m->d, &err));
    ra_ok(ra_coarse_init(&rows, false, m->row_count + 3, m->d, &err));
    columns.turned = rows.turned = m->turned;
    for (int twice = 0; twice < 2; twice++) { /* what was there before leaves nothing behind */
        ra_coarse_round(&columns, pool, twice ? m->columns : m->rows, twice ? m->column_count : 1);
        ra_coarse_round(&rows, pool, twice ? m->rows : m->columns, twice ? m->row_count : 1);
    }
    memset(m->met, 0, m->column_count * m->row_count * sizeof *m->met);
    for (size_t panel = 0; panel < ra_pool_parts(m->column_count, RA_COARSE_PANEL); panel++) {
        float bar[RA_COARSE_PANEL];
        for (size_t c = 0; c < RA_COARSE_PANEL; c++) bar[c] = m->bar;
        ra_coarse_compare(&columns, panel, &rows, from, magnitudes, bar, find, m);
    }
    ra_coarse_release(&columns);
    ra_coarse_release(&rows);
}

/* Rows of random numbers; of one large and many small ones; of very small and large scales; of zeros; equal ones. */
static float *make_rows(size_t rows, size_t d, uint64_t seed) {
    float *x = malloc(rows * d * sizeof *x);
    test_fill(x, rows * d, seed);
    for (size_t i = 0; i < rows; i++) {
        float *row = x + i * d;
        if (i % 7 == 2) row[i % d] = 300;
        if (i % 7 == 3) memset(row, 0, d * sizeof *row);
        for (size_t j = 0; j < d; j++)
            row[j] *= i % 7 == 4 ? 1e-3f : i % 7 == 5 ? 1e-18f : i % 7 == 6 ? 1e17f : 1;
        if (i % 5 == 4) memcpy(row, row - d, d * sizeof *row);
    }
    return x;
}

START_TEST(test_all_that_exceed_their_bar_are_found) {
    static const float bars[] = {-INFINITY, -3, 0, 0.1f, 5, INFINITY};
    ra_pool *pool = NULL;
    ra_ok(ra_pool_new(3, 0, &pool, &err));
    for (size_t s = 0; s < SHAPES; s++) {
        float *columns = make_rows(shapes[s].columns, shapes[s].d, s),
              *rows = make_rows(shapes[s].rows, shapes[s].d, 99);
        meeting m = {
            .columns = columns, .rows = rows, .column_count = shapes[s].columns, .row_count = shapes[s].rows};
        m.d = shapes[s].d;
        m.met = malloc(m.column_count * m.row_count * sizeof *m.met);
        for (size_t b = 0; b < sizeof bars / sizeof *bars; b++)
            for (int way = 0; way < 4; way++) {
                bool magnitudes = way & 1;
                m.turned = way & 2;
                m.bar = bars[b];
                compare_all(&m, pool, shapes[s].from, magnitudes);
                for (size_t c = 0; c < m.column_count; c++)
                    for (size_t r = 0; r < m.row_count; r++) {
                        double exact = product(&m, c, r);
                        size_t met = m.met[c * m.row_count + r];
                        ck_assert_uint_le(met, 1);
                        if (r < shapes[s].from || m.bar == INFINITY)
                            ck_assert_uint_eq(met, 0);
                        else if ((magnitudes ? fabs(exact) : exact) > (double)m.bar)
                            ck_assert_msg(met, "%zu columns, %zu rows, d %zu: %zu with %zu is %g, above %g",
                                          m.column_count, m.row_count, m.d, c, r, exact, (double)m.bar);
                    }
            }
        free(columns), free(rows), free(m.met);
    }
    ra_pool_free(pool);
}
END_TEST

/* A row that is not finite has no bound, so all of its pairs are found. */
START_TEST(test_rows_that_are_not_finite_are_always_found) {
    enum { COLUMNS = 60, ROWS = 20, D = 40 };
    float *columns = make_rows(COLUMNS, D, 1), *rows = make_rows(ROWS, D, 2);
    columns[49 * D + 3] = INFINITY;
    rows[11 * D + 39] = NAN;
    meeting m = {columns, rows, COLUMNS, ROWS, D, malloc(COLUMNS * ROWS * sizeof *m.met), 1e30f, false};
    compare_all(&m, NULL, 0, false);
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < ROWS; r++)
            if (c == 49 || r == 11) ck_assert_uint_eq(m.met[c * ROWS + r], 1);
    free(columns), free(rows), free(m.met);
}
END_TEST

START_TEST(test_little_else_is_found) {
    enum { COLUMNS = 96, ROWS = 200, D = 768 };
    float *columns = malloc(COLUMNS * D * sizeof *columns), *rows = malloc(ROWS * D * sizeof *rows);
    test_fill(columns, COLUMNS * D, 1);
    test_fill(rows, ROWS * D, 2);
    meeting m = {columns, rows, COLUMNS, ROWS, D, malloc(COLUMNS * ROWS * sizeof *m.met), 10, false};
    compare_all(&m, NULL, 0, false);
    double least = INFINITY;
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < ROWS; r++)
            if (m.met[c * ROWS + r]) least = fmin(least, product(&m, c, r));
    if (ra_coarse_pays(
            D)) /* 16 is the length of the rows; each loses about 1/127 / sqrt(12) of it, times sqrt(3) */
        ck_assert_double_gt(least, 10 - 16 * 16 * 0.009);
    free(columns), free(rows), free(m.met);
}
END_TEST

/* Scores of the rows [from, to), whose place is between others that stay. */
static void score_all(const meeting *m, size_t from, size_t to, bool least, float *score, size_t stride) {
    ra_coarse columns, rows;
    ra_ok(ra_coarse_init(&columns, true, m->column_count, m->d, &err));
    ra_ok(ra_coarse_init(&rows, false, m->row_count, m->d, &err));
    columns.turned = rows.turned = m->turned;
    ra_coarse_round(&columns, NULL, m->columns, m->column_count);
    ra_coarse_round(&rows, NULL, m->rows, m->row_count);
    for (size_t i = 0; i < m->row_count * stride; i++) score[i] = 12345;
    for (size_t panel = 0; panel < ra_pool_parts(m->column_count, RA_COARSE_PANEL); panel++)
        ra_coarse_scores(&columns, panel, &rows, from, to, least,
                         score + from * stride + panel * RA_COARSE_PANEL, stride);
    for (size_t r = 0; r < m->row_count; r++)
        for (size_t c = r < from || r >= to ? 0 : m->column_count; c < stride; c++)
            ck_assert_float_eq(score[r * stride + c], 12345);
    ra_coarse_release(&columns);
    ra_coarse_release(&rows);
}

/* Also of turned rows. */
START_TEST(test_scores_are_bounds_and_near) {
    for (size_t s = 0; s < SHAPES; s++) {
        size_t from = shapes[s].from / RA_COARSE_ROWS * RA_COARSE_ROWS, stride = shapes[s].columns + 2,
               to = shapes[s].rows > 9 ? shapes[s].rows - 1 : shapes[s].rows, d = shapes[s].d;
        float *columns = make_rows(shapes[s].columns, d, s), *rows = make_rows(shapes[s].rows, d, 99),
              *least = malloc(shapes[s].rows * stride * sizeof *least),
              *near = malloc(shapes[s].rows * stride * sizeof *near);
        const meeting m = {.columns = columns,
                           .rows = rows,
                           .column_count = shapes[s].columns,
                           .row_count = shapes[s].rows,
                           .d = d};
        score_all(&m, from, to, true, least, stride);
        score_all(&m, from, to, false, near, stride);
        for (size_t c = 0; c < m.column_count; c++)
            for (size_t r = from; r < to; r++) {
                double exact = -2 * product(&m, c, r), bound = (double)least[r * stride + c],
                       length = sqrt(ra_dot_f64(columns + c * d, columns + c * d, d) *
                                     ra_dot_f64(rows + r * d, rows + r * d, d)),
                       loss =
                           2 * 1.01 / 127 * sqrt((double)d) * length; /* half a step of each number, twice */
                ck_assert_msg(!(bound > exact), "%zu with %zu is %g, not at least %g", c, r, exact, bound);
                if (!(bound > -INFINITY)) continue; /* too small to be rounded */
                ck_assert_double_ge(bound, exact - loss - 1e-30);
                ck_assert_double_eq_tol((double)near[r * stride + c], exact, loss / 2 + 1e-30);
            }
        free(columns), free(rows), free(least), free(near);
    }
}
END_TEST

/* Nothing is known of their products. */
START_TEST(test_scores_of_rows_that_are_not_finite_exclude_nothing) {
    enum { COLUMNS = 60, ROWS = 20, D = 40 };
    float *columns = make_rows(COLUMNS, D, 1), *rows = make_rows(ROWS, D, 2);
    static float score[ROWS * COLUMNS];
    columns[49 * D + 3] = INFINITY;
    rows[11 * D + 39] = NAN;
    const meeting m = {.columns = columns, .rows = rows, .column_count = COLUMNS, .row_count = ROWS, .d = D};
    score_all(&m, 0, ROWS, true, score, COLUMNS);
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < ROWS; r++)
            if (c == 49 || r == 11) ck_assert(!(score[r * COLUMNS + c] > -INFINITY));
    score_all(&m, 0, ROWS, false, score, COLUMNS);
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < ROWS; r++)
            if (c == 49 || r == 11) ck_assert_float_eq(score[r * COLUMNS + c], 0);
    free(columns), free(rows);
}
END_TEST

static ra_status start(size_t rows, ra_error *err) {
    ra_coarse coarse;
    RA_TRY(ra_coarse_init(&coarse, true, rows, 10, err));
    ra_coarse_release(&coarse);
    return RA_OK;
}

START_TEST(test_every_allocation_may_fail) {
    fails_at_each_allocation(start(100, &err));
}
END_TEST

START_TEST(test_rows_whose_products_may_not_fit_are_left_to_float32) {
    ck_assert_int_eq(ra_coarse_pays(132000), ra_coarse_pays(768));
    ck_assert(!ra_coarse_pays(133000));
}
END_TEST

TEST_CASES(coarse, test_rows_whose_products_may_not_fit_are_left_to_float32,
           test_all_that_exceed_their_bar_are_found, test_rows_that_are_not_finite_are_always_found,
           test_little_else_is_found, test_scores_of_rows_that_are_not_finite_exclude_nothing,
           test_every_allocation_may_fail)
TEST_CASES_LOOP(coarse_scores, 30, 2, test_scores_are_bounds_and_near)
