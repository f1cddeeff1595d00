/* Examples by quantile against plain loops. */
#include "harness.h"

#include "data_files.h"
#include "metrics/quantiles.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 500, K = 6, Q = 4, S = 3 };

static float z[ROWS * K];

/* Latent 1 is never active, 2 only in three rows, 3 has many equal codes, 4 negative ones, too. */
static void fill(void) {
    test_fill(z, ROWS * K, 5);
    for (size_t i = 0; i < ROWS * K; i++) {
        size_t k = i % K;
        z[i] = z[i] > 0 ? z[i] : k == 4 ? z[i] : 0;
        if (k == 1 || (k == 2 && i / K % 200 != 9)) z[i] = 0;
        if (k == 3 && z[i] > 0) z[i] = z[i] > 0.5f ? 2 : 1;
    }
    z[9 * K + 2] = z[209 * K + 2] = z[409 * K + 2] = 0.5f;
}

typedef struct drawn {
    ra_quantiles quantiles;
    ra_latent_sums sums;
    ra_latent_statistics view;
} drawn;

static uint64_t shifted(const void *context, uint64_t row) {
    return row + *(const uint64_t *)context;
}

static void draw(drawn *d, size_t bytes, size_t step, const ra_latent_rows *names) {
    const double norm[K] = {0};
    ra_codes codes = {0};
    ra_codes_order order = {0};
    *d = (drawn){.view = {.rows = 0}};
    ra_ok(ra_latent_sums_init(&d->sums, K, 1, &err));
    ra_ok(ra_quantiles_init(&d->quantiles, K, Q, S, bytes, &err));
    ra_ok(ra_codes_from_dense(&codes, z, ROWS, K, &err));
    ra_latent_sums_add(&d->sums, &codes);
    while (d->quantiles.end < K) {
        ra_ok(ra_quantiles_begin(&d->quantiles, &d->sums, K, &err));
        for (size_t from = 0; from < ROWS; from += step) {
            ra_ok(
                ra_codes_from_dense(&codes, z + from * K, ROWS - from < step ? ROWS - from : step, K, &err));
            ra_ok(ra_codes_order_set(&order, &codes, from, &err));
            ra_quantiles_add(&d->quantiles, NULL, &order);
        }
        ra_quantiles_choose(&d->quantiles, NULL, names);
    }
    ra_ok(ra_latent_sums_view(&d->sums, norm, &(ra_latent_rows){0}, &d->view, &err));
    ra_ok(ra_quantiles_view(&d->quantiles, names, &d->view, &err));
    ra_codes_release(&codes);
    ra_codes_order_release(&order);
}

static void forget(drawn *d) {
    ra_quantiles_release(&d->quantiles);
    ra_latent_sums_release(&d->sums);
}

/* How many positive codes of a latent come before that of a row. */
static size_t rank_of(size_t k, size_t row) {
    size_t rank = 0;
    for (size_t b = 0; b < ROWS; b++) {
        float value = z[b * K + k], own = z[row * K + k];
        rank += value > 0 && (value < own || (value == own && b < row));
    }
    return rank;
}

