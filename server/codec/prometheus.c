#include "codec/prometheus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void prometheus_family(text *out, const char *name, const char *type, const char *help) {
    text_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Whole numbers as they are, others with the fewest digits that read back exactly. */
static void put_double(text *out, double value) {
    char digits[32];
    if (value == floor(value) && fabs(value) < 9e15) {
        text_format(out, "%.0f", value);
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    text_string(out, digits);
}

static void put_label_value(text *out, const char *value) {
    for (const char *c = value; *c; c++) {
        if (*c == '\n')
            text_string(out, "\\n");
        else if (*c == '"' || *c == '\\')
            text_append(out, (const char[]){'\\', *c}, 2);
        else
            text_append(out, c, 1);
    }
}

/* bound: the last label `le` of a bucket; NULL for none. */
static void put_labels(text *out, const char *const *labels, const char *bound) {
    bool any = labels && *labels;
    if (!any && !bound) return;
    const char *before = "{";
    for (; any && *labels; labels += 2, before = ",") {
        text_format(out, "%s%s=\"", before, labels[0]);
        put_label_value(out, labels[1]);
        text_string(out, "\"");
    }
    if (bound) text_format(out, "%sle=\"%s\"", before, bound);
    text_string(out, "}");
}

static void put_sample(text *out, const char *name, const char *suffix, const char *const *labels,
                       const char *bound, double value) {
    text_string(out, name);
    text_string(out, suffix);
    put_labels(out, labels, bound);
    text_string(out, " ");
    put_double(out, value);
    text_string(out, "\n");
}

void prometheus_value(text *out, const char *name, const char *const *labels, double value) {
    put_sample(out, name, "", labels, NULL, value);
}

void prometheus_histogram(text *out, const char *name, const char *const *labels, const uint64_t *bounds,
                          const uint64_t *counts, size_t size, uint64_t sum, double unit) {
    uint64_t so_far = 0;
    char bound[32];
    for (size_t i = 0; i < size; i++) {
        so_far += counts[i];
        snprintf(bound, sizeof bound, "%.10g", (double)bounds[i] * unit);
        put_sample(out, name, "_bucket", labels, bound, (double)so_far);
    }
    so_far += counts[size];
    put_sample(out, name, "_bucket", labels, "+Inf", (double)so_far);
    put_sample(out, name, "_sum", labels, NULL, (double)sum * unit);
    put_sample(out, name, "_count", labels, NULL, (double)so_far);
}
