#include "io/config.h"
#include "io/json.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONFIG = 1 << 20, TEXT_SIZE = 64 };

static const char *const keys[] = {"top_k",          "delta",  "running_threshold", "threshold_momentum",
                                   "bandwidth",      "kernel", "use_multiplier",    "hidden_activation",
                                   "hidden_residual"};

int ra_config_number(double number, char *text, size_t size) {
    int length = 0;
    for (int digits = 6; digits <= 17; digits++) {
        length = snprintf(text, size, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    return length;
}

/* False: a value of a kind that no setting has (null, a list), or a long text. */
static bool as_text(const cJSON *value, char *text, size_t size) {
    int length = cJSON_IsBool(value)     ? snprintf(text, size, "%s", cJSON_IsTrue(value) ? "true" : "false")
                 : cJSON_IsNumber(value) ? ra_config_number(value->valuedouble, text, size)
                 : cJSON_IsString(value) ? snprintf(text, size, "%s", value->valuestring)
                                         : -1;
    return length >= 0 && (size_t)length < size;
}

ra_status ra_config_open(const char *path, cJSON **tree, ra_error *err) {
    ra_mapping mapping;
    *tree = NULL;
    RA_TRY(ra_mapping_open(path, &mapping, err));
    bool fits = mapping.size > 0 && mapping.size <= MOST_CONFIG && ra_utf8_valid(mapping.data, mapping.size);
    ra_status status = fits ? ra_json_parse(mapping.data, mapping.size, tree) : RA_ERR_FORMAT;
    ra_mapping_close(&mapping);
    if (status == RA_ERR_MEMORY) RA_FAIL_MEMORY(err, path, mapping.size);
    if (status == RA_OK && cJSON_IsObject(*tree)) return RA_OK;
    cJSON_Delete(*tree);
    *tree = NULL;
    RA_FAIL(err, RA_ERR_FORMAT, "%s is not a JSON object of at most %d bytes", path, MOST_CONFIG);
}

ra_status ra_config_beside(const char *file, const char *name, char **path, ra_error *err) {
    const char *slash = strrchr(file, '/');
    size_t folder = slash ? (size_t)(slash - file) + 1 : 0, size = folder + strlen(name) + 1;
    *path = ra_malloc(size, 1);
    if (!*path) RA_FAIL_MEMORY(err, "the name of a file", size);
    memcpy(*path, file, folder);
    memcpy(*path + folder, name, strlen(name) + 1);
    return RA_OK;
}

ra_status ra_config_each(const char *path, ra_config_visit *visit, void *context, ra_error *err) {
    cJSON *tree = NULL;
    ra_status status = RA_OK;
    RA_TRY(ra_config_open(path, &tree, err));
    for (size_t i = 0; status == RA_OK && i < sizeof keys / sizeof *keys; i++) {
        char text[TEXT_SIZE];
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(tree, keys[i]);
        if (value && as_text(value, text, sizeof text)) status = visit(context, keys[i], text, err);
    }
    cJSON_Delete(tree);
    return status;
}
