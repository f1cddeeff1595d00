/* Files of arrays and of texts: safetensors, npy, npz, those of torch.save, the layouts of other libraries, labels, tokens,
 * keys and settings (lib/io, server/http/auth.c, lib/app/settings/file.c). */
#include "fuzz/fuzz.h"
#include "http/auth.h"
#include "io/npy.h"
#include "io/torch/torch.h"
#include "ra_io.h"
#include "ra_memory.h"
#include "ra_sae.h"
#include "ra_text.h"
#include "settings/settings.h"

#include <stdlib.h>
#include <string.h>

/* ---- safetensors, and what is presented as one --------------------------------------------------------- */

static void use_tensor(const ra_tensor *tensor) {
    fuzz_expect(tensor->rank >= 0 && tensor->rank <= RA_MAX_RANK, "a rank out of range");
    fuzz_expect(ra_tensor_bytes(tensor) == 0 || tensor->data, "a tensor without data");
    fuzz_expect((uintptr_t)tensor->data % ra_dtype_size(tensor->dtype) == 0, "a tensor that is not aligned");
    fuzz_read(tensor->data, ra_tensor_bytes(tensor));
}

static void use_safetensors(ra_safetensors *file) {
    const char *string = "";
    for (size_t i = 0; i < ra_safetensors_count(file); i++) {
        const char *name = ra_safetensors_name(file, i);
        use_tensor(ra_safetensors_at(file, i));
        fuzz_expect(name && ra_safetensors_find(file, name), "a tensor is not found by its name");
    }
    for (size_t i = 0; (string = ra_safetensors_metadata_key(file, i)); i++)
        fuzz_expect(ra_safetensors_metadata(file, string), "a key is not found");
    for (size_t i = 0; ra_safetensors_foreign(file, i, &string); i++) {
        ra_error err = {0};
        ra_tensor tensor;
        fuzz_read(string, strlen(string));
        fuzz_expect_error(ra_safetensors_get(file, ra_safetensors_foreign(file, i, NULL), &tensor, &err),
                          &err);
    }
}

/* As a model is opened: the digest is compared, wide numbers become narrow, and a tensor may be missing. */
static void use_as_model(ra_safetensors *file) {
    ra_error err = {0};
    ra_tensor tensor;
    ra_status status = ra_safetensors_verify(file, &err);
    fuzz_expect_error(status, &err);
    fuzz_expect((ra_safetensors_integrity(file) == RA_INTEGRITY_VERIFIED) <= (status == RA_OK),
                "a damaged file is verified");
    fuzz_expect(ra_safetensors_narrow(file, NULL) == RA_OK, "parameters cannot be narrowed");
    use_safetensors(file);
    err = (ra_error){0};
    fuzz_expect_error(ra_safetensors_get(file, "no.such.tensor", &tensor, &err), &err);
    fuzz_expect(ra_safetensors_check(file, NULL) == RA_OK, "a file that nobody wrote has changed");
}

static void open_safetensors(const char *path, bool steady) {
    ra_error err = {0};
    ra_safetensors *file = NULL;
    ra_status status = steady ? ra_safetensors_open_steady(path, SIZE_MAX, &file, &err)
                              : ra_safetensors_open(path, &file, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) use_safetensors(file);
    if (status == RA_OK) use_as_model(file);
    ra_safetensors_free(file);
}

static void safetensors(const uint8_t *bytes, size_t size) {
    const char *path = fuzz_file("file.safetensors", bytes, size);
    open_safetensors(path, size % 16 == 0); /* which waits for the clock */
    fuzz_remove("file.safetensors");
}
FUZZ_TARGET(safetensors, FUZZ_SAFETENSORS, safetensors)

