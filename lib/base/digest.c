#include "ra_digest.h"

#include <stdio.h>
#define XXH_STATIC_LINKING_ONLY /* for a state on the stack */
#include <xxhash.h>

enum { PART = 64 << 20 };

static void print(XXH128_hash_t hash, char digest[RA_DIGEST_SIZE]) {
    snprintf(digest, RA_DIGEST_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
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
