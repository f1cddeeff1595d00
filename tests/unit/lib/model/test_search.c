/* Search against a plain loop in double precision (lib/model/{search,search_score}.c): the same atoms in the
 * same order with the same scores. */
#include "devices.h"
#include "model_files.h"

#include "base/pool.h"
#include "ra_memory.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct expectation {
    float score;
    size_t id;
} expectation;

static int best_first(const void *a, const void *b) {
    const expectation *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* all [K] <- every atom with its score, the best first. */
static void expect(const ra_model *model, const float *query, ra_similarity metric, size_t except,
                   expectation *all) {
    size_t K = ra_model_get_info(model)->concepts, d = ra_model_get_info(model)->dimensions, n = 0;
    float *atom = ra_calloc(d, sizeof *atom);
    for (size_t k = 0; k < K; k++) {
        double dot = 0, norm = 0, length = 0;
        ra_ok(ra_model_atom(model, k, atom, &err));
        for (size_t i = 0; i < d; i++) {
            dot += (double)atom[i] * query[i];
            norm += (double)atom[i] * atom[i];
            length += (double)query[i] * query[i];
        }
        double scale = metric == RA_SIMILARITY_DOT ? 1 : sqrt(norm) * sqrt(length);
        if (k != except) all[n++] = (expectation){scale > 0 ? (float)(dot / scale) : 0, k};
    }
    qsort(all, n, sizeof *all, best_first);
    ra_free(atom);
}

static void check_found(const expectation *expected, const size_t *ids, const float *scores, size_t k) {
    for (size_t i = 0; i < k; i++) {
        ck_assert_msg(ids[i] == expected[i].id, "place %zu: atom %zu, expected %zu", i, ids[i],
                      expected[i].id);
        ck_assert_float_eq_tol(scores[i], expected[i].score,
                               2 * FLT_EPSILON * fmaxf(1, fabsf(expected[i].score)));
    }
}

enum { QUERIES = 5 };

static const struct {
    size_t K, d;
    ra_dtype dtype;
} shapes[] = {{1, 1, RA_F32},      {7, 3, RA_F32},    {100, 16, RA_F16}, {300, 33, RA_F32},
              {1500, 70, RA_BF16}, {2000, 8, RA_F32}, {40, 900, RA_F16}, {64, 64, RA_F32}};

/* A dictionary that is hard to sort: equal atoms, zero atoms, atoms that differ in the last bit. */
static ra_model *make_model(size_t K, size_t d, ra_dtype dtype) {
    float *D = ra_calloc(K * d, sizeof *D);
    test_fill(D, K * d, K * d);
    for (size_t k = 0; k < K; k++) {
        if (k % 7 == 3) memset(D + k * d, 0, d * sizeof *D);
        if (k % 5 == 4) memcpy(D + k * d, D + (k / 2) * d, d * sizeof *D);
        if (k % 10 == 4) D[k * d] = nextafterf(D[k * d], 2);
    }
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, K, d, D);
    if (dtype != RA_F32) model_file_convert(&file, "dictionary", dtype);
    ra_model *model = model_open(model_file_write(&file, "search.safetensors"));
    model_file_release(&file);
    ra_free(D);
    return model;
}