/* The bytes before the last 0xff that is alone in its line are the cfg.json beside the weights. */
static void layouts(const uint8_t *bytes, size_t size) {
    static const struct {
        const char *weights, *settings;
    } names[] = {{"sae_weights.safetensors", "cfg.json"},
                 {"sae.safetensors", "cfg.json"},
                 {"ae.pt", "config.json"},
                 {"params.npz", "cfg.json"},
                 {"model.safetensors", "config.json"},
                 {"final.safetensors", "hyperparams.json"},
                 {"model.npz", "config.json"}};
    if (!size) return;
    size_t which = *bytes % (sizeof names / sizeof *names);
    bytes++, size--;
    const uint8_t *cut = memmem(bytes, size, "\n\xff\n", 3);
    size_t beside = cut ? (size_t)(cut - bytes) : 0, skipped = cut ? beside + 3 : 0;
    if (cut) fuzz_file(names[which].settings, bytes, beside);
    open_safetensors(fuzz_file(names[which].weights, bytes + skipped, size - skipped), false);
    fuzz_remove(names[which].weights);
    fuzz_remove(names[which].settings);
}
FUZZ_TARGET(layouts, FUZZ_BYTES, layouts)

/* ---- torch --------------------------------------------------------------------------------------------- */

static ra_status on_tensor(void *context, const char *name, const ra_tensor *tensor, void *copy,
                           ra_error *err) {
    (void)context, (void)err;
    fuzz_read(name, strlen(name));
    fuzz_read(tensor->data, ra_tensor_bytes(tensor));
    ra_free(copy);
    return RA_OK;
}

static ra_status on_foreign(void *context, const char *name, const char *description, ra_status refusal,
                            ra_error *err) {
    (void)context, (void)err;
    fuzz_expect(refusal != RA_OK, "a foreign tensor without a reason");
    fuzz_read(name, strlen(name));
    fuzz_read(description, strlen(description));
    return RA_OK;
}

static ra_status on_text(void *context, const char *key, const char *string, ra_error *err) {
    (void)context, (void)err;
    fuzz_read(key, strlen(key));
    fuzz_read(string, strlen(string));
    return RA_OK;
}

static void torch(const uint8_t *bytes, size_t size) {
    const ra_torch_sink sink = {NULL, on_tensor, on_foreign, on_text};
    ra_error err = {0};
    void *copy = aligned_alloc(64, (size + 63) / 64 * 64 + 64); /* as a mapping is */
    fuzz_expect(copy, "out of memory");
    if (size) memcpy(copy, bytes, size);
    ra_status status = ra_torch_read(copy, size, "file.pt", size % 2, &sink, &err);
    fuzz_expect_error(status, &err);
    free(copy);
}
FUZZ_TARGET(torch, FUZZ_BYTES, torch)

/* The pickle alone, without the archive around it. */
static void pickle(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_pickle read = {0};
    const ra_pickle_value *root = NULL;
    size_t used = 0;
    uint8_t *copy = ra_malloc(size ? size : 1, 1);
    fuzz_expect(copy, "out of memory");
    if (size) memcpy(copy, bytes, size);
    ra_status status = ra_pickle_read(&read, copy, size, &used, &root, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) fuzz_expect(root && used <= size, "a pickle that ends behind its bytes");
    ra_pickle_release(&read);
    ra_free(copy);
}
FUZZ_TARGET(pickle, FUZZ_BYTES, pickle)

/* ---- arrays -------------------------------------------------------------------------------------------- */

/* What was read is written, and reads as the same. */
static void write_again(const ra_tensor *tensor) {
    ra_npy *again = NULL;
    const char *path = fuzz_file("again.npy", "", 0);
    fuzz_expect(ra_npy_write(path, tensor, NULL) == RA_OK, "an array that was read cannot be written");
    fuzz_expect(ra_npy_open(path, &again, NULL) == RA_OK, "an array that was written cannot be read");
    const ra_tensor *read = ra_npy_tensor(again);
    fuzz_expect(read->rank == tensor->rank && read->dtype == tensor->dtype &&
                    memcmp(read->shape, tensor->shape, (size_t)tensor->rank * sizeof *read->shape) == 0,
                "an array that was written has another shape");
    size_t bytes = ra_tensor_bytes(tensor);
    fuzz_expect(!bytes || memcmp(read->data, tensor->data, bytes) == 0,
                "an array that was written has other numbers");
    ra_npy_free(again);
    fuzz_remove("again.npy");
}

