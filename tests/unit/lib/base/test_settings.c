/* Settings as tables: parsing, printing, ranges, precedence; and the tables of lib/sae/settings.c and
 * lib/train/settings.c. */
#include "harness.h"
#include "ra_sae.h"
#include "ra_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ra_status parse(ra_sae_settings *settings, const char *key, const char *text, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    int row = ra_setting_by_key(table, key);
    ck_assert_int_ge(row, 0);
    return ra_setting_parse(table, (size_t)row, settings, text, key, err);
}

START_TEST(test_parses_every_type) {
    ra_sae_settings s = {0};
    ra_ok(parse(&s, "sae", "jumprelu", &err));
    ra_ok(parse(&s, "top_k", "32", &err));
    ra_ok(parse(&s, "delta", "0.25", &err));
    ra_ok(parse(&s, "use_multiplier", "False", &err)); /* as Python's str() writes it */
    ck_assert_int_eq(s.sae, RA_SAE_JUMPRELU);
    ck_assert_uint_eq(s.top_k, 32);
    ck_assert_double_eq(s.delta, 0.25);
    ck_assert(!s.use_multiplier);
    ck_assert_uint_eq(s.known, 1u << RA_SET_SAE | 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA |
                                   1u << RA_SET_USE_MULTIPLIER);
}
END_TEST

START_TEST(test_refuses_with_expected_and_actual) {
    static const struct {
        const char *key, *text, *expected;
    } table[] = {
        {"sae", "gated", "expected relu, topk"},
        {"sae", "", "expected relu"},
        {"top_k", "0", "whole number from 1"},
        {"top_k", "-3", "whole number from 1"},
        {"top_k", "3.5", "whole number from 1"},
        {"top_k", "99999999999999999999", "whole number from 1"},
        {"top_k", " 3", "whole number from 1"},
        {"delta", "-0.5", "number from 0"},
        {"delta", "nan", "number from 0"},
        {"delta", "inf", "number from 0"},
        {"delta", "1y", "number from 0 to 1e+30, or one followed by x"},
        {"use_multiplier", "yes", "true or false"},
        {"kernel", "box",
         "expected rectangle, gaussian, triangular, cosine, epanechnikov, quartic, silverman or cauchy"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ra_sae_settings s = {0};
        ra_fails(parse(&s, table[i].key, table[i].text, &err), RA_ERR_ARGUMENT, table[i].expected);
        ck_assert_uint_eq(s.known, 0);
    }
}
END_TEST

START_TEST(test_counts_are_digits_alone) {
    static const struct {
        const char *text;
        bool good;
        size_t count;
    } table[] = {
        {"0", true, 0},
        {"0042", true, 42},
        {"18446744073709551614", true, SIZE_MAX - 1},
        {"18446744073709551615", true, SIZE_MAX},
        {"18446744073709551616", true, SIZE_MAX}, /* beyond size_t: by one, by one digit, by many digits */
        {"184467440737095516150", true, SIZE_MAX},
        {"99999999999999999999999999999999999999990", true, SIZE_MAX},
        {"", false, 7},
        {"-1", false, 7},
        {"+1", false, 7},
        {" 1", false, 7},
        {"1 ", false, 7},
        {"1.0", false, 7},
        {"0x1", false, 7},
        {"99999999999999999999999x", false, 7},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t count = 7; /* unchanged if the text is not a count */
        ck_assert_msg(ra_count_parse(table[i].text, &count) == table[i].good, "\"%s\"", table[i].text);
        ck_assert_uint_eq(count, table[i].count);
    }
}
END_TEST

START_TEST(test_prints_what_it_reads_back) {
    static const double values[] = {0, 0.1, 1.0 / 3, 1e-5, 0.829, 123456789.125, 0.8290000200271606};
    const ra_settings_table *table = ra_sae_settings_table();
    char text[64];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ra_sae_settings s = {.delta = values[i]}, back = {0};
        ra_setting_print(table, RA_SET_DELTA, &s, text, sizeof text);
        ra_ok(ra_setting_parse(table, RA_SET_DELTA, &back, text, "delta", &err));
        ck_assert(back.delta == values[i]);
    }
    ra_sae_settings s = {.threshold_momentum = 0.9};
    ck_assert_str_eq(ra_setting_print(table, RA_SET_THRESHOLD_MOMENTUM, &s, text, sizeof text), "0.9");
}
END_TEST

