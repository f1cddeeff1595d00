/* The agreement of atoms with other runs in files and models (lib/model/agreement.c). */
#include "model_files.h"

#include "ra_memory.h"

#include <math.h>
#include <string.h>

static const float share[FILE_K] = {1, 0.75f, 0, 0.5f, 0.25f, 1},
                   cosine[FILE_K] = {0.95f, 0.8f, -0.5f, 0.6f, 0.5f, 1};

static void put(model_file *file) {
    model_file_artifact(file);
    model_file_put(file, "agreement.share", RA_F32, 1, FILE_K, 0, share);
    model_file_put(file, "agreement.cosine", RA_F32, 1, FILE_K, 0, cosine);
    model_file_text(file, "agreement.runs", "4");
    model_file_text(file, "agreement.level", "0.7");
}

static void check(const ra_model *model) {
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert_uint_eq(info->agreement_runs, 4);
    ck_assert_double_eq_tol(info->agreement_level, 0.7, 1e-9);
    for (size_t k = 0; k < FILE_K; k++) {
        ck_assert(ra_model_atom_agreement(model, k) == share[k]);
        ck_assert(ra_model_atom_agreement_cosine(model, k) == cosine[k]);
    }
}

START_TEST(test_a_file_keeps_it) {
    model_file file = {0};
    put(&file);
    ra_model *model = model_open(model_file_write(&file, "a.safetensors"));
    check(model);
    const char *again = test_path("again.safetensors");
    ra_ok(ra_model_save(model, again, RA_F32, &err));
    ra_model_release(model);
    model = model_open(again);
    check(model);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_without_it_nothing_is_known) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "none.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(model)->agreement_runs, 0);
    ck_assert(isnan(ra_model_atom_agreement(model, 0)) && isnan(ra_model_get_info(model)->agreement_share));
    ra_agreement agreement = {
        .atoms = FILE_K, .runs = 4, .level = 0.7, .share = (float *)share, .cosine = (float *)cosine};
    const char *with = test_path("with.safetensors");
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.agreement = &agreement}, with, RA_F32, &err));
    agreement.atoms--;
    ra_fails(ra_model_save_with(model, &(ra_model_additions){.agreement = &agreement}, with, RA_F32, &err),
             RA_ERR_SHAPE, "an agreement of 5 cannot");
    ra_model_release(model);
    model = model_open(with);
    check(model);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_bad_one_is_refused) {
    static const struct {
        const char *key, *text, *tensor;
        double value;
        ra_status code;
        const char *message;
    } cases[] = {
        {"agreement.runs", "0", NULL, 0, RA_ERR_FORMAT, "agreement.runs is \"0\""},
        {"agreement.level", "high", NULL, 0, RA_ERR_FORMAT, "agreement.level is \"high\""},
        {NULL, NULL, "agreement.share", 1.5, RA_ERR_FORMAT, "agreement.share holds 1.5 for atom 2"},
        {NULL, NULL, "agreement.share", -0.5, RA_ERR_FORMAT, "expected 0 to 1"},
        {NULL, NULL, "agreement.cosine", NAN, RA_ERR_FORMAT, "agreement.cosine holds nan"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_file file = {0};
        ra_model *model = NULL;
        put(&file);
        if (cases[i].key) model_file_text(&file, cases[i].key, cases[i].text);
        if (cases[i].tensor) model_file_set(&file, cases[i].tensor, 2, cases[i].value);
        const char *path = model_file_write(&file, "bad.safetensors");
        ra_fails(ra_model_open(path, NULL, &model, &err), cases[i].code, cases[i].message);
        model_file_release(&file);
    }
}
END_TEST

TEST_CASES(agreement, test_a_file_keeps_it, test_without_it_nothing_is_known, test_a_bad_one_is_refused)
