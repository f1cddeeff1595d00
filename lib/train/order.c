/* A shuffle in two stages, like the shuffle buffers of data loaders, but without hidden state.
 *
 * The data are divided into blocks of consecutive rows: 64, or more where the setting `window` gives the size of
 * the windows (windows.h), so that the disk reads a quarter of a megabyte at a time. An epoch permutes the blocks
 * over all data, takes as many of them as make a window, and permutes the rows within the window. Each
 * permutation has its own seed, a mix of the run's seed, the epoch and the window, so that any position can be
 * computed without those before it.
 *
 * How good is it? For data of at most one window (a million rows) it is a uniform permutation. For more rows,
 * each row is still equally likely at every position: its block is equally likely in every window, and the
 * row at every position within the window. But rows are not independent: the 63 other rows of a row's block
 * are always in the same window; under a uniform permutation each of them would be there with probability
 * window / rows. Within the window they are anywhere: a batch of B rows has two given rows of one block with
 * probability B / window instead of B / rows, which for B = 1,024 is one in a thousand. The blocks begin at a
 * random offset in every epoch, so that other rows share a block each time.
 *
 * A smaller window costs little. On 1,300,000 rows of 768 dimensions that are sorted by 1,000 classes, each with
 * atoms of its own, one epoch of topk (500 concepts, k = 32) explains of held-out rows: shuffled in windows of a
 * million 0.417, of 262,144 rows 0.415, of 114,624 0.412, of 57,344 0.414, of 16,384 0.413, not shuffled 0.413.
 *
 * Why not a full permutation? Its memory, 8 bytes per row, grows with the data, and the disk would have to
 * read each row on its own. The blocks of a window are read in runs, once per epoch, while the
 * previous window is in use: by us if the data are larger than memory (windows.h), otherwise by the system. */
#include "train/order.h"
#include "ra_memory.h"
#include "base/random.h"

static const uint64_t stream = 0x5eed0de7; /* other random numbers than those of the model's start */

/* Mixes one more part into the seed of a permutation (the finalizer of splitmix64). */
static uint64_t mix(uint64_t hash, uint64_t part) {
    hash = (hash ^ part) + 0x9e3779b97f4a7c15u;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}

/* part 0: the permutation of the blocks; 1 + w: that of window w. */
static void seed_random(const ra_order *order, uint64_t epoch, uint64_t part, ra_random *random) {
    uint64_t seed = part == 0 ? order->window_seed : order->seed;
    ra_random_seed(random, mix(mix(mix(stream, seed), epoch), part));
}

static size_t block_rows(const ra_order *order, uint64_t block) {
    return block + 1 < order->blocks ? order->block_rows
                                     : order->rows - (order->blocks - 1) * order->block_rows;
}

/* ---- life --------------------------------------------------------------------------------------------- */

ra_status ra_order_init(ra_order *order, size_t rows, bool shuffle, uint64_t seed, size_t window,
                        ra_error *err) {
    return ra_order_init_blocks(order, rows, shuffle, seed, window, RA_ORDER_BLOCK, 1, err);
}

ra_status ra_order_init_blocks(ra_order *order, size_t rows, bool shuffle, uint64_t seed, size_t window,
                               size_t block, size_t unit, ra_error *err) {
    *order = (ra_order){.rows = rows,
                        .shuffle = shuffle,
                        .seed = seed,
                        .window_seed = seed,
                        .block_rows = block,
                        .unit = unit};
    if (!shuffle || rows == 0) return RA_OK;
    if (window == 0) window = RA_ORDER_WINDOW;
    order->blocks = (rows - 1) / block + 1;
    order->window_blocks = (window - 1) / block + 1;
    if (order->window_blocks > order->blocks) order->window_blocks = order->blocks;
    bool several = order->window_blocks < order->blocks;
    size_t capacity = several ? order->window_blocks * block : rows;
    order->row = ra_malloc(capacity, sizeof *order->row);
    if (several) order->block = ra_malloc(order->blocks, sizeof *order->block);
    if (order->row && (order->block || !several)) return RA_OK;
    size_t needed = (capacity + (several ? order->blocks : 0)) * sizeof(uint64_t);
    ra_order_release(order);
    RA_FAIL_MEMORY(err, "the order of the rows", needed);
}

void ra_order_release(ra_order *order) {
    ra_free(order->block);
    ra_free(order->row);
    *order = (ra_order){0};
}

void ra_order_set_window_seed(ra_order *order, uint64_t window_seed) {
    order->window_seed = window_seed;
}

/* ---- drawing ------------------------------------------------------------------------------------------ */

