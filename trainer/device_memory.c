#include "device_memory.h"
#include "app/format.h"

#include <stdio.h>

static const struct memory_row {
    const char *name, *text;
    size_t offset; /* in ra_model_memory */
} rows[] = {
    {"dictionary", "dictionary", offsetof(ra_model_memory, dictionary)},
    {"encoder", "encoder", offsetof(ra_model_memory, encoder)},
    {"thresholds", "thresholds", offsetof(ra_model_memory, thresholds)},
    {"search", "norms for searching", offsetof(ra_model_memory, search)},
    {"scratch", "scratch of a thread, at most", offsetof(ra_model_memory, scratch)},
    {"total", "in all", offsetof(ra_model_memory, total)},
};

enum { ROWS = sizeof rows / sizeof *rows };

static size_t bytes_of(const ra_model_memory *memory, const struct memory_row *row) {
    return *(const size_t *)(const void *)((const char *)memory + row->offset);
}

void print_device_memory(const ra_model *model, size_t threads) {
    if (threads == 0) threads = 1;
    ra_model_memory memory = ra_model_device_memory(model, threads);
    printf("\nMemory of a device, with %zu thread%s\n", threads, threads == 1 ? "" : "s");
    for (size_t i = 0; i < ROWS; i++)
        printf("  %-30s %9s\n", rows[i].text, format_bytes(bytes_of(&memory, &rows[i])).text);
}

void json_device_memory(text *json, const ra_model *model, size_t threads) {
    if (threads == 0) threads = 1;
    ra_model_memory memory = ra_model_device_memory(model, threads);
    json_object(json, "device_memory");
    json_count(json, "threads", threads);
    for (size_t i = 0; i < ROWS; i++) json_count(json, rows[i].name, bytes_of(&memory, &rows[i]));
    json_object_end(json);
}
