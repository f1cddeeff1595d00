/* Real files with some bytes changed (lib/io/torch/): the reader answers each, and reads nothing beyond it. The pickle gets most of
 * the changes, since a change elsewhere is found by the archive. RASAE_FUZZ_ROUNDS (1) multiplies the work. */
#include "harness.h"
#include "base/random.h"
#include "io/torch/torch.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/data/interop/"

static const char *const paths[] = {
    FOLDER "torch/zip.pt",
    FOLDER "torch/zip-protocol-4.pt",
    FOLDER "torch/legacy.pt",
    FOLDER "torch/legacy-protocol-4.pt",
    FOLDER "torch/training.pt",
    FOLDER "torch/acts-legacy.pt",
    FOLDER "torch/sparse.pt",
    FOLDER "torch/float8.pt",
    FOLDER "overcomplete/sae-bn.pt",
    FOLDER "overcomplete/jump.pt",
    FOLDER "overcomplete/ra-batchtopk.pth",
    FOLDER "overcomplete/ra-batchtopk-legacy.pth",
    FOLDER "overcomplete/tied.pt",
    FOLDER "overcomplete/state-training.pt",
};
enum { FILES = sizeof paths / sizeof *paths };

/* Reads what it is given, so that a sanitizer sees a view that leads beyond the file. */
typedef struct count {
    size_t tensors;
    uint64_t sum;
} count;

static ra_status on_tensor(void *context, const char *name, const ra_tensor *tensor, void *copy,
                           ra_error *err) {
    count *seen = context;
    const unsigned char *bytes = tensor->data;
    (void)err;
    seen->tensors += strlen(name) > 0;
    for (size_t i = 0; i < ra_tensor_bytes(tensor); i++) seen->sum += bytes[i];
    ra_free(copy);
    return RA_OK;
}

static ra_status on_foreign(void *context, const char *name, const char *description, ra_status refusal,
                            ra_error *err) {
    count *seen = context;
    (void)err;
    seen->sum += strlen(name) + strlen(description) + (uint64_t)refusal;
    return RA_OK;
}

static ra_status on_text(void *context, const char *key, const char *text, ra_error *err) {
    count *seen = context;
    (void)err;
    seen->sum += strlen(key) + strlen(text);
    return RA_OK;
}

static ra_status read_all(const unsigned char *bytes, size_t size, bool careful, count *seen, ra_error *err) {
    const ra_torch_sink sink = {seen, on_tensor, on_foreign, on_text};
    *seen = (count){0};
    return ra_torch_read(bytes, size, "mutation", careful, &sink, err);
}

/* Where the longest pickle is: from its protocol to its last operation, roughly. */
static void find_pickle(const unsigned char *bytes, size_t size, size_t *begin, size_t *end) {
    const unsigned char *first = memchr(bytes, 0x80, size);
    *begin = first ? (size_t)(first - bytes) : 0;
    *end = *begin;
    for (size_t i = *begin; i + 1 < size; i++)
        if (bytes[i] == '.' && (bytes[i + 1] == 'P' || bytes[i + 1] == 0x80)) *end = i;
    if (*end <= *begin) *end = size;
}

static size_t below(ra_random *random, size_t n) {
    return n ? (size_t)ra_random_below(random, n) : 0;
}

/* One change in place, or a cut; returns the new size. */
static size_t change(ra_random *random, unsigned char *bytes, size_t size, size_t begin, size_t end) {
    static const unsigned char telling[] = {0,    1,    4,    0x7f, 0x80, 0xff, '(',  '.',  '0', 'K',
                                            'N',  'Q',  'R',  'X',  ')',  ']',  '}',  'a',  'b', 'c',
                                            'e',  'h',  'j',  'q',  'r',  's',  't',  'u',  'J', 0x81,
                                            0x85, 0x86, 0x87, 0x88, 0x8a, 0x8c, 0x93, 0x94, 0x95};
    bool inside = below(random, 8) > 0;
    size_t from = inside ? begin : 0, to = inside ? end : size;
    if (to <= from) return size;
    size_t at = from + below(random, to - from), other = from + below(random, to - from);
    switch (below(random, 7)) {
    case 0:
        bytes[at] ^= (unsigned char)(1u << below(random, 8));
        break;
    case 1:
        bytes[at] = (unsigned char)below(random, 256);
        break;
    case 2:
    case 3:
        bytes[at] = telling[below(random, sizeof telling)];
        break;
    case 4: { /* a piece of it elsewhere */
        size_t most = to - (at > other ? at : other), length = 1 + below(random, most < 24 ? most : 24);
        memmove(bytes + at, bytes + other, length < most ? length : most);
        break;
    }
    case 5: { /* a number */
        static const uint64_t numbers[] = {0,          1,          0x7fffffff, 0x80000000,
                                           0xffffffff, UINT64_MAX, INT64_MAX,  1u << 20};
        uint64_t number = numbers[below(random, sizeof numbers / sizeof *numbers)];
        memcpy(bytes + at, &number, to - at < 4 ? to - at : 4);
        break;
    }
    default:
        if (below(random, 16) == 0) return below(random, size);
    }
    return size;
}

START_TEST(test_mutations) {
    const char *given = getenv("RASAE_FUZZ_ROUNDS");
    size_t rounds = given ? strtoul(given, NULL, 10) : 1, accepted = 0, tried = 0;
    for (size_t f = (size_t)_i; f < FILES; f += 4) {
        ra_mapping mapping;
        ra_random random;
        count seen;
        ra_error why;
        ra_ok(ra_mapping_open(paths[f], &mapping, &err));
        size_t begin, end;
        find_pickle(mapping.data, mapping.size, &begin, &end);
        ra_random_seed(&random, 1000 * rounds + f); /* longer runs are other ones */
        for (size_t i = 0; i < 3000 * rounds; i++) {
            unsigned char *copy = malloc(mapping.size);
            memcpy(copy, mapping.data, mapping.size);
            size_t size = mapping.size, changes = 1 + below(&random, 4);
            for (size_t c = 0; c < changes; c++)
                size = change(&random, copy, size, begin < size ? begin : 0, end < size ? end : size);
            unsigned char *exact = malloc(size ? size : 1); /* a sanitizer then sees the end */
            memcpy(exact, copy, size);
            ra_status status = read_all(exact, size, i % 2, &seen, &why);
            ck_assert_msg(status == RA_OK || (why.code == status && why.message[0]), "%s: mutation %zu",
                          paths[f], i);
            ck_assert_msg(status != RA_ERR_INTERNAL && status != RA_ERR_MEMORY, "%s: mutation %zu: %s",
                          paths[f], i, why.message);
            accepted += status == RA_OK;
            tried++;
            free(exact);
            free(copy);
        }
        ra_mapping_close(&mapping);
    }
    ck_assert_uint_gt(accepted, tried / 50); /* the changes are small enough to reach all of the code */
    ck_assert_uint_lt(accepted, tried);
}
END_TEST

TEST_CASES_LOOP(torch_mutations, 60, 4, test_mutations)
