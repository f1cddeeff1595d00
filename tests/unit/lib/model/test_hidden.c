/* Encoders with hidden layers or an RMSNorm (lib/sae/hidden.c, lib/model/hidden.c) against plain loops in float64, from artifacts
 * on each device; saved and opened again; and files whose layers do not fit. tests/cli/test_import.py compares with overcomplete. */
#include "model_files.h"

#include "ra_memory.h"
#include "sae/hidden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { H = 3, B = 5, WIDE = 5 /* of a layer that is no smaller than its input */ };

/* ---- the files ------------------------------------------------------------------------------------------ */

typedef struct how {
    ra_encoder_norm_kind norm;
    size_t layers, width;
    const char *activation;
    bool residual;
    const char *encoder; /* the name that it gets */
} how;

static const how cases[] = {
    {RA_ENCODER_RMS_NORM, 0, 0, NULL, false, "mlp_rms_1"},
    {RA_ENCODER_LAYER_NORM, 2, FILE_D, "relu", false, "mlp_ln_3"},
    {RA_ENCODER_BATCH_NORM, 2, FILE_D, "relu", true, "mlp_bn_3"},
    {RA_ENCODER_RMS_NORM, 2, FILE_D, "gelu", true, "mlp_rms_n"},
    {RA_ENCODER_NO_NORM, 1, H, "silu", true, "mlp_n"},
    {RA_ENCODER_LAYER_NORM, 1, WIDE, "tanh", false, "mlp_ln_n"},
    {RA_ENCODER_BATCH_NORM, 3, H, "sigmoid", false, "mlp_bn_n"},
    {RA_ENCODER_NO_NORM, 2, WIDE, "elu", true, "mlp_n"},
    {RA_ENCODER_NO_NORM, 2, H, "leaky_relu", false, "mlp_n"},
    {RA_ENCODER_NO_NORM, RA_HIDDEN_MOST, H, "identity", true, "mlp_n"},
};
enum { CASES = sizeof cases / sizeof *cases };

static size_t norm_tensors(ra_encoder_norm_kind norm) {
    static const size_t ends[] = {[RA_ENCODER_NO_NORM] = RA_ENCODER_NORM_WEIGHT,
                                  [RA_ENCODER_RMS_NORM] = RA_ENCODER_NORM_BIAS,
                                  [RA_ENCODER_LAYER_NORM] = RA_ENCODER_RUNNING_MEAN,
                                  [RA_ENCODER_BATCH_NORM] = RA_ENCODER_TENSORS};
    return ends[norm];
}

/* Variances lie in [0.1, 1.1). */
static void values_of(size_t layer, size_t which, float *values, size_t n) {
    test_fill(values, n, 100 * layer + which);
    for (size_t i = 0; which == RA_ENCODER_RUNNING_VAR && i < n; i++) values[i] = (values[i] + 1.2f) / 2;
}

static void put(model_file *file, size_t layer, size_t which, bool last, size_t outputs, size_t inputs) {
    static char names[RA_HIDDEN_MOST + 1][RA_ENCODER_TENSORS][64];
    float values[64];
    char *name = names[layer][which];
    snprintf(name, 64, "%s",
             last ? ra_encoder_tensor_names[which] : ra_hidden_tensor_name(layer, which).text);
    bool weight = which == RA_ENCODER_WEIGHT;
    values_of(layer, which, values, weight ? outputs * inputs : outputs);
    model_file_put(file, name, RA_F32, weight ? 2 : 1, outputs, weight ? inputs : 0, values);
}

/* A plain dictionary with this encoder: relu. */
static void make(const how *c, model_file *file) {
    float D[FILE_K * FILE_D];
    size_t inputs = FILE_D;
    test_fill(D, FILE_K * FILE_D, 1);
    model_file_put(file, "dictionary", RA_F32, 2, FILE_K, FILE_D, D);
    model_file_text(file, "sae", "relu");
    if (c->norm == RA_ENCODER_RMS_NORM) model_file_text(file, "encoder", c->encoder);
    if (c->layers) model_file_text(file, "hidden_activation", c->activation);
    if (c->layers) model_file_text(file, "hidden_residual", c->residual ? "true" : "false");
    for (size_t i = 0; i <= c->layers; i++) {
        size_t outputs = i == c->layers ? FILE_K : c->width;
        for (size_t which = 0; which < norm_tensors(c->norm); which++)
            put(file, i, which, i == c->layers, outputs, inputs);
        inputs = outputs;
    }
}