static void npy(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_tensor tensor, described;
    size_t used = 0;
    void *copy = NULL;
    ra_status status = ra_npy_parse(bytes, size, "the body", &tensor, &used, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        fuzz_expect(used <= size, "an array takes more bytes than there are");
        fuzz_read(tensor.data, ra_tensor_bytes(&tensor));
    }
    err = (ra_error){0};
    status = ra_npy_load(bytes, size, "file.npy", &tensor, &copy, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        fuzz_read(tensor.data, ra_tensor_bytes(&tensor));
        fuzz_expect(ra_npy_describe(bytes, size, "file.npy", &described, &err) == RA_OK &&
                        described.rank == tensor.rank && described.dtype == tensor.dtype,
                    "an array is described as another");
        write_again(&tensor);
    }
    ra_free(copy);
}
FUZZ_TARGET(npy, FUZZ_BYTES, npy)

static void npz(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_npz *file = NULL;
    ra_status status = ra_npz_open(fuzz_file("file.npz", bytes, size), &file, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK)
        for (size_t i = 0; i < ra_npz_count(file) && i < 16; i++) {
            ra_tensor tensor;
            void *copy = NULL;
            ra_error here = {0};
            fuzz_read(ra_npz_name(file, i), strlen(ra_npz_name(file, i)));
            fuzz_expect_error(ra_npz_describe(file, i, &tensor, &here), &here);
            here = (ra_error){0};
            status = ra_npz_read(file, i, &tensor, &copy, &here);
            fuzz_expect_error(status, &here);
            if (status == RA_OK) fuzz_read(tensor.data, ra_tensor_bytes(&tensor));
            ra_free(copy);
        }
    ra_npz_free(file);
    fuzz_remove("file.npz");
}
FUZZ_TARGET(npz, FUZZ_BYTES, npz)

/* ---- texts --------------------------------------------------------------------------------------------- */

/* A text with a backslash before what needs one reads as itself again. */
static void escape_again(const char *label) {
    ra_text escaped = {0};
    ra_labels *again = NULL;
    if (strchr(label, '\r') || strncmp(label, "\xef\xbb\xbf", 3) == 0)
        return; /* which are no part of a line */
    ra_labels_escape(&escaped, label);
    fuzz_expect(!escaped.failed &&
                    ra_labels_parse(escaped.data, escaped.size, "escaped", &again, NULL) == RA_OK,
                "a label that was escaped cannot be read");
    fuzz_expect(ra_labels_count(again) <= 1 && ra_labels_unescape(again, "escaped", NULL) == RA_OK,
                "a label that was escaped is no line");
    fuzz_expect(ra_labels_count(again) == 0 || strcmp(ra_labels_at(again, 0), label) == 0,
                "a label that was escaped reads as another");
    ra_labels_free(again);
    ra_text_release(&escaped);
}

/* The same bytes as texts with a NUL behind each, and as lines with backslashes. */
static void other_labels(const uint8_t *bytes, size_t size) {
    ra_labels *read = NULL;
    ra_error err = {0};
    ra_status status = ra_labels_parse_texts(bytes, size, "texts", &read, &err);
    fuzz_expect_error(status, &err);
    for (size_t i = 0; status == RA_OK && i < ra_labels_count(read); i++) escape_again(ra_labels_at(read, i));
    ra_labels_free(read);
    read = NULL;
    err = (ra_error){0};
    status = ra_labels_open(fuzz_file("labels.txt", bytes, size), &read, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        err = (ra_error){0};
        status = ra_labels_unescape(read, "labels.txt", &err);
        fuzz_expect_error(status, &err);
    }
    ra_labels_free(read);
    fuzz_remove("labels.txt");
}

static void labels(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_labels *read = NULL;
    ra_status status = ra_labels_parse(bytes, size, "labels.txt", &read, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        fuzz_expect(ra_labels_count(read) == ra_labels_lines((const char *)bytes, size), "lines were lost");
        for (size_t i = 0; i < ra_labels_count(read); i++) {
            const char *label = ra_labels_at(read, i);
            fuzz_expect(ra_utf8_valid(label, strlen(label)) && !strchr(label, '\n'), "a label is not a line");
        }
    }
    ra_labels_free(read);
    other_labels(bytes, size);
}
FUZZ_TARGET(labels, FUZZ_BYTES, labels)

enum { ATOMS = 3 };

static void expect_text(const char *said, size_t most, bool lines) {
    fuzz_expect(strlen(said) <= most && ra_utf8_valid(said, strlen(said)), "a text is too long, or none");
    for (const char *at = said; *at; at++)
        fuzz_expect((unsigned char)*at >= 32 || (lines && strchr("\t\n", *at)), "a text has controls");
}

