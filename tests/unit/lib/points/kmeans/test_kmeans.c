/* k-means (lib/points/kmeans, lib/points/scores.c): against plain loops, its methods, its seeds, and
 * that threads change nothing. */
#include "data_files.h"
#include "devices.h"

#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* Everything that a run returns, compared byte by byte. */
static void assert_same_points(const ra_points *a, const ra_points *b) {
    size_t values = a->vectors.rows * a->vectors.cols, entries = a->vectors.rows * a->nearest;
    ck_assert_uint_eq(a->iterations, b->iterations);
    ck_assert_mem_eq(&a->inertia, &b->inertia, sizeof a->inertia);
    ck_assert_mem_eq(a->vectors.data, b->vectors.data, values * sizeof(float));
    ck_assert_mem_eq(a->row, b->row, entries * sizeof(int32_t));
    ck_assert_mem_eq(a->row_distance, b->row_distance, entries * sizeof(float));
}

/* The index of the vector nearest to a row, the lower one of equal distances; and its squared distance. */
static size_t nearest_of(const float *row, const ra_matrix *vectors, double *distance) {
    size_t best = 0;
    *distance = INFINITY;
    for (size_t c = 0; c < vectors->rows; c++) {
        double here = squared_distance_of(row, ra_matrix_row(vectors, c), vectors->cols);
        if (here >= *distance) continue;
        *distance = here;
        best = c;
    }
    return best;
}

static double inertia_of(const float *values, size_t rows, const ra_matrix *vectors) {
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        double distance;
        (void)nearest_of(values + i * vectors->cols, vectors, &distance);
        sum += distance;
    }
    return sum;
}

static void run(const float *values, size_t rows, size_t d, const ra_kmeans_options *options,
                ra_points *points) {
    ra_backend *backend = backend_of("cpu", 2);
    ra_data *data = data_of(values, rows, d);
    ra_ok(ra_points_kmeans(backend, data, options, points, &err));
    ck_assert_uint_eq(points->vectors.rows, options->clusters);
    ck_assert_uint_eq(points->vectors.cols, d);
    ra_data_free(data);
    ra_backend_release(backend);
}

START_TEST(test_finds_separated_blobs) {
    enum { ROWS = 1500, D = 20, BLOBS = 12 };
    static float values[ROWS * D];
    fill_blobs(values, ROWS, D, BLOBS, 10, 0.3f, (uint64_t)_i);
    ra_points points;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = BLOBS, .seed = (uint64_t)_i}, &points);
    size_t taken = 0;
    for (size_t blob = 0; blob < BLOBS; blob++) { /* each has one point, at its mean */
        double distance, mean[D] = {0};
        size_t mine = nearest_of(values + blob * D, &points.vectors, &distance);
        ck_assert_uint_eq(taken & (size_t)1 << mine, 0);
        taken |= (size_t)1 << mine;
        for (size_t i = blob; i < ROWS; i += BLOBS) {
            ck_assert_uint_eq(nearest_of(values + i * D, &points.vectors, &distance), mine);
            for (size_t j = 0; j < D; j++) mean[j] += (double)values[i * D + j] * BLOBS / ROWS;
        }
        for (size_t j = 0; j < D; j++)
            ck_assert_double_eq_tol((double)ra_matrix_row(&points.vectors, mine)[j], mean[j], 1e-5);
    }
    ra_points_release(&points);
}
END_TEST

