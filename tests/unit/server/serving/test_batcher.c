/* Joined computations: each request gets what it would have got alone, results and errors, whatever the others
 * ask. */
#include "serving/batcher.h"
#include "devices.h"
#include "harness.h"
#include "model_files.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

enum { CONCEPTS = 6, WIDTH = 4, CLIENTS = 8, ROUNDS = 40 };

static ra_model *model;
static batcher *shared;
static ra_backend *copies; /* which allocates joined numbers; NULL: none does */
static atomic_size_t computations, most_requests, most_rows;

static void note(void *context, size_t requests, size_t rows) {
    (void)context;
    atomic_fetch_add(&computations, 1);
    for (size_t seen = atomic_load(&most_requests); requests > seen;)
        if (atomic_compare_exchange_weak(&most_requests, &seen, requests)) break;
    for (size_t seen = atomic_load(&most_rows); rows > seen;)
        if (atomic_compare_exchange_weak(&most_rows, &seen, rows)) break;
}

static ra_model *open_model(void) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *opened = model_open(model_file_write(&file, "m.safetensors"));
    model_file_release(&file);
    return opened;
}

static void start(size_t max_batch, unsigned delay_us) {
    model = open_model();
    ck_assert_uint_eq(ra_model_get_info(model)->concepts, CONCEPTS);
    ck_assert_uint_eq(ra_model_get_info(model)->dimensions, WIDTH);
    batcher_options options = {
        .backend = copies, .slots = 2, .max_batch = max_batch, .delay_us = delay_us, .joined = note};
    ra_ok(batcher_new(&options, &shared, &err));
    atomic_store(&computations, 0);
    atomic_store(&most_requests, 0);
    atomic_store(&most_rows, 0);
}

static void stop(void) {
    ck_assert_uint_eq(batcher_waiting(shared), 0);
    batcher_free(shared);
    ra_model_release(model);
}

/* The host does. */
static bool promises_bits(void) {
    return ra_model_rows_as_alone(model) < SIZE_MAX;
}

static void assert_same_codes(const ra_codes *got, const ra_codes *expected) {
    ck_assert_uint_eq(got->rows, expected->rows);
    ck_assert_uint_eq(got->latents, expected->latents);
    ck_assert_mem_eq(got->start, expected->start, (got->rows + 1) * sizeof *got->start);
    size_t entries = ra_codes_entries(got);
    if (!entries) return; /* perhaps nothing was ever allocated */
    ck_assert_mem_eq(got->index, expected->index, entries * sizeof *got->index);
    if (promises_bits()) ck_assert_mem_eq(got->value, expected->value, entries * sizeof *got->value);
    assert_close(got->value, expected->value, entries, 1e-5);
}

static void assert_same_explanations(const ra_explanation *got, const ra_explanation *expected) {
    ck_assert_uint_eq(got->rows, expected->rows);
    ck_assert_mem_eq(got->start, expected->start, (got->rows + 1) * sizeof *got->start);
    assert_close(got->residual_norm, expected->residual_norm, got->rows, 1e-5);
    assert_close(got->input_norm, expected->input_norm, got->rows, 1e-5);
    if (!promises_bits()) return;
    ck_assert_mem_eq(got->r2, expected->r2, got->rows * sizeof *got->r2);
    for (size_t e = 0; e < got->start[got->rows]; e++) {
        ck_assert_uint_eq(got->entries[e].atom, expected->entries[e].atom);
        ck_assert(got->entries[e].code == expected->entries[e].code);
        ck_assert(got->entries[e].contribution == expected->entries[e].contribution);
    }
}

/* One client encodes, explains and reconstructs its own rows again and again and compares with the results that it gets
 * alone. */