/* As artifacts keep it. */
static void expect_that_it_comes_back(const char *said) {
    ra_text line = {0};
    ra_labels *read = NULL;
    ra_labels_escape(&line, said);
    ra_text_add(&line, "\n");
    if (!line.failed && ra_labels_parse(line.data, line.size, "a text", &read, NULL) == RA_OK) {
        fuzz_expect(ra_labels_count(read) == 1 && ra_labels_unescape(read, "a text", NULL) == RA_OK &&
                        strcmp(ra_labels_at(read, 0), said) == 0,
                    "an escaped text is another one");
    }
    ra_labels_free(read);
    ra_text_release(&line);
}

/* The first byte is the kind of the file. */
static void atom_labels(const uint8_t *bytes, size_t size) {
    static const char *const names[] = {"labels.txt", "labels.csv", "labels.jsonl", "labels.ndjson",
                                        "labels.json"};
    if (size == 0) return;
    ra_error err = {0};
    ra_atom_labels *read = NULL;
    const char *name = names[*bytes % (sizeof names / sizeof *names)];
    ra_status status = ra_atom_labels_open(fuzz_file(name, bytes + 1, size - 1), ATOMS, &read, &err);
    fuzz_expect_error(status, &err);
    for (size_t k = 0; status == RA_OK && k < ATOMS; k++) {
        const char *label = ra_atom_labels_at(read, k);
        ra_label_words words = {0};
        bool any = ra_atom_labels_words(read, k, &words);
        fuzz_expect(!any || (label && *label), "nothing is explained");
        if (label) expect_text(label, RA_LABEL_BYTES, false);
        if (words.explanation) expect_text(words.explanation, RA_EXPLANATION_BYTES, true);
        if (words.explanation) expect_that_it_comes_back(words.explanation);
        if (words.source) expect_text(words.source, RA_LABEL_SOURCE_BYTES, false);
    }
    ra_atom_labels_free(read);
    fuzz_remove(name);
}
FUZZ_TARGET(atom_labels, FUZZ_BYTES, atom_labels)

enum { ROWS = 3, SKIP = 1 };

typedef struct seen_tokens {
    size_t count, last;
} seen_tokens;

static ra_status see_token(void *context, size_t row, const char *token, ra_error *err) {
    seen_tokens *seen = context;
    size_t size = strlen(token);
    fuzz_expect(row < ROWS && (seen->count == 0 || row == seen->last + 1), "rows are not in their order");
    fuzz_expect(size <= RA_TOKEN_MOST && ra_utf8_valid(token, size), "a token is too long, or no text");
    seen->count++;
    seen->last = row;
    (void)err;
    return RA_OK;
}

/* As many texts as there are lines, of three rows, one of which may be left out. */
static void tokens(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_token_lines *read = NULL;
    const char *path = fuzz_file("tokens", bytes, size);
    size_t lines = ra_labels_lines((const char *)bytes, size);
    ra_status status = ra_token_lines_open(path, lines + 1, ROWS, SKIP, &read, &err);
    fuzz_expect(status != RA_OK, "there are tokens for more texts than lines");
    fuzz_expect_error(status, &err);
    err = (ra_error){0};
    status = ra_token_lines_open(path, lines, ROWS, SKIP, &read, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK)
        fuzz_expect(ra_token_lines_texts(read) == lines && ra_token_lines_rows(read) == ROWS,
                    "tokens of other texts");
    for (size_t i = 0; status == RA_OK && i < lines; i++) {
        seen_tokens seen = {0};
        fuzz_expect(ra_token_lines_read(read, i, see_token, &seen, NULL) == RA_OK,
                    "a line is refused the second time");
        fuzz_expect(seen.count == ROWS || seen.count == ROWS - SKIP, "another number of tokens");
        fuzz_expect(seen.last == ROWS - 1, "the tokens are not those of the last rows");
    }
    ra_token_lines_free(read);
    fuzz_remove("tokens");
}
FUZZ_TARGET(tokens, FUZZ_BYTES, tokens)

