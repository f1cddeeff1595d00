/* The order of rows and their batches (lib/train/{order,batches}.c): every row once per epoch, well shuffled,
 * in bounded memory. */
#include "data_files.h"

#include "ra_memory.h"

#include "train/order.h"

#include <math.h>
#include <string.h>

static uint64_t *numbers(size_t n) {
    uint64_t *block = ra_calloc(n + 1, sizeof *block);
    ck_assert_ptr_nonnull(block);
    return block;
}

static uint64_t *epoch_of(size_t rows, uint64_t seed, size_t window, uint64_t epoch) {
    ra_order order;
    uint64_t *row = numbers(rows);
    ra_ok(ra_order_init(&order, rows, true, seed, window, &err));
    ra_order_rows(&order, epoch, 0, rows, row);
    ra_order_release(&order);
    return row;
}

static const size_t sizes[] = {1, 2, 63, 64, 65, 127, 1000, 4096, 4097, 5000};
static const size_t windows[] = {0, 1, 64, 65, 128, 1000, 4096};
enum { SIZES = sizeof sizes / sizeof *sizes, WINDOWS = sizeof windows / sizeof *windows };

START_TEST(test_every_row_comes_exactly_once_an_epoch) {
    for (size_t s = 0; s < SIZES; s++)
        for (size_t w = 0; w < WINDOWS; w++)
            for (uint64_t epoch = 0; epoch < 3; epoch++) {
                uint64_t *row = epoch_of(sizes[s], 7, windows[w], epoch), *seen = numbers(sizes[s]);
                for (size_t i = 0; i < sizes[s]; i++) {
                    ck_assert_uint_lt(row[i], sizes[s]);
                    ck_assert_uint_eq(seen[row[i]]++, 0);
                }
                ra_free(row);
                ra_free(seen);
            }
}
END_TEST

/* Batches of any size, forwards, backwards, and after another epoch. */
START_TEST(test_depends_neither_on_cuts_nor_on_what_was_asked_before) {
    enum { ROWS = 4097 };
    static const size_t cuts[] = {1, 7, 64, 100, 1024, ROWS};
    for (size_t w = 0; w < WINDOWS; w++) {
        uint64_t *whole = epoch_of(ROWS, 7, windows[w], 5), part[ROWS];
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            ra_order order;
            size_t batches = (ROWS + cuts[c] - 1) / cuts[c];
            ra_ok(ra_order_init(&order, ROWS, true, 7, windows[w], &err));
            ra_order_rows(&order, 4, ROWS / 2, 10, part);
            for (size_t b = 0; b < 2 * batches; b++) {
                size_t from = (b < batches ? b : 2 * batches - 1 - b) * cuts[c];
                size_t n = ROWS - from < cuts[c] ? ROWS - from : cuts[c];
                ra_order_rows(&order, 5, from, n, part);
                ck_assert_mem_eq(part, whole + from, n * sizeof *part);
            }
            ra_order_release(&order);
        }
        ra_free(whole);
    }
}
END_TEST

static size_t same_places(const uint64_t *a, const uint64_t *b, size_t n) {
    size_t same = 0;
    for (size_t i = 0; i < n; i++) same += a[i] == b[i];
    return same;
}

/* Two permutations agree at one position on average. */
START_TEST(test_epochs_and_seeds_differ) {
    enum { ROWS = 10000 };
    for (size_t w = 0; w < WINDOWS; w++) {
        uint64_t *one = epoch_of(ROWS, 1, windows[w], 0), *epoch = epoch_of(ROWS, 1, windows[w], 1),
                 *seed = epoch_of(ROWS, 2, windows[w], 0), *again = epoch_of(ROWS, 1, windows[w], 0);
        ck_assert_uint_lt(same_places(one, epoch, ROWS), 20 + ROWS / 64);
        ck_assert_uint_lt(same_places(one, seed, ROWS), 20 + ROWS / 64);
        ck_assert_mem_eq(one, again, ROWS * sizeof *one);
        ra_free(one);
        ra_free(epoch);
        ra_free(seed);
        ra_free(again);
    }
}
END_TEST