START_TEST(test_rows_are_of_their_quantile) {
    static const size_t steps[] = {ROWS, 1, 77}, bytes[] = {1 << 20, 1 << 20, 1};
    for (size_t c = 0; c < 3; c++) {
        drawn d;
        fill();
        draw(&d, bytes[c], steps[c], &(ra_latent_rows){0});
        for (size_t k = 0; k < K; k++) {
            size_t n = 0;
            for (size_t b = 0; b < ROWS; b++) n += z[b * K + k] > 0;
            for (size_t q = 0; q < Q; q++) {
                size_t from = q * n / Q, to = (q + 1) * n / Q, t = 0;
                const float *bound = d.view.quantiles.bound + k * (Q + 1) + q;
                ra_latent_example one, before = {0};
                for (; ra_latent_statistics_quantile_example(&d.view, k, q, t, &one); t++) {
                    size_t rank = rank_of(k, one.row);
                    ck_assert(rank >= from && rank < to);
                    ck_assert_float_eq(one.value, z[one.row * K + k]);
                    ck_assert(one.value >= bound[0] && one.value <= bound[1]);
                    ck_assert(t == 0 || one.value < before.value ||
                              (one.value == before.value && one.row > before.row));
                    before = one;
                }
                ck_assert_uint_eq(t, to - from < S ? to - from : S);
                for (size_t b = 0; b < ROWS; b++) /* the bound is the code of the lowest rank */
                    if (to > from && z[b * K + k] > 0 && rank_of(k, b) == from)
                        ck_assert_float_eq(bound[0], z[b * K + k]);
            }
        }
        ck_assert_float_eq(d.view.quantiles.bound[1 * (Q + 1) + Q], 0);
        ck_assert_float_eq(d.view.quantiles.bound[3 * (Q + 1) + Q], 2);
        forget(&d);
    }
}
END_TEST

/* Rows are drawn by their number in the files, whatever else is there. */
START_TEST(test_which_rows_depends_on_latent_and_number_alone) {
    drawn plain, moved;
    const uint64_t by = 1000;
    fill();
    draw(&plain, 1 << 20, ROWS, &(ra_latent_rows){0});
    memmove(z + 10 * K, z, (ROWS - 10) * K * sizeof *z); /* ten rows later, and numbered ten less */
    memset(z, 0, 10 * K * sizeof *z);
    const uint64_t back = (uint64_t)-10;
    draw(&moved, 1 << 20, ROWS, &(ra_latent_rows){shifted, &back, NULL});
    size_t same = 0, all = 0;
    for (size_t i = 0; i < K * Q * S; i++) {
        all += plain.view.quantiles.row[i] >= 0;
        same +=
            plain.view.quantiles.row[i] >= 0 && plain.view.quantiles.row[i] == moved.view.quantiles.row[i];
    }
    ck_assert_msg(10 * same > 8 * all, "%zu of %zu are the same", same, all); /* the last ten rows are lost */
    forget(&moved);
    draw(&moved, 1 << 20, ROWS, &(ra_latent_rows){shifted, &by, NULL});
    ck_assert(memcmp(plain.view.quantiles.value, moved.view.quantiles.value, K * Q * S * sizeof(float)) != 0);
    forget(&moved);
    forget(&plain);
}
END_TEST

START_TEST(test_examples_know_their_item_and_label) {
    drawn d;
    char text[ROWS * 10];
    size_t size = 0;
    ra_labels *labels = NULL;
    ra_latent_example one;
    fill();
    for (size_t b = 0; b < ROWS; b++)
        size += (size_t)snprintf(text + size, sizeof text - size, "row %zu\n", b);
    ra_ok(ra_labels_parse(text, size, "labels", &labels, &err));
    draw(&d, 1 << 20, ROWS, &(ra_latent_rows){.labels = labels});
    ck_assert(ra_latent_statistics_quantile_example(&d.view, 2, 3, 0, &one));
    ck_assert_uint_eq(one.row, 409);
    ck_assert_str_eq(one.label, "row 409");
    ck_assert(one.item == 409 && one.position == 0); /* each row is an item */
    d.view.items = (ra_latent_items){.rows = 16, .width = 4};
    ck_assert(ra_latent_statistics_quantile_example(&d.view, 2, 3, 0, &one));
    ck_assert(one.item == 409 / 16 && one.position == 409 % 16);
    ck_assert(!ra_latent_statistics_quantile_example(&d.view, 2, Q, 0, &one));
    ck_assert(
        !ra_latent_statistics_quantile_example(&d.view, 2, 0, 0, &one)); /* three rows in four quantiles */
    ra_labels_free(labels);
    forget(&d);
}
END_TEST

TEST_CASES(quantiles, test_rows_are_of_their_quantile, test_which_rows_depends_on_latent_and_number_alone,
           test_examples_know_their_item_and_label)