static void *work(void *argument) {
    size_t number = (size_t)(uintptr_t)argument, rows = 1 + number % 3;
    float x[3 * WIDTH], x_hat[3 * WIDTH], expected_x[3 * WIDTH];
    ra_workspace *own = NULL;
    ra_codes codes = {0}, expected = {0};
    ra_ok(ra_workspace_new(&own, &err));
    for (size_t round = 0; round < ROUNDS; round++) {
        test_fill(x, rows * WIDTH, 1000 * number + round);
        computation encode = {
            .kind = COMPUTE_ENCODE, .model = model, .x = x, .rows = rows, .codes_out = &codes};
        ra_ok(batcher_run(shared, &encode, &err));
        ra_ok(ra_model_encode(model, own, x, rows, &expected, &err));
        assert_same_codes(&codes, &expected);
        ra_explanation why = {0}, expected_why = {0};
        computation explain = {
            .kind = COMPUTE_EXPLAIN, .model = model, .x = x, .rows = rows, .explanation = &why};
        ra_ok(batcher_run(shared, &explain, &err));
        ra_ok(ra_model_explain(model, own, x, rows, &expected_why, &err));
        assert_same_explanations(&why, &expected_why);
        ra_explanation_release(&why);
        ra_explanation_release(&expected_why);
        computation decode = {
            .kind = COMPUTE_RECONSTRUCT, .model = model, .codes = &expected, .x_hat = x_hat};
        ra_ok(batcher_run(shared, &decode, &err));
        ra_ok(ra_model_reconstruct(model, own, &expected, expected_x, &err));
        ck_assert_mem_eq(x_hat, expected_x, rows * WIDTH * sizeof *x_hat);
    }
    ra_codes_release(&codes);
    ra_codes_release(&expected);
    ra_workspace_free(own);
    return NULL;
}

static void run_clients(void *(*client)(void *)) {
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
}

START_TEST(test_everyone_gets_their_own_part) {
    bool waits = _i / MODEL_DEVICES;
    copies = device_open_named(model_on_device(_i), &(ra_backend_options){.threads = 1});
    start(64, waits ? 300 : 0);
    run_clients(work);
    ck_assert_uint_ge(atomic_load(&computations), 1);
    if (waits) ck_assert_uint_gt(atomic_load(&most_requests), 1);
    stop();
    ra_backend_release(copies);
    copies = NULL;
}
END_TEST

/* Dense codes, which a device multiplies with TF32 if they have many rows, and adds up in float32 otherwise. */
static void *work_with_dense_codes(void *argument) {
    enum { ROWS = 3 };
    float x_hat[ROWS * WIDTH], expected[ROWS * WIDTH], dense[ROWS * CONCEPTS];
    ra_workspace *own = NULL;
    ra_codes codes = {0};
    ra_ok(ra_workspace_new(&own, &err));
    for (size_t i = 0; i < ROWS * CONCEPTS; i++) dense[i] = 1 + 0x1p-12f * (float)(i + (uintptr_t)argument);
    ra_ok(ra_codes_from_dense(&codes, dense, ROWS, CONCEPTS, &err));
    ra_ok(ra_model_reconstruct(model, own, &codes, expected, &err));
    for (size_t round = 0; round < ROUNDS; round++) {
        computation decode = {.kind = COMPUTE_RECONSTRUCT, .model = model, .codes = &codes, .x_hat = x_hat};
        ra_ok(batcher_run(shared, &decode, &err));
        ck_assert_mem_eq(x_hat, expected, sizeof x_hat);
    }
    ra_codes_release(&codes);
    ra_workspace_free(own);
    return NULL;
}

START_TEST(test_reconstructions_do_not_depend_on_what_others_ask) {
    start(64, 300);
    ra_model_release(model);
    ra_backend *backend =
        device_open_named("cuda-emulated", &(ra_backend_options){.threads = 1, .tf32 = true});
    ra_ok(ra_model_open(test_path("m.safetensors"), &(ra_model_options){.backend = backend}, &model, &err));
    ra_backend_release(backend);
    run_clients(work_with_dense_codes);
    stop();
}
END_TEST

START_TEST(test_no_batch_is_larger_than_allowed) {
    start(4, 300);
    run_clients(work);
    ck_assert_uint_le(atomic_load(&most_rows), 4);
    stop();
}
END_TEST

