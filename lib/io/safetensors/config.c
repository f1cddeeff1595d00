/* A config.json beside a file of another program adds what the file does not say. The file knows better, so what it says
 * stays, with a line in the log where the two differ. */
#include "io/safetensors/safetensors.h"
#include "io/config.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct merge {
    ra_safetensors *file;
    const char *config; /* its path */
} merge;

static const char *text_of(const ra_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->text_count; i++)
        if (strcmp(file->texts[i].key, key) == 0) return file->texts[i].text;
    return NULL;
}

static bool same_value(const char *a, const char *b) {
    char *a_end, *b_end;
    double x = strtod(a, &a_end), y = strtod(b, &b_end);
    bool numbers = *a && *b && !*a_end && !*b_end;
    return numbers ? (float)x == (float)y : strcmp(a, b) == 0;
}

static ra_status add_missing(void *context, const char *key, const char *text, ra_error *err) {
    const merge *m = context;
    const char *own = text_of(m->file, key);
    if (!own) return ra_safetensors_add_text(m->file, key, text, err);
    if (!same_value(own, text))
        ra_log(RA_LOG_WARNING, "%s says that %s is %s, but %s itself says %s, which is taken", m->config, key,
               text, m->file->path, own);
    return RA_OK;
}

ra_status ra_safetensors_load_config(ra_safetensors *file, ra_error *err) {
    struct stat what;
    ra_error reason = {0};
    char *path = NULL;
    ra_status status = RA_OK;
    RA_TRY(ra_config_beside(file->path, "config.json", &path, err));
    if (stat(path, &what) == 0) status = ra_config_each(path, add_missing, &(merge){file, path}, &reason);
    ra_free(path);
    if (status == RA_ERR_MEMORY) RA_FAIL(err, status, "%s", reason.message);
    if (status != RA_OK) ra_log(RA_LOG_WARNING, "%s, and is left out", reason.message);
    return RA_OK;
}
