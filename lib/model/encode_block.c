/* One block of activations to codes: what an SAE is in evaluation mode, in the operations of a backend.
 * Nothing is waited for but the codes. */
#include "model/model.h"

enum { PRE_BYTES = 64 << 20, MOST_ROWS = 4096 }; /* of a block */

enum { INPUTS, PRE, STATISTICS, ROOMS };

size_t ra_model_encode_block_rows(const ra_model *model, size_t rows) {
    size_t block = PRE_BYTES / sizeof(float) / model->info.concepts;
    if (block > MOST_ROWS) block = MOST_ROWS;
    if (block > rows) block = rows;
    return block < 1 ? 1 : block;
}

static void measure_rooms(const ra_model *model, bool remote, size_t rows, ra_room *rooms) {
    bool by_row = model->encoder.kind == RA_ENCODER_MLP_LN_1;
    rooms[INPUTS] = (ra_room){.bytes = remote ? rows * model->info.dimensions * sizeof(float) : 0};
    rooms[PRE] = (ra_room){.bytes = rows * model->info.concepts * sizeof(float)};
    rooms[STATISTICS] = (ra_room){.bytes = by_row ? 2 * rows * sizeof(float) : 0};
}

size_t ra_model_encode_scratch(const ra_model *model) {
    ra_room rooms[ROOMS];
    if (!model->info.has_encoder) return 0;
    measure_rooms(model, true, ra_model_encode_block_rows(model, MOST_ROWS), rooms);
    return ra_rooms_bytes(rooms, ROOMS);
}

/* Atoms, values and residuals. */
size_t ra_model_pursuit_scratch(const ra_model *model) {
    if (!model->info.has_encoder || !ra_activation_types[model->activation.kind]->pursues) return 0;
    size_t rows = ra_model_encode_block_rows(model, MOST_ROWS);
    return rows * (2 * model->activation.top_k + model->info.dimensions) * sizeof(float);
}

ra_status ra_model_encode_block(const ra_model *model, ra_workspace *workspace, ra_lane *lane, const float *x,
                                size_t rows, ra_codes *codes, ra_error *err) {
    const ra_encoder_weights *encoder = &model->resident.encoder;
    const ra_activation *activation = &model->resident.activation;
    const ra_activation_type *type = ra_activation_types[activation->kind];
    size_t d = model->info.dimensions, K = model->info.concepts;
    ra_room rooms[ROOMS];
    measure_rooms(model, lane->remote, rows, rooms);
    RA_TRY(ra_lane_reserve(lane, "pre-codes", rooms, ROOMS, err));
    float *pre = rooms[PRE].at;
    RA_TRY(ra_lane_take(lane, x, rows * d, &rooms[INPUTS], &x, err));
    RA_TRY(
        ra_encoder_evaluate(model->backend, lane->stream, encoder, x, rows, rooms[STATISTICS].at, pre, err));
    if (type->pursues)
        return ra_pursuit_run(&workspace->pursuit, model->backend, lane->stream,
                              encoder->tensor[RA_ENCODER_WEIGHT], K, d, x, rows, activation->top_k, false,
                              pre, codes, err);
    return type->evaluate(activation, model->backend, lane->stream, pre, rows, K, codes, err);
}
