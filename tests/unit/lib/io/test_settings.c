/* Settings in the metadata of a file. */
#include "harness.h"
#include "ra_sae.h"

#include <stdio.h>

static ra_safetensors *write(const ra_sae_settings *settings, const char *key, const char *value) {
    ra_safetensors_writer *writer = NULL;
    ra_safetensors *file = NULL;
    char gone[32];
    const char *path = test_path("settings.safetensors");
    snprintf(gone, sizeof gone, "%s", value);
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_settings_write(ra_sae_settings_table(), settings, writer, &err));
    ra_ok(ra_safetensors_writer_metadata(writer, key, gone, &err));
    gone[0] = '\0'; /* texts are copied */
    ra_ok(ra_safetensors_writer_count(writer, "rows", 42, &err));
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    ra_ok(ra_safetensors_open(path, &file, &err));
    return file;
}

START_TEST(test_what_is_known_reads_back) {
    const ra_sae_settings settings = {.known =
                                          1u << RA_SET_SAE | 1u << RA_SET_DELTA | 1u << RA_SET_USE_MULTIPLIER,
                                      .sae = RA_SAE_TOPK,
                                      .top_k = 9,
                                      .delta = 0.1,
                                      .use_multiplier = true};
    ra_sae_settings back = {0};
    ra_safetensors *file = write(&settings, "of_others", "left alone");
    ra_ok(ra_settings_read(ra_sae_settings_table(), file, &back, &err));
    ck_assert_uint_eq(back.known, settings.known);
    ck_assert_int_eq(back.sae, RA_SAE_TOPK);
    ck_assert(back.delta == 0.1);
    ck_assert(back.use_multiplier);
    ck_assert_uint_eq(back.top_k, 0);
    ck_assert_str_eq(ra_safetensors_metadata(file, "of_others"), "left alone");
    ck_assert_str_eq(ra_safetensors_metadata(file, "rows"), "42");
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_a_value_that_is_none_is_told_with_file_and_key) {
    ra_sae_settings back = {0};
    ra_safetensors *file = write(&back, "top_k", "many");
    ra_fails(ra_settings_read(ra_sae_settings_table(), file, &back, &err), RA_ERR_ARGUMENT,
             "settings.safetensors: the setting top_k is \"many\", expected a whole number");
    ra_safetensors_free(file);
}
END_TEST

TEST_CASES(settings_in_files, test_what_is_known_reads_back,
           test_a_value_that_is_none_is_told_with_file_and_key)
