/* walk.h - the settings of all groups one after another; private to settings/.
 *
 * Parsing, help and the configuration file stand on this walk. Walking anew for each word costs nothing and needs
 * no index.
 */
#ifndef RA_APP_SETTINGS_WALK_H
#define RA_APP_SETTINGS_WALK_H

#include "app/settings.h"

typedef struct setting_place {
    const settings_group *group;
    size_t group_number, i; /* of the row in the group's table */
    const ra_setting *row;
} setting_place;

/* The n-th setting; false past the last. */
bool setting_at(const command_line *line, size_t n, setting_place *place);

/* Its name in the configuration file, in capitals in the environment: the flag with underscores,
 * "dictionary_kind"; for a bool with a "no-" flag its key, "use_multiplier". */
ra_setting_name setting_file_name(const ra_setting *row);

/* "no-shuffle" -> "shuffle"; other names stay as they are. */
const char *setting_without_no(const char *flag);

/* Whether a word is among words with spaces between them; NULL: there are none. */
bool setting_is_among(const char *words, const char *word);

static inline void *setting_value(const setting_place *place) {
    return (char *)place->group->values + place->row->offset;
}

/* One source of values: what was known before it was looked at, and what it has given itself. */
typedef struct settings_source {
    uint64_t before[SETTINGS_GROUPS], given[SETTINGS_GROUPS];
} settings_source;

settings_source settings_source_begin(const command_line *line);

/* Sets the value, or adds to the list; only checks the text if a stronger source has set it. `where` starts
 * the error message: "--listen". */
ra_status setting_set(settings_source *source, const setting_place *place, const char *words,
                      const char *where, ra_error *err);

#endif