static void draw_epoch(ra_order *order, uint64_t epoch) {
    ra_random random;
    order->epoch = epoch;
    order->turn = 0;
    order->short_at = order->blocks - 1;
    if (!order->block) return; /* one window needs no permutation of blocks */
    seed_random(order, epoch, 0, &random);
    order->turn = ra_random_below(&random, order->rows / order->unit) * order->unit;
    ra_random_permutation(&random, order->block, order->blocks);
    for (size_t b = 0; b < order->blocks; b++)
        if (order->block[b] == order->blocks - 1) order->short_at = b;
}

/* The position of the first row of a window: all blocks before it are full, except perhaps the short one. */
static size_t window_start(const ra_order *order, size_t window) {
    size_t before = window * order->window_blocks;
    if (before >= order->blocks) return order->rows;
    size_t lacking = order->short_at < before ? order->block_rows - block_rows(order, order->blocks - 1) : 0;
    return before * order->block_rows - lacking;
}

static uint64_t row_of(const ra_order *order, uint64_t block, size_t i) {
    uint64_t row = block * order->block_rows + i + order->turn;
    return row < order->rows ? row : row - order->rows;
}

static void draw_window(ra_order *order, size_t window) {
    ra_random random;
    size_t first = window * order->window_blocks, count = 0;
    size_t last = order->blocks - first < order->window_blocks ? order->blocks : first + order->window_blocks;
    seed_random(order, order->epoch, 1 + (uint64_t)window, &random);
    for (size_t b = first; b < last; b++) {
        uint64_t block = order->block ? order->block[b] : b;
        for (size_t i = 0; i < block_rows(order, block); i++, count++) {
            uint64_t row = row_of(order, block, i);
            size_t j = (size_t)ra_random_below(&random, count + 1); /* Fisher and Yates, inside out */
            order->row[count] = order->row[j];
            order->row[j] = row;
        }
    }
    order->window = window;
    order->window_start = window_start(order, window);
    order->window_rows = count;
}

/* The window with a position of the epoch that is drawn. The short block moves the windows after it by less than a block,
 * so it is this one or the next. */
static size_t window_at(const ra_order *order, size_t position) {
    size_t window = position / (order->window_blocks * order->block_rows);
    return position >= window_start(order, window + 1) ? window + 1 : window;
}

/* Draws the window with this position, unless it is the present one. */
static void draw(ra_order *order, uint64_t epoch, size_t position) {
    bool same_epoch = order->drawn && order->epoch == epoch;
    if (same_epoch && position >= order->window_start && position - order->window_start < order->window_rows)
        return;
    if (!same_epoch) draw_epoch(order, epoch);
    draw_window(order, window_at(order, position));
    order->drawn = true;
}

void ra_order_rows(ra_order *order, uint64_t epoch, size_t position, size_t n, uint64_t *row) {
    for (size_t i = 0; i < n; i++) {
        if (!order->shuffle) {
            row[i] = position + i;
            continue;
        }
        draw(order, epoch, position + i);
        row[i] = order->row[position + i - order->window_start];
    }
}

/* ---- windows ------------------------------------------------------------------------------------------ */

static void move_to_epoch(ra_order *order, uint64_t epoch) {
    if (order->drawn && order->epoch == epoch) return;
    draw_epoch(order, epoch);
    order->window_rows = 0; /* none is drawn */
    order->drawn = true;
}

size_t ra_order_windows(const ra_order *order) {
    return (order->blocks + order->window_blocks - 1) / order->window_blocks;
}

size_t ra_order_window_at(ra_order *order, uint64_t epoch, size_t position) {
    move_to_epoch(order, epoch);
    return window_at(order, position);
}

size_t ra_order_window_runs(ra_order *order, uint64_t epoch, size_t window, ra_row_run *run) {
    size_t first = window * order->window_blocks, count = 0;
    move_to_epoch(order, epoch);
    for (size_t b = first; b < first + order->window_blocks && b < order->blocks; b++) {
        uint64_t block = order->block ? order->block[b] : b, row = row_of(order, block, 0);
        size_t rows = block_rows(order, block), before_end = order->rows - (size_t)row;
        size_t part =
            rows < before_end ? rows : before_end; /* the turn may part a block: its rest is at the start */
        run[count++] = (ra_row_run){row, part};
        if (part < rows) run[count++] = (ra_row_run){0, rows - part};
    }
    return count;
}

size_t ra_order_ahead(const ra_order *order, size_t position, size_t n, uint64_t *row) {
    size_t count = 0, from = position + order->window_blocks * order->block_rows;
    if (!order->drawn || !order->block) return 0;
    for (size_t at = from; at < from + n && at / order->block_rows < order->blocks; at++) {
        uint64_t block = order->block[at / order->block_rows];
        size_t i = at % order->block_rows;
        if (i < block_rows(order, block)) row[count++] = row_of(order, block, i);
    }
    return count;
}
