/* A file is read once from begin to end. The labels lie behind one another in one text, each with a NUL; where one begins
 * is kept for its atom. */
#include "io/json.h"
#include "ra_io.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct ra_atom_labels {
    size_t atoms;
    ra_text texts;
    size_t *at;   /* [atoms] offset in `texts` */
    size_t *line; /* [atoms] of the file, from 1; 0: the file does not name the atom */
};

typedef struct reader {
    const char *path, *at, *end;
    size_t line; /* that `at` is in, from 1 */
    ra_atom_labels *labels;
} reader;

/* ---- what every kind of file has in common ------------------------------------------------------------- */

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
    ra_text_add_bytes(texts, "", 1);
}

static ra_status keep(const reader *r, size_t line, size_t atom, const char *label, ra_error *err) {
    ra_atom_labels *labels = r->labels;
    if (labels->line[atom])
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu names atom %zu again, which line %zu has named", r->path,
                line, atom, labels->line[atom]);
    labels->line[atom] = line;
    labels->at[atom] = labels->texts.size;
    add_line(&labels->texts, label);
    if (labels->texts.failed) RA_FAIL_MEMORY(err, "labels of atoms", labels->texts.size);
    return RA_OK;
}

/* *atom <- decimal digits. */
static ra_status read_atom(const reader *r, size_t line, const char *digits, size_t *atom, ra_error *err) {
    size_t length = strlen(digits), atoms = r->labels->atoms;
    if (length == 0 || strspn(digits, "0123456789") != length)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has \"%.40s\" where the number of an atom is expected",
                r->path, line, digits);
    unsigned long long number = strtoull(digits, NULL, 10); /* the largest one, if it is too large */
    if (number >= atoms)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s: line %zu names atom %.40s; there are %zu atoms, numbered from 0",
                r->path, line, digits, atoms);
    *atom = (size_t)number;
    return RA_OK;
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
    for (size_t k = 0; status == RA_OK && k < count; k++)
        status = keep(r, k + 1, k, ra_labels_at(lines, k), err);
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

static ra_status read_records(reader *r, record *one, ra_error *err) {
    RA_TRY(read_record(r, one, err));
    size_t columns = one->count, atoms = find_column(one, "atom", "index"),
           labels = find_column(one, "label", "description"), atom;
    if (atoms == MOST_COLUMNS || labels == MOST_COLUMNS)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: line 1 does not name the columns atom and label, as in \"atom,label\"", r->path);
    for (;;) {
        RA_TRY(read_record(r, one, err));
        if (one->count == 0) return RA_OK;
        if (one->count != columns)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has %zu fields; expected %zu, as many as line 1",
                    r->path, one->line, one->count, columns);
        RA_TRY(read_atom(r, one->line, field_of(one, atoms), &atom, err));
        RA_TRY(keep(r, one->line, atom, field_of(one, labels), err));
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

static ra_status read_row(const reader *r, const cJSON *row, ra_error *err) {
    const cJSON *number = member_of(row, "atom", "index"), *label = member_of(row, "label", "description");
    char digits[64];
    size_t atom;
    if (is_end(row)) return RA_OK;
    if (!cJSON_IsNumber(number) && !cJSON_IsString(number))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has no atom, as in {\"atom\": 5, \"label\": \"cat\"}",
                r->path, r->line);
    if (!cJSON_IsString(label) && !cJSON_IsNull(label))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: line %zu has no label, as in {\"atom\": 5, \"label\": \"cat\"}",
                r->path, r->line);
    if (cJSON_IsNumber(number)) snprintf(digits, sizeof digits, "%.17g", number->valuedouble);
    RA_TRY(read_atom(r, r->line, cJSON_IsNumber(number) ? digits : number->valuestring, &atom, err));
    return keep(r, r->line, atom, cJSON_IsNull(label) ? "" : label->valuestring, err);
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
        labels->at = ra_calloc(atoms, sizeof *labels->at);
        labels->line = ra_calloc(atoms, sizeof *labels->line);
    }
    if (!labels || !labels->at || !labels->line)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: labels of %zu atoms", atoms);
    reader r = {.path = path,
                .at = file.data,
                .end = (const char *)file.data + file.size,
                .line = 1,
                .labels = labels};
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
    ra_free(labels->at);
    ra_free(labels->line);
    ra_free(labels);
}

size_t ra_atom_labels_atoms(const ra_atom_labels *labels) {
    return labels->atoms;
}

const char *ra_atom_labels_at(const ra_atom_labels *labels, size_t atom) {
    bool named = atom < labels->atoms && labels->line[atom];
    return named ? labels->texts.data + labels->at[atom] : NULL;
}
