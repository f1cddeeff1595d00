/* A file is read once from begin to end. Labels, explanations and sources lie behind one another in one text, each with a
 * NUL; where one begins is kept for its atom. */
#include "io/json.h"
#include "ra_io.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the file says of an atom. */
typedef struct entry {
    size_t line;                       /* of the file, from 1; 0: it does not name the atom */
    size_t label, explanation, source; /* offset in `texts`, plus one; 0: none */
    float score;
    bool several; /* Neuronpedia's: there may be more of one atom */
} entry;

struct ra_atom_labels {
    size_t atoms;
    ra_text texts;
    entry *entries; /* [atoms] */
};

typedef struct reader {
    const char *path, *at, *end;
    size_t line; /* that `at` is in, from 1 */
    ra_atom_labels *labels;
} reader;

/* ---- what every kind of file has in common ------------------------------------------------------------- */

/* What a line says of an atom; its texts live until it is kept. */
typedef struct said {
    size_t line, atom;
    const char *label, *explanation, *source; /* explanation, source NULL: none */
    float score;                              /* NaN: none */
    bool several;
} said;

/* On one line, as artifacts have it: tabs and line ends within become a blank, others are dropped. */
static void add_line(ra_text *texts, const char *label) {
    static const char between[] = "\t\r\n";
    label += strspn(label, between);
    while (*label) {
        size_t size = strcspn(label, between);
        ra_text_add_bytes(texts, label, size);
        label += size + strspn(label + size, between);
        if (*label) ra_text_add(texts, " ");
    }
}

/* With its line ends, as "\n". */
static void add_lines(ra_text *texts, const char *explanation) {
    while (*explanation) {
        size_t size = strcspn(explanation, "\r");
        ra_text_add_bytes(texts, explanation, size);
        explanation += size;
        if (*explanation != '\r') continue;
        ra_text_add(texts, "\n");
        explanation += 1 + (explanation[1] == '\n');
    }
}

static bool has_controls(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 32 && text[i] != '\n' && text[i] != '\t') return true;
    return false;
}

/* *at <- where the text is kept. */
static ra_status add_text(const reader *r, const said *one, const char *what, const char *text,
                          void (*add)(ra_text *texts, const char *text), size_t most, size_t *at,
                          ra_error *err) {
    ra_text *texts = &r->labels->texts;
    size_t start = texts->size;
    *at = 0;
    if (!text) return RA_OK;
    add(texts, text);
    size_t size = texts->size - start;
    ra_text_add_bytes(texts, "", 1);
    if (texts->failed) RA_FAIL_MEMORY(err, "labels of atoms", texts->size);
    if (size > most)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has %s of %zu bytes; expected at most %zu", r->path,
                one->line, what, size, most);
    if (has_controls(texts->data + start, size))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has %s with control characters in it", r->path, one->line,
                what);
    if (size) *at = start + 1;
    return RA_OK;
}

/* Whether a row says more of an atom than what an earlier one has said. Neuronpedia may have several explanations of a
 * feature: then the one with the highest score is taken, or else the first. */
static ra_status is_better(const reader *r, const said *one, bool *better, ra_error *err) {
    const entry *had = &r->labels->entries[one->atom];
    *better = true;
    if (!had->line) return RA_OK;
    if (!had->several || !one->several)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu names atom %zu again, which line %zu has named", r->path,
                one->line, one->atom, had->line);
    *better = one->score > had->score || (isnan(had->score) && !isnan(one->score));
    return RA_OK;
}

static ra_status keep(const reader *r, const said *one, ra_error *err) {
    entry made = {.line = one->line, .score = NAN, .several = one->several};
    bool better;
    RA_TRY(is_better(r, one, &better, err));
    if (!better) return RA_OK;
    RA_TRY(add_text(r, one, "a label", one->label, add_line, RA_LABEL_BYTES, &made.label, err));
    if (made.label) { /* there is nothing to explain without one */
        RA_TRY(add_text(r, one, "an explanation", one->explanation, add_lines, RA_EXPLANATION_BYTES,
                        &made.explanation, err));
        RA_TRY(add_text(r, one, "a source", one->source, add_line, RA_LABEL_SOURCE_BYTES, &made.source, err));
        made.score = one->score;
    }
    r->labels->entries[one->atom] = made;
    return RA_OK;
}

