/* Labels of points, of their nearest rows, and of atoms.
 *
 * Labels in the file are used as they are. Missing ones are derived, so that a dictionary trained on labeled
 * data explains itself:
 *
 *   a point   the first LABELS_OF_A_POINT different labels of its nearest rows, "cat, dog, cow"
 *   an atom   whose line is empty, too: from the first of these that has labels, at most LABELS_OF_AN_ATOM
 *             different ones:
 *               the rows on which its latent is strongest, each with its code      "cat, kitten"
 *               the rows of its trace, each with its contribution                  "cat + purr"
 *               its archetypes, each with its contribution (its weight, in a file that lacks those); the name
 *               of a point is its label in the file, otherwise that of its nearest labeled row
 *             Equal labels count as one, with the sum of their numbers; the largest come first, and none below
 *             a tenth of the first, or below half of it where the label is of what the atom is made of. What
 *             a latent fires on is what it means, and the smaller parts of a mixture often have no share in
 *             it: with a tenth, a sixth of the concepts of the words and two fifths of those of the digits had a
 *             name that none of their 16 strongest rows has; with half, 3 and 2 %.
 *
 * Derived labels are derived again on each load and never saved. An empty line is no label.
 *
 * Only a label of the file has words (an explanation, its source, its score): a derived one has none. */
#include "model/model.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABELS_OF_A_POINT = 3, LABELS_OF_AN_ATOM = 3 };

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

/* Different labels with the sum of what stands beside each. */
typedef struct parts {
    const char **label;
    double *sum;
    size_t count;
    double unlabeled; /* the largest number without a label, which others are held against, too */
} parts;

static void add_part(parts *found, const char *label, double number) {
    if (!(number > 0)) return;
    if (!label) {
        found->unlabeled = fmax(found->unlabeled, number);
        return;
    }
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->label[i], label) == 0) {
            found->sum[i] += number;
            return;
        }
    found->label[found->count] = label;
    found->sum[found->count++] = number;
}

static void collect_rows(const ra_model *model, size_t atom, parts *found) {
    const ra_latent_statistics *s = &model->statistics;
    for (size_t i = atom * s->examples; i < (atom + 1) * s->examples && s->top_row[i] >= 0; i++)
        add_part(found, ra_model_label(s->top_label, i), fabs((double)s->top_value[i]));
}

static void collect_trace(const ra_model *model, size_t atom, parts *found) {
    size_t R = model->trace_rows;
    for (size_t i = atom * R; i < (atom + 1) * R && model->trace_row[i] >= 0; i++)
        add_part(found, ra_model_label(model->trace_labels, i), (double)model->trace_contribution[i]);
}

static void collect_archetypes(const ra_model *model, size_t atom, parts *found) {
    size_t T = model->info.archetypes;
    const float *number =
        model->archetype_contribution ? model->archetype_contribution : model->archetype_weight;
    for (size_t i = atom * T; i < (atom + 1) * T && model->archetype_index[i] >= 0; i++)
        if (model->archetype_weight[i] > 0)
            add_part(found, name_of_point(model, (size_t)model->archetype_index[i]), (double)number[i]);
}

static const struct {
    ra_label_source source;
    void (*collect)(const ra_model *model, size_t atom, parts *found);
    const char *between;
    double least; /* of the largest part */
} sources[] = {{RA_LABEL_ROWS, collect_rows, ", ", 0.1},
               {RA_LABEL_TRACE, collect_trace, " + ", 0.5},
               {RA_LABEL_ARCHETYPES, collect_archetypes, " + ", 0.5}};

/* Whether a file has what a source needs. */
static bool has_source(const ra_model *model, ra_label_source source) {
    switch (source) {
    case RA_LABEL_ROWS:
        return model->statistics.rows > 0 && model->statistics.top_label;
    case RA_LABEL_TRACE:
        return model->trace_rows > 0 && model->trace_labels;
    case RA_LABEL_ARCHETYPES:
        return model->archetype_index && model->point_labels;
    default:
        return false;
    }
}

/* The largest parts, joined, are added; false when there is none. Those taken are set to 0. */
static bool join(parts *found, const char *between, double least, ra_text *text) {
    double largest = found->unlabeled;
    for (size_t n = 0; n < LABELS_OF_AN_ATOM; n++) {
        size_t best = 0;
        for (size_t i = 1; i < found->count; i++)
            if (found->sum[i] > found->sum[best]) best = i;
        if (n == 0) largest = fmax(largest, found->sum[best]);
        if (!(found->sum[best] > 0) || found->sum[best] < least * largest) return n > 0;
        if (n > 0) ra_text_add(text, between);
        ra_text_add(text, found->label[best]);
        found->sum[best] = 0;
    }
    return true;
}

/* The line of an atom: the file's own, or from the first source that has a label for it. */
static void describe_atom(ra_model *model, const char *given, size_t atom, parts *found, ra_text *text) {
    if (given) {
        ra_text_add(text, given);
        model->atom_label_source[atom] = RA_LABEL_FILE;
    }
    for (size_t i = 0; !given && i < sizeof sources / sizeof *sources; i++) {
        found->count = 0;
        found->unlabeled = 0;
        if (has_source(model, sources[i].source)) sources[i].collect(model, atom, found);
        if (found->count == 0 || !join(found, sources[i].between, sources[i].least, text)) continue;
        model->atom_label_source[atom] = (uint8_t)sources[i].source;
        break;
    }
    ra_text_add(text, "\n");
}

