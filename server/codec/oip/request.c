/* One scan over the JSON of a request reads each member where it is.
 *
 * Members come in any order, so the data of an input may come before its name or shape. In the usual order,
 * data last, the numbers are read as they are passed; otherwise their position is kept, and they are read
 * when the input has ended. Bytes after the JSON are handed out in the order of the inputs.
 */
#include "codec/oip/request.h"
#include "app/numbers.h"
#include "codec/oip/tensor.h"

#include <stdlib.h>
#include <string.h>

typedef struct infer_reader {
    json_string id;
    oip_limits limits;
    oip_tensor tensors[OIP_INPUT_COUNT];
    const char *bytes; /* after the JSON, not yet handed out */
    size_t bytes_left;
    bool binary_default;                /* the parameter binary_data_output */
    bool named[OIP_MOST_OUTPUTS];       /* among the outputs */
    int binary_asked[OIP_MOST_OUTPUTS]; /* its parameter binary_data; -1: absent */
} infer_reader;

/* What is to be known of the two models of a dictionary. */
static bool encodes(const infer_reader *reader) {
    return reader->limits.dimensions > 0;
}

static const char *const *output_names(const infer_reader *reader) {
    static const char *const of_reconstruct[] = {OIP_OUTPUT_NAME, NULL}, *const of_encode[] = {
                                                                             OIP_INDICES_NAME,
                                                                             OIP_VALUES_NAME, NULL};
    return encodes(reader) ? of_encode : of_reconstruct;
}

/* ---- members in general -------------------------------------------------------------------------------- */

/* Reads the value of one member; false when the scan has failed. */
typedef bool member_reader(json_scan *scan, void *target);

typedef struct member {
    const char *name;
    member_reader *read;
} member;

static bool is_null(json_scan *scan) {
    return json_scan_peek(scan) == JSON_NULL;
}

/* Reads an object; skips members that are null or have no row. */
static bool read_object(json_scan *scan, const char *what, const member *members, void *target) {
    json_string key;
    if (!json_scan_expect(scan, JSON_OBJECT, what, "an object")) return false;
    json_scan_object(scan);
    while (json_scan_member(scan, &key)) {
        const member *row = members;
        while (row->name && !json_string_is(key, row->name)) row++;
        bool good = row->name && !is_null(scan) ? row->read(scan, target) : json_scan_skip(scan, NULL);
        if (!good) return false;
    }
    return scan->status == RA_OK;
}

/* The same for an object of parameters, whose values are strings, numbers or booleans. Names that begin with
 * `unsupported` would change the result. */
static bool read_parameters(json_scan *scan, const char *unsupported, const member *members, void *target) {
    json_string key;
    if (!json_scan_expect(scan, JSON_OBJECT, "parameters", "an object")) return false;
    json_scan_object(scan);
    while (json_scan_member(scan, &key)) {
        json_type type = json_scan_peek(scan);
        const member *row = members;
        while (row->name && !json_string_is(key, row->name)) row++;
        bool refused = unsupported && key.size >= strlen(unsupported) &&
                       strncmp(key.raw, unsupported, strlen(unsupported)) == 0;
        bool read = row->name && type != JSON_NULL;
        if (!(read ? row->read(scan, target) : json_scan_skip(scan, NULL))) return false;
        if (refused)
            return json_scan_fail(scan, RA_ERR_UNSUPPORTED, "the parameter %.*s is not offered here",
                                  json_string_shown(key), key.raw);
        if (type == JSON_ARRAY || type == JSON_OBJECT)
            return json_scan_fail(scan, RA_ERR_FORMAT,
                                  "the parameter %.*s is %s, expected a string, a number or a boolean",
                                  json_string_shown(key), key.raw, json_type_name(type));
    }
    return scan->status == RA_OK;
}

static bool read_bool(json_scan *scan, const char *what, bool *value) {
    json_type type = json_scan_peek(scan);
    json_value found;
    if (!json_scan_skip(scan, &found)) return false;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return json_scan_fail(scan, RA_ERR_FORMAT, "%s is %s, expected true or false", what,
                              json_type_name(type));
    *value = type == JSON_TRUE;
    return true;
}

/* ---- one input ----------------------------------------------------------------------------------------- */

