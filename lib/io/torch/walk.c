/* Which tensors a file holds, and under which names. A pickle may refer to itself and to one part any number of
 * times, so the way down has a greatest depth, and the whole walk a greatest number of steps. */
#include "io/torch/torch.h"
#include "io/torch/settings.h"
#include "io/torch/tensor.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum {
    DEEPEST = 48,
    MOST_STEPS = 1 << 23,
    LOOKUPS = 16, /* in the attributes of a module */
    MOST_NAME = 512,
};

typedef struct walk {
    ra_torch_archive archive;
    const ra_torch_sink *sink;
    bool careful;
    size_t steps, depth;
    char name[MOST_NAME];
    size_t length; /* of the name so far */
} walk;

static ra_status visit(walk *w, const ra_pickle_value *value, ra_error *err);

/* ---- names ---------------------------------------------------------------------------------------------- */

/* Adds a part to the name; the caller cuts it off again. */
static ra_status add_part(walk *w, const char *part, size_t size, ra_error *err) {
    size_t point = w->length > 0;
    if (size + point >= sizeof w->name - w->length)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: a tensor below %.100s has a name of more than %d bytes",
                w->archive.path, w->name, MOST_NAME);
    if (!ra_utf8_valid(part, size) || memchr(part, '\0', size))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: a tensor below %.100s has a name that is not UTF-8", w->archive.path,
                w->name);
    if (point) w->name[w->length] = '.';
    memcpy(w->name + w->length + point, part, size);
    w->length += point + size;
    w->name[w->length] = '\0';
    return RA_OK;
}

static ra_status count_steps(walk *w, size_t steps, ra_error *err) {
    w->steps += steps;
    if (w->steps <= MOST_STEPS && w->depth < DEEPEST) return RA_OK;
    RA_FAIL(err, RA_ERR_TOO_LARGE,
            "%s: its values are nested more than %d deep, or are more than %d (or refer to each other in a "
            "circle)",
            w->archive.path, DEEPEST, MOST_STEPS);
}

/* Whether a value can have a tensor in it. */
static bool has_parts(const ra_pickle_value *value) {
    return value->kind == RA_PICKLE_TENSOR || value->kind == RA_PICKLE_DICT ||
           value->kind == RA_PICKLE_LIST || value->kind == RA_PICKLE_TUPLE || value->kind == RA_PICKLE_OBJECT;
}

static ra_status visit_below(walk *w, const char *part, size_t size, const ra_pickle_value *value,
                             ra_error *err) {
    size_t length = w->length;
    if (!has_parts(value)) return RA_OK;
    RA_TRY(add_part(w, part, size, err));
    RA_TRY(visit(w, value, err));
    w->length = length;
    w->name[length] = '\0';
    return RA_OK;
}

/* ---- kinds of values ------------------------------------------------------------------------------------ */

static ra_status visit_tensor(walk *w, const ra_pickle_value *value, ra_error *err) {
    ra_torch_tensor found;
    const char *name = w->length ? w->name : "tensor"; /* the file is one tensor */
    RA_TRY(ra_torch_tensor_get(&w->archive, value, name, w->careful, &found, err));
    if (found.refusal != RA_OK)
        return w->sink->foreign(w->sink->context, name, found.description, found.refusal, err);
    return w->sink->tensor(w->sink->context, name, &found.tensor, found.copy, err);
}

/* What torch.optim.Optimizer.state_dict() returns. */
static bool is_optimizer(const ra_pickle_value *dict) {
    return ra_pickle_is(ra_pickle_member(dict, "state"), RA_PICKLE_DICT) &&
           ra_pickle_is(ra_pickle_member(dict, "param_groups"), RA_PICKLE_LIST);
}

static bool is_in(const ra_pickle_value *set, const ra_pickle_value *text) {
    for (uint32_t i = 0; i < set->count; i++) {
        const ra_pickle_value *other = set->is.list.items[i];
        if (ra_pickle_is(text, RA_PICKLE_TEXT) && ra_pickle_is(other, RA_PICKLE_TEXT) &&
            other->count == text->count && memcmp(other->is.text, text->is.text, text->count) == 0)
            return true;
    }
    return false;
}

