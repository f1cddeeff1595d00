#include "app/format.h"

#include <ctype.h>

/* Three significant digits and a unit: 5.68 MB, 56.8 MB, 568 MB. Below the first unit, whole numbers. */
static short_text scaled(double n, const char *const *units, size_t count) {
    short_text out;
    size_t unit = 0;
    while (n >= 999.5 && unit + 1 < count) {
        n /= 1000;
        unit++;
    }
    int digits = n >= 99.95 || unit == 0 ? 0 : n >= 9.995 ? 1 : 2;
    snprintf(out.text, sizeof out.text, "%.*f%s", digits, n, units[unit]);
    return out;
}

short_text format_bytes(uint64_t bytes) {
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB", " PB", " EB"};
    return scaled((double)bytes, units, sizeof units / sizeof *units);
}

short_text format_quantity(double n) {
    static const char *const units[] = {"", "k", "M", "G", "T"};
    return scaled(n, units, sizeof units / sizeof *units);
}

short_text format_seconds(double seconds) {
    short_text out;
    if (!(seconds >= 0) || seconds > 359999) seconds = 359999; /* 99:59:59 is "very long" */
    unsigned whole = (unsigned)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(out.text, sizeof out.text, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(out.text, sizeof out.text, "%u:%02u", whole / 60, whole % 60);
    return out;
}

short_text format_grouped(uint64_t n) {
    short_text out;
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    if (n >= 1000000000000000) { /* with commas it would not fit */
        snprintf(out.text, sizeof out.text, "%s", digits);
        return out;
    }
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) out.text[at++] = ',';
        out.text[at++] = digits[i];
    }
    out.text[at] = '\0';
    return out;
}

short_text format_dtype(ra_dtype dtype) {
    short_text out = {""};
    const char *name = ra_dtype_name(dtype);
    for (size_t i = 0; name[i] && i + 1 < sizeof out.text; i++)
        out.text[i] = (char)tolower((unsigned char)name[i]);
    return out;
}

void print_clean(FILE *file, const char *text) {
    for (; *text; text++) putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, file);
}
