/* The names of torch's types. */
#include "io/torch/archive.h"

#include <string.h>

enum { NO_DTYPE = RA_DTYPE_COUNT };

static const struct {
    const char *storage, *dtype; /* torch.STORAGE, torch.DTYPE; NULL: there is none */
    const char *name;
    int own; /* ra_dtype */
    size_t size;
} types[] = {
    {"FloatStorage", "float32", "F32", RA_F32, 4},
    {"HalfStorage", "float16", "F16", RA_F16, 2},
    {"BFloat16Storage", "bfloat16", "BF16", RA_BF16, 2},
    {"DoubleStorage", "float64", "F64", RA_F64, 8},
    {"LongStorage", "int64", "I64", RA_I64, 8},
    {"IntStorage", "int32", "I32", RA_I32, 4},
    {"ShortStorage", "int16", "I16", RA_I16, 2},
    {"CharStorage", "int8", "I8", RA_I8, 1},
    {"ByteStorage", "uint8", "U8", RA_U8, 1},
    {NULL, "uint16", "U16", RA_U16, 2},
    {NULL, "uint32", "U32", NO_DTYPE, 4},
    {NULL, "uint64", "U64", NO_DTYPE, 8},
    {"BoolStorage", "bool", "BOOL", NO_DTYPE, 1},
    {NULL, "float8_e4m3fn", "F8_E4M3", NO_DTYPE, 1},
    {NULL, "float8_e5m2", "F8_E5M2", NO_DTYPE, 1},
    {"ComplexFloatStorage", "complex64", "COMPLEX64", NO_DTYPE, 8},
    {"ComplexDoubleStorage", "complex128", "COMPLEX128", NO_DTYPE, 16},
    {"UntypedStorage", NULL, NULL, NO_DTYPE, 1},
};

bool ra_torch_type_of(const ra_pickle_value *global, ra_torch_type *type) {
    *type = (ra_torch_type){.name = "a type that is not known"};
    if (!ra_pickle_is(global, RA_PICKLE_GLOBAL)) return false;
    const ra_pickle_value *name = global->is.global.name;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bool same = (types[i].storage && ra_pickle_text_is(name, types[i].storage)) ||
                    (types[i].dtype && ra_pickle_text_is(name, types[i].dtype));
        if (!same) continue;
        *type = (ra_torch_type){
            .readable = types[i].own != NO_DTYPE, .size = types[i].size, .name = types[i].name};
        if (type->readable) type->dtype = (ra_dtype)types[i].own;
        return true;
    }
    return false;
}
