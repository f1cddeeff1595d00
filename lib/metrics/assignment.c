/* The linear assignment problem: rows to columns, one to one, at least total cost.
 *
 * A price v[j] on each column makes an assignment best for a row when it has the least cost[i][j] - v[j]
 * there; prices at which all rows can have a best column of their own prove that the assignment is optimal.
 * After Jonker and Volgenant (1987), cheap steps come first and settle most rows:
 *
 *   column reduction   each column's price is its least cost; its row takes it, if it has none yet
 *   reduction transfer a row that is happy with its column lowers the price by how much it prefers it
 *   row reduction      (twice) a row without column takes its best one, lowers its price to where its second
 * best is as good, and the row that had it looks for another augmentation       for each row that is left,
 * the shortest path over reduced costs to a free column (Dijkstra): every row on the way moves on to the next
 * column
 *
 * Augmentation is the O(n^3) part. Its inner loop goes over all columns in memory order, without lists of
 * columns, so that it is a few vector instructions a column: reached columns carry -infinity in `distance`
 * and are thus never improved. Costs are float32, prices and sums float64. Prices fall only, which with
 * rounding is what keeps the row reduction from going in circles: a step that cannot lower the price puts its
 * row off. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "base/multiversion.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, NONE = -1 };

typedef struct assignment {
    const float *cost; /* [n,n] */
    size_t n;
    double *price;      /* [n] v */
    int32_t *column_of; /* [n] of each row; the caller's match */
    int32_t *row_of;    /* [n] of each column; NONE when it is free */
    int32_t *waiting;   /* [n] rows without a column */
    size_t waiting_count;
    /* of one augmentation */
    double *distance; /* [n] of each column; -INFINITY once it is reached */
    double *settled;  /* [n] the distance it was reached at */
    int32_t *from;    /* [n] row before it on the shortest path */
    int32_t *reached; /* [n] columns in the order they were reached */
} assignment;

static const float *row_cost(const assignment *a, int32_t i) {
    return a->cost + (size_t)i * a->n;
}

static double reduced(const assignment *a, int32_t i, size_t j) {
    return (double)row_cost(a, i)[j] - a->price[j];
}

static void give(assignment *a, int32_t i, size_t j) {
    a->column_of[i] = (int32_t)j;
    a->row_of[j] = i;
}

/* ---- column reduction and reduction transfer ---------------------------------------------------------- */

/* The least cost of each column so far, and its row. */
RA_MULTIVERSION static void lower(const float *restrict cost, double *restrict least, int32_t *restrict row,
                                  int32_t i, size_t n) {
    for (size_t j = 0; j < n; j++) {
        double c = (double)cost[j];
        row[j] = c < least[j] ? i : row[j];
        least[j] = c < least[j] ? c : least[j];
    }
}

/* Lowers the price of row i's column by the margin to its second choice. */
static void transfer(assignment *a, int32_t i) {
    size_t own = (size_t)a->column_of[i];
    double margin = INFINITY;
    for (size_t j = 0; j < a->n; j++)
        if (j != own) margin = fmin(margin, reduced(a, i, j));
    margin -= reduced(a, i, own);
    if (isfinite(margin) && margin > 0) a->price[own] -= margin;
}

static void reduce_columns(assignment *a) {
    int32_t *cheapest = a->from; /* not yet needed for its own purpose */
    bool *contested = (bool *)(void *)a->distance;
    for (size_t j = 0; j < a->n; j++) {
        a->price[j] = INFINITY;
        a->row_of[j] = a->column_of[j] = NONE;
        contested[j] = false;
    }
    for (size_t i = 0; i < a->n; i++) lower(row_cost(a, (int32_t)i), a->price, cheapest, (int32_t)i, a->n);
    for (size_t j = a->n; j-- > 0;) {
        int32_t i = cheapest[j];
        if (a->column_of[i] == NONE)
            give(a, i, j);
        else
            contested[i] = true; /* it is the cheapest of several columns: no margin to hand on */
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->column_of[i] == NONE)
            a->waiting[a->waiting_count++] = (int32_t)i;
        else if (!contested[i])
            transfer(a, (int32_t)i);
    }
}

