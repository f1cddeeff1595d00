/* Two tables, inputs and outputs, describe the tensors; metadata and configuration are both written from
 * them. Metadata has the batch as a first dimension of -1; the configuration leaves it out and gives its
 * maximum instead. The numbers of a reply are written once, into the reply itself: as text, or as they are in
 * memory after the JSON, whose size the header of a binary reply gives.
 */
#include "codec/oip/reply.h"
#include "codec/oip/request.h"

#include <stdio.h>
#include <string.h>

static const char platform[] = "rasae";

/* A generation, as the protocol writes versions. */
static void version(text *out, const char *key, size_t generation) {
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", generation);
    json_text(out, key, generation ? digits : "");
}

void oip_put_error(text *out, const char *sentence) {
    json_object(out, NULL);
    json_text(out, "error", sentence);
    json_object_end(out);
}

void oip_put_health(text *out, const char *name, bool value) {
    json_object(out, NULL);
    json_bool(out, name, value);
    json_object_end(out);
}

void oip_put_server(text *out, const char *release) {
    static const char *const extensions[] = {"binary_tensor_data", "model_repository", "statistics",
                                             "parameters", "model_configuration"};
    json_object(out, NULL);
    json_text(out, "name", "rasaed");
    json_text(out, "version", release);
    json_array(out, "extensions");
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) json_text(out, NULL, extensions[i]);
    json_array_end(out);
    json_object_end(out);
}

/* ---- models -------------------------------------------------------------------------------------------- */

typedef enum width { WIDTH_LATENTS, WIDTH_DIMENSIONS, WIDTH_ANY } width;

/* Latents come first: a client that sends the first input that it finds sends what every dictionary takes. */
typedef struct tensor_row {
    const char *name, *datatype;
    width width;
    bool optional;
} tensor_row;

static const struct {
    tensor_row inputs[4], outputs[3]; /* after the last one: {NULL} */
} models[] = {
    [false] = {{{"latents", "FP32", WIDTH_LATENTS, false},
                {OIP_INDICES_NAME, "INT64", WIDTH_ANY, true},
                {OIP_VALUES_NAME, "FP32", WIDTH_ANY, true}},
               {{OIP_OUTPUT_NAME, "FP32", WIDTH_DIMENSIONS, false}}},
    [true] = {{{"inputs", "FP32", WIDTH_DIMENSIONS, false}},
              {{OIP_INDICES_NAME, "INT64", WIDTH_ANY, false}, {OIP_VALUES_NAME, "FP32", WIDTH_ANY, false}}},
};

static void put_width(text *out, width which, const ra_model_info *info) {
    if (which == WIDTH_ANY)
        json_raw(out, NULL, "-1");
    else
        json_count(out, NULL, which == WIDTH_LATENTS ? info->concepts : info->dimensions);
}

static void put_tensors(text *out, const char *name, const tensor_row *rows, const ra_model_info *info) {
    json_array(out, name);
    for (; rows->name; rows++) {
        json_object(out, NULL);
        json_text(out, "name", rows->name);
        json_text(out, "datatype", rows->datatype);
        json_array(out, "shape");
        json_raw(out, NULL, "-1");
        put_width(out, rows->width, info);
        json_array_end(out);
        if (rows->optional) json_bool(out, "optional", true);
        json_object_end(out);
    }
    json_array_end(out);
}

void oip_put_model(text *out, const oip_model *model) {
    json_object(out, NULL);
    json_text(out, "name", model->name);
    json_array(out, "versions");
    version(out, NULL, model->generation);
    json_array_end(out);
    json_text(out, "platform", platform);
    put_tensors(out, "inputs", models[model->encodes].inputs, model->info);
    put_tensors(out, "outputs", models[model->encodes].outputs, model->info);
    json_object_end(out);
}

static void put_config_tensors(text *out, const char *name, const tensor_row *rows,
                               const ra_model_info *info) {
    json_array(out, name);
    for (; rows->name; rows++) {
        char type[16];
        snprintf(type, sizeof type, "TYPE_%s", rows->datatype);
        json_object(out, NULL);
        json_text(out, "name", rows->name);
        json_text(out, "data_type", type);
        json_array(out, "dims");
        put_width(out, rows->width, info);
        json_array_end(out);
        if (rows->optional) { json_bool(out, "optional", true); }
        json_object_end(out);
    }
    json_array_end(out);
}

/* What is known of the dictionary's making, {"top_k": {"string_value": "32"}, ...}. */
static void put_parameters(text *out, const ra_sae_settings *settings) {
    const ra_settings_table *table = ra_sae_settings_table();
    json_object(out, "parameters");
    for (size_t i = 0; i < table->count; i++) {
        char value[64];
        if (!ra_setting_known(settings, i)) continue;
        json_object(out, table->rows[i].key);
        json_text(out, "string_value", ra_setting_print(table, i, settings, value, sizeof value));
        json_object_end(out);
    }
    json_object_end(out);
}

