/* Texts are decoded into one growing text, so their places are kept as offsets and become pointers at the end. */
#include "codec/json/changes.h"
#include "codec/json/object.h"
#include "codec/problems.h"
#include "ra_memory.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- texts --------------------------------------------------------------------------------------------- */

static bool is_null(json_scan *scan) {
    return json_scan_peek(scan) == JSON_NULL && json_scan_skip(scan, NULL);
}

static bool has_controls(const char *letters, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)letters[i] < 32 && letters[i] != '\n' && letters[i] != '\t') return true;
    return false;
}

/* *at <- the offset of the text, plus one; 0 for null. An empty one is an error where `least` is 1. */
static bool read_text(json_scan *scan, const char *name, size_t least, size_t most, text *texts, size_t *at) {
    json_string string;
    *at = 0;
    if (is_null(scan)) return true;
    if (!json_scan_string(scan, name, &string)) return false;
    size_t start = texts->size;
    json_string_decode(string, texts);
    if (texts->failed) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: a text");
    size_t size = texts->size - start;
    if (size < least || size > most)
        return json_scan_fail_with(
            scan, RA_ERR_ARGUMENT,
            &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_COUNTS(most, size)},
            "%s has %zu bytes, expected %zu to %zu", name, size, least, most);
    if (size && has_controls(texts->data + start, size))
        return json_scan_fail(scan, RA_ERR_ARGUMENT, "%s has control characters", name);
    text_append(texts, "", 1);
    *at = start + 1;
    return true;
}

static const char *text_at(const text *texts, size_t at) {
    return at ? texts->data + at - 1 : NULL;
}

/* ---- labels -------------------------------------------------------------------------------------------- */

typedef struct label_reader {
    label_changes *changes;
    size_t most;
    /* of the label that is read */
    int64_t atom;
    bool has_label, complete;
    size_t label, explanation, source;
    double score;
} label_reader;

static bool read_atom(json_scan *scan, void *target) {
    label_reader *reader = target;
    if (!json_scan_i64(scan, "atom", &reader->atom)) return false;
    if (reader->atom < 0)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "atom is %lld, but atoms are numbered from 0", (long long)reader->atom);
    return true;
}

static bool read_label(json_scan *scan, void *target) {
    label_reader *reader = target;
    reader->has_label = true;
    return read_text(scan, "label", 1, LABEL_BYTES, &reader->changes->texts, &reader->label);
}

static bool read_explanation(json_scan *scan, void *target) {
    label_reader *reader = target;
    return read_text(scan, "explanation", 0, EXPLANATION_BYTES, &reader->changes->texts,
                     &reader->explanation);
}

static bool read_source(json_scan *scan, void *target) {
    label_reader *reader = target;
    return read_text(scan, "source", 0, SOURCE_BYTES, &reader->changes->texts, &reader->source);
}

static bool read_score(json_scan *scan, void *target) {
    label_reader *reader = target;
    float score;
    if (is_null(scan)) return true;
    if (!json_scan_f32(scan, "score", &score)) return false;
    reader->score = (double)score;
    return true;
}

static bool pass_time(json_scan *scan, void *target) {
    json_string time;
    (void)target;
    return is_null(scan) || json_scan_string(scan, "changed_at", &time);
}

static bool pass_count(json_scan *scan, void *target) {
    int64_t count;
    (void)target;
    return json_scan_i64(scan, "a count of an export", &count);
}

static bool read_complete(json_scan *scan, void *target) {
    ((label_reader *)target)->complete = true;
    return json_scan_skip(scan, NULL);
}

