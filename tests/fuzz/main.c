/* libFuzzer's side: `fuzz TARGET [FLAGS] FOLDER...` gives the target new inputs made from those of the folders. */
#include "app/start.h"
#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

static const fuzz_target *target;

/* Takes the name of the target off the command line. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *name = getenv("RASAE_FUZZ_TARGET");
    if (*argc > 1 && (*argv)[1][0] != '-') {
        name = (*argv)[1];
        memmove(*argv + 1, *argv + 2, (size_t)(*argc - 1) * sizeof **argv);
        --*argc;
        setenv("RASAE_FUZZ_TARGET", name, 1); /* for processes that -fork and -merge start */
    }
    target = name ? fuzz_find(name) : NULL;
    if (!target) {
        fprintf(stderr, "fuzz: there is no target \"%s\"; the targets are", name ? name : "");
        for (target = fuzz_targets(); target; target = target->next) fprintf(stderr, " %s", target->name);
        fprintf(stderr, "\n");
        exit(2);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    target->run(bytes, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed) {
    switch (target->kind) {
    case FUZZ_JSON:
        if (size <= FUZZ_LEAD || seed % 32 == 0) break;
        return FUZZ_LEAD + fuzz_mutate_json(bytes + FUZZ_LEAD, size - FUZZ_LEAD, most - FUZZ_LEAD, seed);
    case FUZZ_SAFETENSORS:
        return fuzz_mutate_safetensors(bytes, size, most, seed);
    case FUZZ_BYTES:
        break;
    }
    return LLVMFuzzerMutate(bytes, size, most);
}
