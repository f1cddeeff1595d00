/* --help and --print-config: the same table, told to a person and written as a file. */
#include "settings/table.h"

#include <string.h>

/* ---- help ---------------------------------------------------------------------------------------------- */

static void help_line(FILE *out, size_t i, const char *argument, const char *help, const char *standard) {
    char flag[64], left[96];
    snprintf(left, sizeof left, "--%s%s%s", setting_flag(i, flag, sizeof flag), argument ? " " : "",
             argument ? argument : "");
    if (strlen(left) > 26)
        fprintf(out, "  %s\n  %-26s %s", left, "", help);
    else
        fprintf(out, "  %-26s %s", left, help);
    if (standard) fprintf(out, " (%s)", standard);
    fputc('\n', out);
}

void settings_help(FILE *out) {
    const ra_settings_table *library = ra_sae_settings_table();
    const setting_row *row;
    size_t i = 0;
    fputs("Usage: rasaed --dictionary NAME=FILE [--dictionary NAME=FILE ...] [settings]\n"
          "Serves dictionaries of Relaxed Archetypal SAEs over HTTP.\n\n",
          out);
    for (; (row = setting_get(i)); i++) help_line(out, i, row->argument, row->help, row->standard);
    fputs("  --check-config             looks at all settings and the files they name, prints OK or what is\n"
          "                             wrong, and ends\n"
          "  --print-config             prints a complete file for --config with the values in force, and "
          "ends\n"
          "  --probe URL                asks a running server, as health checks do (/health/ready when URL "
          "has\n"
          "                             no path); the exit status is 0 when it answers 200, else 1\n"
          "  --help                     prints this\n"
          "  --version                  prints the version\n\n"
          "For files that lack them (a file's own settings are never changed):\n",
          out);
    for (size_t n = 0; n < library->count; n++)
        help_line(out, i + n, library->rows[n].argument, library->rows[n].help, NULL);
    fputs(
        "\nA setting can also stand in the environment (RASAED_MAX_BODY for --max-body; the values of a\n"
        "list with ';' between them) and in the file of --config (max_body = 1048576). A flag wins over the\n"
        "environment, the environment over the file.\n\n"
        "SIGHUP reloads all dictionaries and the key file; SIGTERM and SIGINT let the running requests\n"
        "finish, then stop. A socket that a service manager hands over (LISTEN_FDS) takes the place of "
        "--listen.\n"
        " Exit status: 0 stopped as asked, 1 failed, 2 wrong usage.\n",
        out);
}

/* ---- a sample file ------------------------------------------------------------------------------------- */

static void print_setting(const settings *chosen, size_t i, FILE *out) {
    const setting_row *row = setting_get(i);
    const ra_setting *of_library =
        row ? NULL : &ra_sae_settings_table()->rows[i - setting_count() + ra_sae_settings_table()->count];
    bool is_switch = row ? row->kind == SETTING_SWITCH : of_library->type == RA_SETTING_BOOL;
    const char *argument = row ? row->argument : of_library->argument;
    size_t count = setting_values(chosen, i);
    /* --no-multiplier says what it does; the key is about the opposite. */
    bool denied = of_library && strncmp(of_library->flag, "no-", 3) == 0;
    fprintf(out, "\n# %s%s", denied ? "false: " : "", row ? row->help : of_library->help);
    if (row && row->standard) fprintf(out, " (%s)", row->standard);
    fputc('\n', out);
    for (size_t n = 0; n < count; n++) {
        fprintf(out, "%s = ", setting_key(i));
        setting_print(chosen, i, n, out);
        fputc('\n', out);
    }
    if (!count) fprintf(out, "# %s = %s\n", setting_key(i), is_switch ? "true or false" : argument);
}

void settings_print(const settings *chosen, FILE *out) {
    fputs(
        "# Settings of rasaed, for --config. One \"key = value\" a line; a list has a line for each value.\n"
        "# A line that begins with # is a comment, here also where a setting has no value.\n",
        out);
    for (size_t i = 0; i < setting_count(); i++)
        if (strcmp(setting_key(i), "config") != 0) print_setting(chosen, i, out);
}
