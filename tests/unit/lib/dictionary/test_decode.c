/* x_hat = z D and its gradients without D (lib/dictionary/archetypal.c): the same numbers as with D, whose
 * gradients test_dictionary.c holds against finite differences; the same here, through x_hat; when it is done. */
#include "data_files.h"
#include "devices.h"
#include "ra_dictionary.h"
#include "ra_memory.h"
#include "ra_sae.h"
#include "ra_train.h"

#include <math.h>
#include <string.h>

enum { K = 40, N = 9, D_ = 48, B = 6, ACTIVE = 4, ENTRIES = B * ACTIVE, HOSTS = 2 };

typedef struct fixture {
    ra_backend *backend;
    ra_dictionary *dictionary;
    const ra_parameter *p; /* W, Relax, multiplier, C */
    ra_codes z, packed;
    int32_t atoms[K];
    size_t atom_count;
    float dx[B * D_], x_hat[B * D_];
} fixture;

enum { W, RELAX, MULTIPLIER, C };

/* Each row has ACTIVE latents, of which neighbors share some; row 2 has none. */
static void fill_codes(fixture *f) {
    float value[ENTRIES];
    size_t entries = 0;
    int32_t position[K];
    bool active[K] = {false};
    test_fill(value, ENTRIES, 5);
    ra_ok(ra_codes_reserve(&f->z, B, K, ENTRIES, &err));
    ra_ok(ra_codes_reserve(&f->packed, B, K, ENTRIES, &err));
    for (size_t b = 0; b < B; b++) {
        for (size_t i = 0; i < ACTIVE && b != 2; i++) {
            size_t k = b * 3 + i * 5;
            active[k] = true;
            f->z.index[entries] = (int32_t)k;
            f->z.value[entries++] = 1 + value[b * ACTIVE + i];
        }
        f->z.start[b + 1] = entries;
    }
    for (size_t k = 0; k < K; k++) {
        position[k] = (int32_t)f->atom_count;
        if (active[k]) f->atoms[f->atom_count++] = (int32_t)k;
    }
    f->packed.latents = f->atom_count;
    memcpy(f->packed.start, f->z.start, (B + 1) * sizeof *f->z.start);
    memcpy(f->packed.value, f->z.value, entries * sizeof *f->z.value);
    for (size_t e = 0; e < entries; e++) f->packed.index[e] = position[f->z.index[e]];
}

static fixture open_fixture(int host) {
    fixture f = {0};
    float points[N * D_];
    size_t count;
    f.backend = device_open(host, 2);
    test_fill(points, N * D_, 1);
    test_fill(f.dx, B * D_, 2);
    const ra_tensor view = ra_tensor_2d(RA_F32, points, N, D_);
    ra_ok(ra_archetypal_dictionary_new(f.backend, D_, K, &view, 0.5f, true, &f.dictionary, &err));
    f.p = ra_dictionary_parameters(f.dictionary, &count);
    test_fill(f.p[W].value, K * N, 3);
    test_fill(f.p[RELAX].value, K * D_, 4);
    *f.p[MULTIPLIER].value = 0.3f;
    ra_dictionary_changed(f.dictionary);
    fill_codes(&f);
    return f;
}

static void close_fixture(fixture *f) {
    ra_codes_release(&f->z);
    ra_codes_release(&f->packed);
    ra_dictionary_free(f->dictionary);
    ra_backend_release(f->backend);
}

static void close_to(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) ck_assert_float_eq_tol(a[i], b[i], 1e-5f * (1 + fabsf(b[i])));
}

START_TEST(test_the_same_as_with_the_dictionary) {
    fixture f = open_fixture(_i);
    static const size_t parameters[] = {W, RELAX, MULTIPLIER};
    const float *D;
    float x_hat[B * D_], dvalue[ENTRIES], expected[ENTRIES], dD[K * D_] = {0}, *gradient[3] = {NULL};
    ck_assert(ra_dictionary_decodes(f.dictionary, B, ENTRIES, f.atom_count));
    ra_ok(ra_dictionary_decode(f.dictionary, &f.z, f.x_hat, &err));
    const ra_decoded decoded = {&f.z, &f.packed, f.x_hat, f.dx};
    ra_ok(ra_dictionary_decode_backward(f.dictionary, &decoded, dvalue, &err));
    const size_t size[] = {f.atom_count * N, f.atom_count * D_, 1};
    for (size_t i = 0; i < 3; i++) {
        gradient[i] = ra_malloc(size[i], sizeof(float));
        memcpy(gradient[i], f.p[parameters[i]].gradient, size[i] * sizeof(float));
    }
    ra_ok(ra_dictionary_select(f.dictionary, f.atoms, f.atom_count, &D, &err));
    ra_ok(ra_backend_decode(f.backend, &f.packed, RA_F32, D, D_, x_hat, &err));
    close_to(f.x_hat, x_hat, B * D_);
    ra_ok(ra_backend_decode_gradient(f.backend, &f.packed, f.dx, D, D_, expected, &err));
    close_to(dvalue, expected, ra_codes_entries(&f.z));
    ra_ok(ra_backend_accumulate(f.backend, &f.packed, f.packed.value, f.dx, D_, dD, &err));
    ra_ok(ra_dictionary_backward(f.dictionary, dD, &err));
    for (size_t i = 0; i < 3; i++) {
        close_to(gradient[i], f.p[parameters[i]].gradient, size[i]);
        ra_free(gradient[i]);
    }
    close_fixture(&f);
}
END_TEST

