#include "ra_digest.h"

#define XXH_STATIC_LINKING_ONLY /* for a state on the stack */
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same, with the vectors of the machine */
#endif

enum { PART = 64 << 20 };

static void print(XXH128_hash_t hash, char digest[RA_DIGEST_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    const uint64_t halves[2] = {hash.high64, hash.low64};
    for (size_t i = 0; i < RA_DIGEST_SIZE - 1; i++)
        digest[i] = digits[halves[i / 16] >> (60 - i % 16 * 4) & 15];
    digest[RA_DIGEST_SIZE - 1] = '\0';
}

void ra_digest(const void *bytes, size_t size, char digest[RA_DIGEST_SIZE]) {
    print(XXH3_128bits(size ? bytes : "", size), digest);
}

void ra_digest_in_parts(const void *bytes, size_t size, void (*done)(const void *part, size_t size),
                        char digest[RA_DIGEST_SIZE]) {
    XXH3_state_t state;
    (void)XXH3_128bits_reset(&state);
    for (size_t from = 0; from < size; from += PART) {
        const char *part = (const char *)bytes + from;
        size_t length = size - from < PART ? size - from : PART;
        (void)XXH3_128bits_update(&state, part, length);
        done(part, length);
    }
    print(XXH3_128bits_digest(&state), digest);
}
