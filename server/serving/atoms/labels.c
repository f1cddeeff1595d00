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

/* A hash table of texts, open addressing; a text's number is the order in which it came. The same text is often the same
 * memory, that of a point or of a row: those that came last are found by their address, which is much quicker. */
typedef struct slot {
    uint32_t number; /* + 1; 0: free */
    uint32_t hash;
} slot;

enum { FIRST_CAPACITY = 1024, RECENT = 1 << 16 };

typedef struct text_set {
    const char **texts; /* [count] */
    slot *slots;        /* [capacity] */
    size_t count, capacity;
    struct {
        const char *text;
        uint32_t number;
    } * recent; /* [RECENT] by address */
    bool failed;
} text_set;

static uint32_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (uint32_t)(hash ^ hash >> 32);
}

/* That of the text, or a free one for it. */
static slot *slot_of(const text_set *set, const char *text, uint32_t hash) {
    size_t at = hash & (set->capacity - 1);
    while (set->slots[at].number &&
           (set->slots[at].hash != hash || strcmp(set->texts[set->slots[at].number - 1], text) != 0))
        at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}

static void release_set(text_set *set) {
    ra_free(set->texts);
    ra_free(set->slots);
    ra_free(set->recent);
    *set = (text_set){0};
}

static void grow(text_set *set) {
    size_t capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
    const char **texts = ra_realloc(set->texts, capacity / 2, sizeof *texts);
    slot *slots = ra_calloc(capacity, sizeof *slots);
    if (!set->recent) set->recent = ra_calloc(RECENT, sizeof *set->recent);
    set->failed = !texts || !slots || !set->recent;
    if (texts) set->texts = texts;
    if (set->failed) {
        ra_free(slots);
        return;
    }
    for (size_t i = 0; i < set->capacity; i++) { /* their texts differ: only the places are new */
        if (!set->slots[i].number) continue;
        size_t at = set->slots[i].hash & (capacity - 1);
        while (slots[at].number) at = (at + 1) & (capacity - 1);
        slots[at] = set->slots[i];
    }
    ra_free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
}

enum { NO_LABEL = UINT32_MAX };

/* The number of the text; NO_LABEL when there is no memory. */
static uint32_t number_of(text_set *set, const char *text) {
    if (!set->failed && set->count >= set->capacity / 2) grow(set);
    if (set->failed) return NO_LABEL;
    size_t recent = ((uintptr_t)text >> 2 ^ (uintptr_t)text >> 16) & (RECENT - 1);
    if (set->recent[recent].text == text) return set->recent[recent].number;
    uint32_t hash = hash_of(text);
    slot *found = slot_of(set, text, hash);
    if (!found->number) {
        set->texts[set->count] = text;
        *found = (slot){(uint32_t)++set->count, hash};
    }
    set->recent[recent].text = text;
    return set->recent[recent].number = found->number - 1;
}

/* ---- the owners of each -------------------------------------------------------------------------------- */

/* Three walks over all labels in the same order: the first numbers them, the second counts how many owners each has, the third
 * puts them in place. An atom's labels come together, so a repeated one has the same owner as the last. */
typedef struct collector {
    text_set set;
    uint32_t *numbers; /* of the labels, in the order of the walk; NO_LABEL: none */
    size_t at;         /* of the walk */
    atom_labels *labels;
    size_t *last; /* [count] the last owner of each label, which is not taken twice */
} collector;

static void take_number(void *context, const char *label, owner of) {
    collector *own = context;
    (void)of;
    own->numbers[own->at++] = label ? number_of(&own->set, label) : NO_LABEL;
}

/* The number of the next label; NO_LABEL if it is passed over. */
static uint32_t next_number(collector *own, owner of) {
    uint32_t i = own->numbers[own->at++];
    if (i == NO_LABEL || own->last[i] == of + 1) return NO_LABEL;
    own->last[i] = of + 1;
    return i;
}

static void count_owner(void *context, const char *label, owner of) {
    collector *own = context;
    uint32_t i = next_number(own, of);
    (void)label;
    if (i != NO_LABEL) own->labels->start[i + 1]++;
}

static void put_owner(void *context, const char *label, owner of) {
    collector *own = context;
    uint32_t i = next_number(own, of);
    (void)label;
    if (i != NO_LABEL) own->labels->owners[own->labels->start[i]++] = of;
}

static ra_status fail(ra_error *err) {
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the labels of the atoms");
}

/* The most labels that a walk comes by. */
static size_t most_labels(const ra_model *model) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    const ra_model_info *info = ra_model_get_info(model);
    return info->concepts * (1 + info->archetypes + info->trace_rows + (measured ? measured->examples : 0));
}

static ra_status collect(const ra_model *model, collector *own, ra_error *err) {
    atom_labels *labels = own->labels;
    own->numbers = ra_malloc(most_labels(model), sizeof *own->numbers);
    if (!own->numbers) return fail(err);
    walk(model, take_number, own);
    if (own->set.failed) return fail(err);
    size_t count = labels->count = own->set.count;
    labels->start = ra_calloc(count + 1, sizeof *labels->start);
    own->last = ra_calloc(count + 1, sizeof *own->last);
    if (!labels->start || !own->last) return fail(err);
    own->at = 0;
    walk(model, count_owner, own);
    for (size_t i = 0; i < count; i++) labels->start[i + 1] += labels->start[i];
    labels->owners = ra_malloc(labels->start[count] + 1, sizeof *labels->owners);
    if (!labels->owners) return fail(err);
    memset(own->last, 0, count * sizeof *own->last);
    own->at = 0;
    walk(model, put_owner, own); /* moves each start to the next one */
    for (size_t i = count; i > 0; i--) labels->start[i] = labels->start[i - 1];
    labels->start[0] = 0;
    ra_free(own->numbers);
    own->numbers = NULL;
    return words_new(own->set.texts, count, &labels->index, err);
}

ra_status atom_labels_new(const ra_model *model, atom_labels **out, ra_error *err) {
    collector own = {.labels = ra_calloc(1, sizeof(atom_labels))};
    if (!own.labels) return fail(err);
    ra_status status = collect(model, &own, err);
    release_set(&own.set);
    ra_free(own.numbers);
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