/* ---- plain loops ---------------------------------------------------------------------------------------- */

static double activate(const char *name, double x) {
    if (strcmp(name, "relu") == 0) return x > 0 ? x : 0;
    if (strcmp(name, "gelu") == 0) return x * 0.5 * (1 + erf(x / sqrt(2)));
    if (strcmp(name, "silu") == 0) return x / (1 + exp(-x));
    if (strcmp(name, "tanh") == 0) return tanh(x);
    if (strcmp(name, "sigmoid") == 0) return 1 / (1 + exp(-x));
    if (strcmp(name, "elu") == 0) return x > 0 ? x : exp(x) - 1;
    if (strcmp(name, "leaky_relu") == 0) return x > 0 ? x : 0.01 * x;
    return x;
}

static void normalize(const how *c, float parts[RA_ENCODER_TENSORS][64], double *y, size_t n) {
    double mean = 0, square = 0, variance = 0;
    for (size_t j = 0; j < n; j++) mean += y[j] / (double)n, square += y[j] * y[j] / (double)n;
    for (size_t j = 0; j < n; j++) variance += (y[j] - mean) * (y[j] - mean) / (double)n;
    for (size_t j = 0; j < n && c->norm != RA_ENCODER_NO_NORM; j++) {
        if (c->norm == RA_ENCODER_RMS_NORM) y[j] /= sqrt(square + RA_RMS_EPSILON);
        if (c->norm == RA_ENCODER_LAYER_NORM) y[j] = (y[j] - mean) / sqrt(variance + RA_NORM_EPSILON);
        if (c->norm == RA_ENCODER_BATCH_NORM)
            y[j] = (y[j] - (double)parts[RA_ENCODER_RUNNING_MEAN][j]) /
                   sqrt((double)parts[RA_ENCODER_RUNNING_VAR][j] + RA_NORM_EPSILON);
        y[j] *= (double)parts[RA_ENCODER_NORM_WEIGHT][j];
        if (c->norm != RA_ENCODER_RMS_NORM) y[j] += (double)parts[RA_ENCODER_NORM_BIAS][j];
    }
}

static void expect(const how *c, const float *x, float *codes) {
    double h[8], y[8];
    size_t inputs = FILE_D;
    for (size_t j = 0; j < FILE_D; j++) h[j] = (double)x[j];
    for (size_t i = 0; i <= c->layers; i++) {
        bool last = i == c->layers;
        size_t n = last ? FILE_K : c->width;
        float parts[RA_ENCODER_TENSORS][64];
        for (size_t which = 0; which < norm_tensors(c->norm); which++)
            values_of(i, which, parts[which], which == RA_ENCODER_WEIGHT ? n * inputs : n);
        for (size_t j = 0; j < n; j++) {
            y[j] = (double)parts[RA_ENCODER_BIAS][j];
            for (size_t k = 0; k < inputs; k++)
                y[j] += (double)parts[RA_ENCODER_WEIGHT][j * inputs + k] * h[k];
        }
        normalize(c, parts, y, n);
        for (size_t j = 0; j < n && !last; j++)
            h[j] = activate(c->activation, y[j]) + (c->residual && inputs == n ? h[j] : 0);
        inputs = n;
    }
    for (size_t k = 0; k < FILE_K; k++) codes[k] = y[k] > 0 ? (float)y[k] : 0;
}

/* ---- computing ------------------------------------------------------------------------------------------ */

static void encode(const ra_model *model, const float *x, float *z) {
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(model, workspace, x, B, &codes, &err));
    ra_codes_to_dense(&codes, z);
    ra_ok(ra_model_explain(model, workspace, x, B, &explanation,
                           &err)); /* of x, and not of what layers make of it */
    double square = 0;
    for (size_t j = 0; j < FILE_D; j++) square += (double)x[j] * (double)x[j];
    ck_assert_double_eq_tol((double)explanation.input_norm[0], sqrt(square), 1e-6);
    ra_explanation_release(&explanation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
}