/* Half of the clients send rows that cannot be encoded; only those get errors. */
static void *work_with_errors(void *argument) {
    size_t number = (size_t)(uintptr_t)argument;
    float x[2 * WIDTH];
    ra_codes codes = {0};
    for (size_t round = 0; round < ROUNDS; round++) {
        test_fill(x, 2 * WIDTH, number);
        if (number % 2) x[WIDTH + 1] = NAN;
        computation encode = {.kind = COMPUTE_ENCODE, .model = model, .x = x, .rows = 2, .codes_out = &codes};
        if (number % 2) {
            ra_fails(batcher_run(shared, &encode, &err), RA_ERR_NOT_FINITE, "1");
        } else {
            ra_ok(batcher_run(shared, &encode, &err));
            ck_assert_uint_eq(codes.rows, 2);
        }
    }
    ra_codes_release(&codes);
    return NULL;
}

START_TEST(test_errors_stay_with_those_who_made_them) {
    start(64, 300);
    run_clients(work_with_errors);
    stop();
}
END_TEST

static void *work_alone(void *argument) {
    size_t number = (size_t)(uintptr_t)argument, atom = number % CONCEPTS, ids[3], expected_ids[3];
    float scores[3], expected[3];
    ra_workspace *own = NULL;
    ra_ok(ra_workspace_new(&own, &err));
    for (size_t round = 0; round < ROUNDS; round++) {
        computation neighbors = {.kind = COMPUTE_NEIGHBORS,
                                 .model = model,
                                 .atom = atom,
                                 .k = 3,
                                 .metric = RA_SIMILARITY_DOT,
                                 .ids = ids,
                                 .scores = scores};
        ra_ok(batcher_run(shared, &neighbors, &err));
        ra_ok(ra_model_neighbors(model, own, atom, 3, RA_SIMILARITY_DOT, expected_ids, expected, &err));
        ck_assert_mem_eq(ids, expected_ids, sizeof ids);
        ck_assert_mem_eq(scores, expected, sizeof scores);
    }
    ra_workspace_free(own);
    return NULL;
}

START_TEST(test_what_cannot_be_joined_takes_its_turn) {
    (void)model_on_device(_i);
    start(64, 300);
    run_clients(work_alone);
    ck_assert_uint_eq(atomic_load(&most_requests), 1);
    stop();
}
END_TEST

/* Nothing is left to be allocated on a device when the first requests come. */
START_TEST(test_a_warm_batcher_has_its_memory) {
    enum { MOST = 64 };
    float x[MOST * WIDTH], score[1];
    size_t before, after, total, id[1];
    ra_codes codes = {0};
    test_fill(x, MOST * WIDTH, 7);
    (void)model_on_device(MODEL_DEVICES - 1);
    start(MOST, 0);
    ra_backend *backend = device_open_named("cuda-emulated", &(ra_backend_options){.threads = 1});
    batcher_warm(shared, model);
    ra_ok(ra_backend_memory(backend, &before, &total, &err));
    computation wanted = {.kind = COMPUTE_ENCODE, .model = model, .x = x, .rows = MOST, .codes_out = &codes};
    ra_ok(batcher_run(shared, &wanted, &err));
    wanted = (computation){.kind = COMPUTE_RECONSTRUCT, .model = model, .codes = &codes, .x_hat = x};
    ra_ok(batcher_run(shared, &wanted, &err));
    wanted = (computation){
        .kind = COMPUTE_SEARCH, .model = model, .x = x, .rows = 1, .k = 1, .ids = id, .scores = score};
    ra_ok(batcher_run(shared, &wanted, &err));
    ra_ok(ra_backend_memory(backend, &after, &total, &err));
    ck_assert_uint_lt(total, SIZE_MAX);
    ck_assert_uint_eq(after, before);
    ra_backend_release(backend);
    ra_codes_release(&codes);
    stop();
}
END_TEST

