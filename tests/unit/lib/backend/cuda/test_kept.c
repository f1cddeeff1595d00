/* Codes that a device keeps (lib/backend/cuda/{kept,codes,selections}.c, transpose.cu): every operation on them gives what
 * the reference gives for codes of the host, and the host learns how many there are and which latents are active. On the
 * CPU, where nothing is kept, the same calls do the same. */
#include "backend_pair.h"
#include "harness.h"

#include <math.h>
#include <string.h>

typedef struct kept_case {
    size_t rows, K, d;
} kept_case;

/* The last ones have latents with several parts of entries, and rows of several blocks. */
static const kept_case cases[] = {{1, 1, 1}, {3, 5, 4}, {33, 40, 3}, {65, 300, 8}, {270, 9, 12}, {515, 3, 5}};
enum { SHAPES = sizeof cases / sizeof *cases };

typedef struct scene {
    pair p;
    size_t rows, K, d;
    float *scores, *D, *g, *dense, *value, *out;
    float *on_scores, *on_D, *on_g, *on_dense, *on_value, *on_out;
    ra_codes a, b; /* the reference's and the tested's */
} scene;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static scene open_scene(int i) {
    const kept_case *c = &cases[i % SHAPES];
    scene s = {.p = pair_open(i / SHAPES), .rows = c->rows, .K = c->K, .d = c->d};
    size_t most = larger(c->rows * c->K, larger(c->K, c->rows) * c->d);
    float **const host[] = {&s.scores, &s.D, &s.g, &s.dense, &s.value, &s.out},
                  **const device[] = {&s.on_scores, &s.on_D, &s.on_g, &s.on_dense, &s.on_value, &s.on_out};
    for (size_t j = 0; j < 6; j++) {
        *host[j] = numbers(most, j + 1);
        *device[j] = pair_put(&s.p, *host[j], most * sizeof(float));
    }
    ra_ok(ra_backend_codes_keep(s.p.tested, &s.b, &err));
    ck_assert((s.b.device != NULL) == !ra_backend_host_memory(s.p.tested));
    return s;
}

static void close_scene(scene *s) {
    ra_codes_release(&s->a);
    ra_codes_release(&s->b);
    pair_drop(&s->p, BLOCKS(s->on_scores, s->on_D, s->on_g, s->on_dense, s->on_value, s->on_out));
    forget(BLOCKS(s->scores, s->D, s->g, s->dense, s->value, s->out));
    pair_close(&s->p);
}

/* `own`: the codes' own values, wherever they are. */
static void check_sums(scene *s, const ra_codes *a, const ra_codes *b, size_t K, bool own) {
    size_t bytes = K * s->d * sizeof(float);
    PAIR_RUN(s->p, accumulate, (a, own ? a->value : s->value, s->g, s->d, s->D),
             (b, own ? b->value : s->on_value, s->on_g, s->d, s->on_D));
    pair_get(&s->p, s->out, s->on_D, bytes);
    assert_close(s->out, s->D, K * s->d, 1e-5);
    PAIR_RUN(s->p, latent_sums, (a, own ? a->value : s->value, s->D),
             (b, own ? b->value : s->on_value, s->on_D));
    pair_get(&s->p, s->out, s->on_D, K * sizeof(float));
    assert_close(s->out, s->D, K, 1e-4);
    test_fill(s->D, K * s->d, 2);
    pair_set(&s->p, s->on_D, s->D, bytes);
}

static void check_operations(scene *s, const ra_codes *a, const ra_codes *b, size_t K) {
    size_t entries = ra_codes_entries(a);
    double sum[2];
    PAIR_RUN(s->p, decode, (a, RA_F32, s->D, s->d, s->dense), (b, RA_F32, s->on_D, s->d, s->on_dense));
    pair_get(&s->p, s->out, s->on_dense, s->rows * s->d * sizeof(float));
    assert_close(s->out, s->dense, s->rows * s->d, 1e-5);
    PAIR_RUN(s->p, decode_gradient, (a, s->g, s->D, s->d, s->value),
             (b, s->on_g, s->on_D, s->d, s->on_value));
    pair_get(&s->p, s->out, s->on_value, entries * sizeof(float));
    assert_close(s->out, s->value, entries, 2e-5);
    check_sums(s, a, b, K, true);
    check_sums(s, a, b, K, false);
    PAIR_RUN(s->p, magnitudes, (a, 0.25f, s->value, &sum[0]), (b, 0.25f, s->on_value, &sum[1]));
    ck_assert_double_eq_tol(sum[0], sum[1], 1e-9 * (1 + sum[0]));
    pair_get(&s->p, s->out, s->on_value, entries * sizeof(float));
    assert_close(s->out, s->value, entries, 0);
}

