/* The list of targets, and what they share. */
#include "fuzz/fuzz.h"
#include "ra_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fuzz_now;
static fuzz_target *targets;

void fuzz_register(fuzz_target *target) {
    fuzz_target **place = &targets;
    while (*place && strcmp((*place)->name, target->name) < 0) place = &(*place)->next;
    target->next = *place;
    *place = target;
}

const fuzz_target *fuzz_targets(void) {
    return targets;
}

const fuzz_target *fuzz_find(const char *name) {
    const fuzz_target *target = targets;
    while (target && strcmp(target->name, name) != 0) target = target->next;
    return target;
}

void fuzz_expect(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz: %s%s%s\n", fuzz_now ? fuzz_now : "", fuzz_now ? ": " : "", what);
    abort();
}

void fuzz_expect_error(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    size_t length = strlen(err->message);
    fuzz_expect(err->code == status, "the code in the error differs");
    fuzz_expect(length > 0, "the error has no sentence");
    fuzz_expect(!memchr(err->message, '\n', length), "the sentence of the error has several lines");
}

void fuzz_read(const void *bytes, size_t size) {
    static volatile unsigned char sink;
    const unsigned char *at = bytes;
    unsigned char sum = 0;
    for (size_t i = 0; i < size; i++) sum ^= at[i];
    sink = sum;
    (void)sink;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static char folder[64];
static pid_t owner;

static void remove_folder(void) {
    if (owner == getpid()) (void)rmdir(folder);
}

static void make_path(char *path, size_t size, const char *name) {
    if (owner != getpid()) {
        snprintf(folder, sizeof folder, "%s/rasae-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        fuzz_expect(mkdtemp(folder), "there is no folder for files");
        owner = getpid();
        atexit(remove_folder);
    }
    snprintf(path, size, "%s/%s", folder, name);
}

const char *fuzz_file(const char *name, const void *bytes, size_t size) {
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    make_path(path, sizeof paths[0], name);
    unlink(path); /* a new file: what has the old one open keeps it */
    FILE *file = fopen(path, "wb");
    fuzz_expect(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0,
                "a file cannot be written");
    return path;
}

void fuzz_remove(const char *name) {
    char path[128];
    make_path(path, sizeof path, name);
    unlink(path);
}

/* ---- texts --------------------------------------------------------------------------------------------- */

char *fuzz_text(const void *bytes, size_t size) {
    char *copy = ra_malloc(size + 1, 1);
    if (!copy) return NULL;
    if (size) memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

char *fuzz_line(const uint8_t **bytes, size_t *size) {
    const uint8_t *end = *size ? memchr(*bytes, '\n', *size) : NULL;
    size_t length = end ? (size_t)(end - *bytes) : *size, passed = end ? length + 1 : length;
    char *line = fuzz_text(*bytes, length);
    fuzz_expect(line, "out of memory");
    *bytes += passed, *size -= passed;
    return line;
}
