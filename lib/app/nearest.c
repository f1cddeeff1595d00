#include "app/nearest.h"

#include <stdio.h>
#include <string.h>

enum { FARTHEST = 2 }; /* beyond that it is guessing */

/* The number of letters that have to be inserted, deleted or changed to turn one name into the other. */
static size_t edit_distance(const char *a, const char *b, size_t columns) {
    size_t row[sizeof((nearest *)0)->name];
    for (size_t j = 0; j <= columns; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < columns; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t step = 1 + (row[j] < row[j + 1] ? row[j] : row[j + 1]);
            diagonal = row[j + 1];
            row[j + 1] = change < step ? change : step;
        }
    }
    return row[columns];
}

nearest nearest_to(const char *word) {
    return (nearest){.word = word, .distance = FARTHEST + 1};
}

void nearest_try(nearest *near, const char *name) {
    size_t length = strlen(name);
    if (length >= sizeof near->name) return;
    size_t distance = edit_distance(near->word, name, length);
    if (distance >= near->distance || distance >= length) return;
    near->distance = distance;
    snprintf(near->name, sizeof near->name, "%s", name);
}
