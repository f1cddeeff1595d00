/* Encode, reconstruct and explain (lib/model/{encode,reconstruct,explain}.c): chunks of rows, sums that
 * must match, refusals. */
#include "model_files.h"

#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { D = 16, K = 48, B = 32 };

static ra_model *open_golden(const char *name) {
    return model_open(test_golden(name));
}

/* A batch that needs several chunks of pre-codes gives the same as its rows in small batches. */
START_TEST(test_blocks_of_rows_are_joined) {
    enum { CONCEPTS = 1 << 18, ROWS = 150, SMALL = 25 }; /* 64 rows of 2^18 pre-codes fill a chunk */
    float *weight = ra_calloc(CONCEPTS, sizeof *weight), *bias = ra_calloc(CONCEPTS, sizeof *bias);
    test_fill(weight, CONCEPTS, 1);
    test_fill(bias, CONCEPTS, 2);
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, CONCEPTS, 1, weight);
    model_file_put(&file, "encoder.final_block.0.weight", RA_F32, 2, CONCEPTS, 1, weight);
    model_file_put(&file, "encoder.final_block.0.bias", RA_F32, 1, CONCEPTS, 0, bias);
    model_file_text(&file, "sae", "topk");
    model_file_text(&file, "top_k", "3");
    ra_model *model = model_open(model_file_write(&file, "blocks.safetensors"));
    ra_workspace *workspace = NULL;
    ra_codes whole = {0}, part = {0};
    float x[ROWS];
    test_fill(x, ROWS, 3);
    ra_ok(ra_workspace_new(&workspace, &err));
    for (int again = 0; again < 2; again++) ra_ok(ra_model_encode(model, workspace, x, ROWS, &whole, &err));
    ck_assert_uint_eq(whole.rows, ROWS);
    ck_assert_uint_eq(whole.latents, CONCEPTS);
    ck_assert_uint_eq(ra_codes_entries(&whole), 3 * ROWS);
    for (size_t from = 0; from < ROWS; from += SMALL) {
        ra_ok(ra_model_encode(model, workspace, x + from, SMALL, &part, &err));
        for (size_t b = 0; b <= SMALL; b++)
            ck_assert_uint_eq(whole.start[from + b], whole.start[from] + part.start[b]);
        ck_assert_mem_eq(whole.index + whole.start[from], part.index, 3 * SMALL * sizeof *part.index);
        assert_close(whole.value + whole.start[from], part.value, 3 * SMALL, 1e-6);
    }
    ra_codes_release(&whole);
    ra_codes_release(&part);
    ra_workspace_free(workspace);
    ra_model_release(model);
    model_file_release(&file);
    ra_free(weight), ra_free(bias);
}
END_TEST

/* Of a linear encoder its row of the weight; of one that encodes with the dictionary, the atom. */
START_TEST(test_the_vector_of_an_encoder) {
    float vector[D], atom[D];
    ra_safetensors *file = NULL;
    ra_tensor weight;
    ra_ok(ra_safetensors_open(test_golden("topk-mse.final.safetensors"), &file, &err));
    ra_ok(ra_safetensors_get(file, "encoder.final_block.0.weight", &weight, &err));
    ra_model *model = open_golden("topk-mse.final.safetensors");
    ra_ok(ra_model_encoder_vector(model, K - 1, vector, &err));
    ck_assert_mem_eq(vector, (const float *)weight.data + (K - 1) * D, sizeof vector);
    ra_fails(ra_model_encoder_vector(model, K, vector, &err), RA_ERR_NOT_FOUND, "no atom 48");
    ra_model_release(model);
    ra_safetensors_free(file);
    static const char *const tied[] = {"mp-mse.final.safetensors", "topk-mse-tied.final.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        model = open_golden(tied[i]);
        ra_ok(ra_model_encoder_vector(model, 3, vector, &err));
        ra_ok(ra_model_atom(model, 3, atom, &err));
        ck_assert_mem_eq(vector, atom, sizeof vector);
        ra_model_release(model);
    }
    model = open_golden("dict-basic.checkpoint.safetensors");
    ra_fails(ra_model_encoder_vector(model, 0, vector, &err), RA_ERR_STATE, "has no encoder");
    ra_model_release(model);
}
END_TEST