static ra_status derive_atoms(ra_model *model, ra_error *err) {
    size_t most = model->statistics.examples + model->trace_rows + model->info.archetypes;
    parts found = {ra_malloc(most, sizeof *found.label), ra_malloc(most, sizeof *found.sum), 0, 0};
    ra_text text = {0};
    ra_labels *given = model->atom_labels, *all = NULL;
    if (!found.label || !found.sum) text.failed = true;
    for (size_t k = 0; k < model->info.concepts && !text.failed; k++)
        describe_atom(model, ra_model_label(given, k), k, &found, &text);
    ra_free(found.label);
    ra_free(found.sum);
    RA_TRY(parse_text(model, &text, &all, err));
    ra_labels_free(given);
    model->atom_labels = all;
    return RA_OK;
}

typedef void describer(const ra_model *model, size_t which, ra_text *text);

static ra_status derive(ra_model *model, size_t count, describer *describe, ra_labels **labels,
                        ra_error *err) {
    ra_text text = {0};
    for (size_t i = 0; i < count; i++) describe(model, i, &text);
    return parse_text(model, &text, labels, err);
}

/* Labels for the atoms that the file has none of, and where all are from. */
static ra_status open_atom_labels(ra_model *model, ra_error *err) {
    size_t K = model->info.concepts;
    bool given = model->atom_labels != NULL, derived = false;
    void *memory = NULL;
    model->atom_labels_are_given = given;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        derived |= has_source(model, sources[i].source);
    if (!given && !derived) return RA_OK;
    RA_TRY(ra_model_allocate(model, "the sources of labels", K, 1, &memory, err));
    model->atom_label_source = memset(memory, RA_LABEL_NONE, K);
    if (derived) return derive_atoms(model, err);
    for (size_t k = 0; k < K; k++)
        if (ra_model_label(model->atom_labels, k)) model->atom_label_source[k] = RA_LABEL_FILE;
    return RA_OK;
}

/* ---- the words of the labels of atoms ------------------------------------------------------------------ */

static ra_status read_words(ra_model *model, const ra_safetensors *file, const char *name, ra_labels **texts,
                            ra_error *err) {
    char where[RA_ERROR_MESSAGE_SIZE];
    if (!ra_safetensors_find(file, name)) return RA_OK;
    if (!model->atom_labels)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s without atoms.labels, which they belong to",
                model->info.path, name);
    RA_TRY(read_labels(model, file, name, model->info.concepts, "atom", texts, err));
    snprintf(where, sizeof where, "%s: %s", model->info.path, name);
    return ra_labels_unescape(*texts, where, err);
}

static ra_status read_scores(ra_model *model, const ra_safetensors *file, ra_error *err) {
    static const char name[] = "atoms.label_scores";
    const ra_tensor *tensor = ra_safetensors_find(file, name);
    if (!tensor) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, name, tensor, RA_F32, 1, model->info.concepts, 0, err));
    return ra_model_keep_f32(model, "the scores of labels", tensor, &model->label_score, err);
}

bool ra_model_atom_words(const ra_model *model, size_t atom, ra_label_words *words) {
    *words = (ra_label_words){.score = NAN};
    if (ra_model_atom_label_source(model, atom) != RA_LABEL_FILE) return false;
    words->explanation = ra_model_label(model->explanations, atom);
    words->source = ra_model_label(model->label_authors, atom);
    if (model->label_score && isfinite(model->label_score[atom])) words->score = model->label_score[atom];
    return words->explanation || words->source || !isnan(words->score);
}

ra_status ra_model_open_labels(ra_model *model, const ra_safetensors *file, ra_error *err) {
    size_t concepts = model->info.concepts, points = model->info.points;
    RA_TRY(read_labels(model, file, "atoms.labels", concepts, "atom", &model->atom_labels, err));
    RA_TRY(read_words(model, file, "atoms.explanations", &model->explanations, err));
    RA_TRY(read_words(model, file, "atoms.label_sources", &model->label_authors, err));
    RA_TRY(read_scores(model, file, err));
    const label_lists traces = {"trace.labels", "atom", "trace.row", concepts, model->trace_rows};
    RA_TRY(read_lists(model, file, &traces, &model->trace_labels, err));
    if (!model->info.from_checkpoint) {
        const label_lists lists = {"latents.top_labels", "latent", "latents.top_row", concepts,
                                   model->statistics.examples};
        RA_TRY(read_lists(model, file, &lists, &model->example_labels, err));
        model->statistics.top_label = model->example_labels;
        ra_latent_quantiles *quantiles = &model->statistics.quantiles;
        const label_lists drawn = {"latents.quantile_labels", "latent", "latents.quantile_row", concepts,
                                   quantiles->count * quantiles->rows};
        RA_TRY(read_lists(model, file, &drawn, &model->quantile_labels, err));
        quantiles->label = model->quantile_labels;
        const label_lists items = {"latents.item_labels", "latent", "latents.item", concepts,
                                   model->statistics.item_codes.count};
        RA_TRY(read_lists(model, file, &items, &model->item_labels, err));
        model->statistics.item_codes.label = model->item_labels;
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
    return open_atom_labels(model, err);
}

ra_label_source ra_model_atom_label_source(const ra_model *model, size_t atom) {
    return model->atom_label_source ? (ra_label_source)model->atom_label_source[atom] : RA_LABEL_NONE;
}

const char *ra_label_source_name(ra_label_source source) {
    static const char *const names[] = {[RA_LABEL_FILE] = "file",
                                        [RA_LABEL_ROWS] = "rows",
                                        [RA_LABEL_TRACE] = "trace",
                                        [RA_LABEL_ARCHETYPES] = "archetypes"};
    return source ? names[source] : NULL;
}