START_TEST(test_without_shuffle_rows_keep_their_order) {
    ra_order order;
    uint64_t row[50];
    ra_ok(ra_order_init(&order, (size_t)1 << 40, false, 3, 0, &err)); /* and needs no memory */
    ra_order_rows(&order, 2, 1000000, 50, row);
    for (size_t i = 0; i < 50; i++) ck_assert_uint_eq(row[i], 1000000 + i);
    ra_order_release(&order);
}
END_TEST

/* 23 degrees of freedom: a uniform order exceeds 60 once in 30,000 tries, and the seed is fixed. */
START_TEST(test_few_rows_are_permuted_uniformly) {
    enum { ROWS = 4, EPOCHS = 24000, ORDERS = 256 };
    size_t count[ORDERS] = {0};
    double chi = 0, expected = EPOCHS / 24.0;
    ra_order order;
    ra_ok(ra_order_init(&order, ROWS, true, 11, 0, &err));
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint64_t row[ROWS];
        ra_order_rows(&order, epoch, 0, ROWS, row);
        count[row[0] * 64 + row[1] * 16 + row[2] * 4 + row[3]]++;
    }
    ra_order_release(&order);
    size_t kinds = 0;
    for (size_t i = 0; i < ORDERS; i++) {
        if (!count[i]) continue;
        kinds++;
        chi += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
    }
    ck_assert_uint_eq(kinds, 24);
    ck_assert_msg(chi < 60, "chi square %g", chi);
}
END_TEST

/* ---- data larger than the window ---------------------------------------------------------------------- */

enum { MANY = 64 * 1024, PIECE = 64, WINDOW = 4096, PARTS = 16 };

/* Chi square of the position in the data (PARTS of it) against the position in the epoch (windows), as a z
 * score. Whole blocks move together, so a block counts as one. */
static double place_score(const uint64_t *row) {
    double count[PARTS][PARTS] = {{0}}, chi = 0, expected = (double)MANY / PARTS / PARTS;
    for (size_t i = 0; i < MANY; i++) count[row[i] / (MANY / PARTS)][i / WINDOW]++;
    for (size_t a = 0; a < PARTS; a++)
        for (size_t b = 0; b < PARTS; b++)
            chi += (count[a][b] - expected) * (count[a][b] - expected) / expected / PIECE;
    double freedom = (PARTS - 1) * (PARTS - 1);
    return (chi - freedom) / sqrt(2 * freedom);
}

/* The same for a row's position in its block of 64 rows against its position in its window. */
static double inner_score(const uint64_t *row) {
    static double count[PIECE][WINDOW / PIECE];
    double chi = 0, expected = (double)MANY / WINDOW;
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < MANY; i++) count[row[i] % PIECE][i % WINDOW / PIECE]++;
    for (size_t a = 0; a < PIECE; a++)
        for (size_t b = 0; b < WINDOW / PIECE; b++)
            chi += (count[a][b] - expected) * (count[a][b] - expected) / expected;
    double freedom = (PIECE - 1) * (WINDOW / PIECE - 1);
    return (chi - freedom) / sqrt(2 * freedom);
}

/* Neighbors in the order that share a block of the data, compared with the number that is expected if the 63
 * other rows of a block are anywhere in its window: as a z score. */
static double neighbor_score(const uint64_t *row, uint64_t turn) {
    double expected = (double)(MANY - 1) * (PIECE - 1) / (WINDOW - 1), found = 0;
    for (size_t i = 0; i + 1 < MANY; i++)
        found += (row[i] + MANY - turn) % MANY / PIECE == (row[i + 1] + MANY - turn) % MANY / PIECE;
    return (found - expected) / sqrt(expected);
}

START_TEST(test_a_shuffle_in_windows_is_a_good_one) {
    for (uint64_t epoch = 0; epoch < 20; epoch++) {
        ra_order order;
        uint64_t *row = numbers(MANY);
        ra_ok(ra_order_init(&order, MANY, true, 5, WINDOW, &err));
        ra_order_rows(&order, epoch, 0, MANY, row);
        double place = place_score(row), inner = inner_score(row), near = neighbor_score(row, order.turn);
        ck_assert_msg(fabs(place) < 5, "epoch %d: place %g", (int)epoch, place);
        ck_assert_msg(fabs(inner) < 5, "epoch %d: inner %g", (int)epoch, inner);
        ck_assert_msg(fabs(near) < 5, "epoch %d: neighbors %g", (int)epoch, near);
        ra_order_release(&order);
        ra_free(row);
    }
}
END_TEST

