/* The lists of latents that are active together, which `rasae eval --save` adds to an artifact. They are used in the
 * mapping and checked once, here. */
#include "model/model.h"

#include <math.h>
#include <string.h>

enum list_tensor { ATOM, COUNT, CORRELATION, LIST_TENSORS };

#define LISTS(measure)                                                                                       \
    {                                                                                                        \
        "latents.cofiring." measure ".atom", "latents.cofiring." measure ".count",                           \
            "latents.cofiring." measure ".correlation"                                                       \
    }

static const char *const names[RA_COFIRING_MEASURES][LIST_TENSORS] = {
    [RA_COFIRING_COUNT] = LISTS("count"),
    [RA_COFIRING_PMI] = LISTS("pmi"),
    [RA_COFIRING_CORRELATION] = LISTS("correlation"),
};

static const ra_dtype dtypes[LIST_TENSORS] = {[ATOM] = RA_I32, [COUNT] = RA_I64, [CORRELATION] = RA_F32};

static const char least_key[] = "latents.cofiring.least";

const char *ra_cofiring_measure_name(ra_cofiring_measure measure) {
    static const char *const texts[RA_COFIRING_MEASURES] = {
        [RA_COFIRING_COUNT] = "count", [RA_COFIRING_PMI] = "pmi", [RA_COFIRING_CORRELATION] = "correlation"};
    return texts[measure];
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status read_least(const ra_model *model, const ra_safetensors *file, size_t *least, ra_error *err) {
    const char *text = ra_safetensors_metadata(file, least_key);
    if (!text)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds latents that are active together, but its metadata have no %s",
                model->info.path, least_key);
    if (!ra_count_parse(text, least) || *least < 1)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\" in its metadata; expected a number of at least 1",
                model->info.path, least_key, text);
    return RA_OK;
}

/* The list of latent k: other latents, then only -1. */
static ra_status check_list(const ra_model *model, const ra_latent_cofiring *lists, size_t m, size_t k,
                            ra_error *err) {
    const ra_latent_statistics *statistics = &model->statistics;
    const char *path = model->info.path;
    size_t T = lists->partners, K = statistics->concepts;
    const int32_t *atom = lists->atom[m] + k * T;
    const int64_t *count = lists->count[m] + k * T;
    const float *correlation = lists->correlation[m] + k * T;
    for (size_t t = 0; t < T; t++) {
        if (atom[t] < -1 || atom[t] >= (int64_t)K || atom[t] == (int64_t)k ||
            (atom[t] >= 0 && t && atom[t - 1] < 0))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %d at [%zu, %zu]; expected other latents below %zu, then only -1", path,
                    names[m][ATOM], atom[t], k, t, K);
        if (atom[t] < 0) continue;
        int64_t most = statistics->count[k] < statistics->count[atom[t]] ? statistics->count[k]
                                                                         : statistics->count[atom[t]];
        if (count[t] < (int64_t)lists->least || count[t] > most)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %lld at [%zu, %zu]; expected %zu to %lld", path,
                    names[m][COUNT], (long long)count[t], k, t, lists->least, (long long)most);
        if (!(fabsf(correlation[t]) <= 1 + 1e-6f))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %g at [%zu, %zu]; expected -1 to 1", path,
                    names[m][CORRELATION], (double)correlation[t], k, t);
        bool falls = m == RA_COFIRING_COUNT         ? t == 0 || count[t] <= count[t - 1]
                     : m == RA_COFIRING_CORRELATION ? t == 0 || correlation[t] <= correlation[t - 1]
                                                    : true;
        if (!falls)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: the list of %s is not in order at [%zu, %zu]; expected the largest first", path,
                    names[m][ATOM], k, t);
    }
    return RA_OK;
}

static ra_status open_list(ra_model *model, const ra_safetensors *file, size_t m, ra_error *err) {
    ra_latent_cofiring *lists = &model->statistics.cofiring;
    ra_tensor tensors[LIST_TENSORS];
    for (size_t i = 0; i < LIST_TENSORS; i++) {
        RA_TRY(ra_safetensors_get(file, names[m][i], &tensors[i], err));
        RA_TRY(ra_model_check_tensor(model->info.path, names[m][i], &tensors[i], dtypes[i], 2,
                                     model->info.concepts, lists->partners, err));
        lists->partners = tensors[i].shape[1];
    }
    lists->atom[m] = tensors[ATOM].data;
    lists->count[m] = tensors[COUNT].data;
    lists->correlation[m] = tensors[CORRELATION].data;
    for (size_t k = 0; k < model->info.concepts; k++) RA_TRY(check_list(model, lists, m, k, err));
    return RA_OK;
}

ra_status ra_model_open_cofiring(ra_model *model, const ra_safetensors *file, ra_error *err) {
    bool any = false;
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++)
        for (size_t i = 0; i < LIST_TENSORS; i++) any |= ra_safetensors_find(file, names[m][i]) != NULL;
    if (!any) return RA_OK;
    RA_TRY(read_least(model, file, &model->statistics.cofiring.least, err));
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++) RA_TRY(open_list(model, file, m, err));
    return RA_OK;
}

/* ---- saving and reading --------------------------------------------------------------------------------- */

size_t ra_model_cofiring_tensors(const ra_latent_statistics *statistics, const char **tensor_names,
                                 ra_tensor *tensors) {
    const ra_latent_cofiring *lists = &statistics->cofiring;
    size_t count = 0;
    for (size_t m = 0; lists->partners && m < RA_COFIRING_MEASURES; m++) {
        const void *const data[LIST_TENSORS] = {
            [ATOM] = lists->atom[m], [COUNT] = lists->count[m], [CORRELATION] = lists->correlation[m]};
        for (size_t i = 0; i < LIST_TENSORS; i++) {
            tensor_names[count] = names[m][i];
            tensors[count++] = ra_tensor_2d(dtypes[i], data[i], statistics->concepts, lists->partners);
        }
    }
    return count;
}

ra_status ra_model_store_cofiring(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                                  ra_error *err) {
    if (!statistics->cofiring.partners) return RA_OK;
    return ra_safetensors_writer_count(writer, least_key, statistics->cofiring.least, err);
}

bool ra_latent_statistics_partner(const ra_latent_statistics *statistics, ra_cofiring_measure measure,
                                  size_t latent, size_t t, ra_latent_partner *partner) {
    const ra_latent_cofiring *lists = &statistics->cofiring;
    if (t >= lists->partners) return false;
    size_t at = latent * lists->partners + t;
    int32_t other = lists->atom[measure][at];
    if (other < 0 || (size_t)other >= statistics->concepts) return false; /* the file may change meanwhile */
    double count = (double)lists->count[measure][at];
    double lift = count * (double)statistics->rows /
                  ((double)statistics->count[latent] * (double)statistics->count[other]);
    *partner = (ra_latent_partner){(size_t)other, (size_t)lists->count[measure][at], lift, log(lift),
                                   lists->correlation[measure][at]};
    return true;
}