void oip_put_config(text *out, const oip_model *model) {
    json_object(out, NULL);
    json_text(out, "name", model->name);
    json_text(out, "platform", platform);
    json_text(out, "backend", platform);
    json_raw(out, "version_policy", "{\"latest\":{\"num_versions\":1}}");
    json_count(out, "max_batch_size", model->max_rows);
    put_config_tensors(out, "input", models[model->encodes].inputs, model->info);
    put_config_tensors(out, "output", models[model->encodes].outputs, model->info);
    json_array(out, "instance_group");
    json_object(out, NULL);
    json_text(out, "name", model->name);
    json_text(out, "kind", strcmp(model->info->device, "cuda") == 0 ? "KIND_GPU" : "KIND_CPU");
    json_count(out, "count", 1);
    json_object_end(out);
    json_array_end(out);
    put_parameters(out, &model->info->settings);
    json_object_end(out);
}

/* ---- statistics and index ------------------------------------------------------------------------------ */

void oip_put_statistics(text *out, const oip_statistics *counted) {
    json_object(out, NULL);
    json_text(out, "name", counted->name);
    version(out, "version", counted->generation);
    json_count(out, "last_inference", counted->last_ms);
    json_count(out, "inference_count", counted->inferences);
    json_count(out, "execution_count", counted->executions);
    json_object(out, "inference_stats");
    for (const oip_stage *stage = counted->stages; stage < counted->stages + counted->stage_count; stage++) {
        json_object(out, stage->name);
        json_count(out, "count", stage->count);
        json_count(out, "ns", stage->ns);
        json_object_end(out);
    }
    json_object_end(out);
    json_raw(out, "batch_stats", "[]");
    json_object_end(out);
}

void oip_put_index_entry(text *out, const char *name, size_t generation, bool ready, const char *reason) {
    json_object(out, NULL);
    json_text(out, "name", name);
    version(out, "version", generation);
    json_text(out, "state", ready ? "READY" : "UNAVAILABLE");
    json_text(out, "reason", reason);
    json_object_end(out);
}

/* ---- infer --------------------------------------------------------------------------------------------- */

/* Up to the outputs, which are left open. */
static void begin_infer(text *out, const char *name, size_t generation, json_string id) {
    json_object(out, NULL);
    json_text(out, "model_name", name);
    version(out, "model_version", generation);
    if (id.raw) {
        text_string(out, ",\"id\":\""); /* as it was sent, escapes and all */
        text_append(out, id.raw, id.size);
        text_append(out, "\"", 1);
    }
    json_array(out, "outputs");
}

static void end_infer(text *out) {
    json_array_end(out);
    json_object_end(out);
}

/* An output up to its data, which are left open unless they are binary. */
static void begin_output(text *out, const char *name, const char *datatype, size_t rows, size_t columns) {
    json_object(out, NULL);
    json_text(out, "name", name);
    json_text(out, "datatype", datatype);
    json_array(out, "shape");
    json_count(out, NULL, rows);
    json_count(out, NULL, columns);
    json_array_end(out);
}

static void put_binary_size(text *out, size_t bytes) {
    json_object(out, "parameters");
    json_count(out, "binary_data_size", bytes);
    json_object_end(out);
}

size_t oip_put_infer(text *out, const oip_infer_reply *reply) {
    size_t numbers = reply->rows * reply->dimensions;
    begin_infer(out, reply->name, reply->generation, reply->id);
    begin_output(out, OIP_OUTPUT_NAME, "FP32", reply->rows, reply->dimensions);
    if (reply->binary)
        put_binary_size(out, numbers * sizeof(float));
    else
        json_floats(out, "data", reply->x_hat, numbers); /* flat */
    json_object_end(out);
    end_infer(out);
    size_t json_size = out->size;
    if (reply->binary) text_append(out, reply->x_hat, numbers * sizeof(float));
    return json_size;
}

static void put_indices(text *out, const int64_t *indices, size_t n) {
    json_array(out, "data");
    for (size_t i = 0; i < n; i++) {
        if (indices[i] < 0)
            json_raw(out, NULL, "-1");
        else
            json_count(out, NULL, (uint64_t)indices[i]);
    }
    json_array_end(out);
}

size_t oip_put_encode(text *out, const oip_encode_reply *reply) {
    size_t numbers = reply->rows * reply->width;
    const struct {
        const char *name, *datatype;
        const void *data;
        size_t bytes;
    } outputs[OIP_MOST_OUTPUTS] = {
        [OIP_ENCODED_INDICES] = {OIP_INDICES_NAME, "INT64", reply->indices, numbers * sizeof *reply->indices},
        [OIP_ENCODED_VALUES] = {OIP_VALUES_NAME, "FP32", reply->values, numbers * sizeof *reply->values}};
    begin_infer(out, reply->name, reply->generation, reply->id);
    for (int i = 0; i < OIP_MOST_OUTPUTS; i++) {
        if (!reply->wanted[i]) continue;
        begin_output(out, outputs[i].name, outputs[i].datatype, reply->rows, reply->width);
        if (reply->binary[i])
            put_binary_size(out, outputs[i].bytes);
        else if (i == OIP_ENCODED_INDICES)
            put_indices(out, reply->indices, numbers);
        else
            json_floats(out, "data", reply->values, numbers);
        json_object_end(out);
    }
    end_infer(out);
    size_t json_size = out->size;
    for (int i = 0; i < OIP_MOST_OUTPUTS; i++)
        if (reply->wanted[i] && reply->binary[i]) text_append(out, outputs[i].data, outputs[i].bytes);
    return json_size;
}