/* one->atom <- decimal digits. */
static ra_status read_atom(const reader *r, const char *digits, said *one, ra_error *err) {
    size_t length = strlen(digits), atoms = r->labels->atoms;
    if (length == 0 || strspn(digits, "0123456789") != length)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has \"%.40s\" where the number of an atom is expected",
                r->path, one->line, digits);
    unsigned long long number = strtoull(digits, NULL, 10); /* the largest one, if it is too large */
    if (number >= atoms)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s: line %zu names atom %.40s; there are %zu atoms, numbered from 0",
                r->path, one->line, digits, atoms);
    one->atom = (size_t)number;
    return RA_OK;
}

static ra_status bad_score(const reader *r, const said *one, ra_error *err) {
    RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has a score that is not a number within float32", r->path,
            one->line);
}

/* one->score <- decimal digits; NULL and "": none. */
static ra_status read_score(const reader *r, const char *digits, said *one, ra_error *err) {
    char *end;
    if (!digits || !*digits) return RA_OK;
    one->score = strtof(digits, &end);
    return *end || !isfinite(one->score) ? bad_score(r, one, err) : RA_OK;
}

/* ---- txt ----------------------------------------------------------------------------------------------- */

static ra_status read_txt(reader *r, ra_error *err) {
    ra_labels *lines = NULL;
    RA_TRY(ra_labels_parse(r->at, (size_t)(r->end - r->at), r->path, &lines, err));
    size_t count = ra_labels_count(lines), atoms = r->labels->atoms;
    ra_status status = RA_OK;
    if (count != atoms)
        status = ra_error_set(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each atom", r->path,
                              count, atoms);
    for (size_t k = 0; status == RA_OK && k < count; k++) {
        const said one = {.line = k + 1, .atom = k, .label = ra_labels_at(lines, k), .score = NAN};
        status = keep(r, &one, err);
    }
    ra_labels_free(lines);
    return status;
}

/* ---- csv ----------------------------------------------------------------------------------------------- */

enum { MOST_COLUMNS = 256 };

/* The fields of one record, each with a NUL behind it. */
typedef struct record {
    ra_text text;
    size_t field[MOST_COLUMNS], count, line;
} record;

static const char *field_of(const record *one, size_t i) {
    return one->text.data + one->field[i];
}

static ra_status read_quoted(reader *r, record *one, ra_error *err) {
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"' && (++r->at == r->end || *r->at != '"')) {
            if (r->at == r->end || strchr(",\r\n", *r->at)) return RA_OK;
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: line %zu has text behind a closing quote; quotes in a field are doubled", r->path,
                    r->line);
        }
        r->line += *r->at == '\n';
        ra_text_add_bytes(&one->text, r->at, 1);
    }
    RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu opens a quote that nothing closes", r->path, one->line);
}

static ra_status read_field(reader *r, record *one, ra_error *err) {
    if (one->count == MOST_COLUMNS)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has more than %d columns", r->path, one->line,
                MOST_COLUMNS);
    one->field[one->count++] = one->text.size;
    if (r->at < r->end && *r->at == '"') {
        RA_TRY(read_quoted(r, one, err));
    } else {
        const char *from = r->at;
        while (r->at < r->end && *r->at != ',' && *r->at != '\n') r->at++;
        size_t size = (size_t)(r->at - from);
        bool return_too = size > 0 && from[size - 1] == '\r' && (r->at == r->end || *r->at == '\n');
        ra_text_add_bytes(&one->text, from, size - return_too);
    }
    ra_text_add_bytes(&one->text, "", 1);
    return RA_OK;
}

/* The next record that is not an empty line; none at the end of the file, where count is 0. */
static ra_status read_record(reader *r, record *one, ra_error *err) {
    one->count = 0;
    while (r->at < r->end && (*r->at == '\n' || *r->at == '\r')) r->line += *r->at++ == '\n';
    if (r->at == r->end) return RA_OK;
    one->text.size = 0;
    one->line = r->line;
    for (;;) {
        RA_TRY(read_field(r, one, err));
        if (r->at == r->end || *r->at != ',') break;
        r->at++;
    }
    if (one->text.failed) RA_FAIL_MEMORY(err, "a line of labels", one->text.size);
    while (r->at < r->end && *r->at == '\r') r->at++;
    if (r->at < r->end) r->at++, r->line++;
    return RA_OK;
}

/* The place of a column, or MOST_COLUMNS. */
static size_t find_column(const record *header, const char *name, const char *other) {
    for (size_t i = 0; i < header->count; i++)
        if (strcmp(field_of(header, i), name) == 0) return i;
    return other ? find_column(header, other, NULL) : MOST_COLUMNS;
}

typedef struct columns {
    size_t count, atom, label, explanation, source, score; /* MOST_COLUMNS: there is none */
    bool several;
} columns;