/* Seeds of many rows move with a sample of them before the first pass. */
START_TEST(test_many_rows_begin_with_a_sample) {
    enum { ROWS = 40000, D = 4, CLUSTERS = 6 };
    static float values[ROWS * D];
    static const struct {
        const char *device;
        size_t threads;
    } backends[] = {{"cpu", 1}, {"cpu", 3}, {"reference", 1}};
    ra_points points[3], more;
    fill_blobs(values, ROWS, D, CLUSTERS, 10, 0.5f, 4);
    ra_data *data = data_of(values, ROWS, D);
    ra_kmeans_options options = {.clusters = CLUSTERS, .seed = 6, .max_iterations = 1};
    for (size_t i = 0; i < 3; i++) {
        ra_backend *backend = backend_of(backends[i].device, backends[i].threads);
        ra_ok(ra_points_kmeans(backend, data, &options, &points[i], &err));
        ra_backend_release(backend);
        assert_same_points(&points[0], &points[i]);
    }
    ck_assert_double_eq_tol(points[0].inertia / inertia_of(values, ROWS, &points[0].vectors), 1, 1e-9);
    options.max_iterations = 20;
    run(values, ROWS, D, &options, &more);
    ck_assert_double_le(more.inertia, points[0].inertia);
    ck_assert_double_gt(more.inertia, 0.99 * points[0].inertia); /* one pass was nearly enough */
    for (size_t i = 0; i < 3; i++) ra_points_release(&points[i]);
    ra_points_release(&more);
    ra_data_free(data);
}
END_TEST

START_TEST(test_the_number_of_threads_changes_nothing) {
    enum { ROWS = 1500, D = 33, CLUSTERS = 50 };
    static float values[ROWS * D];
    static const struct {
        const char *device;
        size_t threads;
    } backends[] = {{"cpu", 1}, {"cpu", 2}, {"cpu", 3}, {"reference", 1}, {"cuda-emulated", 1}};
    ra_points points[5];
    fill_blobs(values, ROWS, D, 40, 1, 0.5f, 3);
    ra_data *data = data_of(values, ROWS, D);
    for (size_t i = 0; i < 5; i++) {
        ra_backend *backend =
            device_open_named(backends[i].device, &(ra_backend_options){.threads = backends[i].threads});
        ra_kmeans_options options = {.clusters = CLUSTERS, .seed = 5, .max_iterations = 7};
        ra_ok(ra_points_kmeans(backend, data, &options, &points[i], &err));
        ra_backend_release(backend);
        /* with the reference backend, too: assignments and seeds are exact for any rounding of the products,
         * except near ties of candidates */
        assert_same_points(&points[0], &points[i]);
    }
    for (size_t i = 0; i < 5; i++) ra_points_release(&points[i]);
    ra_data_free(data);
}
END_TEST

/* Points of one blob are nearer to each other than what TF32 loses of a score. Which candidates become the first points
 * depends on the scores; which point is the nearest must not. */
START_TEST(test_nearest_points_are_exact_in_tf32) {
    enum { ROWS = 600, D = 33, CLUSTERS = 40 };
    static float values[ROWS * D];
    ra_points points;
    fill_blobs(values, ROWS, D, 10, 1, 0.002f, 3);
    ra_data *data = data_of(values, ROWS, D);
    ra_backend *backend = device_open_named("cuda-emulated", &(ra_backend_options){.tf32 = true});
    ra_kmeans_options options = {.clusters = CLUSTERS, .seed = 5, .max_iterations = 7};
    ra_ok(ra_points_kmeans(backend, data, &options, &points, &err));
    ck_assert_double_eq_tol(points.inertia / inertia_of(values, ROWS, &points.vectors), 1, 1e-9);
    ra_backend_release(backend);
    ra_points_release(&points);
    ra_data_free(data);
}
END_TEST

/* Points in several tiles; rows of which two points are the nearest, and rows beside a vector that no score excludes. */
START_TEST(test_a_device_assigns_as_the_host_does) {
    enum { ROWS = 2200, D = 3, CLUSTERS = 2060 };
    static float values[ROWS * D];
    static const char *const names[] = {"cpu", "cuda-emulated"};
    ra_points points[2];
    test_fill(values, ROWS * D, 3);
    for (size_t i = 0; i < 600 * D; i++) values[i] = roundf(values[i] * 8); /* on a grid */
    if (_i) values[ROWS * D - 1] = 1e19f;
    ra_data *data = data_of(values, ROWS, D);
    for (size_t i = 0; i < 2; i++) {
        ra_backend *backend = device_open_named(names[i], &(ra_backend_options){.threads = 1});
        ra_kmeans_options options = {.clusters = CLUSTERS, .seed = 5, .max_iterations = 1};
        ra_ok(ra_points_kmeans(backend, data, &options, &points[i], &err));
        ra_backend_release(backend);
        assert_same_points(&points[0], &points[i]);
    }
    for (size_t i = 0; i < 2; i++) ra_points_release(&points[i]);
    ra_data_free(data);
}
END_TEST

