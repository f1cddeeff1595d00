#include "spoilt_model.h"

#include <string.h>

static void spoil(model_file *file, const spoilt_model *row) {
    switch (row->damage) {
    case DROP:
        model_file_drop(file, row->name);
        break;
    case SHAPE: {
        ra_dtype dtype =
            strcmp(row->name, "archetypes.index") && strcmp(row->name, "points.rows") ? RA_F32 : RA_I32;
        model_file_put(file, row->name, dtype, row->b ? 2 : 1, row->a, row->b, NULL);
        break;
    }
    case TYPE:
        model_file_put(file, row->name, (ra_dtype)row->a, 2, FILE_K, FILE_D, NULL);
        break;
    case SET:
        model_file_set(file, row->name, row->a, row->value);
        break;
    case LINES:
        model_file_put_text(file, row->name, row->text);
        break;
    case META:
        model_file_text(file, row->name, row->text);
        break;
    }
}

void spoilt_model_is_refused(void (*make)(model_file *), const spoilt_model *row) {
    model_file file = {0};
    ra_model *model = NULL;
    make(&file);
    spoil(&file, row);
    const char *path = model_file_write(&file, "spoilt.safetensors");
    for (size_t i = 0; i < 2 && row->says[i]; i++)
        ra_fails(ra_model_open(path, NULL, &model, &err), row->status, row->says[i]);
    ra_fails(ra_model_open(path, NULL, &model, &err), row->status, "spoilt.safetensors");
    ck_assert_ptr_null(model);
    ck_assert_int_eq(ra_model_open(path, NULL, &model, NULL), row->status); /* without an error to fill */
    model_file_release(&file);
}
