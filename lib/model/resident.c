/* One list says what a device needs of a model; it is counted, placed and filled by going through it. */
#include "model/model.h"

enum { MOST_PARTS = RA_ENCODER_TENSORS + 6 };

typedef struct part {
    const void **place; /* in the resident */
    const void *host;
    ra_span room;
    size_t *counted_as;
} part;

typedef struct parts {
    part part[MOST_PARTS];
    size_t count;
} parts;

static void add(parts *list, const float **place, const float *host, size_t n, size_t *counted_as) {
    list->part[list->count++] =
        (part){(const void **)(void *)place, host, {.bytes = n * sizeof *host}, counted_as};
}

/* What has no weight of its own encodes with D, and needs another copy only where D is narrower. Of the
 * running variances their roots are needed. */
static void add_encoder(const ra_model *model, ra_resident *resident, parts *list, size_t *counted_as) {
    const ra_encoder_weights *host = &model->encoder;
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        size_t n = host->concepts * (i == RA_ENCODER_WEIGHT ? host->dimensions : 1);
        bool is_dictionary = host->tensor[i] == model->dictionary.data;
        if (host->tensor[i] && !is_dictionary && i != RA_ENCODER_RUNNING_VAR)
            add(list, &resident->encoder.tensor[i], host->tensor[i], n, counted_as);
    }
    if (host->rstd) add(list, &resident->encoder.rstd, host->rstd, host->concepts, counted_as);
}

/* columns [3,K]: zeros, ones, inverse norms; not read where parts are only counted. */
static void list_parts(const ra_model *model, const float *columns, ra_resident *resident,
                       ra_model_memory *sums, parts *list) {
    size_t K = model->info.concepts;
    *list = (parts){.count = 1,
                    .part[0] = {&resident->dictionary,
                                model->dictionary.data,
                                {.bytes = ra_tensor_bytes(&model->dictionary)},
                                &sums->dictionary}};
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
        size_t bytes = ra_spans_bytes(&list.part[i].room, 1);
        *list.part[i].counted_as += bytes;
        sums.total += bytes;
    }
    const size_t computations[] = {ra_model_encode_scratch(model), ra_model_reconstruct_scratch(model),
                                   ra_model_search_scratch(model)};
    for (size_t i = 0; i < sizeof computations / sizeof *computations; i++)
        if (computations[i] > sums.scratch) sums.scratch = computations[i];
    sums.scratch += ra_model_pursuit_scratch(model);
    sums.total += threads * sums.scratch;
    return sums;
}

/* ---- on a device -------------------------------------------------------------------------------------- */

static ra_status check_memory(const ra_model *model, size_t workspaces, ra_error *err) {
    size_t available = 0, total = 0, needed = ra_model_device_memory(model, workspaces).total;
    RA_TRY(ra_backend_memory(model->backend, &available, &total, err));
    if (needed > available)
        RA_FAIL(err, RA_ERR_MEMORY,
                "out of memory: %s needs %zu bytes on the device %s, which has %zu of its %zu bytes left",
                model->info.path, needed, ra_backend_name(model->backend), available, total);
    return RA_OK;
}

/* Upload starts them all; one wait for all of them. */
static ra_status fill(ra_model *model, parts *list, ra_error *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) bytes += ra_spans_bytes(&list->part[i].room, 1);
    RA_TRY(ra_backend_allocate(model->backend, bytes, &model->resident.memory, err));
    model->info.device_bytes = bytes;
    char *at = model->resident.memory;
    ra_status status = RA_OK;
    for (size_t i = 0; i < list->count && status == RA_OK; i++) {
        const part *one = &list->part[i];
        *one->place = at;
        status = ra_backend_upload(model->backend, at, one->host, one->room.bytes, err);
        at += ra_spans_bytes(&one->room, 1);
    }
    ra_status waited = ra_backend_synchronize(model->backend, status == RA_OK ? err : NULL);
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

/* ---- wherever it is ----------------------------------------------------------------------------------- */

ra_status ra_model_make_resident(ra_model *model, size_t workspaces, ra_error *err) {
    ra_resident *resident = &model->resident;
    *resident = (ra_resident){model->dictionary.data, model->encoder, .activation = model->activation};
    if (ra_backend_host_memory(model->backend)) return RA_OK;
    RA_TRY(copy_to_device(model, workspaces ? workspaces : 1, err));
    if (model->encoder.tensor[RA_ENCODER_WEIGHT] == model->dictionary.data)
        resident->encoder.tensor[RA_ENCODER_WEIGHT] = resident->dictionary;
    return RA_OK;
}

void ra_model_release_resident(ra_model *model) {
    if (model->resident.memory) ra_backend_deallocate(model->backend, model->resident.memory);
}
