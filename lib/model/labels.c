/* Labels of points, of their nearest rows, and of atoms.
 *
 * Labels in the file are used as they are. Missing ones are derived, so that a dictionary trained on labeled
 * data explains itself:
 *
 *   a point   the first LABELS_OF_A_POINT different labels of its nearest rows, "cat, dog, cow"
 *   an atom   the first LABELS_OF_AN_ATOM different names of its archetypes, by descending weight and without
 *             weights below a tenth of the largest, "cat + purr"; the name of a point is its label in the
 *             file, otherwise the label of its nearest labeled row
 *
 * Derived labels are derived again on each load and never saved. An empty line is no label. */
#include "model/model.h"
#include "ra_text.h"

#include <stdio.h>
#include <string.h>

enum { LABELS_OF_A_POINT = 3, LABELS_OF_AN_ATOM = 3 };

static const float smallest_share = 0.1f; /* of the largest weight */

const char *ra_model_label(const ra_labels *labels, size_t i) {
    const char *label = labels ? ra_labels_at(labels, i) : NULL;
    return label && *label ? label : NULL;
}

/* *labels <- the lines of `text`, which is released. */
static ra_status parse_text(ra_model *model, ra_text *text, ra_labels **labels, ra_error *err) {
    ra_status status = RA_OK;
    if (text->failed)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: labels of %zu bytes", text->size);
    if (status == RA_OK) status = ra_labels_parse(text->data, text->size, model->info.path, labels, err);
    if (status == RA_OK) model->info.bytes += text->size;
    ra_text_release(text);
    return status;
}

/* ---- labels in the file ------------------------------------------------------------------------------- */

/* *labels <- the lines of a tensor, exactly `count`; unchanged if there is no such tensor. */
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

/* A tensor with one line per owner: its `width` labels with tabs between them. */
typedef struct label_lists {
    const char *name, *owner; /* "points.row_labels", "point" */
    const char *numbers;      /* the tensor with the numbers of these rows: "points.rows" */
    size_t owners, width;     /* width 0: there is no such tensor */
} label_lists;

/* `flat` gets the labels as owners * width lines. */
static ra_status flatten_lists(const ra_model *model, const label_lists *lists, const ra_labels *lines,
                               ra_text *flat, ra_error *err) {
    for (size_t j = 0; j < lists->owners; j++) {
        size_t from = flat->size, fields = 1;
        ra_text_add(flat, ra_labels_at(lines, j));
        ra_text_add(flat, "\n");
        for (size_t i = from; i < flat->size; i++)
            if (flat->data[i] == '\t') flat->data[i] = '\n', fields++;
        if (fields != lists->width && !flat->failed)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "%s: line %zu of %s has %zu labels; expected %zu with tabs between, as many as %s has",
                    model->info.path, j + 1, lists->name, fields, lists->width, lists->numbers);
    }
    return RA_OK;
}

static ra_status read_lists(ra_model *model, const ra_safetensors *file, const label_lists *lists,
                            ra_labels **labels, ra_error *err) {
    ra_labels *lines = NULL;
    ra_text flat = {0};
    if (!ra_safetensors_find(file, lists->name)) return RA_OK;
    if (!lists->width)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s without %s, whose labels they are", model->info.path,
                lists->name, lists->numbers);
    RA_TRY(read_labels(model, file, lists->name, lists->owners, lists->owner, &lines, err));
    ra_status status = flatten_lists(model, lists, lines, &flat, err);
    ra_labels_free(lines);
    if (status == RA_OK) return parse_text(model, &flat, labels, err);
    ra_text_release(&flat);
    return status;
}

/* ---- derived labels ----------------------------------------------------------------------------------- */

/* Some different labels, to be joined to one. */
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

static void add_line(ra_text *text, const pieces *found, const char *between) {
    for (size_t i = 0; i < found->count; i++) {
        if (i > 0) ra_text_add(text, between);
        ra_text_add(text, found->piece[i]);
    }
    ra_text_add(text, "\n");
}

static void describe_point(const ra_model *model, size_t point, ra_text *text) {
    pieces found = {.count = 0};
    size_t rows = model->point_row_count;
    for (size_t r = 0; r < rows; r++)
        add_different(&found, LABELS_OF_A_POINT, ra_model_label(model->point_row_labels, point * rows + r));
    add_line(text, &found, ", ");
}

static const char *name_of_point(const ra_model *model, size_t point) {
    if (model->point_labels_are_given) return ra_model_label(model->point_labels, point);
    const char *name = NULL;
    size_t rows = model->point_row_count;
    for (size_t r = 0; r < rows && !name; r++)
        name = ra_model_label(model->point_row_labels, point * rows + r);
    return name;
}

static void describe_atom(const ra_model *model, size_t atom, ra_text *text) {
    pieces found = {.count = 0};
    const int32_t *index = model->archetype_index + atom * model->info.archetypes;
    const float *weight = model->archetype_weight + atom * model->info.archetypes;
    for (size_t t = 0; t < model->info.archetypes && index[t] >= 0; t++)
        if (weight[t] > 0 && weight[t] >= smallest_share * weight[0])
            add_different(&found, LABELS_OF_AN_ATOM, name_of_point(model, (size_t)index[t]));
    add_line(text, &found, " + ");
}

typedef void describer(const ra_model *model, size_t which, ra_text *text);

static ra_status derive(ra_model *model, size_t count, describer *describe, ra_labels **labels,
                        ra_error *err) {
    ra_text text = {0};
    for (size_t i = 0; i < count; i++) describe(model, i, &text);
    return parse_text(model, &text, labels, err);
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
        RA_TRY(derive(model, points, describe_point, &model->point_labels, err));
    if (!model->atom_labels && model->point_labels && model->archetype_index)
        RA_TRY(derive(model, concepts, describe_atom, &model->atom_labels, err));
    return RA_OK;
}