/* Texts are offsets as yet. */
static bool keep(json_scan *scan, label_reader *reader) {
    label_changes *changes = reader->changes;
    if (changes->count == reader->most)
        return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_LIMIT(reader->most)},
                                   "there are more than %zu labels; send them in parts", reader->most);
    if (changes->count == changes->capacity) {
        size_t capacity = changes->capacity ? 2 * changes->capacity : 16;
        label_change *items = ra_realloc(changes->items, capacity, sizeof *items);
        if (!items) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: labels");
        changes->items = items;
        changes->capacity = capacity;
    }
    changes->items[changes->count++] =
        (label_change){.atom = (size_t)reader->atom,
                       .label = (const char *)(uintptr_t)reader->label,
                       .explanation = (const char *)(uintptr_t)reader->explanation,
                       .source = (const char *)(uintptr_t)reader->source,
                       .score = reader->score};
    return true;
}

static void place_texts(label_changes *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        label_change *item = &changes->items[i];
        item->label = text_at(&changes->texts, (size_t)(uintptr_t)item->label);
        item->explanation = text_at(&changes->texts, (size_t)(uintptr_t)item->explanation);
        item->source = text_at(&changes->texts, (size_t)(uintptr_t)item->source);
    }
}

static void begin_label(label_reader *reader) {
    *reader = (label_reader){.changes = reader->changes, .most = reader->most, .score = (double)NAN};
}

static ra_status finish(label_changes *changes, ra_status status, ra_error *err) {
    (void)err;
    if (status == RA_OK)
        place_texts(changes);
    else
        label_changes_release(changes);
    return status;
}

static const char label_wanted[] =
    "{\"label\": \"...\", \"explanation\": \"...\", \"source\": \"...\", \"score\": 0.8}";

ra_status json_label_parse(const char *body, size_t size, label_changes *out, ra_error *err) {
    static const json_member members[] = {{"label", read_label, false},
                                          {"explanation", read_explanation, true},
                                          {"source", read_source, true},
                                          {"score", read_score, true}};
    json_scan scan;
    label_reader reader = {.changes = out, .most = 1};
    *out = (label_changes){0};
    begin_label(&reader);
    ra_status status = json_body_read(body, size, label_wanted, members, 4, &reader, err);
    if (status != RA_OK) return finish(out, status, err);
    json_scan_begin(&scan, body, size, err);
    if (!reader.label)
        json_scan_fail_with(&scan, RA_ERR_ARGUMENT,
                            &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE, .where = "label"},
                            "label is null, expected a text; DELETE takes a label back");
    else
        keep(&scan, &reader);
    return finish(out, json_scan_close(&scan), err);
}

static const char item_wanted[] =
    "{\"atom\": 5, \"label\": \"...\", \"explanation\": \"...\", \"source\": \"...\", \"score\": 0.8}";

static const json_member item_members[] = {
    {"atom", read_atom, true},         {"label", read_label, true}, {"explanation", read_explanation, true},
    {"source", read_source, true},     {"score", read_score, true}, {"changed_at", pass_time, true},
    {"complete", read_complete, true}, {"lines", pass_count, true}};

static bool read_item(json_scan *scan, label_reader *reader, bool line) {
    static const char what[] = "a label";
    begin_label(reader);
    reader->atom = -1;
    if (!json_object_read(scan, what, item_wanted, item_members, 8, reader)) return false;
    if (line && reader->complete) return true;
    if (reader->atom < 0) return json_object_missing(scan, what, "atom", item_wanted);
    if (!reader->has_label) return json_object_missing(scan, what, "label", item_wanted);
    return keep(scan, reader);
}

static bool read_items(json_scan *scan, void *target) {
    if (!json_scan_expect(scan, JSON_ARRAY, "labels", "a list, [{\"atom\": 5, \"label\": \"...\"}, ...]"))
        return false;
    json_scan_array(scan);
    while (json_scan_element(scan))
        if (!read_item(scan, target, false)) return false;
    return scan->status == RA_OK;
}

static ra_status read_line(const char *line, size_t size, size_t number, label_reader *reader,
                           ra_error *err) {
    json_scan scan;
    ra_error why = {0};
    json_scan_begin(&scan, line, size, &why);
    if (read_item(&scan, reader, true)) json_scan_end(&scan);
    ra_status status = json_scan_close(&scan);
    if (status == RA_OK) return RA_OK;
    ra_error_set(err, status, "line %zu: %s", number, why.message);
    if (err) err->facts = why.facts;
    return status;
}