/* sum(dx * x_hat) in double precision, from projected parameters. */
static double loss(const fixture *f) {
    double sum = 0, scale = exp((double)*f->p[MULTIPLIER].value);
    for (size_t b = 0; b < B; b++)
        for (size_t e = f->z.start[b]; e < f->z.start[b + 1]; e++) {
            size_t k = (size_t)f->z.index[e];
            for (size_t i = 0; i < D_; i++) {
                double atom = (double)f->p[RELAX].value[k * D_ + i];
                for (size_t n = 0; n < N; n++)
                    atom += (double)f->p[W].value[k * N + n] * (double)f->p[C].value[n * D_ + i];
                sum += (double)f->dx[b * D_ + i] * scale * (double)f->z.value[e] * atom;
            }
        }
    return sum;
}

/* The slope of the loss along one number; it is linear in all but the multiplier. */
static double slope(const fixture *f, float *number) {
    const float before = *number, h = 1.0f / 64;
    double change[2];
    for (int side = 0; side < 2; side++) {
        *number = side ? before - h : before + h;
        change[side] = loss(f);
    }
    *number = before;
    return (change[0] - change[1]) / (2 * (double)h);
}

START_TEST(test_finite_differences) {
    fixture f = open_fixture(_i);
    float dvalue[ENTRIES];
    ra_ok(ra_dictionary_decode(f.dictionary, &f.z, f.x_hat, &err));
    const ra_decoded decoded = {&f.z, &f.packed, f.x_hat, f.dx};
    ra_ok(ra_dictionary_decode_backward(f.dictionary, &decoded, dvalue, &err));
    for (size_t e = 0; e < ra_codes_entries(&f.z); e++) {
        double expected = slope(&f, &f.z.value[e]);
        ck_assert_double_eq_tol((double)dvalue[e], expected, 1e-4 * (1 + fabs(expected)));
    }
    for (size_t i = W; i <= MULTIPLIER; i++) {
        size_t n = i == W ? N : i == RELAX ? D_ : 1, rows = i == MULTIPLIER ? 1 : f.atom_count;
        for (size_t j = 0; j < rows * n; j++) {
            size_t at = i == MULTIPLIER ? 0 : (size_t)f.atoms[j / n] * n + j % n;
            double expected = slope(&f, &f.p[i].value[at]);
            ck_assert_double_eq_tol((double)f.p[i].gradient[j], expected, 1e-4 * (1 + fabs(expected)));
        }
    }
    close_fixture(&f);
}
END_TEST

START_TEST(test_where_it_costs_less) {
    static const struct {
        size_t d, rows, active, atoms;
        bool without;
    } cases[] = {
        {768, 1024, 50, 10000, true},   /* the method's documented size */
        {768, 1024, 50, 25000, true},   /* of 32,000 */
        {768, 1024, 50, 1500, false},   /* each atom is active in many rows: D is small */
        {768, 16384, 50, 10000, false}, /* the batch is larger than the dictionary */
        {768, 1024, 1000, 10000, false} /* codes are hardly sparse */,
        {8, 1024, 50, 10000, false}, /* to gather a row of W costs more than to compute an atom */
    };
    ra_backend *backend = device_open(1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float points[768];
        ra_dictionary *dictionary = NULL, *plain = NULL;
        test_fill(points, cases[i].d, 1);
        const ra_tensor view = ra_tensor_2d(RA_F32, points, 1, cases[i].d);
        ra_ok(ra_archetypal_dictionary_new(backend, cases[i].d, 2, &view, 1, true, &dictionary, &err));
        ra_ok(ra_plain_dictionary_new(backend, cases[i].d, 2, RA_DICTIONARY_IDENTITY, NULL, true, 3, &plain,
                                      &err));
        size_t rows = cases[i].rows, entries = rows * cases[i].active;
        ck_assert_msg(ra_dictionary_decodes(dictionary, rows, entries, cases[i].atoms) == cases[i].without,
                      "case %zu", i);
        ck_assert(!ra_dictionary_decodes(plain, rows, entries, cases[i].atoms));
        ra_dictionary_free(dictionary);
        ra_dictionary_free(plain);
    }
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(decode, 0, HOSTS, test_the_same_as_with_the_dictionary, test_finite_differences)
TEST_CASES(decode_choice, test_where_it_costs_less)