/* Enough points and dimensions for products in 8 bits, where the processor has them; the others are exact without these. */
enum { MANY_ROWS = 4000, MANY = 300, WIDE = 70, KINDS = 6 };

static void fill_kind(float *values, int kind) {
    size_t n = (size_t)MANY_ROWS * WIDE;
    fill_blobs(values, MANY_ROWS, WIDE, kind == 0 ? MANY : 40, 1, 0.2f, 7);
    if (kind == 1) test_fill(values, n, 4); /* all about equally far apart: 8 bits exclude too little */
    for (size_t i = 0; kind == 2 && i < n; i++) values[i] = values[i - i % WIDE]; /* along a line */
    for (size_t i = 0; kind == 3 && i < n; i++) values[i] *= 1e-14f;              /* too small for 8 bits */
    for (size_t i = 0; kind == 4 && i < MANY_ROWS; i++) {
        if (i % 50 == 3) memcpy(values + i * WIDE, values + 3 * WIDE, WIDE * sizeof *values); /* the same */
        values[i * WIDE + 5] *= 1000; /* one dimension */
    }
    if (kind == 5) values[n - 1] = 1e19f; /* wild */
}

/* Each row's center is the nearest. Also when bounds of a pass before are at hand. */
START_TEST(test_many_points_are_as_near_as_row_by_row) {
    static float values[MANY_ROWS * WIDE], start[MANY * WIDE];
    static const struct {
        const char *device;
        size_t threads;
    } backends[] = {{"cpu", 1}, {"cpu", 3}, {"cuda-emulated", 1}};
    fill_kind(values, _i);
    for (size_t c = 0; c < MANY; c++)
        memcpy(start + c * WIDE, values + c * (MANY_ROWS / MANY) * WIDE, WIDE * sizeof *start);
    ra_data *data = data_of(values, MANY_ROWS, WIDE);
    for (size_t passes = 0; passes < 4; passes++) { /* first from seeds, which are the same everywhere */
        ra_points points[3];
        ra_kmeans_options options = {.clusters = MANY,
                                     .start = passes ? start : NULL,
                                     .max_iterations = passes ? passes : 2,
                                     .seed = 3};
        for (size_t i = 0; i < 3; i++) {
            ra_backend *backend =
                device_open_named(backends[i].device, &(ra_backend_options){.threads = backends[i].threads});
            ra_ok(ra_points_kmeans(backend, data, &options, &points[i], &err));
            ra_backend_release(backend);
            assert_same_points(&points[0], &points[i]);
        }
        ck_assert_double_eq_tol(points[0].inertia / inertia_of(values, MANY_ROWS, &points[0].vectors), 1,
                                1e-9);
        for (size_t i = 0; i < 3; i++) ra_points_release(&points[i]);
    }
    ra_data_free(data);
}
END_TEST

START_TEST(test_seeds_differ_and_repeat) {
    enum { ROWS = 400, D = 5 };
    static float values[ROWS * D];
    test_fill(values, ROWS * D, 8);
    ra_points a, again, b;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 20, .seed = 1}, &a);
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 20, .seed = 1}, &again);
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 20, .seed = 2}, &b);
    assert_same_points(&a, &again);
    ck_assert_mem_ne(a.vectors.data, b.vectors.data, 20 * D * sizeof(float));
    ra_points_release(&a);
    ra_points_release(&again);
    ra_points_release(&b);
}
END_TEST