START_TEST(test_refuses_inputs_and_codes_that_make_no_sense) {
    ra_model *model = open_golden("topk-mse.final.safetensors");
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation;
    float x[2 * D] = {0}, x_hat[2 * D];
    ra_ok(ra_workspace_new(&workspace, &err));
    x[D + 3] = INFINITY;
    ra_fails(ra_model_encode(model, workspace, x, 2, &codes, &err), RA_ERR_NOT_FINITE,
             "input 1 holds a NaN or an infinity at position 3");
    ra_fails(ra_model_explain(model, workspace, x, 2, &explanation, &err), RA_ERR_NOT_FINITE, "input 1");
    ck_assert_ptr_null(explanation.start);
    for (size_t i = 0; i < D; i++) x[D + i] = 3e38f;
    ra_fails(ra_model_encode(model, workspace, x, 2, &codes, &err), RA_ERR_NOT_FINITE, "too large");
    ra_ok(ra_model_encode(model, workspace, x, 0, &codes, &err)); /* nothing is fine */
    ck_assert_uint_eq(ra_codes_entries(&codes), 0);
    ck_assert_uint_eq(codes.latents, K);
    ra_ok(ra_model_reconstruct(model, workspace, &codes, x_hat, &err));

    ra_ok(ra_codes_reserve(&codes, 2, K + 1, 2, &err));
    codes.start[1] = 1, codes.start[2] = 2;
    codes.index[0] = 0, codes.index[1] = K;
    codes.value[0] = 1, codes.value[1] = NAN;
    ra_fails(ra_model_reconstruct(model, workspace, &codes, x_hat, &err), RA_ERR_SHAPE,
             "49 latents; expected 48");
    codes.latents = K;
    ra_fails(ra_model_reconstruct(model, workspace, &codes, x_hat, &err), RA_ERR_ARGUMENT, "row 1");
    codes.index[1] = -1;
    ra_fails(ra_model_reconstruct(model, workspace, &codes, x_hat, &err), RA_ERR_ARGUMENT, "index -1");
    codes.index[1] = 5;
    ra_fails(ra_model_reconstruct(model, workspace, &codes, x_hat, &err), RA_ERR_NOT_FINITE, "latent 5");
    codes.value[1] = 2;
    ra_ok(ra_model_reconstruct(model, workspace, &codes, x_hat, &err));
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

static const char *const runs[] = {"topk-mse", "relu-mse_l1", "jumprelu-mse_l1", "topk-mse-mlp_ln_1"};

/* Every number of an explanation against its definition; the shares add up to the reconstructed part. */
START_TEST(test_explanations_add_up) {
    char checkpoint[64], data[64];
    (void)model_on_device(_i);
    snprintf(checkpoint, sizeof checkpoint, "%s.final.safetensors", runs[_i / MODEL_DEVICES]);
    snprintf(data, sizeof data, "%s.x.npy", runs[_i / MODEL_DEVICES]);
    ra_model *model = open_golden(checkpoint);
    ra_npy *npy = NULL;
    ra_workspace *workspace = NULL;
    ra_explanation explanation;
    ra_codes codes = {0};
    float x_hat[B * D], dense[B * K], atom[D];
    ra_ok(ra_npy_open(test_golden(data), &npy, &err));
    ra_ok(ra_workspace_new(&workspace, &err));
    const float *x = ra_npy_tensor(npy)->data;
    ra_ok(ra_model_encode(model, workspace, x, B, &codes, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, x_hat, &err));
    ra_codes_to_dense(&codes, dense);
    ra_ok(ra_model_explain(model, workspace, x, B, &explanation, &err));
    ck_assert_uint_eq(explanation.rows, B);
    ck_assert_mem_eq(explanation.start, codes.start, (B + 1) * sizeof *codes.start);
    for (size_t b = 0; b < B; b++, x += D) {
        double square = 0, mean = 0, residual = 0, spread = 0, along = 0, sum = 0;
        for (size_t i = 0; i < D; i++) {
            square += (double)x[i] * x[i];
            along += (double)x[i] * x_hat[b * D + i];
            mean += (double)x[i] / D;
            residual += ((double)x[i] - x_hat[b * D + i]) * ((double)x[i] - x_hat[b * D + i]);
        }
        for (size_t i = 0; i < D; i++) spread += (x[i] - mean) * (x[i] - mean);
        ck_assert_float_eq_tol(explanation.input_norm[b], (float)sqrt(square), 1e-5f);
        ck_assert_float_eq_tol(explanation.residual_norm[b], (float)sqrt(residual), 1e-5f);
        ck_assert_float_eq_tol(explanation.r2[b], (float)(1 - residual / spread), 1e-5f);
        for (size_t e = explanation.start[b]; e < explanation.start[b + 1]; e++) {
            const ra_contribution *entry = &explanation.entries[e];
            double dot = 0;
            ck_assert(entry->code == dense[b * K + entry->atom] && entry->code > 0);
            ra_ok(ra_model_atom(model, entry->atom, atom, &err));
            for (size_t i = 0; i < D; i++) dot += (double)atom[i] * x[i];
            ck_assert_float_eq_tol(entry->contribution, (float)(entry->code * dot / square), 1e-6f);
            if (e > explanation.start[b])
                ck_assert(fabsf(entry->contribution) <= fabsf(entry[-1].contribution));
            sum += entry->contribution;
        }
        ck_assert_double_eq_tol(sum, along / square, 1e-5);
    }
    ra_explanation_release(&explanation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_npy_free(npy);
    ra_model_release(model);
}
END_TEST

START_TEST(test_explains_zero_and_constant_inputs) {
    ra_model *model = open_golden("relu-mse_l1.final.safetensors");
    ra_workspace *workspace = NULL;
    ra_explanation explanation;
    float x[2 * D] = {0};
    for (size_t i = 0; i < D; i++) x[D + i] = 0.5f;
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_explain(model, workspace, x, 2, &explanation, &err));
    ck_assert(isnan(explanation.r2[0]) &&
              isnan(explanation.r2[1])); /* no variance, so nothing is explained */
    ck_assert(explanation.input_norm[0] == 0);
    for (size_t e = 0; e < explanation.start[1]; e++) ck_assert(explanation.entries[e].contribution == 0);
    ra_explanation_release(&explanation);
    ra_ok(ra_model_explain(model, workspace, x, 0, &explanation, &err));
    ck_assert_uint_eq(explanation.rows, 0);
    ra_explanation_release(&explanation);
    ra_workspace_free(workspace);
    ra_model_release(model);
}
END_TEST

TEST_CASES_SLOW(model_encode, 30, test_blocks_of_rows_are_joined, test_the_vector_of_an_encoder,
                test_refuses_inputs_and_codes_that_make_no_sense, test_explains_zero_and_constant_inputs)
TEST_CASES_LOOP(model_explain, 0, MODEL_DEVICES * sizeof runs / sizeof *runs, test_explanations_add_up)