static const char *cell(const record *one, size_t column) {
    return column < MOST_COLUMNS ? field_of(one, column) : NULL;
}

static ra_status keep_record(const reader *r, const record *fields, const columns *at, ra_error *err) {
    said one = {.line = fields->line,
                .label = cell(fields, at->label),
                .explanation = cell(fields, at->explanation),
                .source = cell(fields, at->source),
                .score = NAN,
                .several = at->several};
    RA_TRY(read_atom(r, cell(fields, at->atom), &one, err));
    RA_TRY(read_score(r, cell(fields, at->score), &one, err));
    return keep(r, &one, err);
}

static ra_status read_records(reader *r, record *one, ra_error *err) {
    RA_TRY(read_record(r, one, err));
    const columns at = {.count = one->count,
                        .atom = find_column(one, "atom", "index"),
                        .label = find_column(one, "label", "description"),
                        .explanation = find_column(one, "explanation", NULL),
                        .source = find_column(one, "source", "explanationModelName"),
                        .score = find_column(one, "score", "scoreV1"),
                        .several = find_column(one, "modelId", NULL) < MOST_COLUMNS};
    if (at.atom == MOST_COLUMNS || at.label == MOST_COLUMNS)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: line 1 does not name the columns atom and label, as in \"atom,label\"", r->path);
    for (;;) {
        RA_TRY(read_record(r, one, err));
        if (one->count == 0) return RA_OK;
        if (one->count != at.count)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has %zu fields; expected %zu, as many as line 1",
                    r->path, one->line, one->count, at.count);
        RA_TRY(keep_record(r, one, &at, err));
    }
}

static ra_status read_csv(reader *r, ra_error *err) {
    record one = {.count = 0};
    ra_status status = read_records(r, &one, err);
    ra_text_release(&one.text);
    return status;
}

/* ---- jsonl --------------------------------------------------------------------------------------------- */

/* An export of rasaed ends with {"complete": true, "lines": 12}. */
static bool is_end(const cJSON *row) {
    return cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(row, "complete"));
}

static const cJSON *member_of(const cJSON *row, const char *name, const char *other) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, name);
    return value ? value : cJSON_GetObjectItemCaseSensitive(row, other);
}

/* *text <- a member that may be missing or null. */
static ra_status read_member(const reader *r, const cJSON *value, const char *name, const char **text,
                             ra_error *err) {
    if (value && !cJSON_IsString(value) && !cJSON_IsNull(value))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has %s that is not a text", r->path, r->line, name);
    *text = cJSON_IsString(value) ? value->valuestring : NULL;
    return RA_OK;
}

static ra_status read_row(const reader *r, const cJSON *object, ra_error *err) {
    const cJSON *number = member_of(object, "atom", "index"),
                *label = member_of(object, "label", "description"),
                *score = member_of(object, "score", "scoreV1");
    said one = {.line = r->line, .score = NAN, .several = member_of(object, "modelId", "modelId")};
    char digits[64];
    if (is_end(object)) return RA_OK;
    if (!cJSON_IsNumber(number) && !cJSON_IsString(number))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has no atom, as in {\"atom\": 5, \"label\": \"cat\"}",
                r->path, r->line);
    if (!cJSON_IsString(label) && !cJSON_IsNull(label))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has no label, as in {\"atom\": 5, \"label\": \"cat\"}",
                r->path, r->line);
    one.label = cJSON_IsNull(label) ? "" : label->valuestring;
    if (cJSON_IsNumber(number)) snprintf(digits, sizeof digits, "%.17g", number->valuedouble);
    RA_TRY(read_atom(r, cJSON_IsNumber(number) ? digits : number->valuestring, &one, err));
    RA_TRY(read_member(r, member_of(object, "explanation", "explanation"), "an explanation", &one.explanation,
                       err));
    RA_TRY(read_member(r, member_of(object, "source", "explanationModelName"), "a source", &one.source, err));
    if (score && !cJSON_IsNull(score)) {
        if (cJSON_IsNumber(score)) one.score = (float)score->valuedouble;
        if (!isfinite(one.score)) return bad_score(r, &one, err);
    }
    return keep(r, &one, err);
}

static ra_status read_line(const reader *r, size_t size, ra_error *err) {
    cJSON *row = NULL;
    /* which would end a string here */
    if (memmem(r->at, size, "\\u0000", 6))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has a \\u0000 in it, which is no letter of a label",
                r->path, r->line);
    ra_status status = ra_json_parse(r->at, size, &row);
    if (status == RA_ERR_MEMORY) RA_FAIL_MEMORY(err, "a line of labels", size);
    if (status == RA_OK && cJSON_IsObject(row))
        status = read_row(r, row, err);
    else
        status = ra_error_set(err, RA_ERR_FORMAT, "%s: line %zu is not a JSON object", r->path, r->line);
    cJSON_Delete(row);
    return status;
}

