/* Texts of points, of their nearest rows, and of atoms.
 *
 * What a file says is taken as it is. What it does not say is made up, so that a dictionary trained on
 * labeled data explains itself:
 *
 *   a point without a label   the first LABELS_OF_A_POINT different labels of its nearest rows, "cat, dog,
 * cow" an atom without labels    the first LABELS_OF_AN_ATOM different names of its archetypes, in the order
 * of their weights and no lighter than a tenth of the heaviest, "cat + purr"; the name of a point is its
 * given label, else the label of its nearest labeled row
 *
 * Labels that are made up are made up again on each load and never saved. An empty line is no label. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

enum { LABELS_OF_A_POINT = 3, LABELS_OF_AN_ATOM = 3 };

static const float lightest_share = 0.1f; /* of the heaviest archetype */

ra_status ra_model_text_add(ra_model_text *text, const char *piece, ra_error *err) {
    size_t length = strlen(piece), needed = text->size + length;
    if (needed > text->capacity) {
        size_t capacity = needed * 2 + 4096;
        char *grown = ra_realloc(text->data, capacity, 1);
        if (!grown) RA_FAIL_MEMORY(err, "labels", capacity);
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, piece, length);
    text->size = needed;
    return RA_OK;
}

const char *ra_model_label(const ra_labels *labels, size_t i) {
    const char *label = labels ? ra_labels_at(labels, i) : NULL;
    return label && *label ? label : NULL;
}

/* The lines of `text`, which is freed, as labels of the model. */
static ra_status take_text(ra_model *model, ra_model_text *text, ra_labels **labels, ra_error *err) {
    ra_status status = ra_labels_parse(text->data, text->size, model->info.path, labels, err);
    if (status == RA_OK) model->info.bytes += text->size;
    ra_free(text->data);
    *text = (ra_model_text){0};
    return status;
}

/* ---- what the file says ------------------------------------------------------------------------------- */

/* *labels <- the lines of a tensor, exactly `count`; untouched when there is no such tensor. */
static ra_status read_labels(const ra_model *model, const ra_safetensors *file, const char *name,
                             size_t count, const char *of_what, ra_labels **labels, ra_error *err) {
    const ra_tensor *tensor = ra_safetensors_find(file, name);
    if (!tensor) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, name, tensor, RA_U8, 1, 0, 0, err));
    char where[RA_ERROR_MESSAGE_SIZE];
    snprintf(where, sizeof where, "%s: %s", model->info.path, name);
    RA_TRY(ra_labels_parse(tensor->data, tensor->shape[0], where, labels, err));
    size_t lines = ra_labels_count(*labels);
    if (lines == count) return RA_OK;
    ra_labels_free(*labels);
    *labels = NULL;
    RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each %s", where, lines, count,
            of_what);
}

/* Lists of labels: one line an owner, its `width` labels with tabs between. */
typedef struct label_lists {
    const char *name, *owner; /* "points.row_labels", "point" */
    const char *beside;       /* the tensor that has as many numbers: "points.rows" */
    size_t owners, width;     /* width 0: the tensor is not there */
} label_lists;

/* `flat` gets them as owners * width lines. */
static ra_status flatten_lists(const ra_model *model, const label_lists *lists, const ra_labels *lines,
                               ra_model_text *flat, ra_error *err) {
    for (size_t j = 0; j < lists->owners; j++) {
        const char *line = ra_labels_at(lines, j);
        size_t from = flat->size, fields = 1;
        RA_TRY(ra_model_text_add(flat, line, err));
        RA_TRY(ra_model_text_add(flat, "\n", err));
        for (size_t i = from; i < flat->size; i++)
            if (flat->data[i] == '\t') flat->data[i] = '\n', fields++;
        if (fields != lists->width)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "%s: line %zu of %s has %zu labels; expected %zu with tabs between, as many as %s has",
                    model->info.path, j + 1, lists->name, fields, lists->width, lists->beside);
    }
    return RA_OK;
}

static ra_status read_lists(ra_model *model, const ra_safetensors *file, const label_lists *lists,
                            ra_labels **labels, ra_error *err) {
    ra_labels *lines = NULL;
    ra_model_text flat = {0};
    if (!ra_safetensors_find(file, lists->name)) return RA_OK;
    if (!lists->width)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s without %s, whose labels they are", model->info.path,
                lists->name, lists->beside);
    RA_TRY(read_labels(model, file, lists->name, lists->owners, lists->owner, &lines, err));
    ra_status status = flatten_lists(model, lists, lines, &flat, err);
    ra_labels_free(lines);
    if (status == RA_OK) return take_text(model, &flat, labels, err);
    ra_free(flat.data);
    return status;
}

