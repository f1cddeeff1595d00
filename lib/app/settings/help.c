/* --help. deploy/man and deploy/completions read it: a flag begins a line, and continuation lines are
 * indented further. */
#include "app/settings/walk.h"

#include <string.h>

enum { COLUMN = 32, WIDTH = 110 };

/* The words from COLUMN to WIDTH, on as many lines as they take. */
static void print_wrapped(const char *words, FILE *out) {
    for (size_t length; *words; words += length) {
        while (*words == ' ') words++;
        length = strlen(words);
        if (length > WIDTH - COLUMN)
            for (length = WIDTH - COLUMN; length > 1 && words[length] != ' ';) length--;
        fprintf(out, "%.*s\n", (int)length, words);
        if (words[length]) fprintf(out, "%*s", COLUMN, "");
    }
}

/* The default, "(0.9)". The flag of a bool needs none. */
static void add_default(const setting_place *place, char *words, size_t size) {
    const ra_setting *row = place->row;
    const void *defaults = place->group->defaults;
    char value[64];
    const char *by_default = row->fallback;
    if (defaults) by_default = NULL;
    if (defaults && ra_setting_known(defaults, place->i))
        by_default = ra_setting_print(place->group->table, place->i, defaults, value, sizeof value);
    size_t used = strlen(words);
    if (by_default && row->type != RA_SETTING_BOOL) snprintf(words + used, size - used, " (%s)", by_default);
}

static void print_flag(const setting_place *place, FILE *out) {
    const ra_setting *row = place->row;
    ra_setting_name flag = ra_setting_flag(row);
    bool takes = row->type != RA_SETTING_BOOL;
    char words[512], left[128], letter[8] = "    ";
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, flag.text, takes ? " " : "",
             takes ? row->argument : "");
    char names[256];
    snprintf(words, sizeof words, "%s", ra_setting_help(row, names, sizeof names));
    add_default(place, words, sizeof words);
    if (strlen(left) < COLUMN)
        fprintf(out, "%-*s", COLUMN, left);
    else
        fprintf(out, "%s\n%*s", left, COLUMN, "");
    print_wrapped(words, out);
}

void settings_print_help(const command_line *line, FILE *out) {
    const settings_group *group = NULL;
    setting_place place;
    fprintf(out, "Usage: %s %s\n\n%s", line->program, line->usage, line->about);
    for (size_t n = 0; setting_at(line, n, &place); n++) {
        if (place.group != group && place.group->title) fprintf(out, "\n%s:\n", place.group->title);
        group = place.group;
        print_flag(&place, out);
    }
    fprintf(out, "%-*s%s\n\n%s", COLUMN, "      --help", "print this text", line->below);
}