/* ---- inertia ------------------------------------------------------------------------------------------ */

typedef struct history {
    size_t calls, iterations, cancel_at, seeds;
    double last;
} history;

static bool follow(void *context, const ra_kmeans_progress *progress) {
    history *h = context;
    ck_assert_double_le(progress->inertia, h->calls ? h->last * (1 + 1e-6) : INFINITY);
    ck_assert(progress->iteration == h->iterations || progress->iteration == h->iterations + 1);
    ck_assert_uint_ge(progress->seeds, h->seeds); /* they only become more, up to one per cluster */
    ck_assert_uint_le(progress->seeds, progress->clusters);
    ck_assert(progress->seeds == progress->clusters || progress->iteration == 0);
    h->seeds = progress->seeds;
    h->iterations = progress->iteration;
    h->last = progress->inertia;
    return ++h->calls != h->cancel_at;
}

START_TEST(test_inertia_falls_and_is_that_of_the_points) {
    static const struct {
        size_t rows, d, clusters;
        float offset, scale;
    } cases[] = {
        {300, 2, 7, 0, 1},      {1100, 10, 50, 0, 1},   {2100, 64, 30, 0, 1},      {500, 1, 100, 0, 1},
        {800, 16, 20, 1e4f, 1}, {200, 8, 5, 0, 1e-30f}, {200, 8, 5, 1e29f, 1e30f}, {5, 3, 4, 0, 1},
        {2500, 2, 2060, 0, 1}, /* more clusters than a tile has */
    };
    static float values[2100 * 64];
    size_t rows = cases[_i].rows, d = cases[_i].d;
    test_fill(values, rows * d, (uint64_t)_i);
    for (size_t i = 0; i < rows * d; i++) values[i] = values[i] * cases[_i].scale + cases[_i].offset;
    history seen = {0};
    ra_points points;
    ra_kmeans_options options = {
        .clusters = cases[_i].clusters, .seed = 9, .progress = follow, .context = &seen};
    run(values, rows, d, &options, &points);
    double expected = inertia_of(values, rows, &points.vectors);
    ck_assert_double_eq_tol(points.inertia / expected, 1, 1e-12);
    ck_assert_double_eq(points.inertia, seen.last);
    ck_assert_uint_eq(points.iterations, seen.iterations);
    ck_assert_uint_eq(seen.seeds, cases[_i].clusters);
    ra_points_release(&points);
}
END_TEST

START_TEST(test_points_are_the_means_of_their_rows) {
    enum { ROWS = 900, D = 6, CLUSTERS = 25 };
    static float values[ROWS * D];
    test_fill(values, ROWS * D, 4);
    ra_points points;
    /* the tolerance is so small that only a repeated assignment ends the run */
    run(values, ROWS, D,
        &(ra_kmeans_options){.clusters = CLUSTERS, .seed = 2, .tolerance = 1e-30, .max_iterations = 1000},
        &points);
    ck_assert_uint_lt(points.iterations, 1000);
    double means[CLUSTERS * D] = {0}, distance;
    size_t members[CLUSTERS] = {0};
    for (size_t i = 0; i < ROWS; i++) {
        size_t c = nearest_of(values + i * D, &points.vectors, &distance);
        members[c]++;
        for (size_t j = 0; j < D; j++) means[c * D + j] += (double)values[i * D + j];
    }
    for (size_t c = 0; c < CLUSTERS; c++)
        for (size_t j = 0; j < D; j++) {
            ck_assert_uint_gt(members[c], 0);
            float mean = (float)(means[c * D + j] / (double)members[c]);
            ck_assert_float_eq_tol(points.vectors.data[c * D + j], mean, 1e-7f);
        }
    ra_points_release(&points);
}
END_TEST

/* ---- awkward data ------------------------------------------------------------------------------------- */