/* ---- row reduction ------------------------------------------------------------------------------------ */

typedef struct choice {
    size_t best, second;
    double best_cost, second_cost;
} choice;

/* The least reduced costs of blocks of LANES columns, so that only a few blocks need to be looked into. */
RA_MULTIVERSION static double least_reduced(const float *restrict cost, const double *restrict price,
                                            size_t n) {
    double lane[LANES], least = INFINITY;
    for (size_t l = 0; l < LANES; l++) lane[l] = INFINITY;
    size_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double value = (double)cost[j + l] - price[j + l];
            lane[l] = value < lane[l] ? value : lane[l];
        }
    for (; j < n; j++) least = fmin(least, (double)cost[j] - price[j]);
    for (size_t l = 0; l < LANES; l++) least = fmin(least, lane[l]);
    return least;
}

/* The two columns of least reduced cost, n >= 2. */
static choice choose(const assignment *a, int32_t i) {
    enum { BLOCK = 256 };
    choice c = {0, 0, INFINITY, INFINITY};
    for (size_t from = 0; from < a->n; from += BLOCK) {
        size_t count = a->n - from < BLOCK ? a->n - from : BLOCK;
        if (!(least_reduced(row_cost(a, i) + from, a->price + from, count) < c.second_cost)) continue;
        for (size_t j = from; j < from + count; j++) {
            double value = reduced(a, i, j);
            if (value < c.best_cost) {
                c.second = c.best;
                c.second_cost = c.best_cost;
                c.best = j;
                c.best_cost = value;
            } else if (value < c.second_cost) {
                c.second = j;
                c.second_cost = value;
            }
        }
    }
    return c;
}

/* Row i takes a column; returns the row that had it (or NONE), and whether the price fell for it. */
static int32_t bid(assignment *a, int32_t i, bool *fell) {
    choice c = choose(a, i);
    double price = a->price[c.best] - (c.second_cost - c.best_cost);
    size_t j = c.best;
    *fell = price < a->price[j];
    if (*fell)
        a->price[j] = price;
    else if (a->row_of[j] != NONE)
        j = c.second; /* as good, and perhaps free */
    int32_t evicted = a->row_of[j];
    if (evicted != NONE) a->column_of[evicted] = NONE;
    give(a, i, j);
    return evicted;
}

static void reduce_rows(assignment *a) {
    size_t count = a->waiting_count, left = 0;
    /* Chains of evictions end in practice soon; should they not, augmentation is the better method. */
    size_t budget = 8 * a->n;
    for (size_t w = 0; w < count; w++) {
        int32_t i = a->waiting[w];
        while (i != NONE && budget > 0) {
            bool fell;
            budget--;
            i = bid(a, i, &fell);
            if (!fell) break;
        }
        if (i != NONE) a->waiting[left++] = i;
    }
    a->waiting_count = left;
}

/* ---- augmentation ------------------------------------------------------------------------------------- */

/* distance[j] <- the shorter of itself and the way over row i, which is `base` + cost[j] - price[j]. Returns
 * the least distance of a column that is not reached. */
RA_MULTIVERSION static double relax(const float *restrict cost, const double *restrict price, double base,
                                    int32_t i, double *restrict distance, int32_t *restrict from, size_t n) {
    double lane[LANES], least = INFINITY;
    for (size_t l = 0; l < LANES; l++) lane[l] = INFINITY;
    size_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double way = base + ((double)cost[j + l] - price[j + l]), known = distance[j + l];
            from[j + l] = way < known ? i : from[j + l];
            known = way < known ? way : known;
            distance[j + l] = known;
            double open = known == -INFINITY ? INFINITY : known;
            lane[l] = open < lane[l] ? open : lane[l];
        }
    for (; j < n; j++) {
        double way = base + ((double)cost[j] - price[j]);
        if (way < distance[j]) {
            distance[j] = way;
            from[j] = i;
        }
        if (distance[j] != -INFINITY) least = fmin(least, distance[j]);
    }
    for (size_t l = 0; l < LANES; l++) least = fmin(least, lane[l]);
    return least;
}

