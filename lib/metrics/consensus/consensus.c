/* The groups of a consensus and their means (ra_consensus.h). Ward's hierarchy joins for good; what it joined early may
 * be nearer to another group in the end. So its means are only a start: each atom moves to the group of the nearest mean,
 * which are then taken anew, until none moves. The last atom of a group stays, so no group becomes empty. */
#include "metrics/consensus/consensus.h"
#include "ra_memory.h"
#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 50, BLOCK = 2048 };

typedef struct pool_of_atoms {
    ra_backend *backend;
    size_t n, d, K;
    float *unit;     /* [n,d] the atoms that are no zeros, of unit length */
    float *work;     /* [n,d] for the hierarchy, then [BLOCK,K] products */
    double *length;  /* [n] */
    int32_t *run;    /* [n] */
    size_t *member;  /* [n] its number among all atoms */
    int32_t *group;  /* [n] */
    size_t *size;    /* [K] */
    double *sum;     /* [d] */
    ra_matrix *mean; /* [K,d] of unit length */
} pool_of_atoms;

/* ---- the pool ------------------------------------------------------------------------------------------ */

static ra_status check_runs(const ra_matrix *runs, size_t count, size_t *members, ra_error *err) {
    *members = 0;
    for (size_t r = 0; r < count; r++) {
        size_t numbers = runs[r].rows * runs[r].cols, bad = ra_find_not_finite(runs[r].data, numbers);
        if (runs[r].cols != runs[0].cols)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "run %zu has atoms of %zu dimensions, but the first run has atoms of %zu", r + 1,
                    runs[r].cols, runs[0].cols);
        if (bad < numbers)
            RA_FAIL(err, RA_ERR_NOT_FINITE,
                    "run %zu holds a NaN or an infinity in atom %zu, dimension %zu; expected finite numbers",
                    r + 1, bad / runs[r].cols, bad % runs[r].cols);
        *members += runs[r].rows;
    }
    return RA_OK;
}

static void fill_pool(pool_of_atoms *p, const ra_matrix *runs, size_t count) {
    size_t member = 0;
    for (size_t r = 0; r < count; r++)
        for (size_t k = 0; k < runs[r].rows; k++, member++) {
            const float *atom = ra_matrix_row(&runs[r], k);
            double length = sqrt(ra_dot_f64(atom, atom, p->d));
            if (!(length > 0)) continue;
            for (size_t j = 0; j < p->d; j++) p->unit[p->n * p->d + j] = (float)((double)atom[j] / length);
            p->length[p->n] = length;
            p->run[p->n] = (int32_t)r;
            p->member[p->n++] = member;
        }
}

/* ---- the groups ---------------------------------------------------------------------------------------- */

/* A group whose atoms cancel out keeps the mean that it had. */
static void take_means(pool_of_atoms *p) {
    ra_matrix *mean = p->mean;
    double *sums = p->sum; /* [K,d] */
    memset(sums, 0, p->K * p->d * sizeof *sums);
    memset(p->size, 0, p->K * sizeof *p->size);
    for (size_t i = 0; i < p->n; i++) {
        size_t g = (size_t)p->group[i];
        for (size_t j = 0; j < p->d; j++) sums[g * p->d + j] += (double)p->unit[i * p->d + j];
        p->size[g]++;
    }
    for (size_t g = 0; g < p->K; g++) {
        const double *sum = sums + g * p->d;
        double length = sqrt(ra_dot_doubles(sum, sum, p->d));
        float *row = ra_matrix_row(mean, g);
        for (size_t j = 0; j < p->d && length > 0; j++) row[j] = (float)(sum[j] / length);
    }
}

static bool move_block(pool_of_atoms *p, size_t first, size_t count) {
    bool moved = false;
    for (size_t i = 0; i < count; i++) {
        const float *score = p->work + i * p->K;
        size_t from = (size_t)p->group[first + i], best = from;
        for (size_t g = 0; g < p->K; g++)
            if (score[g] > score[best]) best = g;
        if (best == from || p->size[from] == 1) continue;
        p->size[from]--;
        p->size[best]++;
        p->group[first + i] = (int32_t)best;
        moved = true;
    }
    return moved;
}

static ra_status settle(pool_of_atoms *p, ra_error *err) {
    bool moved = true;
    take_means(p);
    for (size_t round = 0; round < ROUNDS && moved; round++) {
        moved = false;
        for (size_t first = 0; first < p->n; first += BLOCK) {
            size_t count = p->n - first < BLOCK ? p->n - first : BLOCK;
            RA_TRY(ra_products(p->backend, p->unit + first * p->d, count, p->mean->data, p->K, p->d, p->work,
                               err));
            moved |= move_block(p, first, count);
        }
        take_means(p);
    }
    return RA_OK;
}

