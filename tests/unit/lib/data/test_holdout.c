/* Rows that are held out (lib/data/holdout.c): which, and that nothing else reads them. */
#include "data_files.h"

#include "ra_memory.h"

#include <math.h>

enum { ROWS = 57, D = 2 };

static const char *write_rows(size_t bad_every) {
    static float rows[ROWS * D];
    for (size_t i = 0; i < ROWS * D; i++) rows[i] = bad_every && i / D % bad_every == 0 ? NAN : (float)i;
    return data_file_npy("rows.npy", rows, ROWS, D);
}

/* Every row is either read, held out, or bad, and each in its order. */
static void check(size_t bad_every, double share, size_t most) {
    const char *path = write_rows(bad_every);
    ra_data *data = NULL;
    const ra_data_options options = {.holdout = share, .skip_bad_rows = bad_every > 0};
    ra_ok(ra_data_open(&path, 1, &options, &data, &err));
    size_t used = ra_data_rows(data), held = ra_data_held_rows(data), i = 0, j = 0;
    ck_assert_uint_le(held, most);
    for (size_t row = 0; row < ROWS; row++) {
        float x[D] = {-1, -1}, y[D] = {-1, -1};
        if (bad_every && row % bad_every == 0) continue;
        if (i < used) ra_data_read(data, i, 1, x);
        if (j < held) ra_data_read_held(data, j, 1, y);
        if (x[0] == (float)(row * D)) {
            ck_assert_uint_eq(ra_data_source_row(data, i), row);
            i++;
        } else {
            ck_assert(y[0] == (float)(row * D) && y[1] == (float)(row * D + 1));
            j++;
        }
    }
    ck_assert_uint_eq(i, used);
    ck_assert_uint_eq(j, held);
    ra_data_free(data);
}

START_TEST(test_every_row_is_read_or_held_out) {
    check(0, 0.1, 5);
    check(0, 0.98, 55);
    check(3, 0.5, 28);
    check(2, 0.9, 51);
}
END_TEST

START_TEST(test_held_rows_are_as_in_the_files) {
    static const float mean[D] = {5, 5}, scale[D] = {2, 2};
    const char *path = write_rows(0);
    ra_data *data = NULL;
    float before[D], after[D];
    ra_ok(ra_data_open(&path, 1, &(ra_data_options){.holdout = 0.2}, &data, &err));
    ra_data_read_held(data, 3, 1, before);
    ra_ok(ra_data_set_standardization(data, mean, scale, &err));
    ra_data_read_held(data, 3, 1, after);
    ck_assert(before[0] == after[0] && before[1] == after[1]);
    ra_data_free(data);
}
END_TEST

START_TEST(test_a_share_that_leaves_nothing_is_refused) {
    const char *path = write_rows(0);
    ra_data *data = NULL;
    for (size_t i = 0; i < 4; i++) {
        const double share[] = {0.01, 1, -0.5, NAN};
        ra_fails(ra_data_open(&path, 1, &(ra_data_options){.holdout = share[i]}, &data, &err),
                 RA_ERR_ARGUMENT, "of 57 rows cannot be held out");
    }
}
END_TEST

TEST_CASES(holdout, test_every_row_is_read_or_held_out, test_held_rows_are_as_in_the_files,
           test_a_share_that_leaves_nothing_is_refused)
