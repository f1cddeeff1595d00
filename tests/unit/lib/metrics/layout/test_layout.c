/* Positions of atoms on a map (lib/metrics/layout): by neighbors and by principal components. */
#include "harness.h"

#include "data_files.h"
#include "metrics/layout/layout.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

static void place(const float *D, size_t K, size_t d, ra_layout_options options, float *places) {
    ra_backend *backend = backend_of("cpu", 2);
    ra_ok(ra_layout(backend, D, K, d, &options, places, &err));
    ra_backend_release(backend);
    float largest = 0;
    for (size_t i = 0; i < 2 * K; i++) {
        ck_assert(isfinite(places[i]));
        largest = fmaxf(largest, fabsf(places[i]));
    }
    ck_assert(largest <= 1);
}

static double preservation(const float *D, size_t K, size_t d, const float *places, size_t k) {
    ra_backend *backend = backend_of("cpu", 2);
    ra_layout_quality quality;
    ra_ok(ra_layout_measure(backend, D, K, d, places, k, 0, &quality, &err));
    ra_backend_release(backend);
    return quality.preserved;
}

START_TEST(test_nearest_equal_plain_loops) {
    enum { K = 600, D = 9, NEAREST = 6 };
    static float atoms[K * D], cosine[K * NEAREST];
    static int32_t index[K * NEAREST];
    ra_backend *backend = backend_of("cpu", 2);
    test_fill(atoms, K * D, 1);
    ra_ok(ra_layout_nearest(backend, atoms, K, D, NEAREST, index, cosine, &err));
    for (size_t i = 0; i < K; i++) {
        double exact[K], least = 2;
        for (size_t j = 0; j < K; j++) {
            double ii = 0, jj = 0, ij = 0;
            for (size_t l = 0; l < D; l++) {
                double x = (double)atoms[i * D + l], y = (double)atoms[j * D + l];
                ii += x * x, jj += y * y, ij += x * y;
            }
            exact[j] = ij / sqrt(ii * jj);
        }
        for (size_t t = 0; t < NEAREST; t++) {
            size_t j = (size_t)index[i * NEAREST + t];
            ck_assert_uint_ne(j, i);
            if (t > 0) ck_assert_int_gt(index[i * NEAREST + t], index[i * NEAREST + t - 1]);
            ck_assert_double_eq_tol((double)cosine[i * NEAREST + t], exact[j], 1e-6);
            least = fmin(least, exact[j]);
        }
        size_t above = 0;
        for (size_t j = 0; j < K; j++) above += j != i && exact[j] > least + 1e-6;
        ck_assert_uint_le(above, NEAREST - 1);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_edges_stand_once_and_pull_as_both_ends_say) {
    /* a line of four atoms, two nearest each */
    static const int32_t index[] = {1, 2, 0, 2, 1, 3, 1, 2};
    static const float cosine[] = {0.9f, 0.5f, 0.9f, 0.9f, 0.9f, 0.8f, 0.6f, 0.8f};
    ra_layout_graph graph;
    ra_ok(ra_layout_graph_init(&graph, index, cosine, 4, 2, &err));
    ck_assert_uint_eq(graph.count, 5);
    for (size_t e = 0; e < graph.count; e++) {
        ck_assert_int_lt(graph.edges[e].a, graph.edges[e].b);
        ck_assert(graph.edges[e].weight > 0 && graph.edges[e].weight <= 1);
        for (size_t f = 0; f < e; f++)
            ck_assert(graph.edges[e].a != graph.edges[f].a || graph.edges[e].b != graph.edges[f].b);
        if (graph.edges[e].a == 0 && graph.edges[e].b == 1) ck_assert_float_eq(graph.edges[e].weight, 1);
    }
    ra_layout_graph_release(&graph);
    fails_at_each_allocation(ra_layout_graph_init(&graph, index, cosine, 4, 2, &err));
    ra_layout_graph_release(&graph);
}
END_TEST

START_TEST(test_pca_finds_the_plane_that_atoms_lie_in) {
    enum { K = 50, D = 12 };
    float plane[K * 2], atoms[K * D] = {0}, places[K * 2], axes[2 * D];
    ra_backend *backend = backend_of("cpu", 1);
    test_fill(plane, K * 2, 1);
    test_fill(axes, 2 * D, 2);
    double length = 0, share = 0; /* the second axis at right angles to the first, both of length one */
    for (size_t l = 0; l < D; l++) length += (double)axes[l] * (double)axes[l];
    for (size_t l = 0; l < D; l++) axes[l] /= (float)sqrt(length);
    for (size_t l = 0; l < D; l++) share += (double)axes[l] * (double)axes[D + l];
    length = 0;
    for (size_t l = 0; l < D; l++) {
        axes[D + l] -= (float)share * axes[l];
        length += (double)axes[D + l] * (double)axes[D + l];
    }
    for (size_t l = 0; l < D; l++) axes[D + l] /= (float)sqrt(length);
    for (size_t k = 0; k < K; k++)
        for (size_t l = 0; l < D; l++)
            atoms[k * D + l] = 5 + 3 * plane[2 * k] * axes[l] + plane[2 * k + 1] * axes[D + l];
    ra_ok(ra_layout_pca(backend, atoms, K, D, places, &err));
    double first = 0, second = 0;
    for (size_t i = 0; i < K; i++) { /* a projection onto their plane keeps all distances */
        for (size_t j = 0; j < i; j++) {
            double gap = 0, placed = hypot((double)(places[2 * i] - places[2 * j]),
                                           (double)(places[2 * i + 1] - places[2 * j + 1]));
            for (size_t l = 0; l < D; l++) gap += pow((double)(atoms[i * D + l] - atoms[j * D + l]), 2);
            ck_assert_double_eq_tol(placed, sqrt(gap), 1e-4);
        }
        first += (double)places[2 * i] * (double)places[2 * i];
        second += (double)places[2 * i + 1] * (double)places[2 * i + 1];
    }
    ck_assert_double_gt(first, second);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_neighbors_stay_together_better_than_in_a_projection) {
    enum { K = 300, D = 30 };
    static float atoms[K * D], embedded[K * 2], projected[K * 2];
    fill_blobs(atoms, K, D, 25, 1, 0.3f, 5);
    place(atoms, K, D, (ra_layout_options){.method = RA_LAYOUT_NEIGHBORS}, embedded);
    place(atoms, K, D, (ra_layout_options){.method = RA_LAYOUT_PCA}, projected);
    double neighbors = preservation(atoms, K, D, embedded, 10),
           pca = preservation(atoms, K, D, projected, 10);
    ck_assert_msg(neighbors > 0.6 && neighbors > 1.5 * pca, "%.3f of the neighbors kept, %.3f by pca",
                  neighbors, pca);
}
END_TEST

/* By full sorts. */
static ra_layout_quality quality_of(const float *D, size_t K, size_t d, const float *places, size_t k,
                                    size_t sample) {
    ra_layout_quality quality = {.atoms = sample};
    double *cosine = ra_malloc(K, sizeof *cosine), *gap = ra_malloc(K, sizeof *gap), intruded = 0;
    for (size_t s = 0; s < sample; s++) {
        size_t i = s * K / sample;
        for (size_t j = 0; j < K; j++) {
            double ii = 0, jj = 0, ij = 0;
            for (size_t l = 0; l < d; l++) {
                double x = (double)D[i * d + l], y = (double)D[j * d + l];
                ii += x * x, jj += y * y, ij += x * y;
            }
            cosine[j] = j == i ? -2 : ij / sqrt(ii * jj);
            gap[j] = j == i ? 1e9
                            : hypot((double)(places[2 * j] - places[2 * i]),
                                    (double)(places[2 * j + 1] - places[2 * i + 1]));
        }
        for (size_t j = 0; j < K; j++) {
            size_t rank = 1, shown = 1;
            for (size_t o = 0; o < K; o++) {
                rank += cosine[o] > cosine[j];
                shown += gap[o] < gap[j];
            }
            if (j == i || shown > k) continue;
            quality.preserved += rank <= k;
            intruded += rank > k ? (double)(rank - k) : 0;
        }
    }
    double counted = (double)sample * (double)k;
    quality.preserved /= counted;
    quality.trustworthiness = 1 - 2 * intruded / (counted * (double)(2 * K - 3 * k - 1));
    ra_free(cosine);
    ra_free(gap);
    return quality;
}

START_TEST(test_figures_equal_plain_loops) {
    enum { K = 700, D = 5 };
    static const size_t samples[] = {0, 700, 300, 7, 1000};
    static float atoms[K * D], places[K * 2];
    ra_backend *backend = backend_of("cpu", 2);
    ra_layout_quality quality;
    test_fill(atoms, K * D, 1);
    for (size_t i = 0; i < K; i++)
        for (size_t axis = 0; axis < 2; axis++) places[2 * i + axis] = atoms[i * D + axis];
    for (size_t c = 0; c < sizeof samples / sizeof *samples; c++) {
        ra_layout_quality expected = quality_of(atoms, K, D, places, 8, samples[c] % 1000 ? samples[c] : K);
        ra_ok(ra_layout_measure(backend, atoms, K, D, places, 8, samples[c], &quality, &err));
        ck_assert_uint_eq(quality.atoms, expected.atoms);
        ck_assert_double_eq_tol(quality.preserved, expected.preserved, 1e-12);
        ck_assert_double_eq_tol(quality.trustworthiness, expected.trustworthiness, 1e-12);
        ck_assert(quality.preserved > 0 && quality.preserved < 1);
    }
    ra_ok(ra_layout_measure(backend, atoms, 10, D, places, 5, 0, &quality, &err));
    ck_assert(isnan(quality.trustworthiness));
    for (size_t i = 0; i < K * D; i++)
        atoms[i] = atoms[i % (100 * D)]; /* each seven times: copies are equally near */
    for (size_t i = 0; i < K; i++) places[2 * i] = (float)(i % 100), places[2 * i + 1] = 0;
    ra_ok(ra_layout_measure(backend, atoms, K, D, places, 6, 0, &quality, &err));
    ck_assert_double_eq(quality.preserved, 1);
    ck_assert_double_eq(quality.trustworthiness, 1);
    memset(atoms, 0, sizeof atoms);
    ra_ok(ra_layout_measure(backend, atoms, K, D, places, 6, 0, &quality, &err));
    ck_assert_double_eq(quality.preserved, 1);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_a_seed_gives_the_same_places_with_any_threads) {
    enum { K = 120, D = 8 };
    static float atoms[K * D], first[K * 2], other[K * 2];
    test_fill(atoms, K * D, 2);
    for (int method = 0; method < 2; method++)
        for (size_t threads = 1; threads <= 3; threads++) {
            ra_layout_options options = {.method = method, .seed = 4, .epochs = 20};
            ra_backend *backend = backend_of("cpu", threads);
            ra_ok(ra_layout(backend, atoms, K, D, &options, threads == 1 ? first : other, &err));
            if (threads > 1) ck_assert_mem_eq(first, other, sizeof first);
            ra_backend_release(backend);
        }
    place(atoms, K, D, (ra_layout_options){.seed = 4, .epochs = 20}, first);
    place(atoms, K, D, (ra_layout_options){.seed = 5, .epochs = 20}, other);
    ck_assert(memcmp(first, other, sizeof first) != 0);
}
END_TEST

START_TEST(test_dictionaries_that_leave_nothing_to_place) {
    static const float same[] = {1, 2, 1, 2, 1, 2, 1, 2}, zeros[8] = {0};
    float places[8] = {9, 9};
    for (int method = 0; method < 2; method++) {
        place(same, 1, 2, (ra_layout_options){.method = method}, places);
        ck_assert(places[0] == 0 && places[1] == 0);
        place(same, 2, 2, (ra_layout_options){.method = method}, places);
        place(same, 4, 2, (ra_layout_options){.method = method}, places);
        place(zeros, 4, 2, (ra_layout_options){.method = method}, places);
        place(same, 8, 1, (ra_layout_options){.method = method}, (float[16]){0});
    }
    ck_assert_double_eq(preservation(same, 1, 2, places, 10), 1);
    ra_backend *backend = backend_of("cpu", 1);
    ra_layout_quality quality;
    ra_fails(ra_layout(backend, same, 0, 2, &(ra_layout_options){0}, places, &err), RA_ERR_ARGUMENT,
             "[0, 2]");
    ra_fails(ra_layout_measure(backend, same, 4, 2, places, 65, 0, &quality, &err), RA_ERR_ARGUMENT,
             "1 to 64");
    ra_backend_release(backend);
}
END_TEST

typedef struct watch {
    uint64_t done, total, stop_at;
    size_t calls;
} watch;

static bool on_epoch(void *context, uint64_t done, uint64_t total) {
    watch *w = context;
    ck_assert_uint_gt(done, w->done);
    w->done = done;
    w->total = total;
    w->calls++;
    return done != w->stop_at;
}

START_TEST(test_tells_every_epoch_and_can_be_stopped) {
    float atoms[20 * 3], places[20 * 2];
    ra_backend *backend = backend_of("cpu", 1);
    watch w = {0};
    ra_layout_options options = {.epochs = 7, .progress = on_epoch, .context = &w};
    test_fill(atoms, 20 * 3, 1);
    ra_ok(ra_layout(backend, atoms, 20, 3, &options, places, &err));
    ck_assert_uint_eq(w.calls, 7);
    ck_assert_uint_eq(w.total, 7);
    w = (watch){.stop_at = 3};
    ra_fails(ra_layout(backend, atoms, 20, 3, &options, places, &err), RA_ERR_CANCELED, "canceled");
    ck_assert_uint_eq(w.calls, 3);
    ra_backend_release(backend);
}
END_TEST

static ra_status place_and_count(ra_backend *backend, const float *D, ra_error *err) {
    float places[20 * 2];
    ra_layout_quality quality;
    ra_layout_options options = {.epochs = 2};
    ra_status status = ra_layout(backend, D, 20, 3, &options, places, err);
    return status == RA_OK ? ra_layout_measure(backend, D, 20, 3, places, 5, 0, &quality, err) : status;
}

START_TEST(test_every_allocation_may_fail) {
    float atoms[20 * 3];
    ra_backend *backend = backend_of("cpu", 1);
    test_fill(atoms, 20 * 3, 1);
    fails_at_each_allocation(place_and_count(backend, atoms, &err));
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(layout, test_nearest_equal_plain_loops, test_edges_stand_once_and_pull_as_both_ends_say,
           test_pca_finds_the_plane_that_atoms_lie_in,
           test_neighbors_stay_together_better_than_in_a_projection, test_figures_equal_plain_loops,
           test_a_seed_gives_the_same_places_with_any_threads, test_dictionaries_that_leave_nothing_to_place,
           test_tells_every_epoch_and_can_be_stopped, test_every_allocation_may_fail)