/* Runs from centers that a test chooses, instead of seeds; then they hold the final ones. */
static size_t run_from(const float *values, size_t rows, size_t d, float *centers, size_t clusters,
                       size_t iterations) {
    ra_kmeans_options options = {
        .clusters = clusters, .tolerance = 1e-30, .max_iterations = iterations, .start = centers};
    ra_points points;
    run(values, rows, d, &options, &points);
    memcpy(centers, points.vectors.data, clusters * d * sizeof *centers);
    iterations = points.iterations;
    ra_points_release(&points);
    return iterations;
}

START_TEST(test_an_empty_cluster_takes_the_farthest_row) {
    /* two groups with a center each, one row far out in the second, and centers that are near no row */
    const float values[] = {0, 1, 2, 100, 101, 102, 130};
    float centers[] = {1, 101, -5000};
    run_from(values, 7, 1, centers, 3, 1);
    ck_assert_float_eq(centers[0], 1);
    ck_assert_float_eq(centers[1], 101); /* the mean without the row that left */
    ck_assert_float_eq(centers[2], 130);
    float more[] = {-9000, -8000, 1, -7000, 101}; /* from the farthest row on, each row once */
    run_from(values, 7, 1, more, 5, 1);
    ck_assert_float_eq(more[0], 130);
    ck_assert_float_eq(more[1], 0); /* all others are at distance 1: the lowest row number */
    ck_assert_float_eq(more[2], 1);
    ck_assert_float_eq(more[3], 2);
}
END_TEST

START_TEST(test_no_cluster_stays_empty) {
    enum { ROWS = 60, D = 2, CLUSTERS = 24 };
    float values[ROWS * D], centers[CLUSTERS * D];
    test_fill(values, ROWS * D, 100 + (uint64_t)_i);
    for (size_t i = 0; i < CLUSTERS * D; i++)
        centers[i] = 5 + (float)(i / D); /* all but one far from the data */
    ck_assert_uint_lt(run_from(values, ROWS, D, centers, CLUSTERS, 100), 100);
    ra_matrix vectors = {centers, CLUSTERS, D};
    size_t members[CLUSTERS] = {0};
    double distance;
    for (size_t i = 0; i < ROWS; i++) members[nearest_of(values + i * D, &vectors, &distance)]++;
    for (size_t c = 0; c < CLUSTERS; c++) ck_assert_uint_gt(members[c], 0);
}
END_TEST

START_TEST(test_fewer_different_rows_than_clusters) {
    enum { ROWS = 50, D = 3 };
    float values[ROWS * D];
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < D; j++) values[i * D + j] = (float)(i % 3) + 0.1f * (float)j;
    ra_points points;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 8, .seed = 1}, &points);
    ck_assert_double_eq(points.inertia, 0);
    ck_assert_uint_eq(ra_find_not_finite(points.vectors.data, 8 * D), 8 * D);
    for (size_t c = 0; c < 8; c++) { /* every point is a row, and its nearest row is that one */
        ck_assert_float_eq(points.row_distance[c * points.nearest], 0);
        ck_assert_int_eq(points.row[c * points.nearest] % 3, points.row[c * points.nearest]);
    }
    ra_points_release(&points);
}
END_TEST

START_TEST(test_as_many_clusters_as_rows_are_the_rows) {
    enum { ROWS = 30, D = 4 };
    float values[ROWS * D];
    test_fill(values, ROWS * D, 6);
    memcpy(values + 7 * D, values + 3 * D, D * sizeof *values);
    ra_points points;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = ROWS, .nearest = 1}, &points);
    ck_assert_mem_eq(points.vectors.data, values, sizeof values);
    ck_assert_uint_eq(points.iterations, 0);
    ck_assert_double_eq(points.inertia, 0);
    for (int i = 0; i < ROWS; i++) ck_assert_int_eq(points.row[i], i == 7 ? 3 : i);
    ra_points_release(&points);
}
END_TEST

