/* values.h - the values of a pickle: how they are made, and how to look at them. pickle.h says what they are for. */
#ifndef RA_IO_TORCH_VALUES_H
#define RA_IO_TORCH_VALUES_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ra_pickle_kind {
    RA_PICKLE_NONE,
    RA_PICKLE_BOOL,
    RA_PICKLE_INTEGER,
    RA_PICKLE_LONG, /* an integer beyond 64 bits: its bytes, little-endian */
    RA_PICKLE_REAL,
    RA_PICKLE_TEXT, /* UTF-8, or whatever the file says it is */
    RA_PICKLE_BYTES,
    RA_PICKLE_TUPLE,
    RA_PICKLE_LIST,
    RA_PICKLE_SET,
    RA_PICKLE_DICT,    /* keys and values alternate; of equal keys, the last counts */
    RA_PICKLE_GLOBAL,  /* a name: a class, a function, a type of numbers */
    RA_PICKLE_OBJECT,  /* an instance of a class, with its attributes */
    RA_PICKLE_STORAGE, /* the numbers of tensors, by reference */
    RA_PICKLE_TENSOR,
    RA_PICKLE_OPAQUE, /* known, and of no use here: a device, an array of NumPy */
} ra_pickle_kind;

typedef struct ra_pickle_value ra_pickle_value;
struct ra_pickle_value {
    uint32_t kind;  /* ra_pickle_kind */
    uint32_t count; /* of bytes of a text, of items */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *text; /* not terminated */
        struct {
            ra_pickle_value **items;
            size_t capacity;
        } list;
        struct {
            const ra_pickle_value *module, *name; /* texts */
        } global;
        struct {
            const ra_pickle_value *type;  /* a global */
            const ra_pickle_value *state; /* a dict, or NULL */
        } object;
        struct {
            const ra_pickle_value *arguments; /* a tuple: (storage, offset, sizes, steps, ...) */
            const ra_pickle_value *dtype;     /* a global, if the storage has no type; or NULL */
        } tensor;
        struct {
            const ra_pickle_value *id;       /* a tuple: ("storage", type, key, place, count) */
            const ra_pickle_value *previous; /* the storage that was made before it, or NULL */
        } storage;
    } is;
};

/* {0} is an empty one. */
typedef struct ra_pickle {
    const char *path; /* begins the messages */
    struct ra_pickle_block *blocks;
    size_t values;
    const ra_pickle_value *storages; /* the last; is.storage.previous leads to all of them */
} ra_pickle;

void ra_pickle_release(ra_pickle *pickle); /* leaves {0}, and no value */

/* ---- making values ------------------------------------------------------------------------------------- */

/* A new value of this kind, otherwise zero; NULL: `err` says why. */
ra_pickle_value *ra_pickle_new(ra_pickle *pickle, ra_pickle_kind kind, ra_error *err);

/* Appends to a tuple, list, set or dict. */
ra_status ra_pickle_append(ra_pickle *pickle, ra_pickle_value *list, ra_pickle_value *item, ra_error *err);

/* ---- looking at values: each takes NULL as well ------------------------------------------------------- */

bool ra_pickle_is(const ra_pickle_value *value, ra_pickle_kind kind);
bool ra_pickle_text_is(const ra_pickle_value *value, const char *text);

/* The value of a key in a dict, or in the attributes of an object; NULL if there is none. */
const ra_pickle_value *ra_pickle_member(const ra_pickle_value *value, const char *key);

/* "torch.nn.modules.linear.Linear" of a global, or of the class of an object; false if it is neither or does not
 * fit. */
bool ra_pickle_name(const ra_pickle_value *value, char *name, size_t size);

#endif
