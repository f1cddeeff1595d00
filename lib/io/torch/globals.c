/* The names that a pickle may use, and what a call of each stands for. Nothing is called: the names are compared with
 * these lists, and a call of a listed one makes a value of this reader. */
#include "io/torch/globals.h"

#include <stdio.h>
#include <string.h>

typedef enum meaning {
    CONSTANT, /* never called: a type */
    CLASS,    /* objects of it have attributes; or a function, which is only mentioned */
    NEW_DICT, /* a call is a new dict */
    FIRST,    /* a call is its first argument: a parameter is its tensor */
    TENSOR,   /* a call is a tensor: (storage, offset, sizes, steps, ...) */
    TYPED,    /* the same of a storage without a type; the seventh argument is the type */
    ANOTHER,  /* a call is the call of its first argument with the third: a subclass of a tensor */
    AS_SET,   /* a call is a set of the items of its first argument */
    OPAQUE,   /* a call is a value of no use here */
} meaning;

/* A module that ends with a dot stands for all below it; the name NULL for all names in it. */
static const struct {
    const char *module, *name;
    meaning meaning;
} known[] = {
    {"collections", "OrderedDict", NEW_DICT},
    {"collections", "defaultdict", NEW_DICT},
    {"__builtin__", "set", AS_SET},
    {"builtins", "set", AS_SET},
    {"__builtin__", "frozenset", AS_SET},
    {"builtins", "frozenset", AS_SET},
    {"__builtin__", "dict", CONSTANT},
    {"builtins", "dict", CONSTANT},
    {"__builtin__", "list", CONSTANT},
    {"builtins", "list", CONSTANT},
    {"__builtin__", "int", CONSTANT},
    {"builtins", "int", CONSTANT},
    {"__builtin__", "float", CONSTANT},
    {"builtins", "float", CONSTANT},
    {"torch._utils", "_rebuild_tensor", TENSOR},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR},
    {"torch._utils", "_rebuild_tensor_v3", TYPED},
    {"torch._utils", "_rebuild_parameter", FIRST},
    {"torch._utils", "_rebuild_parameter_with_state", FIRST},
    {"torch._tensor", "_rebuild_from_type_v2", ANOTHER},
    {"torch", "Size", FIRST},
    {"torch", "device", OPAQUE},
    {"torch", "Tensor", CONSTANT},
    {"torch.serialization", "_get_layout", OPAQUE},
    {"torch.storage", "UntypedStorage", CONSTANT},
    {"torch.storage", "TypedStorage", CONSTANT},
    {"torch.nn.parameter", "Parameter", CONSTANT},
    {"torch.nn.parameter", "Buffer", CONSTANT},
    {"numpy", "dtype", OPAQUE},
    {"numpy", "ndarray", OPAQUE},
    {"numpy.core.multiarray", "scalar", OPAQUE},
    {"numpy.core.multiarray", "_reconstruct", OPAQUE},
    {"numpy._core.multiarray", "scalar", OPAQUE},
    {"numpy._core.multiarray", "_reconstruct", OPAQUE},
    {"_codecs", "encode", OPAQUE},
    {"argparse", "Namespace", CLASS},
    {"pathlib", "PosixPath", OPAQUE},
    {"pathlib", "WindowsPath", OPAQUE},
    {"pathlib._local", "PosixPath", OPAQUE},
    {"pathlib._local", "WindowsPath", OPAQUE},
    {"torch.nn.", NULL, CLASS},
    {"overcomplete.", NULL, CLASS},
};

/* Types of numbers: torch.float32, torch.FloatStorage, and as older files have it torch.cuda.FloatStorage. */
static bool is_number_type(const ra_pickle_value *module, const ra_pickle_value *name) {
    static const char *const types[] = {"float", "double", "half",    "bfloat", "int",     "uint",   "long",
                                        "short", "bool",   "complex", "cfloat", "cdouble", "quint8", "qint"};
    static const char suffix[] = "Storage";
    size_t tail = sizeof suffix - 1;
    bool torch = ra_pickle_text_is(module, "torch"), cuda = ra_pickle_text_is(module, "torch.cuda");
    if ((torch || cuda) && name->count > tail &&
        memcmp(name->is.text + name->count - tail, suffix, tail) == 0)
        return true;
    for (size_t i = 0; torch && i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i]);
        if (name->count >= length && memcmp(name->is.text, types[i], length) == 0) return true;
    }
    return false;
}