static ra_status read_jsonl(reader *r, ra_error *err) {
    while (r->at < r->end) {
        const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
        size_t size = (size_t)((stop ? stop : r->end) - r->at), blank = 0;
        while (blank < size && strchr(" \t\r", r->at[blank])) blank++;
        if (blank < size) RA_TRY(read_line(r, size, err));
        r->at += size + (stop != NULL);
        r->line++;
    }
    return RA_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

typedef ra_status read_kind(reader *r, ra_error *err);

static const struct {
    const char *ending;
    read_kind *read;
} kinds[] = {{".txt", read_txt}, {".csv", read_csv}, {".jsonl", read_jsonl}, {".ndjson", read_jsonl}};

static read_kind *kind_of(const char *path) {
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t ending = strlen(kinds[i].ending);
        if (length > ending && strcasecmp(path + length - ending, kinds[i].ending) == 0) return kinds[i].read;
    }
    return NULL;
}

/* Line by line, so that the message can say which one is bad. */
static ra_status check_text(const reader *r, ra_error *err) {
    size_t line = 1;
    for (const char *at = r->at; at < r->end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(r->end - at));
        size_t size = (size_t)((stop ? stop : r->end) - at);
        if (memchr(at, '\0', size))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu is not text: it has a NUL in it", r->path, line);
        if (!ra_utf8_valid(at, size))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu is not valid UTF-8", r->path, line);
        at += size + (stop != NULL);
    }
    return RA_OK;
}

static ra_status read_all(reader *r, read_kind *read, ra_error *err) {
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, which editors on Windows write */
    RA_TRY(check_text(r, err));
    if (r->end - r->at >= 3 && memcmp(r->at, mark, 3) == 0) r->at += 3;
    return read(r, err);
}

ra_status ra_atom_labels_open(const char *path, size_t atoms, ra_atom_labels **out, ra_error *err) {
    ra_mapping file;
    read_kind *read = kind_of(path);
    if (!read)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%s: labels of atoms are in a file whose name ends with .txt, .csv, .jsonl or .ndjson", path);
    RA_TRY(ra_mapping_open_steady(path, SIZE_MAX, &file, err)); /* it is read more than once */
    ra_atom_labels *labels = ra_calloc(1, sizeof *labels);
    ra_status status = RA_OK;
    if (labels) {
        labels->atoms = atoms;
        labels->entries = ra_calloc(atoms, sizeof *labels->entries);
    }
    if (!labels || !labels->entries)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: labels of %zu atoms", atoms);
    const char *text = file.data ? file.data : ""; /* of an empty file there is none */
    reader r = {.path = path, .at = text, .end = text + file.size, .line = 1, .labels = labels};
    if (status == RA_OK && file.size) status = read_all(&r, read, err);
    if (status == RA_OK && !file.size)
        status = ra_error_set(err, RA_ERR_FORMAT, "%s is empty; expected labels of atoms", path);
    ra_mapping_close(&file);
    if (status == RA_OK)
        *out = labels;
    else
        ra_atom_labels_free(labels);
    return status;
}

void ra_atom_labels_free(ra_atom_labels *labels) {
    if (!labels) return;
    ra_text_release(&labels->texts);
    ra_free(labels->entries);
    ra_free(labels);
}

size_t ra_atom_labels_atoms(const ra_atom_labels *labels) {
    return labels->atoms;
}

static const char *text_at(const ra_atom_labels *labels, size_t at) {
    return at ? labels->texts.data + at - 1 : NULL;
}

const char *ra_atom_labels_at(const ra_atom_labels *labels, size_t atom) {
    if (atom >= labels->atoms || !labels->entries[atom].line) return NULL;
    const char *label = text_at(labels, labels->entries[atom].label);
    return label ? label : "";
}

bool ra_atom_labels_words(const ra_atom_labels *labels, size_t atom, ra_label_words *words) {
    *words = (ra_label_words){.score = NAN};
    if (atom >= labels->atoms || !labels->entries[atom].line) return false;
    const entry *one = &labels->entries[atom];
    *words = (ra_label_words){text_at(labels, one->explanation), text_at(labels, one->source), one->score};
    return one->explanation || one->source || !isnan(one->score);
}