RA_MULTIVERSION static bool any_equal(const double *restrict x, double value) {
    uint32_t found = 0;
    for (size_t i = 0; i < LANES; i++) found |= x[i] == value;
    return found;
}

/* A column at this distance, a free one if there is one: the path ends there. */
static size_t nearest_column(const assignment *a, double least) {
    size_t nearest = a->n;
    for (size_t j = 0; j < a->n; j++) {
        if (j % LANES == 0) /* pass over blocks without it */
            while (j + LANES <= a->n && !any_equal(a->distance + j, least)) j += LANES;
        if (j >= a->n) break;
        if (a->distance[j] != least) continue;
        if (a->row_of[j] == NONE) return j;
        if (nearest == a->n) nearest = j;
    }
    return nearest;
}

static void augment(assignment *a, int32_t start) {
    size_t count = 0, end;
    int32_t i = start;
    double least = 0;
    for (size_t j = 0; j < a->n; j++) a->distance[j] = INFINITY;
    for (;;) { /* row i was reached at `least`, over the column it has */
        /* i's own column costs it nothing, so the base is what leads to its other columns */
        double base = i == start ? 0 : least - reduced(a, i, (size_t)a->column_of[i]);
        least = relax(row_cost(a, i), a->price, base, i, a->distance, a->from, a->n);
        end = nearest_column(a, least);
        a->settled[end] = least;
        if (a->row_of[end] == NONE) break;
        a->distance[end] = -INFINITY;
        a->reached[count++] = (int32_t)end;
        i = a->row_of[end];
    }
    for (size_t r = 0; r < count; r++) {
        size_t j = (size_t)a->reached[r];
        a->price[j] += a->settled[j] - least;
    }
    for (size_t j = end;;) { /* back along the path, each row takes the column it led to */
        i = a->from[j];
        int32_t had = a->column_of[i];
        give(a, i, j);
        if (i == start) return;
        j = (size_t)had;
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static ra_status check(const float *cost, size_t n, ra_error *err) {
    if (n > INT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "an assignment of %zu rows is too large; at most %d are possible", n,
                INT32_MAX);
    size_t bad = ra_find_not_finite(cost, n * n);
    if (bad < n * n)
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "the cost of row %zu with column %zu is %g; an assignment needs finite costs", bad / n,
                bad % n, (double)cost[bad]);
    return RA_OK;
}

static void solve(assignment *a) {
    reduce_columns(a);
    for (int pass = 0; pass < 2 && a->n > 1; pass++) reduce_rows(a);
    for (size_t w = 0; w < a->waiting_count; w++) augment(a, a->waiting[w]);
}

ra_status ra_assignment(const float *cost, size_t n, int32_t *match, double *total, ra_error *err) {
    RA_TRY(check(cost, n, err));
    assignment a = {.cost = cost, .n = n, .column_of = match};
    size_t bytes = n * (3 * sizeof(double) + 4 * sizeof(int32_t));
    char *block = ra_malloc(bytes, 1);
    if (!block) RA_FAIL_MEMORY(err, "an assignment", bytes);
    a.price = (double *)(void *)block;
    a.distance = a.price + n;
    a.settled = a.distance + n;
    a.row_of = (int32_t *)(void *)(a.settled + n);
    a.waiting = a.row_of + n;
    a.from = a.waiting + n;
    a.reached = a.from + n;
    solve(&a);
    *total = 0;
    for (size_t i = 0; i < n; i++) *total += (double)cost[i * n + (size_t)match[i]];
    ra_free(block);
    return RA_OK;
}
