/* The codes of whole items against plain loops. */
#include "harness.h"

#include "data_files.h"
#include "metrics/items.h"

#include <stdio.h>
#include <string.h>

enum { ITEMS = 60, P = 5, ROWS = ITEMS * P, K = 4, I = 3 };

static float z[ROWS * K];

/* Latent 1 is never active, 2 only in item 7, once with a negative code; 3 has equal codes in many items. */
static void fill(void) {
    test_fill(z, ROWS * K, 5);
    for (size_t i = 0; i < ROWS * K; i++) {
        size_t k = i % K, row = i / K;
        if (k == 1 || k == 2 || row % 3 == 0) z[i] = 0;
        if (k == 3 && z[i] > 0) z[i] = 2;
    }
    z[(7 * P + 1) * K + 2] = -1;
    z[(7 * P + 2) * K + 2] = 0.25f;
}

static float peak_of(size_t k, size_t item) {
    float peak = 0;
    for (size_t p = 0; p < P; p++)
        if (z[(item * P + p) * K + k] > peak) peak = z[(item * P + p) * K + k];
    return peak;
}

/* How many items come before this one. */
static size_t rank_of(size_t k, size_t item) {
    size_t rank = 0;
    for (size_t other = 0; other < ITEMS; other++)
        rank +=
            peak_of(k, other) > peak_of(k, item) || (other < item && peak_of(k, other) == peak_of(k, item));
    return rank;
}

START_TEST(test_codes_of_the_strongest_items) {
    static const size_t steps[] = {ROWS, 1, 7};
    for (size_t c = 0; c < 3; c++) {
        ra_item_codes items;
        ra_latent_statistics view = {.concepts = K, .items = {.rows = P}};
        ra_codes codes = {0};
        fill();
        ra_ok(ra_item_codes_init(&items, K, I, P, 1 << 20, &err));
        for (size_t from = 0; from < ROWS; from += steps[c]) {
            size_t count = ROWS - from < steps[c] ? ROWS - from : steps[c];
            ra_ok(ra_codes_from_dense(&codes, z + from * K, count, K, &err));
            ra_item_codes_add(&items, &codes, &(ra_latent_rows){0});
        }
        ra_ok(ra_item_codes_view(&items, &(ra_latent_rows){0}, &view, &err));
        for (size_t k = 0; k < K; k++) {
            size_t expected = 0, t = 0;
            ra_latent_item one;
            for (size_t item = 0; item < ITEMS; item++) expected += peak_of(k, item) > 0;
            for (; ra_latent_statistics_item(&view, k, t, &one); t++) {
                ck_assert_uint_eq(rank_of(k, one.item), t);
                ck_assert_float_eq(one.value, peak_of(k, one.item));
                for (size_t p = 0; p < P; p++)
                    ck_assert_float_eq(one.codes[p], z[(one.item * P + p) * K + k]);
            }
            ck_assert_uint_eq(t, expected < I ? expected : I);
        }
        ra_codes_release(&codes);
        ra_item_codes_release(&items);
    }
}
END_TEST

static uint64_t after_bad_rows(const void *context, uint64_t row) {
    return row + *(const uint64_t *)context;
}

START_TEST(test_items_are_those_of_the_files) {
    const uint64_t skipped = P;
    char text[4096];
    size_t size = 0;
    ra_item_codes items;
    ra_latent_statistics view = {.concepts = K, .items = {.rows = P}};
    ra_codes codes = {0};
    ra_labels *labels;
    ra_latent_item one;
    for (size_t row = 0; row < ROWS + P; row++)
        size += (size_t)snprintf(text + size, sizeof text - size, "row %zu\n", row);
    ra_ok(ra_labels_parse(text, size, "labels", &labels, &err));
    fill();
    ra_ok(ra_item_codes_init(&items, K, I, P, 1 << 20, &err));
    ra_ok(ra_codes_from_dense(&codes, z, ROWS, K, &err));
    const ra_latent_rows names = {after_bad_rows, &skipped, labels};
    ra_item_codes_add(&items, &codes, &names);
    ra_ok(ra_item_codes_view(&items, &names, &view, &err));
    ck_assert(ra_latent_statistics_item(&view, 2, 0, &one));
    ck_assert_uint_eq(one.item, 8);
    ck_assert_uint_eq(one.position, 2);
    ck_assert_str_eq(one.label, "row 42");
    ra_labels_free(labels);
    ra_codes_release(&codes);
    ra_item_codes_release(&items);
}
END_TEST

START_TEST(test_says_when_they_do_not_fit) {
    ra_item_codes items;
    ra_fails(ra_item_codes_init(&items, K, I, P, K * (I + 1) * P * 4 - 1, &err), RA_ERR_TOO_LARGE,
             "the codes of 3 items for each of 4 latents");
    ra_ok(ra_item_codes_init(&items, K, I, P, K * (I + 1) * P * 4, &err));
    ra_item_codes_release(&items);
    ra_fails(ra_item_codes_init(&items, SIZE_MAX / 8, I, P, 1 << 20, &err), RA_ERR_TOO_LARGE, "do not fit");
}
END_TEST

TEST_CASES(items, test_codes_of_the_strongest_items, test_items_are_those_of_the_files,
           test_says_when_they_do_not_fit)