START_TEST(test_one_cluster_is_the_mean) {
    enum { ROWS = 1030, D = 3 };
    float values[ROWS * D];
    double mean[D] = {0};
    test_fill(values, ROWS * D, 6);
    for (size_t i = 0; i < ROWS * D; i++) mean[i % D] += (double)values[i] / ROWS;
    ra_points points;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 1}, &points);
    for (size_t j = 0; j < D; j++) ck_assert_double_eq_tol((double)points.vectors.data[j], mean[j], 1e-7);
    ra_points_release(&points);
}
END_TEST

/* ---- interrupted runs --------------------------------------------------------------------------------- */

/* Copies the state of iteration `at` and stops there. */
typedef struct snapshot {
    size_t at, iteration, clusters;
    float centers[60 * 6];
    uint64_t members[60];
} snapshot;

static bool take_snapshot(void *context, const ra_kmeans_progress *progress) {
    snapshot *shot = context;
    if (progress->iteration < shot->at || progress->iteration == 0) return true;
    shot->iteration = progress->iteration;
    ck_assert_uint_eq(progress->clusters, shot->clusters);
    ck_assert_uint_eq(progress->dimensions, 6);
    memcpy(shot->centers, progress->centers, shot->clusters * 6 * sizeof(float));
    memcpy(shot->members, progress->members, shot->clusters * sizeof(uint64_t));
    return false;
}

/* A continued run starts without bounds, so this also compares the bounds with a search of all centers. */
static void assert_continues(ra_kmeans_options options) {
    enum { ROWS = 9000, D = 6 };
    static float values[ROWS * D];
    fill_blobs(values, ROWS, D, 70, 1, 0.4f, 12);
    ra_backend *backend = backend_of("cpu", 2);
    ra_data *data = data_of(values, ROWS, D);
    ra_points whole, rest;
    ra_ok(ra_points_kmeans(backend, data, &options, &whole, &err));
    ck_assert_uint_ge(whole.iterations, 8);
    for (size_t at = 1; at <= whole.iterations; at += at < 8 ? 1 : at / 3) {
        snapshot shot = {.at = at, .clusters = options.clusters};
        ra_kmeans_options first = options, second = options;
        first.progress = take_snapshot;
        first.context = &shot;
        ra_fails(ra_points_kmeans(backend, data, &first, &rest, &err), RA_ERR_CANCELED, "as asked");
        ck_assert_uint_eq(shot.iteration, at);
        second.start = shot.centers;
        second.start_iteration = at;
        second.start_members = shot.members;
        second.seed =
            options.method == RA_KMEANS_LLOYD ? 999 : options.seed; /* Lloyd needs no more random numbers */
        if (options.rows) second.seed = options.seed;
        ra_ok(ra_points_kmeans(backend, data, &second, &rest, &err));
        assert_same_points(&whole, &rest);
        ra_points_release(&rest);
    }
    ra_points_release(&whole);
    ra_data_free(data);
    ra_backend_release(backend);
}

START_TEST(test_an_interrupted_run_continues_as_if_it_had_not_been) {
    static const ra_kmeans_options cases[] = {
        {.clusters = 60, .seed = 3, .tolerance = 1e-30},
        {.clusters = 7, .seed = 3, .tolerance = 1e-6},
        {.clusters = 60, .seed = 4, .rows = 3000, .tolerance = 1e-30, .max_iterations = 20},
        {.clusters = 40, .seed = 5, .method = RA_KMEANS_MINIBATCH},
        {.clusters = 40, .seed = 5, .method = RA_KMEANS_MINIBATCH, .max_iterations = 12, .rows = 2000},
    };
    assert_continues(cases[_i]);
}
END_TEST

/* ---- mini-batches and samples ------------------------------------------------------------------------- */