START_TEST(test_a_canceled_request_is_not_computed) {
    start(64, 0);
    atomic_bool canceled = true;
    float x[WIDTH] = {1, 2, 3, 4};
    ra_codes codes = {0};
    computation encode = {.kind = COMPUTE_ENCODE,
                          .model = model,
                          .x = x,
                          .rows = 1,
                          .codes_out = &codes,
                          .canceled = &canceled};
    ra_fails(batcher_run(shared, &encode, &err), RA_ERR_CANCELED, "given up");
    ck_assert_uint_eq(atomic_load(&computations), 0);
    atomic_store(&canceled, false);
    ra_ok(batcher_run(shared, &encode, &err));
    ra_codes_release(&codes);
    stop();
}
END_TEST

static atomic_bool given_up;

static void give_up(void *context, size_t requests, size_t rows) {
    note(context, requests, rows);
    atomic_store(&given_up, true);
}

/* `joined` is called right before the computation, which has begun by then. */
START_TEST(test_a_computation_ends_when_its_request_is_given_up) {
    start(64, 0);
    batcher *queue = NULL;
    batcher_options options = {.slots = 1, .max_batch = 64, .joined = give_up};
    ra_ok(batcher_new(&options, &queue, &err));
    float x[WIDTH] = {1, 2, 3, 4}, x_hat[WIDTH], scores[1];
    size_t ids[1];
    ra_codes codes = {0}, out = {0};
    ra_explanation explanation = {0};
    ra_workspace *own = NULL;
    ra_ok(ra_workspace_new(&own, &err));
    ra_ok(ra_model_encode(model, own, x, 1, &codes, &err));
    const computation wanted[] = {
        {.kind = COMPUTE_ENCODE, .x = x, .rows = 1, .codes_out = &out},
        {.kind = COMPUTE_RECONSTRUCT, .codes = &codes, .x_hat = x_hat},
        {.kind = COMPUTE_EXPLAIN, .x = x, .rows = 1, .explanation = &explanation},
        {.kind = COMPUTE_SEARCH, .x = x, .rows = 1, .k = 1, .ids = ids, .scores = scores},
        {.kind = COMPUTE_NEIGHBORS, .atom = 0, .k = 1, .ids = ids, .scores = scores},
        {.kind = COMPUTE_STEER, .x = x, .rows = 1, .base = RA_STEER_RECONSTRUCTION, .x_hat = x_hat},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        computation one = wanted[i];
        one.model = model;
        one.canceled = &given_up;
        atomic_store(&given_up, false);
        ra_fails(batcher_run(queue, &one, &err), RA_ERR_CANCELED, "given up");
        ck_assert_uint_eq(atomic_load(&computations), i + 1);
        one.canceled = NULL;
        ra_ok(batcher_run(queue, &one, &err)); /* the slot is as good as new */
        ra_explanation_release(&explanation);
        atomic_store(&computations, i + 1);
    }
    ra_codes_release(&codes);
    ra_codes_release(&out);
    ra_workspace_free(own);
    batcher_free(queue);
    stop();
}
END_TEST

/* Requests are canceled while others wait: each turn passes to another request, and none hangs. */
static void *work_and_cancel(void *argument) {
    size_t number = (size_t)(uintptr_t)argument;
    float x[WIDTH];
    ra_codes codes = {0};
    for (size_t round = 0; round < ROUNDS; round++) {
        atomic_bool canceled = (number + round) % 3 == 0;
        test_fill(x, WIDTH, round);
        computation encode = {.kind = COMPUTE_ENCODE,
                              .model = model,
                              .x = x,
                              .rows = 1,
                              .codes_out = &codes,
                              .canceled = &canceled};
        ra_status status = batcher_run(shared, &encode, NULL);
        ck_assert_int_eq(status, (number + round) % 3 == 0 ? RA_ERR_CANCELED : RA_OK);
    }
    ra_codes_release(&codes);
    return NULL;
}

START_TEST(test_turns_of_canceled_requests_go_on) {
    start(2, _i ? 100 : 0);
    run_clients(work_and_cancel);
    stop();
}
END_TEST

TEST_CASES_LOOP(batcher, 60, 2, test_no_batch_is_larger_than_allowed,
                test_errors_stay_with_those_who_made_them, test_a_canceled_request_is_not_computed,
                test_a_computation_ends_when_its_request_is_given_up, test_turns_of_canceled_requests_go_on)
