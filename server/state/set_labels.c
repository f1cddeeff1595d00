#include "state/set_labels.h"
#include "state/words.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct set_labels {
    atomic_size_t references;
    set_label *items; /* [count] */
    size_t count;
    char *texts;
    int64_t change;
    pthread_mutex_t lock;
    words *index; /* NULL: nobody has searched yet; guarded by `lock` */
};

/* ---- life ---------------------------------------------------------------------------------------------- */

static size_t text_size(const char *text) {
    return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text) {
    if (!text) return NULL;
    char *copy = *at;
    size_t size = strlen(text) + 1;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static ra_status copy(set_labels *made, const set_label *items, ra_error *err) {
    size_t bytes = 1;
    for (size_t i = 0; i < made->count; i++)
        bytes += text_size(items[i].label) + text_size(items[i].explanation) + text_size(items[i].source);
    made->texts = ra_malloc(bytes, 1);
    made->items = ra_malloc(made->count + 1, sizeof *made->items);
    if (!made->texts || !made->items) RA_FAIL_MEMORY(err, "the labels that were set", bytes);
    char *at = made->texts;
    for (size_t i = 0; i < made->count; i++) {
        set_label *to = &made->items[i];
        *to = items[i];
        to->label = copy_text(&at, items[i].label);
        to->explanation = copy_text(&at, items[i].explanation);
        to->source = copy_text(&at, items[i].source);
        if (to->change > made->change) made->change = to->change;
    }
    return RA_OK;
}

ra_status set_labels_new(const set_label *items, size_t count, set_labels **out, ra_error *err) {
    set_labels *made = ra_calloc(1, sizeof *made);
    if (!made) RA_FAIL_MEMORY(err, "the labels that were set", sizeof *made);
    atomic_init(&made->references, 1);
    pthread_mutex_init(&made->lock, NULL);
    made->count = count;
    ra_status status = copy(made, items, err);
    if (status == RA_OK)
        *out = made;
    else
        set_labels_release(made);
    return status;
}

set_labels *set_labels_retain(set_labels *labels) {
    if (labels) atomic_fetch_add(&labels->references, 1);
    return labels;
}

void set_labels_release(set_labels *labels) {
    if (!labels || atomic_fetch_sub(&labels->references, 1) != 1) return;
    words_free(labels->index);
    pthread_mutex_destroy(&labels->lock);
    ra_free(labels->items);
    ra_free(labels->texts);
    ra_free(labels);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

size_t set_labels_count(const set_labels *labels) {
    return labels ? labels->count : 0;
}

const set_label *set_labels_item(const set_labels *labels, size_t i) {
    return &labels->items[i];
}

const set_label *set_labels_at(const set_labels *labels, size_t atom) {
    size_t low = 0, high = set_labels_count(labels);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (labels->items[middle].atom < atom)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set_labels_count(labels) && labels->items[low].atom == atom ? &labels->items[low] : NULL;
}

int64_t set_labels_change(const set_labels *labels) {
    return labels ? labels->change : 0;
}

/* ---- searching ----------------------------------------------------------------------------------------- */

static ra_status make_index(set_labels *labels, ra_error *err) {
    const char **texts = ra_malloc(labels->count, sizeof *texts);
    if (!texts) RA_FAIL_MEMORY(err, "the index of labels", labels->count * sizeof *texts);
    for (size_t i = 0; i < labels->count; i++) texts[i] = labels->items[i].label;
    ra_status status = words_new(texts, labels->count, &labels->index, err);
    ra_free(texts);
    return status;
}

typedef struct finder {
    const set_labels *labels;
    void (*found)(void *context, size_t atom);
    void *context;
} finder;

static void found_text(void *context, size_t text) {
    const finder *own = context;
    own->found(own->context, own->labels->items[text].atom);
}

ra_status set_labels_find(set_labels *labels, const char *query, void (*found)(void *context, size_t atom),
                          void *context, ra_error *err) {
    finder own = {labels, found, context};
    ra_status status = RA_OK;
    if (set_labels_count(labels) == 0) return RA_OK;
    pthread_mutex_lock(&labels->lock);
    if (!labels->index) status = make_index(labels, err);
    pthread_mutex_unlock(&labels->lock);
    return status == RA_OK ? words_find(labels->index, query, found_text, &own, err) : status;
}