/* Active latents alone, numbered anew, or all of them, as where other members of a group have more of them. */
static void check_packed(scene *s, bool all) {
    int32_t *position = ra_malloc(s->K, sizeof *position);
    size_t active = 0, entries = ra_codes_entries(&s->a);
    for (size_t k = 0; k < s->K; k++) position[k] = all || s->b.device->active[k] ? (int32_t)active++ : -1;
    ra_codes packed = s->a, on_device = {0};
    packed.latents = active;
    packed.index = ra_malloc(entries, sizeof *packed.index);
    for (size_t e = 0; e < entries; e++) packed.index[e] = position[s->a.index[e]];
    ra_ok(ra_backend_codes_keep(s->p.tested, &on_device, &err));
    ra_ok(ra_backend_codes_pack(s->p.tested, &s->b, position, active, &on_device, &err));
    memset(position, 0xff, s->K * sizeof *position); /* it has been read */
    ck_assert_uint_eq(on_device.latents, active);
    ck_assert_uint_eq(ra_codes_entries(&on_device), entries);
    if (active) check_operations(s, &packed, &on_device, active);
    ra_codes_release(&on_device);
    ra_free(packed.index);
    ra_free(position);
}

static void check(scene *s) {
    size_t entries = ra_codes_entries(&s->a), size = s->rows * s->K * sizeof(float);
    ck_assert_uint_eq(s->b.rows, s->rows);
    ck_assert_uint_eq(s->b.latents, s->K);
    ck_assert_uint_eq(ra_codes_entries(&s->b), entries);
    if (s->b.device) {
        uint8_t *active = ra_calloc(s->K, 1);
        for (size_t e = 0; e < entries; e++) active[s->a.index[e]] = 1;
        ck_assert_mem_eq(s->b.device->active, active, s->K);
        ra_free(active);
    }
    check_operations(s, &s->a, &s->b, s->K);
    test_fill(s->dense, s->rows * s->K, 4);
    pair_set(&s->p, s->on_dense, s->dense, size);
    PAIR_RUN(s->p, scatter_entries, (&s->a, -1, s->a.value, s->dense), (&s->b, -1, s->b.value, s->on_dense));
    pair_get(&s->p, s->out, s->on_dense, size);
    assert_close(s->out, s->dense, s->rows * s->K, 1e-6);
    PAIR_RUN(s->p, gather_entries, (&s->a, s->dense, 0, s->value), (&s->b, s->on_dense, 0, s->on_value));
    pair_get(&s->p, s->out, s->on_value, entries * sizeof(float));
    assert_close(s->out, s->value, entries, 0);
    for (int all = 0; all < 2 && s->b.device; all++) check_packed(s, all != 0);
    ra_ok(ra_backend_codes_view(s->p.tested, &s->b, &err));
    ck_assert_mem_eq(s->b.start, s->a.start, (s->rows + 1) * sizeof *s->a.start);
    if (entries == 0) return;
    ck_assert_mem_eq(s->b.index, s->a.index, entries * sizeof *s->a.index);
    ck_assert_mem_eq(s->b.value, s->a.value, entries * sizeof *s->a.value);
}

START_TEST(test_selections_that_stay) {
    scene s = open_scene(_i);
    static const float above[] = {-INFINITY, 0, 0.3f, 3};
    for (size_t i = 0; i<8; i += s.rows> 100 ? 3 : 1) {
        size_t k = i % 4 == 0 ? s.K : i % 4 == 1 ? (s.K + 2) / 3 : 1;
        PAIR_RUN(s.p, top_k, (s.scores, s.rows, s.K, k, above[i / 2], &s.a),
                 (s.on_scores, s.rows, s.K, k, above[i / 2], &s.b));
        check(&s);
    }
    /* few, then more than there is memory for, then fewer */
    static const float thresholds[] = {2, 0.45f, 0, 0.2f, 0.49f};
    for (size_t i = 0; i < (s.rows > 100 ? 3 : 5); i++) {
        PAIR_RUN(s.p, threshold, (s.scores, s.rows, s.K, NULL, thresholds[i], &s.a),
                 (s.on_scores, s.rows, s.K, NULL, thresholds[i], &s.b));
        check(&s);
    }
    PAIR_RUN(s.p, threshold, (s.scores, s.rows, s.K, s.D, 0, &s.a),
             (s.on_scores, s.rows, s.K, s.on_D, 0, &s.b));
    check(&s);
    close_scene(&s);
}
END_TEST

/* A member of a group may have no rows. */
START_TEST(test_no_rows_that_stay) {
    scene s = open_scene(_i * SHAPES + 2);
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            ra_ok(ra_backend_threshold(s.p.tested, s.on_scores, 0, s.K, NULL, 0, &s.b, &err));
        else
            ra_ok(ra_backend_top_k(s.p.tested, s.on_scores, 0, s.K, 2, 0, &s.b, &err));
        ck_assert_uint_eq(s.b.rows, 0);
        ck_assert_uint_eq(ra_codes_entries(&s.b), 0);
        for (size_t k = 0; s.b.device && k < s.K; k++) ck_assert_int_eq(s.b.device->active[k], 0);
        ra_ok(ra_backend_decode(s.p.tested, &s.b, RA_F32, s.on_D, s.d, s.on_dense, &err));
        ra_ok(ra_backend_accumulate(s.p.tested, &s.b, s.b.value, s.on_g, s.d, s.on_D, &err));
    }
    close_scene(&s);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_kept, 60, SHAPES *TESTED_DEVICES, test_selections_that_stay)
TEST_CASES_LOOP(backend_cuda_kept_none, 60, TESTED_DEVICES, test_no_rows_that_stay)