START_TEST(test_flags_follow_from_keys) {
    const ra_setting *rows = ra_sae_settings_table()->rows;
    ck_assert_str_eq(ra_setting_flag(&rows[RA_SET_THRESHOLD_MOMENTUM]).text, "threshold-momentum");
    ck_assert_str_eq(ra_setting_flag(&rows[RA_SET_DICTIONARY]).text, "dictionary-kind");
    ck_assert_str_eq(ra_setting_flag(&rows[RA_SET_USE_MULTIPLIER]).text, "no-multiplier");
}
END_TEST

START_TEST(test_defaults_fill_what_is_not_known) {
    ra_sae_settings s = {.known = 1u << RA_SET_BANDWIDTH, .bandwidth = 2};
    ra_settings_default(ra_sae_settings_table(), &s);
    ck_assert_double_eq(s.bandwidth, 2);
    ck_assert_double_eq(s.threshold_momentum, 0.9);
    ck_assert_int_eq(s.kernel, RA_KERNEL_SILVERMAN);
    ck_assert(s.use_multiplier);
    ck_assert(!ra_setting_known(&s, RA_SET_TOP_K)); /* it has none */
    ra_setting_forget(&s, RA_SET_BANDWIDTH);
    ck_assert(!ra_setting_known(&s, RA_SET_BANDWIDTH));
    ck_assert(ra_setting_known(&s, RA_SET_KERNEL));
}
END_TEST

START_TEST(test_fill_and_override) {
    ra_sae_settings file = {.known = 1u << RA_SET_DELTA, .delta = 1},
                    flags = {.known = 1u << RA_SET_DELTA, .delta = 2};
    ra_sae_settings filled = file, replaced = file;
    ra_settings_fill(ra_sae_settings_table(), &filled, &flags);
    ra_settings_override(ra_sae_settings_table(), &replaced, &flags);
    ck_assert_double_eq(filled.delta, 1);
    ck_assert_double_eq(replaced.delta, 2);
}
END_TEST

START_TEST(test_tables_are_well_formed) {
    const ra_settings_table *tables[] = {ra_sae_settings_table(), ra_train_settings_table()};
    for (size_t t = 0; t < 2; t++) {
        ck_assert_uint_le(tables[t]->count, 64);
        for (size_t i = 0; i < tables[t]->count; i++) {
            const ra_setting *row = &tables[t]->rows[i];
            ck_assert_ptr_nonnull(row->key);
            ck_assert(row->help || row->names);
            ck_assert_int_eq(ra_setting_by_key(tables[t], row->key), (int)i);
            if (row->fallback) { /* it reads back, to the same */
                char text[64];
                union {
                    uint64_t known;
                    ra_sae_settings sae;
                    ra_train_settings train;
                } values = {0};
                ra_ok(ra_setting_parse(tables[t], i, &values, row->fallback, row->key, &err));
                ck_assert_str_eq(ra_setting_print(tables[t], i, &values, text, sizeof text), row->fallback);
            }
            ck_assert(row->type != RA_SETTING_NAME || row->names);
            ck_assert(row->type == RA_SETTING_NAME || row->type == RA_SETTING_BOOL || row->min < row->max);
        }
    }
    ck_assert_int_eq(ra_setting_by_key(tables[0], "nosuch"), -1);
}
END_TEST

START_TEST(test_training_defaults_follow_the_loss) {
    ra_train_settings s = {0}, auxk = {0};
    ra_train_settings_defaults(&s);
    ck_assert_uint_eq(s.batch_size, 1024);
    ck_assert_double_eq(s.lr, 5e-4);
    ck_assert_uint_eq(s.epochs, 20);
    ck_assert_double_eq(s.clip_grad, 1);
    ck_assert_double_eq(s.lr_final, s.lr / 100);
    ck_assert(s.shuffle);
    auxk.known = 1u << ra_setting_by_key(ra_train_settings_table(), "loss");
    auxk.loss = RA_LOSS_AUXK;
    ra_train_settings_defaults(&auxk);
    ck_assert_double_eq(auxk.penalty, 0.1);
}
END_TEST

TEST_CASES(settings_table, test_parses_every_type, test_refuses_with_expected_and_actual,
           test_counts_are_digits_alone, test_prints_what_it_reads_back, test_flags_follow_from_keys,
           test_defaults_fill_what_is_not_known, test_fill_and_override, test_tables_are_well_formed,
           test_training_defaults_follow_the_loss)