START_TEST(test_minibatches_find_separated_blobs) {
    enum { ROWS = 6000, D = 20, BLOBS = 12 };
    static float values[ROWS * D];
    fill_blobs(values, ROWS, D, BLOBS, 10, 0.3f, 77);
    ra_points points, lloyd;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = BLOBS, .method = RA_KMEANS_MINIBATCH}, &points);
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = BLOBS}, &lloyd);
    ck_assert_double_eq_tol(points.inertia / inertia_of(values, ROWS, &points.vectors), 1, 1e-12);
    ck_assert_double_ge(points.inertia, lloyd.inertia * (1 - 1e-9));
    ck_assert_double_le(points.inertia, lloyd.inertia * 1.02);
    ra_points_release(&points);
    ra_points_release(&lloyd);
}
END_TEST

START_TEST(test_minibatches_do_not_depend_on_threads) {
    enum { ROWS = 3000, D = 9 };
    static float values[ROWS * D];
    fill_blobs(values, ROWS, D, 30, 1, 0.5f, 3);
    ra_kmeans_options options = {.clusters = 30, .seed = 5, .method = RA_KMEANS_MINIBATCH};
    ra_data *data = data_of(values, ROWS, D);
    ra_points points[3];
    for (size_t i = 0; i < 3; i++) {
        ra_backend *backend = backend_of("cpu", i + 1);
        options.seed = i < 2 ? 5 : 6;
        ra_ok(ra_points_kmeans(backend, data, &options, &points[i], &err));
        ra_backend_release(backend);
    }
    assert_same_points(&points[0], &points[1]);
    ck_assert_mem_ne(points[0].vectors.data, points[2].vectors.data, 30 * D * sizeof(float));
    for (size_t i = 0; i < 3; i++) ra_points_release(&points[i]);
    ra_data_free(data);
}
END_TEST

/* Every row of the sample becomes a point, which shows the sample. */
START_TEST(test_a_sample_is_of_different_rows_from_everywhere) {
    enum { ROWS = 500, D = 3, SAMPLE = 50 };
    static float values[ROWS * D];
    static const ra_kmeans_method methods[] = {RA_KMEANS_LLOYD, RA_KMEANS_MINIBATCH};
    test_fill(values, ROWS * D, 21);
    for (size_t m = 0; m < 2; m++) {
        ra_points points;
        ra_kmeans_options options = {.clusters = SAMPLE, .rows = SAMPLE, .method = methods[m], .seed = 2};
        run(values, ROWS, D, &options, &points);
        bool seen[ROWS] = {0};
        size_t high = 0;
        ck_assert_double_eq(points.inertia, 0);
        for (size_t p = 0; p < SAMPLE; p++) {
            int32_t row = points.row[p * points.nearest];
            ck_assert_float_eq(points.row_distance[p * points.nearest], 0);
            ck_assert_mem_eq(ra_matrix_row(&points.vectors, p), values + (size_t)row * D, D * sizeof(float));
            ck_assert(!seen[row]);
            seen[row] = true;
            high += row >= ROWS / 2;
        }
        ck_assert(high > 10 && high < 40);
        ra_points_release(&points);
    }
}
END_TEST

START_TEST(test_a_sample_stands_for_the_data) {
    enum { ROWS = 8000, D = 8 };
    static float values[ROWS * D];
    fill_blobs(values, ROWS, D, 20, 3, 0.3f, 5);
    ra_points all, some;
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 20}, &all);
    run(values, ROWS, D, &(ra_kmeans_options){.clusters = 20, .rows = 1000}, &some);
    ck_assert_double_le(inertia_of(values, ROWS, &some.vectors), 1.05 * all.inertia);
    ck_assert_double_le(some.inertia, all.inertia * 1000 / ROWS * 1.05); /* over the sample */
    ra_points_release(&all);
    ra_points_release(&some);
}
END_TEST

/* ---- refusals ----------------------------------------------------------------------------------------- */

