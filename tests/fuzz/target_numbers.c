/* Numbers in string, beside strtof; and numbers printed and read back (lib/app/numbers.c). */
#include "app/numbers.h"
#include "fuzz/fuzz.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first character behind a number of JSON's grammar; NULL: there is none. Written from RFC 8259, section 6. */
static const char *grammar(const char *p) {
    if (*p == '-') p++;
    if (*p < '0' || *p > '9') return NULL;
    if (*p == '0' && p[1] >= '0' && p[1] <= '9') return NULL; /* not a zero before something else */
    if (*p == '0')
        p++;
    else
        while (*p >= '0' && *p <= '9') p++;
    if (*p == '.') {
        if (*++p < '0' || *p > '9') return NULL;
        while (*p >= '0' && *p <= '9') p++;
    }
    if (*p == 'e' || *p == 'E') {
        if (*++p == '+' || *p == '-') p++;
        if (*p < '0' || *p > '9') return NULL;
        while (*p >= '0' && *p <= '9') p++;
    }
    return p;
}

static void scan(const char *string, size_t size) {
    float value = 0, expected = 0;
    ra_status why = RA_OK;
    const char *behind = grammar(string), *end = string + size;
    const char *rest = number_scan_f32(string, end, &value, &why);
    fuzz_expect(number_skip(string, end) == behind, "number_skip() has another grammar");
    if (behind) {
        char *number = fuzz_text(string, (size_t)(behind - string));
        expected = strtof(number, NULL);
        ra_free(number);
    }
    if (!behind) {
        fuzz_expect(!rest && why == RA_ERR_FORMAT, "a number outside the grammar was read");
    } else if (isinf(expected)) {
        fuzz_expect(!rest && why == RA_ERR_NOT_FINITE, "a number beyond float32 was read");
    } else {
        fuzz_expect(rest == behind, "a number ends elsewhere");
        fuzz_expect(memcmp(&value, &expected, sizeof value) == 0, "a number differs from strtof()'s");
    }
    int64_t whole;
    rest = number_scan_i64(string, end, &whole, &why);
    fuzz_expect(!rest || rest <= end, "a whole number ends behind the string");
}

static void print(const uint8_t *bytes) {
    char out[NUMBER_F32_MAX + 1];
    float value, back;
    ra_status why;
    memcpy(&value, bytes, sizeof value);
    size_t n = number_print_f32(value, out);
    fuzz_expect(n > 0 && n <= NUMBER_F32_MAX, "a printed number has no sensible length");
    if (!isfinite(value)) return;
    out[n] = '\0';
    fuzz_expect(number_scan_f32(out, out + n, &back, &why) == out + n, "a printed number is not read");
    fuzz_expect(memcmp(&value, &back, sizeof value) == 0, "a printed number reads back as another");
    back = strtof(out, NULL);
    fuzz_expect(memcmp(&value, &back, sizeof value) == 0, "strtof() reads a printed number as another");
}

static void run(const uint8_t *bytes, size_t size) {
    char *string = fuzz_text(bytes, size);
    scan(string, size);
    ra_free(string);
    if (size >= sizeof(float)) print(bytes);
}
FUZZ_TARGET(numbers, FUZZ_BYTES, run)