typedef struct input_reader {
    infer_reader *request;
    oip_spec spec;
    json_string datatype;
    json_value later;    /* data that came before its description */
    bool has_data, done; /* done: it is in its tensor */
    bool has_bytes;
    int64_t bytes; /* binary_data_size */
} input_reader;

static bool read_name(json_scan *scan, void *target) {
    input_reader *input = target;
    json_string name;
    if (!json_scan_string(scan, "the name of an input", &name)) return false;
    input->spec.input = 0;
    while (input->spec.input < OIP_INPUT_COUNT && !json_string_is(name, oip_input_name(input->spec.input)))
        input->spec.input++;
    bool other = (input->spec.input == OIP_ROWS) != encodes(input->request);
    if (other || input->spec.input == OIP_INPUT_COUNT)
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "there is no input \"%.*s\"; expected %s",
                              json_string_shown(name), name.raw,
                              encodes(input->request) ? "inputs" : "latents, or indices and values");
    if (input->request->tensors[input->spec.input].given)
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "the input %s is given twice",
                              oip_input_name(input->spec.input));
    return true;
}

static bool read_datatype(json_scan *scan, void *target) {
    input_reader *input = target;
    if (!json_scan_string(scan, "the datatype of an input", &input->datatype)) return false;
    if (!oip_datatype_from_name(input->datatype, &input->spec.dtype))
        return json_scan_fail(scan, RA_ERR_DTYPE,
                              "no input has the datatype \"%.*s\"; expected FP32, FP16, BF16 or FP64 for "
                              "latents and values, INT32 or INT64 for indices",
                              json_string_shown(input->datatype), input->datatype.raw);
    return true;
}

static bool read_shape(json_scan *scan, void *target) {
    input_reader *input = target;
    json_position position = {.name = "shape"};
    int64_t size;
    if (!json_scan_expect(scan, JSON_ARRAY, "the shape of an input", "an array of two numbers")) return false;
    json_scan_array(scan);
    for (; json_scan_next_i64(scan, &position, &size); position.column++) {
        if (size < 0)
            return json_scan_fail(scan, RA_ERR_SHAPE, "a shape has the size %lld, expected at least 0",
                                  (long long)size);
        if (position.column < 2) input->spec.shape[position.column] = (size_t)size;
    }
    input->spec.rank = position.column;
    if (scan->status == RA_OK && position.column != 2)
        return json_scan_fail(scan, RA_ERR_SHAPE,
                              "an input has a shape of %zu numbers, expected two: rows and width",
                              position.column);
    return scan->status == RA_OK;
}

static bool read_binary_size(json_scan *scan, void *target) {
    input_reader *input = target;
    input->has_bytes = true;
    if (!json_scan_i64(scan, "binary_data_size", &input->bytes)) return false;
    if (input->bytes < 0)
        return json_scan_fail(scan, RA_ERR_SHAPE, "binary_data_size is %lld, expected at least 0",
                              (long long)input->bytes);
    return true;
}

static bool read_input_parameters(json_scan *scan, void *target) {
    static const member members[] = {{"binary_data_size", read_binary_size}, {NULL, NULL}};
    return read_parameters(scan, "shared_memory", members, target);
}

/* The description is complete: makes the tensor, so that its data can be read. */
static bool open_tensor(json_scan *scan, input_reader *input, oip_tensor **tensor) {
    ra_error why = {0};
    if (oip_spec_check(&input->spec, &input->request->limits, &why) != RA_OK)
        return json_scan_fail(scan, why.code, "%s", why.message);
    *tensor = &input->request->tensors[input->spec.input];
    **tensor = (oip_tensor){.given = true, .spec = input->spec};
    input->done = true;
    return true;
}

static bool read_data(json_scan *scan, void *target) {
    input_reader *input = target;
    oip_tensor *tensor;
    input->has_data = true;
    if (input->spec.input == OIP_INPUT_COUNT || input->spec.dtype == RA_DTYPE_COUNT || !input->spec.rank)
        return json_scan_skip(scan, &input->later);
    return open_tensor(scan, input, &tensor) && oip_tensor_scan(tensor, &input->request->limits, scan);
}