TEST_CASES(batcher_dense, test_reconstructions_do_not_depend_on_what_others_ask,
           test_a_warm_batcher_has_its_memory)
/* ---- a leader that waits for others ---------------------------------------------------------------------- */

enum { DELAY_US = 400000 };

static atomic_bool hold;
static atomic_size_t held;

static void hold_neighbors(void *context, size_t requests, size_t rows) {
    (void)context, (void)requests, (void)rows;
    if (!atomic_load(&hold)) return;
    atomic_fetch_add(&held, 1);
    while (atomic_load(&hold)) sched_yield();
}

/* It is never joined. */
static void *neighbors_once(void *unused) {
    float score;
    size_t id;
    computation wanted = {
        .kind = COMPUTE_NEIGHBORS, .model = model, .atom = 1, .k = 1, .ids = &id, .scores = &score};
    ra_ok(batcher_run(shared, &wanted, &err));
    return unused;
}

static void *encode_once(void *unused) {
    float x[WIDTH] = {1, 2, 3, 4};
    ra_codes codes = {0};
    computation wanted = {.kind = COMPUTE_ENCODE, .model = model, .x = x, .rows = 1, .codes_out = &codes};
    ra_ok(batcher_run(shared, &wanted, &err));
    ra_codes_release(&codes);
    return unused;
}

/* Both slots become free at once: an encode leads and waits for others, and the one behind it takes the other
 * slot meanwhile. */
START_TEST(test_nobody_waits_for_a_leader_while_a_slot_is_free) {
    model = open_model();
    batcher_options options = {.slots = 2, .max_batch = 100, .delay_us = DELAY_US, .joined = hold_neighbors};
    ra_ok(batcher_new(&options, &shared, &err));
    for (int round = 0; round < 8; round++) {
        pthread_t first[2], leader, behind;
        struct timespec from, to;
        atomic_store(&held, 0);
        atomic_store(&hold, true);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&first[i], NULL, neighbors_once, NULL), 0);
        while (atomic_load(&held) < 2) sched_yield();
        ck_assert_int_eq(pthread_create(&leader, NULL, encode_once, NULL), 0);
        while (batcher_waiting(shared) < 1) sched_yield();
        ck_assert_int_eq(pthread_create(&behind, NULL, neighbors_once, NULL), 0);
        while (batcher_waiting(shared) < 2) sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &from);
        atomic_store(&hold, false);
        pthread_join(behind, NULL);
        clock_gettime(CLOCK_MONOTONIC, &to);
        ck_assert_double_lt((double)(to.tv_sec - from.tv_sec) * 1e6 +
                                (double)(to.tv_nsec - from.tv_nsec) / 1e3,
                            DELAY_US * 0.75);
        pthread_join(leader, NULL);
        for (int i = 0; i < 2; i++) pthread_join(first[i], NULL);
    }
    stop();
}
END_TEST

/* ---- requests that are under way ------------------------------------------------------------------------- */

static atomic_size_t under_way;

static size_t count_under_way(void *context) {
    (void)context;
    return atomic_load(&under_way);
}

static void start_expecting(size_t requests, void (*joined)(void *, size_t, size_t)) {
    start(64, 0);
    batcher_free(shared);
    atomic_store(&under_way, requests);
    batcher_options options = {.slots = 2, .max_batch = 64, .under_way = count_under_way, .joined = joined};
    ra_ok(batcher_new(&options, &shared, &err));
}

static void *brief_encode(void *unused) {
    float x[WIDTH] = {1, 2, 3, 4};
    ra_codes codes = {0};
    computation wanted = {
        .kind = COMPUTE_ENCODE, .model = model, .x = x, .rows = 1, .codes_out = &codes, .brief = true};
    ra_ok(batcher_run(shared, &wanted, &err));
    ra_codes_release(&codes);
    return unused;
}

/* Builds without vector instructions, those of sanitizers, encode fewer rows together. */
static size_t most_together(size_t requests) {
    size_t most = ra_model_rows_as_alone(model);
    return requests < most ? requests : most;
}

