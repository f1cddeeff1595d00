#include "serving/atoms/labels.h"
#include "ra_memory.h"
#include "state/words.h"

#include <string.h>

enum { KIND_BITS = 2, KIND_MASK = (1 << KIND_BITS) - 1 };

/* An atom that has a label: atom << KIND_BITS | kind. */
typedef uint64_t owner;

struct atom_labels {
    words *index;
    size_t count;  /* of labels */
    size_t *start; /* [count + 1] */
    owner *owners; /* those of label i: [start[i], start[i + 1]) */
};

/* ---- every label of every atom ------------------------------------------------------------------------- */

typedef void take_label(void *context, const char *label, owner of);

static owner make_owner(size_t atom, atom_label_kind kind) {
    return (owner)atom << KIND_BITS | (owner)kind;
}

static void walk_atom(const ra_model *model, size_t atom, take_label *take, void *context) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    ra_archetype archetype;
    ra_trace_row row;
    ra_latent_example example;
    take(context, ra_model_atom_label(model, atom), make_owner(atom, ATOM_LABEL_OWN));
    for (size_t t = 0; ra_model_atom_archetype(model, atom, t, &archetype); t++)
        take(context, archetype.label, make_owner(atom, ATOM_LABEL_ARCHETYPE));
    for (size_t t = 0; ra_model_atom_trace_row(model, atom, t, &row); t++)
        take(context, row.label, make_owner(atom, ATOM_LABEL_ROW));
    for (size_t t = 0; measured && ra_latent_statistics_example(measured, atom, t, &example); t++)
        take(context, example.label, make_owner(atom, ATOM_LABEL_ROW));
}

static void walk(const ra_model *model, take_label *take, void *context) {
    for (size_t atom = 0; atom < ra_model_get_info(model)->concepts; atom++)
        walk_atom(model, atom, take, context);
}

/* ---- different labels ---------------------------------------------------------------------------------- */

/* A hash table of texts, open addressing; a text's number is the order in which it came. */
typedef struct text_set {
    const char **texts; /* [count] */
    uint32_t *slots;    /* [capacity] number + 1; 0: free */
    size_t count, capacity;
    bool failed;
} text_set;

enum { FIRST_CAPACITY = 1024 };

static uint64_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash ^ hash >> 32;
}

static uint32_t *slot_of(const text_set *set, const char *text) {
    size_t at = hash_of(text) & (set->capacity - 1);
    while (set->slots[at] && strcmp(set->texts[set->slots[at] - 1], text) != 0)
        at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}

static void release_set(text_set *set) {
    ra_free(set->texts);
    ra_free(set->slots);
    *set = (text_set){0};
}

static void grow(text_set *set) {
    size_t capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
    const char **texts = ra_realloc(set->texts, capacity / 2, sizeof *texts);
    uint32_t *slots = ra_calloc(capacity, sizeof *slots);
    set->failed = !texts || !slots;
    if (texts) set->texts = texts;
    if (set->failed) {
        ra_free(slots);
        return;
    }
    ra_free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    for (size_t i = 0; i < set->count; i++) *slot_of(set, set->texts[i]) = (uint32_t)i + 1;
}

/* The number of the text; SIZE_MAX when there is no memory. */
static size_t number_of(text_set *set, const char *text) {
    if (!set->failed && set->count >= set->capacity / 2) grow(set);
    if (set->failed) return SIZE_MAX;
    uint32_t *slot = slot_of(set, text);
    if (!*slot) {
        set->texts[set->count] = text;
        *slot = (uint32_t)++set->count;
    }
    return *slot - 1;
}

/* ---- the owners of each -------------------------------------------------------------------------------- */

typedef struct collector {
    text_set set;
    atom_labels *labels;
    size_t *last; /* [count] the last owner of each label, which is not taken twice */
    size_t total;
} collector;

static void collect_text(void *context, const char *label, owner of) {
    (void)of;
    if (label) (void)number_of(&((collector *)context)->set, label);
}

/* Once to count, once to put them in place: an atom's labels come together, so a repeated one has the same owner as the
 * last. */
static void count_owner(void *context, const char *label, owner of) {
    collector *own = context;
    if (!label) return;
    size_t i = number_of(&own->set, label);
    if (own->last[i] == of + 1) return;
    own->last[i] = of + 1;
    own->labels->start[i + 1]++;
}

static void put_owner(void *context, const char *label, owner of) {
    collector *own = context;
    if (!label) return;
    size_t i = number_of(&own->set, label), *next = &own->labels->start[i];
    if (own->last[i] == of + 1) return;
    own->last[i] = of + 1;
    own->labels->owners[(*next)++] = of;
}

static ra_status fail(ra_error *err) {
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the labels of the atoms");
}

static ra_status collect(const ra_model *model, collector *own, ra_error *err) {
    atom_labels *labels = own->labels;
    walk(model, collect_text, own);
    if (own->set.failed) return fail(err);
    size_t count = labels->count = own->set.count;
    labels->start = ra_calloc(count + 1, sizeof *labels->start);
    own->last = ra_calloc(count + 1, sizeof *own->last);
    if (!labels->start || !own->last) return fail(err);
    walk(model, count_owner, own);
    for (size_t i = 0; i < count; i++) labels->start[i + 1] += labels->start[i];
    labels->owners = ra_malloc(labels->start[count] + 1, sizeof *labels->owners);
    if (!labels->owners) return fail(err);
    memset(own->last, 0, count * sizeof *own->last);
    walk(model, put_owner, own); /* moves each start to the next one */
    for (size_t i = count; i > 0; i--) labels->start[i] = labels->start[i - 1];
    labels->start[0] = 0;
    return words_new(own->set.texts, count, &labels->index, err);
}

ra_status atom_labels_new(const ra_model *model, atom_labels **out, ra_error *err) {
    collector own = {.labels = ra_calloc(1, sizeof(atom_labels))};
    if (!own.labels) return fail(err);
    ra_status status = collect(model, &own, err);
    release_set(&own.set);
    ra_free(own.last);
    if (status == RA_OK)
        *out = own.labels;
    else
        atom_labels_free(own.labels);
    return status;
}

void atom_labels_free(atom_labels *labels) {
    if (!labels) return;
    words_free(labels->index);
    ra_free(labels->start);
    ra_free(labels->owners);
    ra_free(labels);
}

size_t atom_labels_count(const atom_labels *labels) {
    return labels->count;
}

size_t atom_labels_bytes(const atom_labels *labels) {
    return (labels->count + 1) * sizeof *labels->start +
           labels->start[labels->count] * sizeof *labels->owners + words_bytes(labels->index);
}

/* ---- searching ----------------------------------------------------------------------------------------- */

typedef struct marker {
    const atom_labels *labels;
    uint64_t *const *found;
} marker;

static void mark(void *context, size_t label) {
    const marker *own = context;
    for (size_t e = own->labels->start[label]; e < own->labels->start[label + 1]; e++) {
        uint64_t atom = own->labels->owners[e] >> KIND_BITS;
        own->found[own->labels->owners[e] & KIND_MASK][atom / 64] |= (uint64_t)1 << atom % 64;
    }
}

ra_status atom_labels_find(const atom_labels *labels, const char *query,
                           uint64_t *const found[ATOM_LABEL_KINDS], ra_error *err) {
    marker own = {labels, found};
    return words_find(labels->index, query, mark, &own, err);
}