START_TEST(test_search_equals_the_plain_loop) {
    const size_t shape = (size_t)_i / MODEL_DEVICES, K = shapes[shape].K, d = shapes[shape].d;
    (void)model_on_device(_i);
    ra_model *model = make_model(K, d, shapes[shape].dtype);
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    float *queries = ra_calloc(QUERIES * d, sizeof *queries),
          *scores = ra_calloc(QUERIES * K, sizeof *scores);
    size_t *ids = ra_calloc(QUERIES * K, sizeof *ids);
    expectation *expected = ra_calloc(K, sizeof *expected);
    test_fill(queries, QUERIES * d, 99);
    ra_ok(ra_model_atom(model, K / 2, queries, &err));           /* an atom itself */
    for (size_t i = 0; i < d; i++) queries[1 * d + i] *= 1e-20f; /* a very small query */
    for (size_t i = 0; i < d; i++) queries[2 * d + i] *= 1e20f;  /* a very large one */
    memset(queries + 3 * d, 0, d * sizeof *queries);             /* nothing */
    const size_t counts[] = {1, K < 10 ? K : 10, K};
    for (ra_similarity metric = RA_SIMILARITY_COSINE; metric <= RA_SIMILARITY_DOT; metric++)
        for (size_t c = 0; c < 3; c++) {
            size_t k = counts[c];
            ra_ok(ra_model_search(model, workspace, queries, QUERIES, k, metric, ids, scores, &err));
            for (size_t q = 0; q < QUERIES; q++) {
                expect(model, queries + q * d, metric, SIZE_MAX, expected);
                check_found(expected, ids + q * k, scores + q * k, k);
                size_t *one = ra_calloc(k, sizeof *one); /* alone: every bit is the same */
                float *score = ra_calloc(k, sizeof *score);
                ra_ok(ra_model_search(model, workspace, queries + q * d, 1, k, metric, one, score, &err));
                ck_assert_mem_eq(one, ids + q * k, k * sizeof *one);
                ck_assert_mem_eq(score, scores + q * k, k * sizeof *score);
                ra_free(one), ra_free(score);
            }
        }
    ra_free(queries), ra_free(scores), ra_free(ids), ra_free(expected);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

/* Plain loops, a vectorized pass over D, a matrix product in tiles: the same bytes. */
START_TEST(test_answers_do_not_depend_on_what_computed_them) {
    enum { K = 1200, D = 70, MANY = 20, BEST = 30 };
    static float queries[MANY * D], scores[2 + MODEL_DEVICES][MANY * BEST];
    static size_t ids[2 + MODEL_DEVICES][MANY * BEST];
    static const char *const devices[] = {"reference", "cpu", "cpu", "cuda-emulated"};
    test_fill(queries, MANY * D, 17);
    for (int dtype = RA_F32; dtype <= RA_F16; dtype++) {
        ra_model_release(make_model(K, D, (ra_dtype)dtype)); /* for its file */
        for (size_t i = 0; i < 2 + MODEL_DEVICES; i++) {
            ra_backend *backend = device_open_named(devices[i], &(ra_backend_options){.threads = i});
            ra_model *model = NULL;
            ra_workspace *workspace = NULL;
            ra_ok(ra_model_open(test_path("search.safetensors"), &(ra_model_options){.backend = backend},
                                &model, &err));
            ra_ok(ra_workspace_new(&workspace, &err));
            size_t step = i == 1 ? 3 : MANY; /* a few at a time, and many */
            for (size_t from = 0; from < MANY; from += step)
                ra_ok(ra_model_search(model, workspace, queries + from * D,
                                      MANY - from < step ? MANY - from : step, BEST, RA_SIMILARITY_COSINE,
                                      ids[i] + from * BEST, scores[i] + from * BEST, &err));
            ck_assert_mem_eq(ids[i], ids[0], sizeof ids[0]);
            ck_assert_mem_eq(scores[i], scores[0], sizeof scores[0]);
            ra_workspace_free(workspace);
            ra_model_release(model);
            ra_backend_release(backend);
        }
    }
}
END_TEST

/* ---- beside a computation that occupies the threads of the backend ------------------------------------- */

typedef struct occupation {
    ra_pool *pool;
    atomic_bool begun, over;
} occupation;

static void wait_in_part(void *context, size_t part) {
    occupation *heavy = context;
    (void)part;
    atomic_store(&heavy->begun, true);
    while (!atomic_load(&heavy->over)) sched_yield();
}

static void *occupy(void *context) {
    occupation *heavy = context;
    ra_pool_run(heavy->pool, 8, wait_in_part, heavy);
    return NULL;
}

/* Would wait for ever if it took part in the pool; explain and encode take the same way. */
START_TEST(test_a_serial_workspace_does_not_wait_for_the_pool) {
    enum { K = 1200, D = 70, BEST = 30 };
    float query[D], scores[2][BEST];
    size_t ids[2][BEST];
    ra_backend *backend = NULL;
    ra_model *model = NULL;
    ra_workspace *ordinary = NULL, *serial = NULL;
    pthread_t thread;
    test_fill(query, D, 5);
    ra_model_release(make_model(K, D, (ra_dtype)(RA_F32 + _i)));
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 3}, &backend, &err));
    ra_ok(ra_model_open(test_path("search.safetensors"), &(ra_model_options){.backend = backend}, &model,
                        &err));
    ra_ok(ra_workspace_new(&ordinary, &err));
    ra_ok(ra_workspace_new_serial(&serial, &err));
    ra_ok(ra_model_search(model, ordinary, query, 1, BEST, RA_SIMILARITY_COSINE, ids[0], scores[0], &err));
    occupation heavy = {.pool = ra_backend_pool(backend)};
    ck_assert_int_eq(pthread_create(&thread, NULL, occupy, &heavy), 0);
    while (!atomic_load(&heavy.begun)) sched_yield();
    ra_ok(ra_model_search(model, serial, query, 1, BEST, RA_SIMILARITY_COSINE, ids[1], scores[1], &err));
    uint64_t few[(K + 63) / 64] = {~(uint64_t)0, 1}; /* which are read one by one */
    size_t one;
    float best;
    ra_ok(ra_model_search_among(model, serial, query, 1, few, 1, RA_SIMILARITY_COSINE, &one, &best, &err));
    ck_assert_uint_le(one, 64);
    atomic_store(&heavy.over, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_mem_eq(ids[0], ids[1], sizeof ids[0]);
    ck_assert_mem_eq(scores[0], scores[1], sizeof scores[0]);
    ra_workspace_free(serial);
    ra_workspace_free(ordinary);
    ra_model_release(model);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_neighbors_leave_the_atom_itself_out) {
    enum { K = 150, D = 12 };
    (void)model_on_device(_i);
    ra_model *model = make_model(K, D, RA_F32);
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    expectation expected[K];
    size_t ids[K];
    float scores[K], atom[D];
    for (size_t a = 0; a < K; a += 3)
        for (ra_similarity metric = RA_SIMILARITY_COSINE; metric <= RA_SIMILARITY_DOT; metric++)
            for (size_t k = 1; k < K; k += 29) {
                ra_ok(ra_model_neighbors(model, workspace, a, k, metric, ids, scores, &err));
                ra_ok(ra_model_atom(model, a, atom, &err));
                expect(model, atom, metric, a, expected);
                check_found(expected, ids, scores, k);
            }
    ra_fails(ra_model_neighbors(model, workspace, K, 1, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_NOT_FOUND, "no atom 150");
    ra_fails(ra_model_neighbors(model, workspace, 0, K, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_ARGUMENT, "k is 150; expected 1 to 149");
    ra_fails(ra_model_neighbors(model, workspace, 0, 0, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_ARGUMENT, "k is 0");
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

/* The best of some atoms, also where those are few, or none of the best of all. */
START_TEST(test_search_among_some_atoms) {
    enum { K = 150, D = 12, MANY = 3 };
    (void)model_on_device(_i);
    ra_model *model = make_model(K, D, RA_F32);
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    expectation expected[K], left[K];
    size_t ids[MANY * K];
    float scores[MANY * K], queries[MANY * D];
    test_fill(queries, MANY * D, 5);
    memset(queries + 2 * D, 0, D * sizeof *queries);
    for (size_t step = 1; step < 60; step += 7)
        for (ra_similarity metric = RA_SIMILARITY_COSINE; metric <= RA_SIMILARITY_DOT; metric++) {
            uint64_t among[(K + 63) / 64] = {0};
            size_t count = 0;
            for (size_t i = step / 2; i < K; i += step, count++) among[i / 64] |= (uint64_t)1 << i % 64;
            among[K / 64] |= (uint64_t)1 << 63; /* no atom */
            for (size_t k = 1; k <= count; k += 1 + count / 3) {
                ra_ok(ra_model_search_among(model, workspace, queries, MANY, among, k, metric, ids, scores,
                                            &err));
                for (size_t q = 0; q < MANY; q++) {
                    size_t n = 0;
                    expect(model, queries + q * D, metric, SIZE_MAX, expected);
                    for (size_t i = 0; i < K; i++)
                        if (among[expected[i].id / 64] >> expected[i].id % 64 & 1) left[n++] = expected[i];
                    check_found(left, ids + q * k, scores + q * k, k);
                }
            }
            ra_fails(ra_model_search_among(model, workspace, queries, 1, among, count + 1, metric, ids,
                                           scores, &err),
                     RA_ERR_ARGUMENT, "the number of atoms");
        }
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

/* Few atoms are read one by one: short ones and long ones, of any type, for few queries and for many. */
START_TEST(test_search_among_few_atoms) {
    enum { K = 700, STEP = 9, MANY = 70, BEST = 5 };
    (void)model_on_device(_i);
    static const size_t widths[] = {5, 1100};
    static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
    uint64_t among[(K + 63) / 64] = {0};
    for (size_t i = 1; i < K; i += STEP) among[i / 64] |= (uint64_t)1 << i % 64;
    for (size_t w = 0; w < 2; w++)
        for (size_t t = 0; t < 3; t++) {
            size_t D = widths[w], ids[MANY * BEST];
            float scores[MANY * BEST], *queries = ra_malloc(MANY * D, sizeof *queries);
            ra_model *model = make_model(K, D, dtypes[t]);
            ra_workspace *workspace = NULL;
            ra_ok(ra_workspace_new(&workspace, &err));
            test_fill(queries, MANY * D, 6);
            for (size_t count = 1; count <= MANY; count += MANY - 1) {
                ra_ok(ra_model_search_among(model, workspace, queries, count, among, BEST,
                                            RA_SIMILARITY_COSINE, ids, scores, &err));
                for (size_t q = 0; q < count; q += 23) {
                    expectation expected[K], left[K];
                    size_t n = 0;
                    expect(model, queries + q * D, RA_SIMILARITY_COSINE, SIZE_MAX, expected);
                    for (size_t i = 0; i < K; i++)
                        if (expected[i].id % STEP == 1) left[n++] = expected[i];
                    check_found(left, ids + q * BEST, scores + q * BEST, BEST);
                }
            }
            ra_free(queries);
            ra_workspace_free(workspace);
            ra_model_release(model);
        }
}
END_TEST

START_TEST(test_refuses_queries_that_make_no_sense) {
    enum { K = 6, D = 4 };
    ra_model *model = make_model(K, D, RA_F32);
    ra_workspace *workspace = NULL;
    float queries[2 * D] = {0, 1, 2, 3, 4, 5, NAN, 7}, scores[K];
    size_t ids[K];
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_fails(ra_model_search(model, workspace, queries, 2, 1, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_NOT_FINITE, "query 1 holds a NaN or an infinity at position 2");
    ra_fails(ra_model_search(model, workspace, queries, 1, 0, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_ARGUMENT, "k is 0; expected 1 to 6");
    ra_fails(ra_model_search(model, workspace, queries, 1, 7, RA_SIMILARITY_DOT, ids, scores, &err),
             RA_ERR_ARGUMENT, "k is 7");
    ra_fails(ra_model_search(model, workspace, queries, 1, 1, (ra_similarity)9, ids, scores, &err),
             RA_ERR_ARGUMENT, "metric");
    ra_ok(ra_model_search(model, workspace, queries, 0, 1, RA_SIMILARITY_DOT, ids, scores,
                          &err)); /* no query */
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

/* Dot products beyond float32 must not change the answer. */
START_TEST(test_atoms_at_the_edge_of_float32_are_ranked) {
    (void)model_on_device(_i);
    static const float D[] = {FLT_MAX, FLT_MAX, -FLT_MAX, FLT_MAX, 1, 1, -FLT_MAX, -FLT_MAX};
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, 4, 2, D);
    ra_model *model = model_open(model_file_write(&file, "edge.safetensors"));
    ra_workspace *workspace = NULL;
    ra_ok(ra_workspace_new(&workspace, &err));
    const float query[] = {3, 3};
    size_t ids[4];
    float scores[4];
    ra_ok(ra_model_search(model, workspace, query, 1, 4, RA_SIMILARITY_COSINE, ids, scores, &err));
    static const size_t order[] = {0, 2, 1, 3};
    ck_assert_mem_eq(ids, order, sizeof order);
    ck_assert_float_eq_tol(scores[0], 1, 1e-6f);
    ck_assert_float_eq_tol(scores[3], -1, 1e-6f);
    ra_ok(ra_model_search(model, workspace, query, 1, 4, RA_SIMILARITY_DOT, ids, scores, &err));
    ck_assert_mem_eq(ids, order, sizeof order);
    ra_workspace_free(workspace);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(model_search_shapes, 30, MODEL_DEVICES * sizeof shapes / sizeof *shapes,
                test_search_equals_the_plain_loop)
TEST_CASES_LOOP(model_search_devices, 30, MODEL_DEVICES, test_neighbors_leave_the_atom_itself_out,
                test_search_among_some_atoms, test_search_among_few_atoms,
                test_atoms_at_the_edge_of_float32_are_ranked)
TEST_CASES_LOOP(model_search_serial, 30, RA_F16 - RA_F32 + 1,
                test_a_serial_workspace_does_not_wait_for_the_pool)
TEST_CASES(model_search, test_answers_do_not_depend_on_what_computed_them,
           test_refuses_queries_that_make_no_sense)
