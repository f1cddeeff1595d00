// Every float32 there is, as each variant of print_f32_row() and number_print_f32() print it, beside std::to_chars, which has
// the fewest digits that read back and, of those, the closest. Each is scanned again. `make check-numbers` runs it.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

extern "C" {
#include "app/numbers.h"
size_t print_with_all(const float *values, size_t n, char *out, char *other, const char **differs); // variants.c
}

namespace {

enum { BLOCK = 4096, DIGITS = 32 };

// The digits of a number without zeros at either end, and what the first one counts.
struct decimal {
    char digits[DIGITS];
    int size, exponent;
};

decimal read(const char *p, const char *end) {
    decimal found = {};
    int before_point = 0;
    bool point = false;
    for (; p < end && *p != 'e'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (found.size || *p != '0') {
            found.digits[found.size++] = *p;
            before_point += !point;
        } else {
            before_point -= point;
        }
    }
    while (found.size && found.digits[found.size - 1] == '0') found.size--;
    found.exponent = before_point - 1 + (p < end ? atoi(p + 1) : 0);
    return found;
}

void fail(uint32_t bits, const char *is, size_t n, const char *why) {
    printf("%08x is written %.*s, %s\n", bits, (int)n, is, why);
    exit(EXIT_FAILURE);
}

void check(uint32_t bits, const char *is, size_t n) {
    char alone[NUMBER_F32_MAX], scientific[64];
    float v, back;
    ra_status why;
    memcpy(&v, &bits, sizeof v);
    if (number_print_f32(v, alone) != n || memcmp(alone, is, n)) fail(bits, is, n, "and otherwise alone");
    if (is[n] != ',') fail(bits, is, n, "without a comma");
    if ((bits & 0x7f800000) == 0x7f800000) return;
    if (number_scan_f32(is, is + n, &back, &why) != is + n || memcmp(&v, &back, sizeof v)) fail(bits, is, n, "which reads back as another");
    auto expected = std::to_chars(scientific, scientific + sizeof scientific, v < 0 ? -v : v, std::chars_format::scientific);
    *expected.ptr = 0;
    decimal a = read(is + (bits >> 31), is + n), b = read(scientific + (*scientific == '-'), expected.ptr);
    if (a.size != b.size || memcmp(a.digits, b.digits, a.size) || (a.size && a.exponent != b.exponent))
        fail(bits, is, n, std::string("while std::to_chars has ").append(scientific, expected.ptr).c_str());
    if (!a.size && (n != (bits ? 4u : 1u))) fail(bits, is, n, "which is no zero of ours");
}

} // namespace

int main() {
    static float values[BLOCK];
    static char texts[BLOCK * (NUMBER_F32_MAX + 1)], others[BLOCK * (NUMBER_F32_MAX + 1)];
    for (uint64_t from = 0; from < UINT64_C(1) << 32; from += BLOCK) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            // Neighbors in memory are far from each other, so that all lanes differ.
            uint32_t bits = (uint32_t)(from + i) * UINT32_C(2654435761);
            memcpy(values + i, &bits, sizeof bits);
        }
        const char *differs, *p = texts, *end = texts + print_with_all(values, BLOCK, texts, others, &differs);
        if (differs) {
            printf("%s prints others among the numbers from %08x on\n", differs, (uint32_t)from);
            return EXIT_FAILURE;
        }
        for (uint32_t i = 0; i < BLOCK; i++) {
            const char *comma = (const char *)memchr(p, ',', (size_t)(end - p));
            if (!comma) fail((uint32_t)(from + i), p, (size_t)(end - p), "and then nothing follows");
            uint32_t bits;
            memcpy(&bits, values + i, sizeof bits);
            check(bits, p, (size_t)(comma - p));
            p = comma + 1;
        }
        if (p != end) fail((uint32_t)from, p, (size_t)(end - p), "where nothing should be");
        if (from % (UINT64_C(1) << 28) == 0) fprintf(stderr, "%d of 16\n", (int)(from >> 28));
    }
    puts("every float32 is written with the fewest digits, the closest ones, and reads back");
}
