/* The operations of a pickle, in one table by their code. Those of protocols 0 and 1 that protocol 2 no longer writes,
 * the extension registry and out-of-band buffers have a name and no function: they are refused. */
#include "io/torch/pickle.h"
#include "io/torch/globals.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

typedef struct machine {
    ra_pickle *pickle;
    const unsigned char *bytes;
    size_t size, at, begin; /* begin: where the operation is */
    ra_pickle_value **stack;
    size_t depth, capacity;
    size_t *marks; /* depths */
    size_t mark_count, mark_capacity;
    ra_pickle_value **memo;
    size_t memo_size, memo_count; /* of the memo; and how many MEMOIZE has put there */
    bool stopped;
} machine;

#define FAIL(m, err, format, ...)                                                                            \
    RA_FAIL(err, RA_ERR_FORMAT, "%s is damaged: its pickle " format " (at byte %zu)", (m)->pickle->path,     \
            ##__VA_ARGS__, (m)->begin)

/* ---- bytes --------------------------------------------------------------------------------------------- */

static ra_status take(machine *m, size_t size, const unsigned char **bytes, ra_error *err) {
    if (size > m->size - m->at) FAIL(m, err, "is cut");
    *bytes = m->bytes + m->at;
    m->at += size;
    return RA_OK;
}

static ra_status take_number(machine *m, int width, uint64_t *number, ra_error *err) {
    const unsigned char *bytes = NULL;
    RA_TRY(take(m, (size_t)width, &bytes, err));
    *number = 0;
    for (int i = width; i-- > 0;) *number = *number << 8 | bytes[i];
    return RA_OK;
}

/* ---- the stack ----------------------------------------------------------------------------------------- */

/* Makes room for item `count`; returns the array, or NULL. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return items;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = ra_realloc(items, wanted, size);
    if (grown) *capacity = wanted;
    return grown;
}

static ra_status push(machine *m, ra_pickle_value *value, ra_error *err) {
    void *grown = grow(m->stack, m->depth, &m->capacity, sizeof *m->stack);
    if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the stack of %s", m->pickle->path);
    m->stack = grown;
    m->stack[m->depth++] = value;
    return RA_OK;
}

/* Values below the last mark are out of reach, as in Python. */
static size_t reach(const machine *m) {
    return m->depth - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static ra_status pop(machine *m, ra_pickle_value **value, ra_error *err) {
    if (reach(m) == 0) FAIL(m, err, "takes a value from an empty stack");
    *value = m->stack[--m->depth];
    return RA_OK;
}

static ra_status top(const machine *m, ra_pickle_value **value, ra_error *err) {
    if (reach(m) == 0) FAIL(m, err, "takes a value from an empty stack");
    *value = m->stack[m->depth - 1];
    return RA_OK;
}

/* Removes the last mark: *from <- where the values above it begin; the caller cuts the stack there. */
static ra_status pop_mark(machine *m, size_t *from, ra_error *err) {
    if (m->mark_count == 0) FAIL(m, err, "needs a mark that it has not set");
    *from = m->marks[--m->mark_count];
    return RA_OK;
}

static ra_status push_new(machine *m, ra_pickle_kind kind, ra_pickle_value **value, ra_error *err) {
    *value = ra_pickle_new(m->pickle, kind, err);
    return *value ? push(m, *value, err) : err->code;
}

/* ---- plain values: `argument` is the operation's own, from the table ------------------------------------ */

typedef ra_status operation(machine *m, int argument, ra_error *err);

static ra_status op_mark(machine *m, int argument, ra_error *err) {
    (void)argument;
    void *grown = grow(m->marks, m->mark_count, &m->mark_capacity, sizeof *m->marks);
    if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the marks of %s", m->pickle->path);
    m->marks = grown;
    m->marks[m->mark_count++] = m->depth;
    return RA_OK;
}

static ra_status op_stop(machine *m, int argument, ra_error *err) {
    (void)argument;
    (void)err;
    m->stopped = true;
    return RA_OK;
}

static ra_status op_pop(machine *m, int argument, ra_error *err) {
    ra_pickle_value *unused = NULL;
    (void)argument;
    return pop(m, &unused, err);
}

static ra_status op_pop_mark(machine *m, int argument, ra_error *err) {
    (void)argument;
    return pop_mark(m, &m->depth, err);
}

static ra_status op_protocol(machine *m, int argument, ra_error *err) {
    uint64_t protocol = 0;
    (void)argument;
    RA_TRY(take_number(m, 1, &protocol, err));
    if (protocol < 2 || protocol > 5)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: its pickle has the protocol %d; expected 2 to 5",
                m->pickle->path, (int)protocol);
    return RA_OK;
}

/* A frame only says how many bytes may be read at once. */
static ra_status op_frame(machine *m, int argument, ra_error *err) {
    uint64_t size = 0;
    (void)argument;
    RA_TRY(take_number(m, 8, &size, err));
    if (size > m->size - m->at) FAIL(m, err, "is cut");
    return RA_OK;
}

static ra_status op_empty(machine *m, int kind, ra_error *err) {
    ra_pickle_value *value = NULL;
    return push_new(m, (ra_pickle_kind)kind, &value, err);
}

static ra_status op_bool(machine *m, int truth, ra_error *err) {
    ra_pickle_value *value = NULL;
    RA_TRY(push_new(m, RA_PICKLE_BOOL, &value, err));
    value->is.truth = truth != 0;
    return RA_OK;
}

/* width: 1 or 2 bytes without a sign, 4 with one. */
static ra_status op_integer(machine *m, int width, ra_error *err) {
    ra_pickle_value *value = NULL;
    uint64_t number = 0;
    RA_TRY(take_number(m, width, &number, err));
    RA_TRY(push_new(m, RA_PICKLE_INTEGER, &value, err));
    value->is.integer = width == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number;
    return RA_OK;
}

static ra_status op_long(machine *m, int width, ra_error *err) {
    ra_pickle_value *value = NULL;
    const unsigned char *bytes = NULL;
    uint64_t size = 0;
    RA_TRY(take_number(m, width, &size, err));
    RA_TRY(take(m, size, &bytes, err));
    RA_TRY(push_new(m, size <= 8 ? RA_PICKLE_INTEGER : RA_PICKLE_LONG, &value, err));
    if (size > 8) {
        value->is.text = (const char *)bytes;
        value->count = (uint32_t)size;
        return RA_OK;
    }
    uint64_t number = size && bytes[size - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = size; i-- > 0;) number = number << 8 | bytes[i];
    value->is.integer = (int64_t)number;
    return RA_OK;
}

static ra_status op_real(machine *m, int argument, ra_error *err) {
    ra_pickle_value *value = NULL;
    const unsigned char *bytes = NULL;
    uint64_t bits = 0; /* big-endian, unlike all else */
    (void)argument;
    RA_TRY(take(m, 8, &bytes, err));
    for (int i = 0; i < 8; i++) bits = bits << 8 | bytes[i];
    RA_TRY(push_new(m, RA_PICKLE_REAL, &value, err));
    memcpy(&value->is.real, &bits, sizeof bits);
    return RA_OK;
}

static ra_status push_text(machine *m, ra_pickle_kind kind, int width, ra_error *err) {
    ra_pickle_value *value = NULL;
    const unsigned char *bytes = NULL;
    uint64_t size = 0;
    RA_TRY(take_number(m, width, &size, err));
    RA_TRY(take(m, size, &bytes, err));
    RA_TRY(push_new(m, kind, &value, err));
    value->is.text = (const char *)bytes;
    value->count = (uint32_t)size;
    return RA_OK;
}

static ra_status op_text(machine *m, int width, ra_error *err) {
    return push_text(m, RA_PICKLE_TEXT, width, err);
}

static ra_status op_bytes(machine *m, int width, ra_error *err) {
    return push_text(m, RA_PICKLE_BYTES, width, err);
}

/* ---- containers ---------------------------------------------------------------------------------------- */

/* Joins the values from `from` on into a new one of this kind, in their place. */
static ra_status join(machine *m, ra_pickle_kind kind, size_t from, ra_error *err) {
    size_t end = m->depth;
    ra_pickle_value *value = ra_pickle_new(m->pickle, kind, err);
    if (!value) return err->code;
    for (size_t i = from; i < end; i++) RA_TRY(ra_pickle_append(m->pickle, value, m->stack[i], err));
    m->depth = from;
    return push(m, value, err);
}

static ra_status op_join(machine *m, int kind, ra_error *err) {
    size_t from = 0;
    RA_TRY(pop_mark(m, &from, err));
    return join(m, (ra_pickle_kind)kind, from, err);
}

static ra_status op_tuple(machine *m, int count, ra_error *err) {
    if (reach(m) < (size_t)count) FAIL(m, err, "takes a value from an empty stack");
    return join(m, RA_PICKLE_TUPLE, m->depth - (size_t)count, err);
}

/* Moves the values from `from` on into the container below them. */
static ra_status add_items(machine *m, size_t from, ra_pickle_kind kind, ra_error *err) {
    size_t end = m->depth;
    ra_pickle_value *container = NULL;
    m->depth = from;
    RA_TRY(top(m, &container, err));
    if (container->kind != kind) FAIL(m, err, "adds items to a value that has none");
    if (kind == RA_PICKLE_DICT && (end - from) % 2) FAIL(m, err, "adds a key without a value");
    for (size_t i = from; i < end; i++) RA_TRY(ra_pickle_append(m->pickle, container, m->stack[i], err));
    return RA_OK;
}

static ra_status op_add_item(machine *m, int kind, ra_error *err) {
    size_t count = kind == RA_PICKLE_DICT ? 2 : 1;
    if (reach(m) < count) FAIL(m, err, "takes a value from an empty stack");
    return add_items(m, m->depth - count, (ra_pickle_kind)kind, err);
}

static ra_status op_add_items(machine *m, int kind, ra_error *err) {
    size_t from = 0;
    RA_TRY(pop_mark(m, &from, err));
    return add_items(m, from, (ra_pickle_kind)kind, err);
}

/* ---- the memo ------------------------------------------------------------------------------------------ */

/* A writer numbers what it puts there, so no number exceeds the bytes of the pickle. */
static ra_status put(machine *m, uint64_t number, ra_error *err) {
    ra_pickle_value *value = NULL;
    RA_TRY(top(m, &value, err));
    if (number >= m->size) FAIL(m, err, "numbers a value %llu", (unsigned long long)number);
    if (number >= m->memo_size) {
        size_t wanted = 2 * m->memo_size > number ? 2 * m->memo_size : number + 64;
        ra_pickle_value **grown = ra_realloc(m->memo, wanted, sizeof *grown);
        if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the values of %s", m->pickle->path);
        memset(grown + m->memo_size, 0, (wanted - m->memo_size) * sizeof *grown);
        m->memo = grown;
        m->memo_size = wanted;
    }
    m->memo_count += !m->memo[number];
    m->memo[number] = value;
    return RA_OK;
}

static ra_status op_put(machine *m, int width, ra_error *err) {
    uint64_t number = m->memo_count;
    if (width) RA_TRY(take_number(m, width, &number, err));
    return put(m, number, err);
}

static ra_status op_get(machine *m, int width, ra_error *err) {
    uint64_t number = 0;
    RA_TRY(take_number(m, width, &number, err));
    if (number >= m->memo_size || !m->memo[number])
        FAIL(m, err, "refers to a value %llu that it has not made", (unsigned long long)number);
    return push(m, m->memo[number], err);
}

/* ---- names and calls ----------------------------------------------------------------------------------- */

static ra_status push_global(machine *m, const ra_pickle_value *module, const ra_pickle_value *name,
                             ra_error *err) {
    ra_pickle_value *value = NULL;
    if (!ra_pickle_is(module, RA_PICKLE_TEXT) || !ra_pickle_is(name, RA_PICKLE_TEXT))
        FAIL(m, err, "has a name that is not text");
    RA_TRY(push_new(m, RA_PICKLE_GLOBAL, &value, err));
    value->is.global.module = module;
    value->is.global.name = name;
    return ra_pickle_check_global(m->pickle, value, err);
}

static ra_status take_line(machine *m, ra_pickle_value **value, ra_error *err) {
    const unsigned char *line = m->bytes + m->at, *end = memchr(line, '\n', m->size - m->at);
    if (!end) FAIL(m, err, "is cut");
    *value = ra_pickle_new(m->pickle, RA_PICKLE_TEXT, err);
    if (!*value) return err->code;
    (*value)->is.text = (const char *)line;
    (*value)->count = (uint32_t)(end - line);
    m->at += (size_t)(end - line) + 1;
    return RA_OK;
}

static ra_status op_global(machine *m, int argument, ra_error *err) {
    ra_pickle_value *module = NULL, *name = NULL;
    (void)argument;
    RA_TRY(take_line(m, &module, err));
    RA_TRY(take_line(m, &name, err));
    return push_global(m, module, name, err);
}

static ra_status op_stack_global(machine *m, int argument, ra_error *err) {
    ra_pickle_value *module = NULL, *name = NULL;
    (void)argument;
    RA_TRY(pop(m, &name, err));
    RA_TRY(pop(m, &module, err));
    return push_global(m, module, name, err);
}

static ra_status call(machine *m, bool construct, ra_error *err) {
    ra_pickle_value *arguments = NULL, *function = NULL, *result = NULL;
    RA_TRY(pop(m, &arguments, err));
    RA_TRY(pop(m, &function, err));
    if (function->kind != RA_PICKLE_GLOBAL || arguments->kind != RA_PICKLE_TUPLE)
        FAIL(m, err, "calls something that is not a name, or without a tuple");
    RA_TRY(ra_pickle_call(m->pickle, function, arguments, construct, &result, err));
    return push(m, result, err);
}

static ra_status op_call(machine *m, int construct, ra_error *err) {
    return call(m, construct != 0, err);
}

static ra_status op_construct_with_keywords(machine *m, int argument, ra_error *err) {
    ra_pickle_value *keywords = NULL;
    (void)argument;
    RA_TRY(pop(m, &keywords, err));
    return call(m, true, err);
}

static ra_status op_build(machine *m, int argument, ra_error *err) {
    ra_pickle_value *state = NULL, *value = NULL;
    (void)argument;
    RA_TRY(pop(m, &state, err));
    RA_TRY(top(m, &value, err));
    return ra_pickle_build(m->pickle, value, state, err);
}

static ra_status op_persistent(machine *m, int argument, ra_error *err) {
    ra_pickle_value *id = NULL, *value = NULL;
    (void)argument;
    RA_TRY(pop(m, &id, err));
    RA_TRY(ra_pickle_persistent(m->pickle, id, &value, err));
    return push(m, value, err);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* Without a function an operation is refused by this name. */
static const struct {
    const char *name;
    operation *run;
    int argument;
} operations[256] = {
    ['('] = {"MARK", op_mark, 0},
    ['.'] = {"STOP", op_stop, 0},
    ['0'] = {"POP", op_pop, 0},
    ['1'] = {"POP_MARK", op_pop_mark, 0},
    ['N'] = {"NONE", op_empty, RA_PICKLE_NONE},
    ['J'] = {"BININT", op_integer, 4},
    ['K'] = {"BININT1", op_integer, 1},
    ['M'] = {"BININT2", op_integer, 2},
    ['G'] = {"BINFLOAT", op_real, 0},
    ['T'] = {"BINSTRING", op_text, 4},
    ['U'] = {"SHORT_BINSTRING", op_text, 1},
    ['X'] = {"BINUNICODE", op_text, 4},
    ['B'] = {"BINBYTES", op_bytes, 4},
    ['C'] = {"SHORT_BINBYTES", op_bytes, 1},
    [')'] = {"EMPTY_TUPLE", op_empty, RA_PICKLE_TUPLE},
    [']'] = {"EMPTY_LIST", op_empty, RA_PICKLE_LIST},
    ['}'] = {"EMPTY_DICT", op_empty, RA_PICKLE_DICT},
    ['t'] = {"TUPLE", op_join, RA_PICKLE_TUPLE},
    ['a'] = {"APPEND", op_add_item, RA_PICKLE_LIST},
    ['e'] = {"APPENDS", op_add_items, RA_PICKLE_LIST},
    ['s'] = {"SETITEM", op_add_item, RA_PICKLE_DICT},
    ['u'] = {"SETITEMS", op_add_items, RA_PICKLE_DICT},
    ['q'] = {"BINPUT", op_put, 1},
    ['r'] = {"LONG_BINPUT", op_put, 4},
    ['h'] = {"BINGET", op_get, 1},
    ['j'] = {"LONG_BINGET", op_get, 4},
    ['c'] = {"GLOBAL", op_global, 0},
    ['R'] = {"REDUCE", op_call, false},
    ['b'] = {"BUILD", op_build, 0},
    ['Q'] = {"BINPERSID", op_persistent, 0},
    [0x80] = {"PROTO", op_protocol, 0},
    [0x81] = {"NEWOBJ", op_call, true},
    [0x85] = {"TUPLE1", op_tuple, 1},
    [0x86] = {"TUPLE2", op_tuple, 2},
    [0x87] = {"TUPLE3", op_tuple, 3},
    [0x88] = {"NEWTRUE", op_bool, true},
    [0x89] = {"NEWFALSE", op_bool, false},
    [0x8a] = {"LONG1", op_long, 1},
    [0x8b] = {"LONG4", op_long, 4},
    [0x8c] = {"SHORT_BINUNICODE", op_text, 1},
    [0x8d] = {"BINUNICODE8", op_text, 8},
    [0x8e] = {"BINBYTES8", op_bytes, 8},
    [0x8f] = {"EMPTY_SET", op_empty, RA_PICKLE_SET},
    [0x90] = {"ADDITEMS", op_add_items, RA_PICKLE_SET},
    [0x91] = {"FROZENSET", op_join, RA_PICKLE_SET},
    [0x92] = {"NEWOBJ_EX", op_construct_with_keywords, 0},
    [0x93] = {"STACK_GLOBAL", op_stack_global, 0},
    [0x94] = {"MEMOIZE", op_put, 0},
    [0x95] = {"FRAME", op_frame, 0},
    [0x96] = {"BYTEARRAY8", op_bytes, 8},
    ['2'] = {.name = "DUP"},
    ['F'] = {.name = "FLOAT"},
    ['I'] = {.name = "INT"},
    ['L'] = {.name = "LONG"},
    ['S'] = {.name = "STRING"},
    ['V'] = {.name = "UNICODE"},
    ['P'] = {.name = "PERSID"},
    ['d'] = {.name = "DICT"},
    ['l'] = {.name = "LIST"},
    ['g'] = {.name = "GET"},
    ['p'] = {.name = "PUT"},
    ['i'] = {.name = "INST"},
    ['o'] = {.name = "OBJ"},
    [0x82] = {.name = "EXT1"},
    [0x83] = {.name = "EXT2"},
    [0x84] = {.name = "EXT4"},
    [0x97] = {.name = "NEXT_BUFFER"},
    [0x98] = {.name = "READONLY_BUFFER"},
};

static ra_status run(machine *m, const ra_pickle_value **root, ra_error *err) {
    while (!m->stopped) {
        const unsigned char *code = NULL;
        m->begin = m->at;
        RA_TRY(take(m, 1, &code, err));
        if (!operations[*code].name) FAIL(m, err, "has the operation 0x%02x, which does not exist", *code);
        if (!operations[*code].run)
            RA_FAIL(err, RA_ERR_UNSUPPORTED,
                    "%s: its pickle has the operation %s, which torch.save does not write and this reader "
                    "refuses (at byte %zu)",
                    m->pickle->path, operations[*code].name, m->begin);
        RA_TRY(operations[*code].run(m, operations[*code].argument, err));
    }
    ra_pickle_value *value = NULL;
    RA_TRY(pop(m, &value, err));
    *root = value;
    return RA_OK;
}

ra_status ra_pickle_read(ra_pickle *pickle, const void *bytes, size_t size, size_t *used,
                         const ra_pickle_value **root, ra_error *err) {
    ra_error own = {0};
    if (size > UINT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: its pickle has %zu bytes; expected at most 4 GiB", pickle->path,
                size);
    machine m = {.pickle = pickle, .bytes = bytes, .size = size};
    ra_status status = run(&m, root, &own);
    ra_free(m.stack);
    ra_free(m.marks);
    ra_free(m.memo);
    *used = m.at;
    if (status != RA_OK) RA_FAIL(err, own.code, "%s", own.message);
    return RA_OK;
}