/* ---- what is made up ---------------------------------------------------------------------------------- */

/* A few different pieces, joined to one label. */
typedef struct pieces {
    const char *piece[LABELS_OF_A_POINT > LABELS_OF_AN_ATOM ? LABELS_OF_A_POINT : LABELS_OF_AN_ATOM];
    size_t count;
} pieces;

static void add_different(pieces *found, size_t limit, const char *label) {
    if (!label || found->count == limit) return;
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->piece[i], label) == 0) return;
    found->piece[found->count++] = label;
}

static ra_status add_line(ra_model_text *text, const pieces *found, const char *between, ra_error *err) {
    for (size_t i = 0; i < found->count; i++) {
        if (i > 0) RA_TRY(ra_model_text_add(text, between, err));
        RA_TRY(ra_model_text_add(text, found->piece[i], err));
    }
    return ra_model_text_add(text, "\n", err);
}

static ra_status describe_point(const ra_model *model, size_t point, ra_model_text *text, ra_error *err) {
    pieces found = {.count = 0};
    size_t rows = model->point_row_count;
    for (size_t r = 0; r < rows; r++)
        add_different(&found, LABELS_OF_A_POINT, ra_model_label(model->point_row_labels, point * rows + r));
    return add_line(text, &found, ", ", err);
}

static const char *name_of_point(const ra_model *model, size_t point) {
    if (model->point_labels_are_given) return ra_model_label(model->point_labels, point);
    const char *name = NULL;
    size_t rows = model->point_row_count;
    for (size_t r = 0; r < rows && !name; r++)
        name = ra_model_label(model->point_row_labels, point * rows + r);
    return name;
}

static ra_status describe_atom(const ra_model *model, size_t atom, ra_model_text *text, ra_error *err) {
    pieces found = {.count = 0};
    const int32_t *index = model->archetype_index + atom * model->info.archetypes;
    const float *weight = model->archetype_weight + atom * model->info.archetypes;
    for (size_t t = 0; t < model->info.archetypes && index[t] >= 0; t++)
        if (weight[t] > 0 && weight[t] >= lightest_share * weight[0])
            add_different(&found, LABELS_OF_AN_ATOM, name_of_point(model, (size_t)index[t]));
    return add_line(text, &found, " + ", err);
}

typedef ra_status describer(const ra_model *model, size_t which, ra_model_text *text, ra_error *err);

static ra_status make_up(ra_model *model, size_t count, describer *describe, ra_labels **labels,
                         ra_error *err) {
    ra_model_text text = {0};
    for (size_t i = 0; i < count; i++) {
        ra_status status = describe(model, i, &text, err);
        if (status != RA_OK) {
            ra_free(text.data);
            return status;
        }
    }
    return take_text(model, &text, labels, err);
}

ra_status ra_model_open_labels(ra_model *model, const ra_safetensors *file, ra_error *err) {
    size_t concepts = model->info.concepts, points = model->info.points;
    RA_TRY(read_labels(model, file, "atoms.labels", concepts, "atom", &model->atom_labels, err));
    model->atom_labels_are_given = model->atom_labels != NULL;
    if (!model->info.from_checkpoint) {
        const label_lists lists = {"latents.top_labels", "latent", "latents.top_row", concepts,
                                   model->statistics.examples};
        RA_TRY(read_lists(model, file, &lists, &model->example_labels, err));
        model->statistics.top_label = model->example_labels;
    }
    if (points) {
        RA_TRY(read_labels(model, file, "points.labels", points, "point", &model->point_labels, err));
        const label_lists lists = {"points.row_labels", "point", "points.rows", points,
                                   model->point_row_count};
        RA_TRY(read_lists(model, file, &lists, &model->point_row_labels, err));
        model->point_labels_are_given = model->point_labels != NULL;
    }
    if (!model->point_labels && model->point_row_labels)
        RA_TRY(make_up(model, points, describe_point, &model->point_labels, err));
    if (!model->atom_labels && model->point_labels && model->archetype_index)
        RA_TRY(make_up(model, concepts, describe_atom, &model->atom_labels, err));
    return RA_OK;
}