static bool matches(const char *module, const char *name, const ra_pickle_value *global) {
    const ra_pickle_value *its_module = global->is.global.module;
    size_t length = strlen(module);
    if (name) return ra_pickle_text_is(its_module, module) && ra_pickle_text_is(global->is.global.name, name);
    return its_module->count >= length && memcmp(its_module->is.text, module, length) == 0;
}

static bool find(const ra_pickle_value *global, meaning *found) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (matches(known[i].module, known[i].name, global)) {
            *found = known[i].meaning;
            return true;
        }
    *found = CONSTANT;
    return is_number_type(global->is.global.module, global->is.global.name);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

enum { NAME_SHOWN = 200 };

/* The name with everything unprintable as a question mark. */
static const char *shown(const ra_pickle_value *global, char *text, size_t size) {
    if (!ra_pickle_name(global, text, size)) snprintf(text, size, "a name of more than %zu bytes", size - 1);
    for (char *at = text; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    return text;
}

ra_status ra_pickle_check_global(const ra_pickle *pickle, const ra_pickle_value *global, ra_error *err) {
    char name[NAME_SHOWN];
    meaning unused;
    if (find(global, &unused)) return RA_OK;
    RA_FAIL(err, RA_ERR_UNSUPPORTED,
            "%s: its pickle refers to %s, which is not in the list of what may be in a model, so the file is "
            "refused (nothing "
            "of it was run); if it is a class of your own, save its state_dict() instead",
            pickle->path, shown(global, name, sizeof name));
}

static ra_status refuse_call(const ra_pickle *pickle, const ra_pickle_value *global, ra_error *err) {
    char name[NAME_SHOWN];
    RA_FAIL(err, RA_ERR_UNSUPPORTED,
            "%s: its pickle calls %s in a way that torch.save does not, so the file is refused (nothing of "
            "it was run)",
            pickle->path, shown(global, name, sizeof name));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static ra_status make(ra_pickle *pickle, ra_pickle_kind kind, ra_pickle_value **result, ra_error *err) {
    *result = ra_pickle_new(pickle, kind, err);
    return *result ? RA_OK : err->code;
}

static ra_status make_tensor(ra_pickle *pickle, const ra_pickle_value *global,
                             const ra_pickle_value *arguments, bool typed, ra_pickle_value **result,
                             ra_error *err) {
    ra_pickle_value *const *given = arguments->is.list.items;
    if (arguments->count < (typed ? 7u : 4u) || given[0]->kind != RA_PICKLE_STORAGE ||
        given[1]->kind != RA_PICKLE_INTEGER || given[2]->kind != RA_PICKLE_TUPLE ||
        given[3]->kind != RA_PICKLE_TUPLE || (typed && given[6]->kind != RA_PICKLE_GLOBAL))
        return refuse_call(pickle, global, err);
    RA_TRY(make(pickle, RA_PICKLE_TENSOR, result, err));
    (*result)->is.tensor.arguments = arguments;
    (*result)->is.tensor.dtype = typed ? given[6] : NULL;
    return RA_OK;
}

static ra_status make_set(ra_pickle *pickle, const ra_pickle_value *arguments, ra_pickle_value **result,
                          ra_error *err) {
    RA_TRY(make(pickle, RA_PICKLE_SET, result, err));
    if (arguments->count == 0 || arguments->is.list.items[0]->kind != RA_PICKLE_LIST) return RA_OK;
    const ra_pickle_value *items = arguments->is.list.items[0];
    for (uint32_t i = 0; i < items->count; i++)
        RA_TRY(ra_pickle_append(pickle, *result, items->is.list.items[i], err));
    return RA_OK;
}

/* _rebuild_from_type_v2(function, type, arguments, state) */
static ra_status call_another(ra_pickle *pickle, const ra_pickle_value *global,
                              const ra_pickle_value *arguments, ra_pickle_value **result, ra_error *err) {
    ra_pickle_value *const *given = arguments->is.list.items;
    meaning inner;
    if (arguments->count < 3 || given[0]->kind != RA_PICKLE_GLOBAL || given[2]->kind != RA_PICKLE_TUPLE ||
        !find(given[0], &inner) || inner == ANOTHER)
        return refuse_call(pickle, global, err);
    return ra_pickle_call(pickle, given[0], given[2], false, result, err);
}

ra_status ra_pickle_call(ra_pickle *pickle, const ra_pickle_value *global, ra_pickle_value *arguments,
                         bool construct, ra_pickle_value **result, ra_error *err) {
    meaning what = CONSTANT;
    bool found = find(global, &what), object = what == CLASS;
    if (!found || what == CONSTANT || (construct && !object && what != OPAQUE) || (!construct && object))
        return refuse_call(pickle, global, err);
    switch (what) {
    case CLASS:
        RA_TRY(make(pickle, RA_PICKLE_OBJECT, result, err));
        (*result)->is.object.type = global;
        return RA_OK;
    case NEW_DICT:
        return make(pickle, RA_PICKLE_DICT, result, err);
    case FIRST:
        if (arguments->count == 0) return refuse_call(pickle, global, err);
        *result = arguments->is.list.items[0];
        return RA_OK;
    case TENSOR:
    case TYPED:
        return make_tensor(pickle, global, arguments, what == TYPED, result, err);
    case ANOTHER:
        return call_another(pickle, global, arguments, result, err);
    case AS_SET:
        return make_set(pickle, arguments, result, err);
    case OPAQUE:
    case CONSTANT:
        break;
    }
    return make(pickle, RA_PICKLE_OPAQUE, result, err);
}

/* An OrderedDict and a tensor may have attributes, which do not matter. Those of an object may come with __slots__,
 * as a tuple; a module has none. */
ra_status ra_pickle_build(const ra_pickle *pickle, ra_pickle_value *value, const ra_pickle_value *state,
                          ra_error *err) {
    if (value->kind == RA_PICKLE_DICT || value->kind == RA_PICKLE_TENSOR || value->kind == RA_PICKLE_OPAQUE)
        return RA_OK;
    if (value->kind != RA_PICKLE_OBJECT || state->kind != RA_PICKLE_DICT || value->is.object.state)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its pickle sets attributes in a way that torch.save does not, so the file is refused",
                pickle->path);
    value->is.object.state = state;
    return RA_OK;
}

/* ("storage", type, key, place, count), and in the legacy format ("storage", type, key, place, count, None) and ("module",
 * class, file, source). */
ra_status ra_pickle_persistent(ra_pickle *pickle, const ra_pickle_value *id, ra_pickle_value **result,
                               ra_error *err) {
    ra_pickle_value *const *part = id->is.list.items;
    bool tuple = id->kind == RA_PICKLE_TUPLE;
    if (tuple && id->count == 4 && ra_pickle_text_is(part[0], "module") &&
        part[1]->kind == RA_PICKLE_GLOBAL) {
        *result = part[1];
        return RA_OK;
    }
    if (tuple && (id->count == 5 || (id->count == 6 && part[5]->kind == RA_PICKLE_NONE)) &&
        ra_pickle_text_is(part[0], "storage") && part[1]->kind == RA_PICKLE_GLOBAL &&
        part[2]->kind == RA_PICKLE_TEXT && part[4]->kind == RA_PICKLE_INTEGER) {
        RA_TRY(make(pickle, RA_PICKLE_STORAGE, result, err));
        (*result)->is.storage.id = id;
        (*result)->is.storage.previous = pickle->storages;
        pickle->storages = *result;
        return RA_OK;
    }
    RA_FAIL(
        err, RA_ERR_UNSUPPORTED,
        "%s: its pickle refers to a storage in a way that torch.save does not (files of before torch 0.4 do)",
        pickle->path);
}