/* Reads data that was skipped, now that its description is complete. */
static bool read_later(json_scan *scan, input_reader *input, oip_tensor *tensor) {
    json_scan data;
    ra_error why = {0};
    json_scan_begin(&data, input->later.text, input->later.size, &why);
    if (oip_tensor_scan(tensor, &input->request->limits, &data)) json_scan_end(&data);
    if (json_scan_close(&data) == RA_OK) return true;
    return json_scan_fail(scan, why.code, "%s", why.message);
}

static bool take_bytes(json_scan *scan, input_reader *input, oip_tensor *tensor) {
    infer_reader *reader = input->request;
    ra_error why = {0};
    if ((uint64_t)input->bytes > reader->bytes_left)
        return json_scan_fail(
            scan, RA_ERR_SHAPE,
            "the binary_data_size of %s is %lld, but only %zu bytes are left after the JSON "
            "(the header Inference-Header-Content-Length says where it ends)",
            oip_input_name(input->spec.input), (long long)input->bytes, reader->bytes_left);
    const char *bytes = reader->bytes;
    reader->bytes += input->bytes;
    reader->bytes_left -= (size_t)input->bytes;
    if (oip_tensor_take(tensor, &reader->limits, bytes, (size_t)input->bytes, &why) == RA_OK) return true;
    return json_scan_fail(scan, why.code, "%s", why.message);
}

static bool finish_input(json_scan *scan, input_reader *input) {
    const char *missing = input->spec.input == OIP_INPUT_COUNT  ? "name"
                          : input->spec.dtype == RA_DTYPE_COUNT ? "datatype"
                          : !input->spec.rank                   ? "shape"
                                                                : NULL;
    oip_tensor *tensor = NULL;
    if (missing) return json_scan_fail(scan, RA_ERR_FORMAT, "an input has no member \"%s\"", missing);
    const char *name = oip_input_name(input->spec.input);
    if (input->has_data == input->has_bytes)
        return json_scan_fail(scan, RA_ERR_FORMAT,
                              input->has_data ? "the input %s has both data and binary_data_size"
                                              : "the input %s has neither data nor binary_data_size",
                              name);
    if (input->done) return true;
    if (!open_tensor(scan, input, &tensor)) return false;
    return input->has_bytes ? take_bytes(scan, input, tensor) : read_later(scan, input, tensor);
}

static bool read_inputs(json_scan *scan, void *target) {
    static const member members[] = {{"name", read_name},   {"datatype", read_datatype},
                                     {"shape", read_shape}, {"parameters", read_input_parameters},
                                     {"data", read_data},   {NULL, NULL}};
    if (!json_scan_expect(scan, JSON_ARRAY, "inputs", "an array")) return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        input_reader input = {.request = target, .spec = {.input = OIP_INPUT_COUNT, .dtype = RA_DTYPE_COUNT}};
        if (!read_object(scan, "an input", members, &input) || !finish_input(scan, &input)) return false;
    }
    return scan->status == RA_OK;
}

/* ---- outputs, parameters, id --------------------------------------------------------------------------- */

typedef struct output_reader {
    infer_reader *request;
    int which; /* of output_names(); -1: not named yet */
    int binary;
} output_reader;

static bool read_output_name(json_scan *scan, void *target) {
    output_reader *output = target;
    const char *const *names = output_names(output->request);
    json_string name;
    if (!json_scan_string(scan, "the name of an output", &name)) return false;
    for (output->which = 0; names[output->which] && !json_string_is(name, names[output->which]);)
        output->which++;
    if (!names[output->which])
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "there is no output \"%.*s\"; expected %s%s%s",
                              json_string_shown(name), name.raw, names[0], names[1] ? " or " : "",
                              names[1] ? names[1] : "");
    if (output->request->named[output->which])
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "the output %s is requested twice",
                              names[output->which]);
    output->request->named[output->which] = true;
    return true;
}

static bool read_binary_data(json_scan *scan, void *target) {
    output_reader *output = target;
    bool value = false;
    if (!read_bool(scan, "binary_data", &value)) return false;
    output->binary = value;
    return true;
}

static bool read_classification(json_scan *scan, void *target) {
    (void)target;
    int64_t classes = 0;
    if (!json_scan_i64(scan, "classification", &classes)) return false;
    return classes == 0 ||
           json_scan_fail(scan, RA_ERR_UNSUPPORTED, "the parameter classification is not offered here");
}