/* The bounds above distinguish good orders from bad ones: no shuffle, windows that keep their positions, and
 * blocks that are permuted but not mixed. */
START_TEST(test_the_measures_find_bad_shuffles) {
    uint64_t *identity = numbers(MANY), *local = numbers(MANY), *blocks = numbers(MANY);
    uint64_t *window = epoch_of(WINDOW, 3, 0, 0), *block = epoch_of(MANY / PIECE, 4, 0, 0);
    for (size_t i = 0; i < MANY; i++) {
        identity[i] = i;
        local[i] = i / WINDOW * WINDOW + window[i % WINDOW];
        blocks[i] = block[i / PIECE] * PIECE + i % PIECE;
    }
    ck_assert(place_score(identity) > 100 && inner_score(identity) < -5 && neighbor_score(identity, 0) > 100);
    ck_assert(place_score(local) > 100 && fabs(neighbor_score(local, 0)) < 5);
    ck_assert(fabs(place_score(blocks)) < 5 && fabs(inner_score(blocks)) > 5);
    ck_assert(neighbor_score(blocks, 0) > 100);
    ra_free(identity);
    ra_free(local);
    ra_free(blocks);
    ra_free(window);
    ra_free(block);
}
END_TEST

/* Other rows share a block in each epoch: with fixed blocks, it would be the same 64. */
START_TEST(test_blocks_are_cut_at_other_places_every_epoch) {
    size_t turns = 0;
    bool seen[PIECE] = {false};
    ra_order order;
    ra_ok(ra_order_init(&order, MANY, true, 5, WINDOW, &err));
    for (uint64_t epoch = 0; epoch < 200; epoch++) {
        uint64_t row;
        ra_order_rows(&order, epoch, 0, 1, &row);
        turns += !seen[order.turn % PIECE];
        seen[order.turn % PIECE] = true;
    }
    ra_order_release(&order);
    ck_assert_uint_gt(turns, 50);
}
END_TEST

START_TEST(test_needs_memory_for_a_window_and_the_blocks_only) {
    ra_order order;
    uint64_t row[3], again[3];
    /* a list of all rows would be 16 GiB */
    ra_ok(ra_order_init(&order, (size_t)1 << 31, true, 1, 4096, &err));
    ck_assert_uint_eq(order.blocks, (size_t)1 << 25);
    ck_assert_uint_eq(order.window_blocks, 64);
    ra_order_release(&order);
    ra_ok(ra_order_init(&order, (size_t)1 << 24, true, 1, 0, &err));
    ra_order_rows(&order, 0, ((size_t)1 << 24) - 3, 3, row);
    ra_order_rows(&order, 0, 0, 1, again);
    ra_order_rows(&order, 0, ((size_t)1 << 24) - 3, 3, again);
    ck_assert_mem_eq(row, again, sizeof row);
    ra_order_release(&order);
}
END_TEST

