/* Tensors are described by two tables, inputs and outputs, from which both the metadata and the configuration
 * are written: the first has the batch as a dimension of -1 in front, the second leaves it out and says how
 * large it may be instead. The numbers of a reply are written once, into the reply itself: as text, or as
 * they lie in memory behind the JSON, whose size is what the header of a binary reply says. */
#include "codec/oip/reply.h"
#include "codec/oip/request.h"

#include <stdio.h>
#include <string.h>

static const char platform[] = "rasae";

static void member(text *out, const char *name, const char *value) {
    put_key(out, name);
    put_string(out, value);
}

static void count(text *out, const char *name, size_t value) {
    put_key(out, name);
    put_size(out, value);
}

/* A generation as the protocol has it. */
static void version(text *out, size_t generation) {
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", generation);
    put_string(out, generation ? digits : "");
}

void oip_put_error(text *out, const char *sentence) {
    put_open(out, '{');
    put_key(out, "error");
    put_string_checked(out, sentence);
    put_close(out, '}');
}

void oip_put_health(text *out, const char *name, bool value) {
    put_open(out, '{');
    put_key(out, name);
    put_bool(out, value);
    put_close(out, '}');
}

void oip_put_server(text *out, const char *release) {
    static const char *const extensions[] = {"binary_tensor_data", "model_repository", "statistics",
                                             "parameters", "model_configuration"};
    put_open(out, '{');
    member(out, "name", "rasaed");
    member(out, "version", release);
    put_key(out, "extensions");
    put_open(out, '[');
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) put_string(out, extensions[i]);
    put_close(out, ']');
    put_close(out, '}');
}

/* 
 * ---- models --------------------------------------------------------------------------------------------- */

typedef enum width { WIDTH_LATENTS, WIDTH_DIMENSIONS, WIDTH_ANY } width;

/* Latents come first: a client that sends what it finds first sends what every dictionary takes. */
typedef struct tensor_row {
    const char *name, *datatype;
    width width;
    bool optional;
} tensor_row;

static const tensor_row inputs[] = {{"latents", "FP32", WIDTH_LATENTS, false},
                                    {"indices", "INT64", WIDTH_ANY, true},
                                    {"values", "FP32", WIDTH_ANY, true},
                                    {NULL, NULL, 0, false}};
static const tensor_row outputs[] = {{OIP_OUTPUT_NAME, "FP32", WIDTH_DIMENSIONS, false},
                                     {NULL, NULL, 0, false}};

static void put_width(text *out, width which, const ra_model_info *info) {
    if (which == WIDTH_ANY)
        put_raw(out, "-1");
    else
        put_size(out, which == WIDTH_LATENTS ? info->concepts : info->dimensions);
}

static void put_tensors(text *out, const char *name, const tensor_row *rows, const ra_model_info *info) {
    put_key(out, name);
    put_open(out, '[');
    for (; rows->name; rows++) {
        put_open(out, '{');
        member(out, "name", rows->name);
        member(out, "datatype", rows->datatype);
        put_key(out, "shape");
        put_open(out, '[');
        put_raw(out, "-1");
        put_width(out, rows->width, info);
        put_close(out, ']');
        put_close(out, '}');
    }
    put_close(out, ']');
}

void oip_put_model(text *out, const oip_model *model) {
    put_open(out, '{');
    member(out, "name", model->name);
    put_key(out, "versions");
    put_open(out, '[');
    version(out, model->generation);
    put_close(out, ']');
    member(out, "platform", platform);
    put_tensors(out, "inputs", inputs, model->info);
    put_tensors(out, "outputs", outputs, model->info);
    put_close(out, '}');
}

static void put_config_tensors(text *out, const char *name, const tensor_row *rows,
                               const ra_model_info *info) {
    put_key(out, name);
    put_open(out, '[');
    for (; rows->name; rows++) {
        char type[16];
        snprintf(type, sizeof type, "TYPE_%s", rows->datatype);
        put_open(out, '{');
        member(out, "name", rows->name);
        member(out, "data_type", type);
        put_key(out, "dims");
        put_open(out, '[');
        put_width(out, rows->width, info);
        put_close(out, ']');
        if (rows->optional) {
            put_key(out, "optional");
            put_bool(out, true);
        }
        put_close(out, '}');
    }
    put_close(out, ']');
}