static ra_status describe(const pool_of_atoms *p, ra_consensus *c, ra_error *err) {
    uint8_t *has = ra_calloc(p->K * c->runs, sizeof *has);
    if (!has) RA_FAIL_MEMORY(err, "the runs of the groups", p->K * c->runs);
    for (size_t i = 0; i < p->n; i++) {
        size_t g = (size_t)p->group[i], at = g * c->runs + (size_t)p->run[i];
        c->length[g] += (float)(p->length[i] / (double)p->size[g]);
        c->seen[g] += !has[at];
        has[at] = 1;
        c->group[p->member[i]] = p->group[i];
    }
    ra_free(has);
    return RA_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static ra_status reserve(pool_of_atoms *p, ra_consensus *c, ra_error *err) {
    size_t n = c->members, block = n < BLOCK ? n : BLOCK, work = n * p->d;
    if (block * p->K > work) work = block * p->K;
    p->unit = ra_malloc(n * p->d, sizeof *p->unit);
    p->work = ra_malloc(work, sizeof *p->work);
    p->length = ra_malloc(n, sizeof *p->length);
    p->run = ra_malloc(n, sizeof *p->run);
    p->member = ra_malloc(n, sizeof *p->member);
    p->group = ra_malloc(n, sizeof *p->group);
    p->size = ra_calloc(p->K, sizeof *p->size);
    p->sum = ra_malloc(p->K * p->d, sizeof *p->sum);
    c->length = ra_calloc(p->K, sizeof *c->length);
    c->seen = ra_calloc(p->K, sizeof *c->seen);
    c->group = ra_malloc(n, sizeof *c->group);
    if (!p->unit || !p->work || !p->length || !p->run || !p->member || !p->group || !p->size || !p->sum ||
        !c->length || !c->seen || !c->group)
        RA_FAIL_MEMORY(err, "a consensus", (n * p->d + work) * sizeof(float));
    for (size_t i = 0; i < n; i++) c->group[i] = -1;
    return ra_matrix_init(&c->atoms, p->K, p->d, err);
}

static ra_status find(pool_of_atoms *p, const ra_matrix *runs, ra_consensus *c, ra_error *err) {
    RA_TRY(reserve(p, c, err));
    fill_pool(p, runs, c->runs);
    if (p->n < p->K)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the runs have %zu atoms that are no zeros; expected at least %zu",
                p->n, p->K);
    memcpy(p->work, p->unit, p->n * p->d * sizeof *p->work);
    RA_TRY(ra_ward(ra_backend_pool(p->backend), p->work, p->n, p->d, p->K, p->group, err));
    RA_TRY(settle(p, err));
    return describe(p, c, err);
}

ra_status ra_consensus_find(ra_backend *backend, const ra_matrix *runs, size_t count, size_t K,
                            ra_consensus *consensus, ra_error *err) {
    *consensus = (ra_consensus){.runs = count};
    RA_TRY(ra_need_host_backend(backend, "a consensus", err));
    if (count == 0 || K == 0 || runs[0].cols == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a consensus of %zu runs in %zu atoms is nothing", count, K);
    RA_TRY(check_runs(runs, count, &consensus->members, err));
    pool_of_atoms p = {.backend = backend, .d = runs[0].cols, .K = K, .mean = &consensus->atoms};
    ra_status status = find(&p, runs, consensus, err);
    void *const blocks[] = {p.unit, p.work, p.length, p.run, p.member, p.group, p.size, p.sum};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ra_free(blocks[i]);
    if (status != RA_OK) ra_consensus_release(consensus);
    return status;
}

/* ---- fewer of them ------------------------------------------------------------------------------------- */

typedef struct ranked_group {
    float share, cosine;
    int32_t group;
} ranked_group;

static int by_agreement(const void *a, const void *b) {
    const ranked_group *x = a, *y = b;
    if (x->share != y->share) return x->share > y->share ? -1 : 1;
    if (x->cosine != y->cosine) return x->cosine > y->cosine ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

/* to [K] <- the new number of each group, -1 for one that is dropped. */
static ra_status choose_groups(const ra_agreement *agreement, size_t count, int32_t *to, ra_error *err) {
    size_t K = agreement->atoms;
    ranked_group *ranked = ra_malloc(K, sizeof *ranked);
    if (!ranked) RA_FAIL_MEMORY(err, "an order of the groups", K * sizeof *ranked);
    for (size_t g = 0; g < K; g++) {
        ranked[g] = (ranked_group){agreement->share[g], agreement->cosine[g], (int32_t)g};
        to[g] = -1;
    }
    qsort(ranked, K, sizeof *ranked, by_agreement);
    for (size_t i = 0; i < count; i++) to[ranked[i].group] = 0;
    int32_t next = 0;
    for (size_t g = 0; g < K; g++)
        if (to[g] == 0) to[g] = next++;
    ra_free(ranked);
    return RA_OK;
}

ra_status ra_consensus_keep(ra_consensus *c, ra_agreement *agreement, size_t count, ra_error *err) {
    size_t K = c->atoms.rows;
    if (count == 0 || count > K || agreement->atoms != K)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu atoms cannot be kept of a consensus of %zu", count, K);
    int32_t *to = ra_malloc(K, sizeof *to);
    if (!to) RA_FAIL_MEMORY(err, "numbers of the groups", K * sizeof *to);
    ra_status status = choose_groups(agreement, count, to, err);
    for (size_t g = 0; status == RA_OK && g < K; g++) {
        if (to[g] < 0) continue;
        size_t at = (size_t)to[g]; /* never behind g */
        memmove(ra_matrix_row(&c->atoms, at), ra_matrix_row(&c->atoms, g), c->atoms.cols * sizeof(float));
        c->length[at] = c->length[g];
        c->seen[at] = c->seen[g];
        agreement->share[at] = agreement->share[g];
        agreement->cosine[at] = agreement->cosine[g];
    }
    for (size_t i = 0; status == RA_OK && i < c->members; i++)
        if (c->group[i] >= 0) c->group[i] = to[c->group[i]];
    if (status == RA_OK) agreement->atoms = c->atoms.rows = count;
    ra_free(to);
    return status;
}

void ra_consensus_release(ra_consensus *consensus) {
    ra_matrix_release(&consensus->atoms);
    ra_free(consensus->length);
    ra_free(consensus->seen);
    ra_free(consensus->group);
    *consensus = (ra_consensus){0};
}
