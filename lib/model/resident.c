/* One list has all parts of a model that a device needs: it is used to count their memory and to fill it. */
#include "model/model.h"

enum { MOST_PARTS = RA_ENCODER_TENSORS + 6 };

typedef struct part {
    const void **field; /* of the ra_resident */
    const void *host;
    size_t bytes;
    size_t *sum; /* of a ra_model_memory: where its bytes are counted */
} part;

typedef struct parts {
    part part[MOST_PARTS];
    size_t count;
} parts;

static size_t padded(size_t bytes) {
    return ra_spans_bytes(&(ra_span){.bytes = bytes}, 1);
}

static void add(parts *list, const float **field, const float *host, size_t n, size_t *sum) {
    list->part[list->count++] = (part){(const void **)(void *)field, host, n * sizeof *host, sum};
}

/* The weight in the type of the file. An encoder without one of its own encodes with D, which is there; only a pursuit
 * needs a copy of one that is not float32. Instead of the running variances, computations read rstd. */
static void add_encoder(const ra_model *model, ra_resident *resident, parts *list, size_t *sum) {
    const ra_encoder_weights *host = &model->encoder;
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        size_t n = host->concepts * (i == RA_ENCODER_WEIGHT ? host->dimensions : 1);
        bool is_half = i == RA_ENCODER_WEIGHT && host->half;
        bool is_dictionary = (is_half ? host->half : host->tensor[i]) == model->dictionary.data;
        if (is_half && !is_dictionary)
            list->part[list->count++] =
                (part){&resident->encoder.half, host->half, n * sizeof(uint16_t), sum};
        else if (host->tensor[i] && !is_dictionary && i != RA_ENCODER_RUNNING_VAR)
            add(list, &resident->encoder.tensor[i], host->tensor[i], n, sum);
    }
    if (host->rstd) add(list, &resident->encoder.rstd, host->rstd, host->concepts, sum);
}

/* columns [3,K]: zeros, ones, inverse norms; NULL: to count only. */
static void list_parts(const ra_model *model, const float *columns, ra_resident *resident,
                       ra_model_memory *sums, parts *list) {
    size_t K = model->info.concepts;
    *list = (parts){.count = 1,
                    .part[0] = {&resident->dictionary, model->dictionary.data,
                                ra_tensor_bytes(&model->dictionary), &sums->dictionary}};
    if (model->info.has_encoder) add_encoder(model, resident, list, &sums->encoder);
    if (model->activation.thresholds)
        add(list, &resident->activation.thresholds, model->activation.thresholds, K, &sums->thresholds);
    const float **const wanted[] = {&resident->zeros, &resident->ones, &resident->inverse_norm};
    for (size_t i = 0; i < 3; i++) add(list, wanted[i], columns ? columns + i * K : NULL, K, &sums->search);
}

ra_model_memory ra_model_device_memory(const ra_model *model, size_t threads) {
    ra_model_memory sums = {0};
    ra_resident unused;
    parts list;
    list_parts(model, NULL, &unused, &sums, &list);
    for (size_t i = 0; i < list.count; i++) {
        size_t bytes = padded(list.part[i].bytes);
        *list.part[i].sum += bytes;
        sums.total += bytes;
    }
    const size_t computations[] = {ra_model_encode_scratch(model), ra_model_reconstruct_scratch(model),
                                   ra_model_search_scratch(model)};
    for (size_t i = 0; i < sizeof computations / sizeof *computations; i++)
        if (computations[i] > sums.scratch) sums.scratch = computations[i];
    sums.scratch += ra_model_pursuit_scratch(model);
    sums.stream = RA_STREAM_BYTES;
    sums.total += threads * (sums.scratch + sums.stream);
    return sums;
}

/* ---- on a device -------------------------------------------------------------------------------------- */

static ra_status check_memory(const ra_model *model, size_t workspaces, ra_error *err) {
    size_t available = 0, total = 0, needed = ra_model_device_memory(model, workspaces).total;
    RA_TRY(ra_backend_memory(model->backend, &available, &total, err));
    if (needed > available)
        RA_FAIL(err, RA_ERR_MEMORY,
                "out of memory: %s needs %zu bytes on the device %s, but only %zu of its %zu bytes are free",
                model->info.path, needed, ra_backend_name(model->backend), available, total);
    return RA_OK;
}

/* Starts all copies, then waits for them. On a stream of their own: what a request asks of the default one does not wait
 * for gigabytes. */
static ra_status fill(ra_model *model, parts *list, ra_error *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) bytes += padded(list->part[i].bytes);
    RA_TRY(ra_backend_allocate(model->backend, bytes, &model->resident.memory, err));
    model->info.device_bytes = bytes;
    char *at = model->resident.memory;
    ra_stream copies;
    ra_status status = RA_OK;
    RA_TRY(ra_stream_new_for_copies(model->backend, &copies, err));
    for (size_t i = 0; i < list->count && status == RA_OK; i++) {
        const part *p = &list->part[i];
        *p->field = at;
        status = ra_stream_upload(copies, at, p->host, p->bytes, err);
        at += padded(p->bytes);
    }
    ra_status waited = ra_stream_synchronize(copies, status == RA_OK ? err : NULL);
    ra_stream_free(copies);
    return status == RA_OK ? waited : status;
}

static ra_status copy_to_device(ra_model *model, size_t workspaces, ra_error *err) {
    size_t K = model->info.concepts;
    ra_model_memory unused = {0};
    parts list;
    RA_TRY(check_memory(model, workspaces, err));
    float *columns = ra_calloc(3 * K, sizeof *columns);
    if (!columns) RA_FAIL_MEMORY(err, "the norms for a device", 3 * K * sizeof *columns);
    for (size_t k = 0; k < K; k++) {
        columns[K + k] = 1;
        columns[2 * K + k] = model->norm[k] > 0 ? (float)(1 / model->norm[k]) : 1;
    }
    list_parts(model, columns, &model->resident, &unused, &list);
    ra_status status = fill(model, &list, err);
    ra_free(columns);
    return status;
}

/* ---- on any backend ----------------------------------------------------------------------------------- */

ra_status ra_model_make_resident(ra_model *model, size_t workspaces, ra_error *err) {
    ra_resident *resident = &model->resident;
    *resident = (ra_resident){model->dictionary.data, model->encoder, .activation = model->activation};
    if (ra_backend_host_memory(model->backend)) {
        resident->encoder.half = NULL; /* the host multiplies float32, and has it */
        return RA_OK;
    }
    RA_TRY(copy_to_device(model, workspaces ? workspaces : 1, err));
    if (model->encoder.half) resident->encoder.tensor[RA_ENCODER_WEIGHT] = NULL;
    if (model->encoder.half && model->encoder.half == model->dictionary.data)
        resident->encoder.half = resident->dictionary;
    else if (model->encoder.tensor[RA_ENCODER_WEIGHT] == model->dictionary.data)
        resident->encoder.tensor[RA_ENCODER_WEIGHT] = resident->dictionary;
    return RA_OK;
}

void ra_model_release_resident(ra_model *model) {
    if (model->resident.memory) ra_backend_deallocate(model->backend, model->resident.memory);
}