static bool read_output_parameters(json_scan *scan, void *target) {
    static const member members[] = {
        {"binary_data", read_binary_data}, {"classification", read_classification}, {NULL, NULL}};
    return read_parameters(scan, "shared_memory", members, target);
}

static bool read_outputs(json_scan *scan, void *target) {
    static const member members[] = {
        {"name", read_output_name}, {"parameters", read_output_parameters}, {NULL, NULL}};
    infer_reader *reader = target;
    if (!json_scan_expect(scan, JSON_ARRAY, "outputs", "an array")) return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        output_reader output = {reader, -1, -1};
        if (!read_object(scan, "an output", members, &output)) return false;
        if (output.which < 0) return json_scan_fail(scan, RA_ERR_FORMAT, "an output has no member \"name\"");
        reader->binary_asked[output.which] = output.binary;
    }
    return scan->status == RA_OK;
}

static bool read_binary_output(json_scan *scan, void *target) {
    infer_reader *reader = target;
    return read_bool(scan, "binary_data_output", &reader->binary_default);
}

static bool read_infer_parameters(json_scan *scan, void *target) {
    static const member members[] = {{"binary_data_output", read_binary_output}, {NULL, NULL}};
    return read_parameters(scan, NULL, members, target);
}

static bool read_id(json_scan *scan, void *target) {
    infer_reader *reader = target;
    return json_scan_string(scan, "id", &reader->id);
}

/* ---- infer --------------------------------------------------------------------------------------------- */

static ra_status parse_json(infer_reader *reader, const char *body, size_t json_size, ra_error *err) {
    static const member members[] = {{"id", read_id},
                                     {"parameters", read_infer_parameters},
                                     {"inputs", read_inputs},
                                     {"outputs", read_outputs},
                                     {NULL, NULL}};
    json_scan scan;
    json_scan_begin(&scan, body, json_size, err);
    if (read_object(&scan, "the body", members, reader)) json_scan_end(&scan);
    RA_TRY(json_scan_close(&scan));
    if (reader->bytes_left)
        RA_FAIL(
            err, RA_ERR_SHAPE,
            "%zu bytes after the JSON belong to no input; the binary_data_size of each input says how many "
            "it has",
            reader->bytes_left);
    return RA_OK;
}

/* The whole body is the first input of the model, latents or inputs. */
static ra_status parse_raw(infer_reader *reader, const char *body, size_t size, ra_error *err) {
    oip_input which = encodes(reader) ? OIP_ROWS : OIP_LATENTS;
    size_t width = encodes(reader) ? reader->limits.dimensions : reader->limits.latents;
    size_t row = width * sizeof(float);
    if (size == 0 || size % row != 0)
        RA_FAIL(err, RA_ERR_SHAPE, "the raw body has %zu bytes, expected rows of %zu FP32 %s, %zu bytes each",
                size, width, encodes(reader) ? "numbers" : "latents", row);
    oip_tensor *tensor = &reader->tensors[which];
    *tensor = (oip_tensor){
        .given = true, .spec = {.input = which, .dtype = RA_F32, .rank = 2, .shape = {size / row, width}}};
    reader->binary_default = true;
    RA_TRY(oip_spec_check(&tensor->spec, &reader->limits, err));
    return oip_tensor_take(tensor, &reader->limits, body, size, err);
}

static ra_status parse_infer(infer_reader *reader, const char *body, size_t size, size_t json_size,
                             ra_error *err) {
    reader->bytes = body ? body + json_size : NULL;
    reader->bytes_left = size - json_size;
    for (int i = 0; i < OIP_MOST_OUTPUTS; i++) reader->binary_asked[i] = -1;
    return json_size ? parse_json(reader, body, json_size, err) : parse_raw(reader, body, size, err);
}

static bool is_binary(const infer_reader *reader, int output) {
    int asked = reader->binary_asked[output];
    return asked < 0 ? reader->binary_default : asked > 0;
}

static void release_tensors(infer_reader *reader) {
    for (int i = 0; i < OIP_INPUT_COUNT; i++) oip_tensor_release(&reader->tensors[i]);
}

