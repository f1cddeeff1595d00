/* One block of activations to codes: what an SAE is in evaluation mode, in the operations of a backend.
 * Nothing is waited for but the codes. */
#include "model/model.h"

enum { PRE_BYTES = 64 << 20, MOST_ROWS = 4096 }; /* of a block */

enum { INPUTS, PRE, MEAN, RSTD, ROOMS };

size_t ra_model_encode_block_rows(const ra_model *model, size_t rows) {
    size_t block = PRE_BYTES / sizeof(float) / model->info.concepts;
    if (block > MOST_ROWS) block = MOST_ROWS;
    if (block > rows) block = rows;
    return block < 1 ? 1 : block;
}

static void measure_rooms(const ra_model *model, bool remote, size_t rows, ra_room *rooms) {
    size_t by_row = model->encoder.kind == RA_ENCODER_MLP_LN_1 ? rows * sizeof(float) : 0;
    rooms[INPUTS] = (ra_room){.bytes = remote ? rows * model->info.dimensions * sizeof(float) : 0};
    rooms[PRE] = (ra_room){.bytes = rows * model->info.concepts * sizeof(float)};
    rooms[MEAN] = rooms[RSTD] = (ra_room){.bytes = by_row};
}

size_t ra_model_encode_scratch(const ra_model *model) {
    ra_room rooms[ROOMS];
    if (!model->info.has_encoder) return 0;
    measure_rooms(model, true, ra_model_encode_block_rows(model, MOST_ROWS), rooms);
    return ra_rooms_bytes(rooms, ROOMS);
}

/* pre [rows,K] <- x [rows,d] E^T + bias */
static ra_status multiply(const ra_model *model, const ra_lane *lane, const float *x, size_t rows, float *pre,
                          ra_error *err) {
    const ra_encoder_weights *encoder = &model->resident.encoder;
    const float *bias = encoder->tensor[RA_ENCODER_BIAS], *weight = encoder->tensor[RA_ENCODER_WEIGHT];
    size_t K = encoder->concepts, d = encoder->dimensions;
    if (bias) RA_TRY(lane->ops->spread(lane->self, lane->stream, bias, pre, rows, K, err));
    return lane->ops->gemm(lane->self, lane->stream, false, true, rows, K, d, 1, x, d, weight, d,
                           bias ? 1 : 0, pre, K, err);
}

/* LayerNorm by the statistics of each row, BatchNorm by those that training left. */
static ra_status normalise(const ra_model *model, const ra_lane *lane, size_t rows, const ra_room *rooms,
                           ra_error *err) {
    const ra_encoder_weights *encoder = &model->resident.encoder;
    size_t K = encoder->concepts;
    if (!ra_encoder_has_norm(encoder->kind)) return RA_OK;
    ra_norm norm = {.mean = encoder->tensor[RA_ENCODER_RUNNING_MEAN],
                    .rstd = model->resident.rstd,
                    .gamma = encoder->tensor[RA_ENCODER_NORM_WEIGHT],
                    .beta = encoder->tensor[RA_ENCODER_NORM_BIAS]};
    if (encoder->kind == RA_ENCODER_MLP_LN_1) {
        norm.by_row = true;
        norm.mean = rooms[MEAN].at;
        norm.rstd = rooms[RSTD].at;
        RA_TRY(lane->ops->row_statistics(lane->self, lane->stream, rooms[PRE].at, rows, K,
                                         RA_ENCODER_NORM_EPSILON, rooms[MEAN].at, rooms[RSTD].at, err));
    }
    return lane->ops->normalise(lane->self, lane->stream, &norm, rooms[PRE].at, rooms[PRE].at, rows, K, err);
}

/* topk takes the largest; relu, batchtopk and jumprelu what reaches 0, the running threshold, or that of the
 * latent. */
static ra_status choose(const ra_model *model, const ra_lane *lane, const float *pre, size_t rows,
                        ra_codes *codes, ra_error *err) {
    const ra_activation *activation = &model->activation;
    size_t K = model->info.concepts;
    if (activation->kind == RA_SAE_TOPK)
        return lane->ops->top_k(lane->self, lane->stream, pre, rows, K, activation->top_k, 0, codes, err);
    float threshold = activation->kind == RA_SAE_BATCHTOPK ? activation->running_threshold : 0;
    return lane->ops->threshold(lane->self, lane->stream, pre, rows, K, model->resident.thresholds, threshold,
                                codes, err);
}

ra_status ra_model_encode_block(const ra_model *model, ra_workspace *workspace, ra_lane *lane, const float *x,
                                size_t rows, ra_codes *codes, ra_error *err) {
    size_t d = model->info.dimensions, K = model->info.concepts;
    ra_room rooms[ROOMS];
    measure_rooms(model, lane->remote, rows, rooms);
    RA_TRY(ra_lane_reserve(lane, "pre-codes", rooms, ROOMS, err));
    RA_TRY(ra_lane_take(lane, x, rows * d, &rooms[INPUTS], &x, err));
    RA_TRY(multiply(model, lane, x, rows, rooms[PRE].at, err));
    if (ra_activation_types[model->activation.kind]->pursues) {
        if (lane->remote) RA_TRY(lane->ops->synchronize(lane->self, lane->stream, err));
        return ra_pursuit_run(&workspace->pursuit, model->backend,
                              model->resident.encoder.tensor[RA_ENCODER_WEIGHT], K, d, x, rows,
                              model->activation.top_k, false, rooms[PRE].at, codes, err);
    }
    RA_TRY(normalise(model, lane, rows, rooms, err));
    return choose(model, lane, rooms[PRE].at, rows, codes, err);
}