/* The JSON of settings that rasae import takes: what was read is printed and reads as the same. */
static void config(const uint8_t *bytes, size_t size) {
    const ra_settings_table *table = ra_sae_settings_table();
    ra_sae_settings read = {0}, again = {0};
    ra_error err = {0};
    ra_status status = ra_settings_read_json(table, fuzz_file("named.json", bytes, size), &read, &err);
    fuzz_expect_error(status, &err);
    for (size_t i = 0; status == RA_OK && i < table->count; i++) {
        char value[64], second[64];
        if (!ra_setting_known(&read, i)) continue;
        ra_setting_print(table, i, &read, value, sizeof value);
        fuzz_expect(ra_setting_parse(table, i, &again, value, "printed", NULL) == RA_OK,
                    "a setting that was printed is refused");
        ra_setting_print(table, i, &again, second, sizeof second);
        fuzz_expect(strcmp(value, second) == 0, "a setting that was printed reads as another");
    }
    fuzz_remove("named.json");
}
FUZZ_TARGET(config, FUZZ_BYTES, config)

static void keys(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    auth_keys *read = NULL;
    ra_status status = auth_open(fuzz_file("keys", bytes, size), &read, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        char name[HTTP_KEY_NAME_SIZE];
        const char *headers[HTTP_HEADER_COUNT] = {[HTTP_AUTHORIZATION] = "Bearer 0123456789abcdef0123"};
        fuzz_expect(auth_count(read) > 0, "a file without keys was read");
        (void)auth_check(read, AUTH_ADMIN, headers, name);
        size_t count = auth_count(read);
        fuzz_expect(auth_reload(read, &err) == RA_OK, "the same keys are refused the second time");
        fuzz_remove("keys");
        status = auth_reload(read, &err);
        fuzz_expect(status == RA_ERR_NOT_FOUND, "a file that is gone is read");
        fuzz_expect_error(status, &err);
        fuzz_expect(auth_count(read) == count, "the keys went with their file");
    }
    auth_free(read);
    fuzz_remove("keys");
}
FUZZ_TARGET(keys, FUZZ_BYTES, keys)

enum { VARIABLES = 4 };
static char *environment[VARIABLES + 1]; /* "NAME=VALUE" each; a NULL behind the last */

static char *variable(const char *name) {
    size_t size = strlen(name);
    for (char **at = environment; *at; at++)
        if (strncmp(*at, name, size) == 0 && (*at)[size] == '=') return *at + size + 1;
    return NULL;
}

/* Lines at the beginning that start with a dollar sign are the environment, without the sign. */
static void set_environment(const uint8_t **bytes, size_t *size) {
    size_t count = 0;
    while (count < VARIABLES && *size && **bytes == '$') {
        ++*bytes, --*size;
        environment[count++] = fuzz_line(bytes, size);
    }
    environment[count] = NULL;
}

static void unset_environment(void) {
    for (char **at = environment; *at; at++) ra_free(*at);
    environment[0] = NULL;
}

/* As rasaed reads it; and its own print of what it has read must read as the same. */
static void configuration(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    char flag[160], program[] = "rasaed", *none = NULL;
    set_environment(&bytes, &size);
    snprintf(flag, sizeof flag, "--config=%s", fuzz_file("rasaed.conf", bytes, size));
    char *flags[] = {program, flag, NULL};
    settings read;
    ra_status status = settings_read(2, flags, variable, environment, &read, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        char *string = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&string, &length);
        fuzz_expect(out, "out of memory");
        settings_print(&read, out);
        fclose(out);
        settings again;
        snprintf(flag, sizeof flag, "--config=%s", fuzz_file("printed.conf", string, length));
        char *second[] = {program, flag, NULL};
        err = (ra_error){0};
        unset_environment(); /* what it said is in the print */
        status = settings_read(2, second, variable, &none, &again, &err);
        if (status != RA_OK) fprintf(stderr, "%s\n", err.message);
        fuzz_expect(status == RA_OK, "settings that were printed are refused");
        fuzz_expect(again.max_body == read.max_body && again.deadline_ms == read.deadline_ms &&
                        again.dictionary.count == read.dictionary.count,
                    "settings that were printed read as others");
        settings_close(&again);
        free(string);
        settings_close(&read);
        fuzz_remove("printed.conf");
    }
    unset_environment();
    fuzz_remove("rasaed.conf");
}
FUZZ_TARGET(configuration, FUZZ_BYTES, configuration)
