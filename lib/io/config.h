/* config.h - the settings in a config.json, which other programs write beside their weights.
 *
 * Only keys that mean there what they mean here are taken, and only from the top level: of the names that
 * configurations have (`encoder`, `model`, `dictionary`), many mean something else. */
#ifndef RA_IO_CONFIG_H
#define RA_IO_CONFIG_H

#include "io/json.h"

/* Called for each of those keys, with its value as metadata has it. */
typedef ra_status ra_config_visit(void *context, const char *key, const char *text, ra_error *err);

/* RA_ERR_FORMAT for a file that is not JSON. */
ra_status ra_config_each(const char *path, ra_config_visit *visit, void *context, ra_error *err);

/* *tree <- a JSON object; the caller's to cJSON_Delete(). RA_ERR_FORMAT for a file that holds none. */
ra_status ra_config_open(const char *path, cJSON **tree, ra_error *err);

/* *path <- that of the file `name` in the folder of `file`; the caller frees it with ra_free(). */
ra_status ra_config_beside(const char *file, const char *name, char **path, ra_error *err);

/* text <- the shortest text that is the same number again; returns its length. */
int ra_config_number(double number, char *text, size_t size);

#endif
