/* Well-formed UTF-8 by table 3-7 of the Unicode standard: the first byte determines how many bytes follow and
 * the range of the second, which excludes overlong forms and surrogates. */
#include "ra_io.h"

#include <string.h>

static bool continues(unsigned char byte) {
    return (byte & 0xc0) == 0x80;
}

/* The length of the sequence at `at`, whose first byte is at least 0x80; 0 if it is malformed. */
static size_t sequence(const unsigned char *at, size_t left) {
    unsigned char lead = at[0], low = 0x80, high = 0xbf;
    size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || left < length) return 0;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if (!continues(at[i])) return 0;
    return length;
}

bool ra_utf8_valid(const void *text, size_t size) {
    const unsigned char *at = text;
    for (size_t i = 0; i < size;) {
        uint64_t eight;
        if (size - i >= sizeof eight) { /* plain ASCII, eight bytes at a time */
            memcpy(&eight, at + i, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                i += sizeof eight;
                continue;
            }
        }
        size_t length = at[i] < 0x80 ? 1 : sequence(at + i, size - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}
