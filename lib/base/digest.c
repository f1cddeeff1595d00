#include "ra_digest.h"

#include <stdio.h>
#include <xxhash.h>

void ra_digest(const void *bytes, size_t size, char digest[RA_DIGEST_SIZE]) {
    XXH128_hash_t hash = XXH3_128bits(size ? bytes : "", size);
    snprintf(digest, RA_DIGEST_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}
