/* fuzz.h - a fuzz target: a function that is given bytes and must end, whatever they are.
 *
 *     static void run(const uint8_t *bytes, size_t size) { ... fuzz_expect(same, "the two readers differ"); ... }
 *     FUZZ_TARGET(npy, FUZZ_BYTES, run)
 *
 * registers it; nothing else has to be edited. `make fuzz FUZZ=npy SECONDS=600` gives it new inputs (main.c), and the unit
 * tests give it the files of corpus/npy/ (unit/test_fuzz.c). A target leaves nothing behind: no memory, no file. */
#ifndef RA_TEST_FUZZ_H
#define RA_TEST_FUZZ_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How inputs are changed: anywhere, or as JSON, or as a safetensors file whose lengths stay true. The JSON of the second
 * begins after `FUZZ_LEAD` bytes, which choose what the target does with it. */
typedef enum fuzz_kind { FUZZ_BYTES, FUZZ_JSON, FUZZ_SAFETENSORS } fuzz_kind;
enum { FUZZ_LEAD = 1 };

typedef struct fuzz_target {
    const char *name;
    fuzz_kind kind;
    void (*run)(const uint8_t *bytes, size_t size);
    struct fuzz_target *next;
} fuzz_target;

void fuzz_register(fuzz_target *target);
const fuzz_target *fuzz_targets(void); /* the first; by their names */
const fuzz_target *fuzz_find(const char *name);

#define FUZZ_TARGET(subject, how, function)                                                                  \
    __attribute__((constructor)) static void subject##_register(void) {                                      \
        static fuzz_target target = {#subject, how, function, NULL};                                         \
        fuzz_register(&target);                                                                              \
    }

/* The file whose content a target is given, for messages; NULL: the bytes are new. */
extern const char *fuzz_now;

/* Says what is wrong and ends the process, which is how a fuzzer learns of it. */
void fuzz_expect(bool holds, const char *what);

/* An error that a function returned: it has a code and one sentence. RA_OK: nothing is looked at. */
void fuzz_expect_error(ra_status status, const ra_error *err);

/* Reads all of these bytes, so that a sanitizer sees those that are not there. */
void fuzz_read(const void *bytes, size_t size);

/* The path of a file with this content, in a folder of this process that ends with it. The same name is the same file;
 * fuzz_remove() removes it. */
const char *fuzz_file(const char *name, const void *bytes, size_t size);
void fuzz_remove(const char *name);

/* A copy with a NUL behind it, freed with ra_free(); NULL if there is no memory. */
char *fuzz_text(const void *bytes, size_t size);

/* Cuts the first line off *bytes: a text, which the caller frees with ra_free(). "" at the end. */
char *fuzz_line(const uint8_t **bytes, size_t *size);

#endif