START_TEST(test_refuses_impossible_options) {
    static const float start[1];
    static const struct {
        ra_kmeans_options options;
        const char *text;
    } cases[] = {
        {{.clusters = 0}, "0 points"},
        {{.clusters = 11}, "11 points from data of only 10 rows"},
        {{.clusters = 2, .tolerance = -1}, "tolerance of k-means is -1"},
        {{.clusters = 2, .tolerance = NAN}, "tolerance"},
        {{.clusters = 2, .method = RA_KMEANS_METHOD_COUNT}, "there is no method"},
        {{.clusters = 2, .rows = 11}, "a sample of 11 rows of 10; expected a sample of 2 to 10 rows"},
        {{.clusters = 4, .rows = 3}, "a sample of 3 rows"},
        {{.clusters = 1, .method = RA_KMEANS_MINIBATCH, .start = start, .start_iteration = 3}, "iteration 3"},
    };
    float values[10] = {0};
    ra_backend *backend = backend_of("cpu", 1);
    ra_data *data = data_of(values, 10, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_points points;
        ra_fails(ra_points_kmeans(backend, data, &cases[i].options, &points, &err), RA_ERR_ARGUMENT,
                 cases[i].text);
        ck_assert_ptr_null(points.vectors.data);
    }
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_stops_when_asked) {
    enum { ROWS = 200, D = 2 };
    float values[ROWS * D];
    test_fill(values, ROWS * D, 3);
    ra_backend *backend = backend_of("cpu", 1);
    ra_data *data = data_of(values, ROWS, D);
    size_t reached = 0;
    for (size_t calls = 1; calls <= 8; calls++) { /* during the seeding, and during the iterations */
        history seen = {.cancel_at = calls};
        ra_kmeans_options options = {.clusters = 9, .progress = follow, .context = &seen, .tolerance = 1e-30};
        ra_points points;
        ra_fails(ra_points_kmeans(backend, data, &options, &points, &err), RA_ERR_CANCELED, "stopped");
        ck_assert_ptr_null(points.vectors.data);
        ck_assert_uint_eq(seen.calls, calls);
        if (calls == 1) ck_assert_uint_eq(seen.iterations, 0);
        reached = seen.iterations;
    }
    ck_assert_uint_gt(reached, 0);
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

static ra_status make_and_release(ra_backend *backend, const ra_data *data, ra_kmeans_method method,
                                  ra_error *err) {
    ra_points points;
    ra_kmeans_options options = {.clusters = 5, .rows = 30, .method = method};
    ra_status status = ra_points_kmeans(backend, data, &options, &points, err);
    ra_points_release(&points);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float values[40 * 3];
    test_fill(values, 40 * 3, 3);
    ra_backend *backend = backend_of("cpu", 2);
    ra_data *data = data_of(values, 40, 3);
    fails_at_each_allocation(make_and_release(backend, data, RA_KMEANS_LLOYD, &err));
    fails_at_each_allocation(make_and_release(backend, data, RA_KMEANS_MINIBATCH, &err));
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_SLOW(kmeans, 30, test_the_number_of_threads_changes_nothing, test_nearest_points_are_exact_in_tf32,
                test_many_rows_begin_with_a_sample, test_seeds_differ_and_repeat,
                test_points_are_the_means_of_their_rows, test_an_empty_cluster_takes_the_farthest_row,
                test_fewer_different_rows_than_clusters, test_as_many_clusters_as_rows_are_the_rows,
                test_one_cluster_is_the_mean, test_minibatches_find_separated_blobs,
                test_minibatches_do_not_depend_on_threads, test_a_sample_is_of_different_rows_from_everywhere,
                test_a_sample_stands_for_the_data, test_refuses_impossible_options, test_stops_when_asked,
                test_every_allocation_may_fail)
TEST_CASES_LOOP(kmeans_cases, 30, 9, test_finds_separated_blobs, test_inertia_falls_and_is_that_of_the_points,
                test_no_cluster_stays_empty)
TEST_CASES_LOOP(kmeans_devices, 60, 2, test_a_device_assigns_as_the_host_does)
TEST_CASES_LOOP(kmeans_many, 60, KINDS, test_many_points_are_as_near_as_row_by_row)
TEST_CASES_LOOP(kmeans_continued, 30, 5, test_an_interrupted_run_continues_as_if_it_had_not_been)
