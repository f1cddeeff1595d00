/* A file of torch.save in place of a safetensors file: the same names, views and texts. Code that opens a model or data
 * thus opens both. What a file does not say about itself, a config.json beside it may (config.c). */
#include "io/safetensors/safetensors.h"
#include "io/torch/torch.h"
#include "ra_memory.h"

static ra_status on_tensor(void *context, const char *name, const ra_tensor *tensor, void *copy,
                           ra_error *err) {
    ra_safetensors_entry *entry;
    ra_status status = ra_safetensors_add_entry(context, name, &entry, err);
    if (status != RA_OK) {
        ra_free(copy);
        return status;
    }
    entry->tensor = *tensor;
    entry->copy = copy;
    return RA_OK;
}

static ra_status on_foreign(void *context, const char *name, const char *description, ra_status refusal,
                            ra_error *err) {
    ra_safetensors_entry *entry;
    RA_TRY(ra_safetensors_add_entry(context, name, &entry, err));
    entry->refusal = refusal;
    entry->foreign = ra_strdup(description);
    if (!entry->foreign) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the description of a tensor");
    return RA_OK;
}

static ra_status on_text(void *context, const char *key, const char *text, ra_error *err) {
    return ra_safetensors_add_text(context, key, text, err);
}

ra_status ra_safetensors_load_torch(ra_safetensors *file, bool careful, ra_error *err) {
    const ra_torch_sink sink = {file, on_tensor, on_foreign, on_text};
    RA_TRY(ra_torch_read(file->mapping.data, file->mapping.size, file->path, careful, &sink, err));
    return ra_safetensors_load_config(file, err);
}
