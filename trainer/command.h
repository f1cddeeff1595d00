/* command.h - what a command of `rasae` is, and what all of them share.
 *
 * To add a command:
 *   1. write trainer/NAME.c with a function `int command_NAME(int argc, char **argv)`; argv[0] is the name;
 *   2. declare it below;
 *   3. add its row to the table in main.c.
 * Its flags are a table (options.h), its errors one sentence through command_end().
 *
 * Thread safety: the program has one thread of its own; the library's threads never call back into it.
 */
#ifndef RASAE_COMMAND_H
#define RASAE_COMMAND_H

#include "ra.h"

/* Exit codes; part of the program's interface. */
enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_train(int argc, char **argv);
int command_fuse(int argc, char **argv);
int command_encode(int argc, char **argv);
int command_reconstruct(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_layout(int argc, char **argv);

/* The exit code of a command, its failure printed as one line on stderr. */
int command_end(ra_status status, const ra_error *err);

/* The program's log sink: warnings and errors are worth a line on stderr anywhere, news is not. */
void command_log(void *context, ra_log_level level, const char *line);

/* ---- interruption ------------------------------------------------------------------------------------ */

/* From here on the first Ctrl-C (or SIGTERM) only makes command_interrupted() true, so that a command can
 * leave cleanly; the second one ends the program at once. */
void command_catch_interrupts(void);
bool command_interrupted(void);

/* RA_ERR_CANCELED with "interrupted; nothing was written" when it is time to leave. */
ra_status command_check_interrupted(ra_error *err);

/* ---- the model that most commands take --------------------------------------------------------------- */

/* Flags common to the commands that open models: model_options (a table of options.h) fills the first two,
 * the library's table the settings that a checkpoint may lack. */
typedef struct model_choice {
    size_t threads;     /* 0: one a core */
    const char *device; /* NULL: auto */
    ra_sae_settings settings;
} model_choice;

ra_status model_choice_backend(const model_choice *choice, ra_backend **backend, ra_error *err);

/* The same, or the CPU beside it where it is a device: for what measures dictionaries. */
ra_status model_choice_host_backend(const model_choice *choice, ra_backend **backend, ra_error *err);

/* Opens the model with these settings on a backend that it keeps. archetypes 0: the default. */
ra_status model_choice_open(const model_choice *choice, const char *path, size_t archetypes, ra_model **model,
                            ra_error *err);

#endif
