/* The activations on codes worked out by hand, on every device, and the settings that they need
 * (lib/sae/{activation,batchtopk,jumprelu,requirements}.c). test_pursuit.c has mp; golden runs have the gradients.
 *
 * To add an activation: its rows in `cases`. */
#include "devices.h"
#include "ra_memory.h"
#include "sae/activation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { B = 2, K = 4 };

static const float pre[B * K] = {3, -1, 2, 2, 0.5f, 0.25f, 0, -4};

static const struct {
    ra_sae_kind kind;
    bool training;
    size_t top_k;
    float running_threshold, thresholds[K];
    float codes[B * K];
} cases[] = {
    {RA_SAE_RELU, .codes = {3, 0, 2, 2, 0.5f, 0.25f, 0, 0}},
    {RA_SAE_TOPK, .top_k = 2, .codes = {3, 0, 2, 0, 0.5f, 0.25f, 0, 0}},
    {RA_SAE_TOPK, .top_k = 4, .codes = {3, 0, 2, 2, 0.5f, 0.25f, 0, 0}},
    {RA_SAE_BATCHTOPK, .training = true, .top_k = 1, .codes = {3, 0, 2, 2}},
    {RA_SAE_BATCHTOPK, .training = true, .top_k = 2, .codes = {3, 0, 2, 2, 0.5f}},
    {RA_SAE_BATCHTOPK, .running_threshold = 0.5f, .codes = {3, 0, 2, 2, 0.5f}},
    {RA_SAE_JUMPRELU, .thresholds = {2.5f, 0.25f, 2, 3}, .codes = {3, 0, 2, 0, 0, 0.25f}},
};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(test_codes) {
    size_t i = (size_t)_i / DEVICES;
    const ra_activation_type *type = ra_activation_types[cases[i].kind];
    ra_backend *backend = device_open(_i % DEVICES, 2);
    ra_buffer on_pre = {0}, on_thresholds = {0};
    ra_codes codes = {0};
    ra_activation activation = {.kind = cases[i].kind,
                                .top_k = cases[i].top_k,
                                .running_threshold = cases[i].running_threshold,
                                .has_running_threshold = cases[i].running_threshold > 0,
                                .thresholds = device_put(&on_thresholds, backend, cases[i].thresholds, K)};
    const float *scores = device_put(&on_pre, backend, pre, B * K);
    if (cases[i].training)
        ra_ok(type->train(&activation, backend, scores, B, K, &codes, &err));
    else
        ra_ok(type->evaluate(&activation, ra_backend_default_stream(backend), scores, B, K, &codes, &err));
    float dense[B * K] = {0};
    for (size_t b = 0; b < B; b++)
        for (size_t e = codes.start[b]; e < codes.start[b + 1]; e++)
            dense[b * K + (size_t)codes.index[e]] = codes.value[e];
    ck_assert_msg(memcmp(dense, cases[i].codes, sizeof dense) == 0, "the codes of case %zu differ", i);
    ra_codes_release(&codes);
    ra_buffer_release(&on_pre);
    ra_buffer_release(&on_thresholds);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_the_running_threshold_is_an_average) {
    ra_backend *backend = device_open(DEVICE_CPU, 1);
    ra_activation activation = {.kind = RA_SAE_BATCHTOPK, .top_k = 1, .threshold_momentum = 0.75f};
    ra_codes codes = {0};
    const float last[] = {2, 0.75f * 2 + 0.25f * 0.5f};
    for (size_t step = 0; step < 2; step++) {
        activation.top_k = 1 + step; /* the second batch's last code is 0.5 */
        ra_ok(ra_activation_batchtopk.train(&activation, backend, pre, B, K, &codes, &err));
        ck_assert(activation.has_running_threshold);
        ck_assert_float_eq(activation.running_threshold, last[step]);
    }
    ra_codes_release(&codes);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_every_kind_has_a_row) {
    const char *const *names = ra_sae_settings_table()->rows[RA_SET_SAE].names;
    for (size_t kind = 0; kind < RA_SAE_KIND_COUNT; kind++) {
        const ra_activation_type *type = ra_activation_types[kind];
        bool tested = type->pursues;
        for (size_t i = 0; i < CASES; i++) tested |= cases[i].kind == (ra_sae_kind)kind;
        ck_assert_msg(tested, "%s has no case above", names[kind]);
        ck_assert_int_eq(type->evaluate == NULL, type->pursues);
        ck_assert_int_eq(type->theta_gradient != NULL, type->has_thresholds);
    }
    ck_assert_ptr_null(names[RA_SAE_KIND_COUNT]);
}
END_TEST

/* proto/artifact.md lists the values of `sae` and `encoder`. */
START_TEST(test_every_kind_is_specified) {
    static char document[1 << 17];
    static const enum ra_sae_setting settings[] = {RA_SET_SAE, RA_SET_ENCODER};
    FILE *file = fopen("proto/artifact.md", "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(document, 1, sizeof document - 1, file);
    ck_assert(feof(file) && size > 0);
    fclose(file);
    for (size_t i = 0; i < 2; i++) {
        const ra_setting *row = &ra_sae_settings_table()->rows[settings[i]];
        char begin[64], name[64];
        snprintf(begin, sizeof begin, "\n| `%s` | ", row->key);
        const char *line = strstr(document, begin);
        ck_assert_msg(line, "%s is not in the table", row->key);
        size_t length = strcspn(line + 1, "\n");
        for (size_t v = 0; row->names[v]; v++) {
            snprintf(name, sizeof name, "`%s`", row->names[v]);
            const char *at = strstr(line, name);
            ck_assert_msg(at && at < line + 1 + length, "the row of %s lacks %s", row->key, name);
        }
    }
}
END_TEST

START_TEST(test_missing_settings_are_named) {
    static const struct {
        ra_sae_settings settings;
        bool training;
        const char *message;
    } table[] = {
        {{.known = 0}, true, "here: the setting sae is missing"},
        {{.known = 1 << RA_SET_SAE, .sae = RA_SAE_TOPK}, false, "topk needs; give it with --top-k"},
        {{.known = 1 << RA_SET_SAE, .sae = RA_SAE_MP}, true, "mp needs; give it with --top-k"},
        {{.known = 1 << RA_SET_SAE, .sae = RA_SAE_BATCHTOPK}, true, "--top-k"},
        {{.known = 1 << RA_SET_SAE, .sae = RA_SAE_BATCHTOPK}, false, "--running-threshold"},
    };
    ra_activation activation;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ra_fails(ra_activation_init(&activation, &table[i].settings, K, table[i].training, "here", &err),
                 RA_ERR_SETTING, table[i].message);
    ra_sae_settings wide = {.known = 1 << RA_SET_SAE | 1 << RA_SET_TOP_K, .sae = RA_SAE_TOPK, .top_k = K + 1};
    ra_fails(ra_activation_init(&activation, &wide, K, true, "here", &err), RA_ERR_ARGUMENT,
             "top_k is 5, but there are only 4 concepts");
    ck_assert(ra_sae_needs(&wide, RA_SET_TOP_K) && !ra_sae_needs(&wide, RA_SET_BANDWIDTH));
    ck_assert(!ra_sae_needs(&table[0].settings, RA_SET_TOP_K));
}
END_TEST

TEST_CASES_LOOP(activation_codes, 0, CASES *DEVICES, test_codes)
TEST_CASES(activation, test_the_running_threshold_is_an_average, test_every_kind_has_a_row,
           test_every_kind_is_specified, test_missing_settings_are_named)
