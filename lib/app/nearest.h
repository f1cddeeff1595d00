/* nearest.h - "did you mean": finds the name that a misspelled word is nearest to.
 *
 *     nearest near = nearest_to("tarin");
 *     nearest_try(&near, "train"); // and all other names
 *     if (near.name[0]) printf("did you mean %s?\n", near.name);
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_APP_NEAREST_H
#define RA_APP_NEAREST_H

#include <stddef.h>

typedef struct nearest {
    const char *word;
    size_t distance;
    char name[48]; /* "" when none is near */
} nearest;

nearest nearest_to(const char *word);
void nearest_try(nearest *near, const char *name);

#endif