static ra_status read_lines(const char *body, size_t size, label_reader *reader, ra_error *err) {
    const char *end = body + size;
    for (size_t number = 1; body < end; number++) {
        const char *stop = memchr(body, '\n', (size_t)(end - body));
        size_t length = (size_t)((stop ? stop : end) - body);
        size_t blank = 0;
        while (blank < length && strchr(" \t\r", body[blank])) blank++;
        if (blank < length) RA_TRY(read_line(body, length, number, reader, err));
        body += length + 1;
    }
    return RA_OK;
}

ra_status json_labels_parse(const char *body, size_t size, bool lines, size_t most, label_changes *out,
                            ra_error *err) {
    static const json_member members[] = {{"labels", read_items, false},
                                          {"offset", pass_count, true},
                                          {"limit", pass_count, true},
                                          {"total", pass_count, true}};
    label_reader reader = {.changes = out, .most = most};
    *out = (label_changes){0};
    ra_status status =
        lines ? read_lines(body, size, &reader, err)
              : json_body_read(body, size, "{\"labels\": [{\"atom\": 5, \"label\": \"...\"}, ...]}", members,
                               4, &reader, err);
    return finish(out, status, err);
}

void label_changes_release(label_changes *changes) {
    ra_free(changes->items);
    text_release(&changes->texts);
    *changes = (label_changes){0};
}

/* ---- a list -------------------------------------------------------------------------------------------- */

typedef struct list_reader {
    list_change *change;
    size_t most, capacity, description;
} list_reader;

static bool read_atoms(json_scan *scan, void *target) {
    list_reader *reader = target;
    list_change *change = reader->change;
    json_position position = {.name = "atoms", .flat = true};
    int64_t id;
    if (!json_scan_expect(scan, JSON_ARRAY, "atoms", "a list of atoms, [5, 9, 1]")) return false;
    json_scan_array(scan);
    for (; json_scan_next_i64(scan, &position, &id); position.column++) {
        if (change->count == reader->capacity) {
            size_t capacity = reader->capacity ? 2 * reader->capacity : 64;
            uint32_t *atoms = ra_realloc(change->atoms, capacity, sizeof *atoms);
            if (!atoms) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: a list");
            change->atoms = atoms;
            reader->capacity = capacity;
        }
        if (id < 0 || id > UINT32_MAX || change->count == reader->most) json_scan_is_at(scan, &position);
        if (change->count == reader->most)
            return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_LIMIT(reader->most)},
                                       "atoms has more than %zu numbers", reader->most);
        if (id < 0 || id > UINT32_MAX)
            return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                       "atoms[%zu] is %lld, which is no atom", change->count, (long long)id);
        change->atoms[change->count++] = (uint32_t)id;
    }
    return scan->status == RA_OK;
}

static bool read_description(json_scan *scan, void *target) {
    list_reader *reader = target;
    return read_text(scan, "description", 0, DESCRIPTION_BYTES, &reader->change->texts, &reader->description);
}

ra_status json_list_parse(const char *body, size_t size, size_t most, list_change *out, ra_error *err) {
    static const json_member members[] = {{"atoms", read_atoms, false},
                                          {"description", read_description, true}};
    list_reader reader = {.change = out, .most = most};
    *out = (list_change){0};
    ra_status status =
        json_body_read(body, size, "{\"atoms\": [5, 9], \"description\": \"...\"}", members, 2, &reader, err);
    out->description = text_at(&out->texts, reader.description);
    if (status != RA_OK) list_change_release(out);
    return status;
}

void list_change_release(list_change *change) {
    ra_free(change->atoms);
    text_release(&change->texts);
    *change = (list_change){0};
}