/* The first one cannot know of the others but by the count. How long it waits for them has a bound, so a slow machine
 * may need another attempt. */
START_TEST(test_those_under_way_are_joined) {
    enum { ATTEMPTS = 200 };
    size_t attempts = 0;
    start_expecting(CLIENTS, note);
    size_t wanted = most_together(CLIENTS);
    for (; attempts < ATTEMPTS && atomic_load(&most_requests) < wanted; attempts++) run_clients(brief_encode);
    ck_assert_uint_eq(atomic_load(&most_requests), wanted);
    stop();
}
END_TEST

START_TEST(test_nobody_waits_for_what_never_comes) {
    start_expecting(1000, note);
    for (int i = 0; i < 20; i++) brief_encode(NULL); /* ends, though there are always 999 others */
    ck_assert_uint_eq(atomic_load(&computations), 20);
    stop();
}
END_TEST

static atomic_size_t running, most_running;
static atomic_bool others_wait;

static void hold_until_others_wait(void *context, size_t requests, size_t rows) {
    note(context, requests, rows);
    size_t now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most_running)) atomic_store(&most_running, now);
    while (batcher_waiting(shared) < CLIENTS - 1 && !atomic_load(&others_wait)) sched_yield();
    atomic_store(&others_wait, true);
    atomic_fetch_sub(&running, 1);
}

/* There is a second slot; but what comes while the first one is computed is computed with one call after it, if one call takes so
 * many. */
START_TEST(test_what_can_be_joined_is_not_computed_side_by_side) {
    start_expecting(0, hold_until_others_wait);
    atomic_store(&others_wait, false);
    run_clients(brief_encode);
    ck_assert_uint_eq(atomic_load(&most_running), 1);
    size_t together = most_together(CLIENTS - 1);
    ck_assert_uint_eq(atomic_load(&computations), 1 + (CLIENTS - 1 + together - 1) / together);
    ck_assert_uint_eq(atomic_load(&most_requests), together);
    stop();
}
END_TEST

/* ---- joined searches ------------------------------------------------------------------------------------- */

static void *search_by_number(void *argument) {
    size_t number = (size_t)(uintptr_t)argument, k = 1 + number % 2, rows = 1 + number % 3, ids[6],
           expected_ids[6];
    float x[3 * WIDTH], scores[6], expected[6];
    ra_workspace *own = NULL;
    ra_ok(ra_workspace_new(&own, &err));
    for (size_t round = 0; round < ROUNDS; round++) {
        ra_similarity metric = round % 2 ? RA_SIMILARITY_COSINE : RA_SIMILARITY_DOT;
        test_fill(x, rows * WIDTH, 77 * number + round);
        computation search = {.kind = COMPUTE_SEARCH,
                              .model = model,
                              .x = x,
                              .rows = rows,
                              .k = k,
                              .metric = metric,
                              .ids = ids,
                              .scores = scores,
                              .brief = true};
        ra_ok(batcher_run(shared, &search, &err));
        ra_ok(ra_model_search(model, own, x, rows, k, metric, expected_ids, expected, &err));
        ck_assert_mem_eq(ids, expected_ids, rows * k * sizeof *ids);
        assert_close(scores, expected, rows * k, 1e-6);
    }
    ra_workspace_free(own);
    return NULL;
}

START_TEST(test_searches_of_one_k_and_metric_are_joined) {
    start_expecting(CLIENTS, note);
    run_clients(search_by_number);
    ck_assert_uint_gt(atomic_load(&most_requests), 1);
    stop();
}
END_TEST

TEST_CASES(batcher_under_way, test_those_under_way_are_joined, test_nobody_waits_for_what_never_comes,
           test_what_can_be_joined_is_not_computed_side_by_side, test_searches_of_one_k_and_metric_are_joined)
TEST_CASES_SLOW(batcher_delay, 60, test_nobody_waits_for_a_leader_while_a_slot_is_free)
TEST_CASES_LOOP(batcher_devices, 60, 2 * MODEL_DEVICES, test_everyone_gets_their_own_part,
                test_what_cannot_be_joined_takes_its_turn)