/* without: a set of keys to leave out, or NULL. */
static ra_status visit_dict(walk *w, const ra_pickle_value *dict, const ra_pickle_value *without,
                            ra_error *err) {
    for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
        const ra_pickle_value *key = dict->is.list.items[i], *value = dict->is.list.items[i + 1];
        char digits[24];
        RA_TRY(count_steps(w, without ? 1 + without->count : 1, err));
        if (without && is_in(without, key)) continue;
        if (ra_pickle_is(key, RA_PICKLE_TEXT)) {
            RA_TRY(visit_below(w, key->is.text, key->count, value, err));
        } else if (ra_pickle_is(key, RA_PICKLE_INTEGER)) {
            int size = snprintf(digits, sizeof digits, "%lld", (long long)key->is.integer);
            RA_TRY(visit_below(w, digits, (size_t)size, value, err));
        }
    }
    return RA_OK;
}

static ra_status visit_list(walk *w, const ra_pickle_value *list, ra_error *err) {
    for (uint32_t i = 0; i < list->count; i++) {
        char digits[24];
        int size = snprintf(digits, sizeof digits, "%u", i);
        RA_TRY(count_steps(w, 1, err));
        RA_TRY(visit_below(w, digits, (size_t)size, list->is.list.items[i], err));
    }
    return RA_OK;
}

/* OpenAI's state dicts name their activation in a text beside the tensors. */
static ra_status tell_activation(walk *w, ra_error *err) {
    const ra_pickle_value *root = w->archive.root, *value = NULL;
    char text[64];
    if (!ra_pickle_is(root, RA_PICKLE_DICT) || !ra_pickle_member(root, "latent_bias")) return RA_OK;
    value = ra_pickle_member(root, "activation");
    if (!ra_pickle_is(value, RA_PICKLE_TEXT)) return RA_OK;
    int size = value->count < sizeof text ? (int)value->count : (int)sizeof text - 1;
    snprintf(text, sizeof text, "%.*s", size, value->is.text);
    return w->sink->text(w->sink->context, "activation", text, err);
}

/* In the order of Module.state_dict(). */
static ra_status visit_module(walk *w, const ra_pickle_value *module, ra_error *err) {
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    const ra_pickle_value *passing = ra_pickle_member(module, "_non_persistent_buffers_set");
    RA_TRY(ra_torch_settings(&w->archive, module, w->sink, err));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const ra_pickle_value *part = ra_pickle_member(module, parts[i]);
        bool buffers = i == 1 && ra_pickle_is(passing, RA_PICKLE_SET);
        if (ra_pickle_is(part, RA_PICKLE_DICT)) RA_TRY(visit_dict(w, part, buffers ? passing : NULL, err));
    }
    return RA_OK;
}

static ra_status visit_inner(walk *w, const ra_pickle_value *value, ra_error *err) {
    switch ((ra_pickle_kind)value->kind) {
    case RA_PICKLE_TENSOR:
        return visit_tensor(w, value, err);
    case RA_PICKLE_DICT:
        return is_optimizer(value) ? RA_OK : visit_dict(w, value, NULL, err);
    case RA_PICKLE_LIST:
    case RA_PICKLE_TUPLE:
        return visit_list(w, value, err);
    case RA_PICKLE_OBJECT:
        return visit_module(w, value, err);
    default:
        return RA_OK;
    }
}

static ra_status visit(walk *w, const ra_pickle_value *value, ra_error *err) {
    const ra_pickle_value *state = value->kind == RA_PICKLE_OBJECT ? value->is.object.state : NULL;
    size_t searched = value->kind == RA_PICKLE_DICT ? value->count
                      : state                       ? LOOKUPS * (size_t)state->count
                                                    : 0;
    RA_TRY(count_steps(w, 1 + searched, err));
    w->depth++;
    ra_status status = visit_inner(w, value, err);
    w->depth--;
    return status;
}

ra_status ra_torch_read(const void *bytes, size_t size, const char *path, bool careful,
                        const ra_torch_sink *sink, ra_error *err) {
    walk *w = ra_calloc(1, sizeof *w);
    if (!w) RA_FAIL_MEMORY(err, "the reader of a file", sizeof *w);
    w->sink = sink;
    w->careful = careful;
    ra_status status = ra_torch_archive_open(&w->archive, bytes, size, path, err);
    if (status == RA_OK) status = tell_activation(w, err);
    if (status == RA_OK) status = visit(w, w->archive.root, err);
    ra_torch_archive_release(&w->archive);
    ra_free(w);
    return status;
}
