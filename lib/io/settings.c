/* Settings in the metadata of a file. */
#include "ra_io.h"
#include "io/config.h"

#include <stdio.h>

ra_status ra_settings_read(const ra_settings_table *table, const ra_safetensors *file, void *settings,
                           ra_error *err) {
    for (size_t i = 0; i < table->count; i++) {
        const char *key = table->rows[i].key, *text = ra_safetensors_metadata(file, key);
        char where[320];
        if (!text) continue;
        snprintf(where, sizeof where, "%s: the setting %s", ra_safetensors_path(file), key);
        RA_TRY(ra_setting_parse(table, i, settings, text, where, err));
    }
    return RA_OK;
}

typedef struct json_settings {
    const ra_settings_table *table;
    const char *path;
    void *settings;
} json_settings;

static ra_status on_key(void *context, const char *key, const char *text, ra_error *err) {
    const json_settings *in = context;
    char where[320];
    int row = ra_setting_by_key(in->table, key);
    if (row < 0) return RA_OK;
    snprintf(where, sizeof where, "%s: the setting %s", in->path, key);
    return ra_setting_parse(in->table, (size_t)row, in->settings, text, where, err);
}

ra_status ra_settings_read_json(const ra_settings_table *table, const char *path, void *settings,
                                ra_error *err) {
    return ra_config_each(path, on_key, &(json_settings){table, path, settings}, err);
}

ra_status ra_settings_write(const ra_settings_table *table, const void *settings,
                            ra_safetensors_writer *writer, ra_error *err) {
    for (size_t i = 0; i < table->count; i++) {
        char text[64];
        if (!ra_setting_known(settings, i)) continue;
        ra_setting_print(table, i, settings, text, sizeof text);
        RA_TRY(ra_safetensors_writer_metadata(writer, table->rows[i].key, text, err));
    }
    return RA_OK;
}