/* What is known of the dictionary's making, {"top_k": {"string_value": "32"}, ...}. */
static void put_parameters(text *out, const ra_sae_settings *settings) {
    const ra_settings_table *table = ra_sae_settings_table();
    put_key(out, "parameters");
    put_open(out, '{');
    for (size_t i = 0; i < table->count; i++) {
        char value[64];
        if (!ra_setting_known(settings, i)) continue;
        put_key(out, table->rows[i].key);
        put_open(out, '{');
        member(out, "string_value", ra_setting_print(table, i, settings, value, sizeof value));
        put_close(out, '}');
    }
    put_close(out, '}');
}

void oip_put_config(text *out, const oip_model *model) {
    put_open(out, '{');
    member(out, "name", model->name);
    member(out, "platform", platform);
    member(out, "backend", platform);
    put_key(out, "version_policy");
    put_raw(out, "{\"latest\":{\"num_versions\":1}}");
    count(out, "max_batch_size", model->max_rows);
    put_config_tensors(out, "input", inputs, model->info);
    put_config_tensors(out, "output", outputs, model->info);
    put_key(out, "instance_group");
    put_open(out, '[');
    put_open(out, '{');
    member(out, "name", model->name);
    member(out, "kind", strcmp(model->info->device, "cuda") == 0 ? "KIND_GPU" : "KIND_CPU");
    count(out, "count", 1);
    put_close(out, '}');
    put_close(out, ']');
    put_parameters(out, &model->info->settings);
    put_close(out, '}');
}

/* ---- statistics
 * and index ------------------------------------------------------------------------------- */

static uint64_t value_of(_Atomic uint64_t *from) {
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void put_total(text *out, const char *name, statistics_total *total) {
    put_key(out, name);
    put_open(out, '{');
    count(out, "count", value_of(&total->count));
    count(out, "ns", value_of(&total->ns));
    put_close(out, '}');
}

void oip_put_statistics(text *out, const char *name, size_t generation, statistics *inference) {
    put_open(out, '{');
    member(out, "name", name);
    put_key(out, "version");
    version(out, generation);
    count(out, "last_inference", value_of(&inference->last_ms));
    count(out, "inference_count", value_of(&inference->inferences));
    count(out, "execution_count", value_of(&inference->executions));
    put_key(out, "inference_stats");
    put_open(out, '{');
#define X(stage) put_total(out, #stage, &inference->stage);
    STATISTICS_STAGE_LIST(X)
#undef X
    put_close(out, '}');
    put_key(out, "batch_stats");
    put_raw(out, "[]");
    put_close(out, '}');
}

void oip_put_index_entry(text *out, const char *name, size_t generation, bool ready, const char *reason) {
    put_open(out, '{');
    member(out, "name", name);
    put_key(out, "version");
    version(out, generation);
    member(out, "state", ready ? "READY" : "UNAVAILABLE");
    put_key(out, "reason");
    put_string_checked(out, reason);
    put_close(out, '}');
}

/* 
 * ---- infer ---------------------------------------------------------------------------------------------- */

/* All numbers as one flat array. */
static void put_data(text *out, const oip_infer_reply *reply) {
    put_key(out, "data");
    put_numbers(out, reply->x_hat, reply->rows * reply->dimensions);
}

size_t oip_put_infer(text *out, const oip_infer_reply *reply) {
    size_t bytes = reply->rows * reply->dimensions * sizeof(float);
    put_open(out, '{');
    member(out, "model_name", reply->name);
    put_key(out, "model_version");
    version(out, reply->generation);
    if (reply->id.raw) {
        put_key(out, "id");
        text_append(out, "\"", 1); /* as it was sent, escapes and all */
        text_append(out, reply->id.raw, reply->id.size);
        text_append(out, "\"", 1);
    }
    put_key(out, "outputs");
    put_open(out, '[');
    put_open(out, '{');
    member(out, "name", OIP_OUTPUT_NAME);
    member(out, "datatype", "FP32");
    put_key(out, "shape");
    put_open(out, '[');
    put_size(out, reply->rows);
    put_size(out, reply->dimensions);
    put_close(out, ']');
    if (reply->binary) {
        put_key(out, "parameters");
        put_open(out, '{');
        count(out, "binary_data_size", bytes);
        put_close(out, '}');
    } else {
        put_data(out, reply);
    }
    put_close(out, '}');
    put_close(out, ']');
    put_close(out, '}');
    size_t json_size = out->size;
    if (reply->binary) text_append(out, reply->x_hat, bytes);
    return json_size;
}
