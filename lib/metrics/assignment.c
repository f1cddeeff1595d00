/* The linear assignment problem: rows to columns, one to one, with the least total cost.
 *
 * Each column has a price v[j]. For row i the best column is the one with the least cost[i][j] - v[j]; prices
 * at which all rows can have their best column, each another one, prove that the assignment is optimal. After
 * Jonker and Volgenant (1987), cheap steps come first and settle most rows:
 *
 *   column reduction     the price of each column is its least cost; its row takes it, if it has none yet
 *   reduction transfer   a row that has its best column lowers the price by how much it prefers that column
 *   row reduction        (twice) a row without a column takes its best one and lowers its price until the second
 *                        best is equally good; the row that had it looks for another
 *   augmentation         for each row that is left: the shortest path over reduced costs to a free column
 *                        (Dijkstra); every row on the path moves to the next column
 *
 * Augmentation is the O(n^3) part. Its inner loop runs over all columns in the order of memory, without
 * lists, so that it takes a few vector instructions per LANES columns: a reached column has -infinity in
 * `distance` and is never improved. Costs are float32, prices and sums float64. Prices only fall; with
 * rounding, this is what keeps the row reduction from running in circles: a step that cannot lower the price
 * leaves its row for augmentation. */
#include "metrics/assignment.h"
#include "ra_memory.h"
#include "base/multiversion.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, NONE = -1 };

typedef struct assignment {
    const float *cost; /* [n,n] */
    size_t n;
    double *price;      /* [n] v */
    int32_t *column_of; /* [n] the column of each row; the caller's match */
    int32_t *row_of;    /* [n] the row of each column; NONE: it is free */
    int32_t *waiting;   /* [n] rows without a column */
    size_t waiting_count;
    /* of one augmentation */
    double *distance; /* [n] of each column; -INFINITY: it is reached */
    double *settled;  /* [n] the distance at which it was reached */
    int32_t *from;    /* [n] the row before it on the shortest path */
    int32_t *reached; /* [n] columns in the order in which they were reached */
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

/* Lowers the price of row i's column by the margin to its second best. */
static void transfer(assignment *a, int32_t i) {
    size_t own = (size_t)a->column_of[i];
    double margin = INFINITY;
    for (size_t j = 0; j < a->n; j++)
        if (j != own) margin = fmin(margin, reduced(a, i, j));
    margin -= reduced(a, i, own);
    if (isfinite(margin) && margin > 0) a->price[own] -= margin;
}

static void reduce_columns(assignment *a) {
    int32_t *cheapest = a->from; /* scratch memory here */
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
            contested[i] = true; /* it has the least cost in several columns: no margin to transfer */
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

/* The least reduced cost of n columns. */
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

/* The two columns of least reduced cost, n >= 2. Most chunks of columns need no closer look. */
static choice choose(const assignment *a, int32_t i) {
    enum { CHUNK = 256 };
    choice c = {0, 0, INFINITY, INFINITY};
    for (size_t from = 0; from < a->n; from += CHUNK) {
        size_t count = a->n - from < CHUNK ? a->n - from : CHUNK;
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

/* Row i takes a column; returns the row that had it, or NONE; *fell <- whether its price fell. */
static int32_t bid(assignment *a, int32_t i, bool *fell) {
    choice c = choose(a, i);
    double price = a->price[c.best] - (c.second_cost - c.best_cost);
    size_t j = c.best;
    *fell = price < a->price[j];
    if (*fell)
        a->price[j] = price;
    else if (a->row_of[j] != NONE)
        j = c.second; /* equally good, and perhaps free */
    int32_t evicted = a->row_of[j];
    if (evicted != NONE) a->column_of[evicted] = NONE;
    give(a, i, j);
    return evicted;
}

static void reduce_rows(assignment *a) {
    size_t count = a->waiting_count, left = 0;
    /* chains of evictions are short in practice; if not, augmentation is the better method */
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

/* distance[j] <- the smaller of itself and the path by way of row i, base + cost[j] - price[j]. Returns the
 * least distance of a column that is not reached. */
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

/* A column at this distance; a free one, at which the path ends, if there is one. */
static size_t nearest_column(const assignment *a, double least) {
    size_t nearest = a->n;
    for (size_t j = 0; j < a->n; j++) {
        if (j % LANES == 0) /* skip columns without it */
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
    for (;;) { /* row i was reached at `least`, by way of its column */
        /* i's own column costs it nothing; the base is the distance from which its other columns are
         * reached */
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
    for (size_t j = end;;) { /* back along the path: each row takes the column that it led to */
        i = a->from[j];
        int32_t had = a->column_of[i];
        give(a, i, j);
        if (i == start) return;
        j = (size_t)had;
    }
}

/* ---- the assignment ------------------------------------------------------------------------------------ */

static ra_status check(const float *cost, size_t n, ra_error *err) {
    if (n > INT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "an assignment of %zu rows is too large; expected at most %d", n,
                INT32_MAX);
    size_t bad = ra_find_not_finite(cost, n * n);
    if (bad < n * n)
        RA_FAIL(err, RA_ERR_NOT_FINITE, "the cost of row %zu with column %zu is %g; expected finite costs",
                bad / n, bad % n, (double)cost[bad]);
    return RA_OK;
}

static bool solve(assignment *a, ra_assignment_progress *progress, void *context) {
    reduce_columns(a);
    for (int pass = 0; pass < 2 && a->n > 1; pass++) reduce_rows(a);
    for (size_t w = 0; w < a->waiting_count; w++) {
        if (progress && !progress(context, a->n - a->waiting_count + w)) return false;
        augment(a, a->waiting[w]);
    }
    return !progress || progress(context, a->n);
}

ra_status ra_assignment(const float *cost, size_t n, int32_t *match, double *total, ra_error *err) {
    return ra_assignment_watched(cost, n, match, total, NULL, NULL, err);
}

ra_status ra_assignment_watched(const float *cost, size_t n, int32_t *match, double *total,
                                ra_assignment_progress *progress, void *context, ra_error *err) {
    RA_TRY(check(cost, n, err));
    assignment a = {.cost = cost, .n = n, .column_of = match};
    size_t bytes = n * (3 * sizeof(double) + 4 * sizeof(int32_t));
    char *memory = ra_malloc(bytes, 1);
    if (!memory) RA_FAIL_MEMORY(err, "an assignment", bytes);
    a.price = (double *)(void *)memory;
    a.distance = a.price + n;
    a.settled = a.distance + n;
    a.row_of = (int32_t *)(void *)(a.settled + n);
    a.waiting = a.row_of + n;
    a.from = a.waiting + n;
    a.reached = a.from + n;
    bool complete = solve(&a, progress, context);
    *total = 0;
    for (size_t i = 0; i < n && complete; i++) *total += (double)cost[i * n + (size_t)match[i]];
    ra_free(memory);
    if (complete) return RA_OK;
    RA_FAIL(err, RA_ERR_CANCELED, "the assignment of %zu rows was canceled", n);
}