START_TEST(test_layers_are_those_of_plain_loops) {
    const how *c = &cases[_i / MODEL_DEVICES];
    float x[B * FILE_D], z[B * FILE_K], expected[B * FILE_K], again[B * FILE_K], vector[FILE_D];
    model_file file = {0};
    (void)model_on_device(_i);
    make(c, &file);
    ra_model *model = model_open(model_file_write(&file, "layers.safetensors")), *saved;
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert_str_eq(ra_sae_settings_table()->rows[RA_SET_ENCODER].names[info->settings.encoder], c->encoder);
    ck_assert_uint_eq(info->hidden_layers, c->layers);
    test_fill(x, B * FILE_D, 7);
    for (size_t b = 0; b < B; b++) expect(c, x + b * FILE_D, expected + b * FILE_K);
    encode(model, x, z);
    assert_close(z, expected, B * FILE_K, 1e-5);
    ra_ok(ra_model_save(model, test_path("saved.safetensors"), RA_F32, &err));
    saved = model_open(test_path("saved.safetensors"));
    encode(saved, x, again);
    ck_assert_mem_eq(z, again, sizeof z);
    if (c->layers) ra_fails(ra_model_encoder_vector(model, 0, vector, &err), RA_ERR_STATE, "hidden layers");
    ra_model_release(saved);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* Half precision in the file, and as float32 it is the rounded numbers. */
START_TEST(test_narrow_layers) {
    float x[B * FILE_D], wide[B * FILE_K], narrow[B * FILE_K];
    model_file file = {0};
    make(&cases[1], &file);
    ra_model *model = model_open(model_file_write(&file, "wide.safetensors"));
    test_fill(x, B * FILE_D, 7);
    encode(model, x, wide);
    ra_model_release(model);
    model_file_convert(&file, "encoder.mlp_blocks.0.0.weight", RA_F16);
    model_file_convert(&file, "encoder.mlp_blocks.1.1.bias", RA_BF16);
    model = model_open(model_file_write(&file, "narrow.safetensors"));
    encode(model, x, narrow);
    assert_close(narrow, wide, B * FILE_K, 0.01);
    ck_assert_mem_ne(narrow, wide, sizeof wide);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_every_allocation_may_fail) {
    model_file file = {0};
    make(&cases[2], &file);
    const char *path = model_file_write(&file, "layers.safetensors");
    float x[FILE_D];
    test_fill(x, FILE_D, 7);
    ra_status status = RA_ERR_MEMORY;
    for (size_t fail = 1; status != RA_OK; fail++) {
        ra_model *model = NULL;
        ra_workspace *workspace = NULL;
        ra_codes codes = {0};
        ck_assert_uint_lt(fail, 2000);
        (void)ra_memory_fail_at(fail);
        status = ra_model_open(path, NULL, &model, NULL);
        if (status == RA_OK) status = ra_workspace_new(&workspace, NULL);
        if (status == RA_OK) status = ra_model_encode(model, workspace, x, 1, &codes, NULL);
        (void)ra_memory_fail_at(0);
        ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
        ra_codes_release(&codes);
        ra_workspace_free(workspace);
        if (model) ra_model_release(model);
    }
    model_file_release(&file);
}
END_TEST

/* ---- files that do not fit ------------------------------------------------------------------------------ */

static const struct {
    const char *drop, *put; /* tensors; put is [rows, cols] of numbers */
    size_t rows, cols;
    const char *key, *text; /* of the metadata */
    ra_status code;
    const char *message;
} malformed[] = {
    {"encoder.mlp_blocks.0.0.bias", NULL, 0, 0, NULL, NULL, RA_ERR_NOT_FOUND, "encoder.mlp_blocks.0.0.bias"},
    {"encoder.mlp_blocks.1.1.bias", NULL, 0, 0, NULL, NULL, RA_ERR_NOT_FOUND, "encoder.mlp_blocks.1.1.bias"},
    {"encoder.mlp_blocks.0.0.weight", NULL, 0, 0, NULL, NULL, RA_ERR_UNSUPPORTED,
     "encoder.mlp_blocks.0.0.bias"},
    {NULL, "encoder.mlp_blocks.1.0.weight", 4, 5, NULL, NULL, RA_ERR_SHAPE, "takes 5 numbers; expected 4"},
    {NULL, "encoder.mlp_blocks.1.0.weight", 3, 4, NULL, NULL, RA_ERR_SHAPE, "encoder.mlp_blocks.1.0.bias"},
    {NULL, "encoder.mlp_blocks.1.0.bias", 3, 0, NULL, NULL, RA_ERR_SHAPE, "[3]; expected [4]"},
    {NULL, "encoder.final_block.0.weight", 6, 3, NULL, NULL, RA_ERR_SHAPE, "expected [6, 4]"},
    {NULL, "encoder.mlp_blocks.1.1.running_var", 4, 0, NULL, NULL, RA_ERR_UNSUPPORTED, "running_var"},
    {NULL, "encoder.mlp_blocks.9.0.weight", 4, 4, NULL, NULL, RA_ERR_UNSUPPORTED, "encoder.mlp_blocks.9"},
    {NULL, "encoder.mlp_blocks.16.0.weight", 4, 4, NULL, NULL, RA_ERR_UNSUPPORTED, "16 layers"},
    {NULL, NULL, 0, 0, "hidden_activation", NULL, RA_ERR_SETTING, "give --hidden-activation"},
    {NULL, NULL, 0, 0, "hidden_residual", NULL, RA_ERR_SETTING, "--no-hidden-residual"},
    {NULL, NULL, 0, 0, "hidden_activation", "mish", RA_ERR_ARGUMENT, "hidden_activation"},
    {NULL, NULL, 0, 0, "encoder", "mlp_bn_3", RA_ERR_FORMAT, "the tensors are those of mlp_ln_3"},
    {"encoder.final_block.1.bias", NULL, 0, 0, NULL, NULL, RA_ERR_SETTING, "--encoder mlp_rms_n"},
};

START_TEST(test_layers_that_do_not_fit) {
    float values[64];
    model_file file = {0};
    ra_model *model = NULL;
    make(&cases[1], &file);
    test_fill(values, 64, 3);
    if (malformed[_i].drop) model_file_drop(&file, malformed[_i].drop);
    if (malformed[_i].put)
        model_file_put(&file, malformed[_i].put, RA_F32, malformed[_i].cols ? 2 : 1, malformed[_i].rows,
                       malformed[_i].cols, values);
    if (malformed[_i].key) model_file_text(&file, malformed[_i].key, malformed[_i].text);
    ra_fails(ra_model_open(model_file_write(&file, "bad.safetensors"), NULL, &model, &err),
             malformed[_i].code, malformed[_i].message);
    model_file_release(&file);
}
END_TEST

START_TEST(test_numbers_that_cannot_be) {
    model_file file = {0};
    ra_model *model = NULL;
    make(&cases[2], &file);
    model_file_set(&file, "encoder.mlp_blocks.1.1.running_var", 1, -0.5);
    ra_fails(ra_model_open(model_file_write(&file, "variance.safetensors"), NULL, &model, &err),
             RA_ERR_FORMAT, "expected variances of at least 0");
    model_file_set(&file, "encoder.mlp_blocks.1.1.running_var", 1, INFINITY);
    ra_fails(ra_model_open(model_file_write(&file, "infinite.safetensors"), NULL, &model, &err),
             RA_ERR_NOT_FINITE, "encoder.mlp_blocks.1.1.running_var");
    model_file_release(&file);
}
END_TEST

START_TEST(test_names_of_layers) {
    bool counter;
    ck_assert_str_eq(ra_hidden_tensor_name(3, RA_ENCODER_RUNNING_VAR).text,
                     "encoder.mlp_blocks.3.1.running_var");
    ck_assert(ra_hidden_has_name("encoder.mlp_blocks.15.0.weight", &counter) && !counter);
    ck_assert(ra_hidden_has_name("encoder.mlp_blocks.0.1.num_batches_tracked", &counter) && counter);
    ck_assert(!ra_hidden_has_name("encoder.mlp_blocks.16.0.weight", &counter));
    ck_assert(!ra_hidden_has_name("encoder.mlp_blocks.0.2.weight", &counter));
    ck_assert(!ra_hidden_has_name("encoder.final_block.0.weight", &counter));
}
END_TEST

TEST_CASES_LOOP(model_hidden_cases, 0, CASES *MODEL_DEVICES, test_layers_are_those_of_plain_loops)
TEST_CASES_LOOP(model_hidden_malformed, 0, sizeof malformed / sizeof *malformed, test_layers_that_do_not_fit)
TEST_CASES(model_hidden, test_narrow_layers, test_every_allocation_may_fail, test_numbers_that_cannot_be,
           test_names_of_layers)