/* While a window is in use, all rows of the next one are prefetched, each once and in runs. */
START_TEST(test_the_next_window_is_fetched_in_runs) {
    enum { ROWS = 5000, WIDE = 1024, BATCH = 100 };
    uint64_t *seen = numbers(ROWS), row[WIDE], ahead[BATCH];
    size_t fetched = 0, runs = 0;
    ra_order order;
    ra_ok(ra_order_init(&order, ROWS, true, 9, WIDE, &err));
    ck_assert_uint_eq(ra_order_ahead(&order, 0, BATCH, ahead), 0); /* nothing is drawn yet */
    ra_order_rows(&order, 3, 0, 1, row);
    size_t first_window = order.window_rows;
    ra_order_rows(&order, 3, 0, first_window, row);
    for (size_t i = 0; i < first_window; i++) seen[row[i]]++;
    for (size_t position = 0; position < ROWS; position += BATCH) {
        ra_order_rows(&order, 3, position, BATCH, row);
        size_t count = ra_order_ahead(&order, position, BATCH, ahead);
        ck_assert_uint_le(count, BATCH);
        fetched += count;
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_lt(ahead[i], ROWS);
            ck_assert_uint_eq(seen[ahead[i]]++, 0); /* neither in the first window nor fetched before */
            runs += i == 0 || ahead[i] != ahead[i - 1] + 1;
        }
    }
    ck_assert_uint_eq(fetched, ROWS - first_window);
    ck_assert_uint_lt(runs, ROWS / 25); /* of 64 rows, cut by the batches */
    ra_order_release(&order);
    ra_free(seen);

    ra_ok(ra_order_init(&order, ROWS, true, 9, 0, &err)); /* one window: none follows */
    ra_order_rows(&order, 0, 0, BATCH, row);
    ck_assert_uint_eq(ra_order_ahead(&order, 0, BATCH, ahead), 0);
    ra_order_release(&order);
    ra_ok(ra_order_init(&order, ROWS, false, 9, 0, &err));
    ra_order_rows(&order, 0, 0, BATCH, row);
    ck_assert_uint_eq(ra_order_ahead(&order, 0, BATCH, ahead), 0);
    ra_order_release(&order);
}
END_TEST

/* Runs of a window are its rows, each once; blocks of images begin at an image, those at the end of the data excepted. */
START_TEST(test_windows_are_runs_of_blocks) {
    enum { ROWS = 4900, WIDE = 1176, BLOCK = 196, UNIT = 49 };
    static uint64_t row[ROWS];
    ra_row_run run[2 * (WIDE / BLOCK)];
    ra_order order, asked;
    ra_ok(ra_order_init_blocks(&order, ROWS, true, 3, WIDE, BLOCK, UNIT, &err));
    ra_ok(ra_order_init_blocks(&asked, ROWS, true, 3, WIDE, BLOCK, UNIT, &err));
    ck_assert_uint_eq(ra_order_windows(&asked), 5);
    for (uint64_t epoch = 0; epoch < 4; epoch++) {
        uint64_t *seen = numbers(ROWS);
        size_t at = 0;
        ra_order_rows(&order, epoch, 0, ROWS, row);
        for (size_t window = 0; window < ra_order_windows(&asked); window++) {
            size_t count = ra_order_window_runs(&asked, epoch, window, run), rows = 0;
            ck_assert_uint_le(count, sizeof run / sizeof *run);
            for (size_t i = 0; i < count; i++) {
                ck_assert_uint_eq(run[i].first % UNIT, 0);
                ck_assert_uint_eq(run[i].count % UNIT, 0);
                for (size_t j = 0; j < run[i].count; j++) ck_assert_uint_eq(seen[run[i].first + j]++, 0);
                rows += run[i].count;
            }
            ck_assert_uint_eq(ra_order_window_at(&asked, epoch, at), window);
            ck_assert_uint_eq(ra_order_window_at(&asked, epoch, at + rows - 1), window);
            for (size_t i = 0; i < rows; i++) ck_assert_uint_eq(seen[row[at + i]]++, 1);
            at += rows;
        }
        ck_assert_uint_eq(at, ROWS);
        ra_free(seen);
    }
    ra_order_release(&order);
    ra_order_release(&asked);
}
END_TEST

static ra_status init_and_release(ra_error *err) {
    ra_order order;
    ra_status status = ra_order_init(&order, 1000, true, 1, 128, err);
    if (status != RA_OK) ck_assert(!order.row && !order.block);
    ra_order_release(&order);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    fails_at_each_allocation(init_and_release(&err));
}
END_TEST

TEST_CASES(order, test_every_row_comes_exactly_once_an_epoch,
           test_depends_neither_on_cuts_nor_on_what_was_asked_before, test_epochs_and_seeds_differ,
           test_without_shuffle_rows_keep_their_order, test_few_rows_are_permuted_uniformly,
           test_a_shuffle_in_windows_is_a_good_one, test_the_measures_find_bad_shuffles,
           test_blocks_are_cut_at_other_places_every_epoch,
           test_needs_memory_for_a_window_and_the_blocks_only, test_the_next_window_is_fetched_in_runs,
           test_windows_are_runs_of_blocks, test_every_allocation_may_fail)