ra_status oip_infer_parse(const char *body, size_t size, size_t json_size, size_t latents, size_t max_rows,
                          oip_infer_request *out, ra_error *err) {
    *out = (oip_infer_request){0};
    infer_reader reader = {.limits = {.latents = latents, .max_rows = max_rows, .max_elements = size}};
    ra_status status;
    RA_TRY_OUT(status, parse_infer(&reader, body, size, json_size, err));
    RA_TRY_OUT(status, oip_tensors_join(reader.tensors, &reader.limits, &out->codes, err));
    out->id = reader.id;
    out->binary = is_binary(&reader, 0);
out:
    release_tensors(&reader);
    if (status != RA_OK) oip_infer_request_release(out);
    return status;
}

ra_status oip_encode_parse(const char *body, size_t size, size_t json_size, size_t dimensions,
                           size_t max_rows, oip_encode_request *out, ra_error *err) {
    *out = (oip_encode_request){0};
    infer_reader reader = {.limits = {.dimensions = dimensions, .max_rows = max_rows, .max_elements = size}};
    ra_status status;
    RA_TRY_OUT(status, parse_infer(&reader, body, size, json_size, err));
    RA_TRY_OUT(status, oip_tensors_rows(reader.tensors, &out->inputs, err));
    out->id = reader.id;
    bool all = !reader.named[0] && !reader.named[1];
    for (int i = 0; i < OIP_MOST_OUTPUTS; i++) {
        out->wanted[i] = all || reader.named[i];
        out->binary[i] = is_binary(&reader, i);
    }
out:
    release_tensors(&reader);
    if (status != RA_OK) oip_encode_request_release(out);
    return status;
}

void oip_encode_request_release(oip_encode_request *request) {
    ra_matrix_release(&request->inputs);
    *request = (oip_encode_request){0};
}

void oip_infer_request_release(oip_infer_request *request) {
    ra_codes_release(&request->codes);
    *request = (oip_infer_request){0};
}

ra_status oip_json_size(const char *header, size_t body_size, size_t *json_size, ra_error *err) {
    int64_t value;
    ra_status why;
    *json_size = body_size;
    if (!header) {
        if (body_size) return RA_OK;
        RA_FAIL(err, RA_ERR_FORMAT, "the body is empty, expected {\"inputs\": [...]}");
    }
    size_t digits = strspn(header, "0123456789");
    if (header[digits] || !number_scan_i64(header, header + digits, &value, &why) ||
        (uint64_t)value > body_size)
        RA_FAIL(err, RA_ERR_FORMAT,
                "the header Inference-Header-Content-Length is '%.32s', expected a number from 0 to "
                "the %zu bytes of the body",
                header, body_size);
    *json_size = (size_t)value;
    return RA_OK;
}

/* ---- the repository ------------------------------------------------------------------------------------ */

/* Reads nothing, or an object by a table. */
static ra_status parse_small(const char *body, size_t size, const member *members, void *target,
                             ra_error *err) {
    json_scan scan;
    if (size == 0) return RA_OK;
    json_scan_begin(&scan, body, size, err);
    if (read_object(&scan, "the body", members, target)) json_scan_end(&scan);
    return json_scan_close(&scan);
}

static bool read_ready(json_scan *scan, void *target) {
    return read_bool(scan, "ready", target);
}

ra_status oip_index_parse(const char *body, size_t size, bool *ready_only, ra_error *err) {
    static const member members[] = {{"ready", read_ready}, {NULL, NULL}};
    *ready_only = false;
    return parse_small(body, size, members, ready_only, err);
}

static bool refuse_config(json_scan *scan, void *target) {
    (void)target;
    json_scan_skip(scan, NULL);
    return json_scan_fail(scan, RA_ERR_UNSUPPORTED,
                          "the parameter config is not offered here: a dictionary is configured by its file");
}

static bool read_control_parameters(json_scan *scan, void *target) {
    static const member members[] = {{"config", refuse_config}, {NULL, NULL}};
    return read_parameters(scan, "file:", members, target);
}

ra_status oip_control_check(const char *body, size_t size, ra_error *err) {
    static const member members[] = {{"parameters", read_control_parameters}, {NULL, NULL}};
    return parse_small(body, size, members, NULL, err);
}
