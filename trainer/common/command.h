/* command.h - what a command of `rasae` is, and what the commands share.
 *
 * Thread safety: the program has one thread of its own; the library's threads never call back into it.
 */
#ifndef RASAE_COMMON_COMMAND_H
#define RASAE_COMMON_COMMAND_H

#include "app/settings.h"
#include "ra.h"

/* Exit codes; part of the program's interface, with command_interrupted_code(). */
enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* The flags of commands that open models: --threads, --device and the settings that a checkpoint may lack. */
typedef struct model_choice {
    uint64_t known;
    size_t threads; /* 0: one per core */
    const char *device;
    bool tf32;
    size_t process; /* of those that train together on this machine (ra_backend_options) */
    ra_sae_settings settings;
} model_choice;

/* How to add one: trainer/README.md. */
typedef struct command {
    const char *name, *summary;          /* its line in `rasae --help` */
    const char *usage, *about, *example; /* as in command_line (app/settings.h); example: indented lines */
    int min_arguments, max_arguments;
    const char *arguments;
    bool keeps_separator; /* as in command_line */
    ra_settings_table flags;
    void *values;        /* of the flags: a struct that starts with `known` */
    model_choice *model; /* for --threads, --device and the settings of a model */
    const char *device;  /* its default; NULL: auto */
    ra_status (*run)(int argc, char **argv, ra_error *err); /* argv: the arguments that are not flags */
    int (*start)(int argc, char **argv); /* called instead of command_start(), with all of argv; NULL: none */
} command;

/* Reads the flags, runs the command, and prints its error. argv[0] is the name. Returns the exit code. */
int command_start(const command *what, int argc, char **argv);

/* Returns the exit code of a command; prints its error as one line on stderr. A file that changed while it was read
 * is an error of every command. */
int command_end(ra_status status, const ra_error *err);

/* Ends what a command prints for people: "next: " and the command line that usually follows. */
void command_next(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The rows of --threads and --device in a model_choice. */
const ra_settings_table *model_choice_table(void);

/* ---- interruption ------------------------------------------------------------------------------------ */

/* From here on the first Ctrl-C (or SIGTERM) only makes command_interrupted() true, so that a command can
 * finish a write and leave cleanly; the second one ends the program at once. */
void command_catch_interrupts(void);
bool command_interrupted(void);

/* The exit code of a command that was interrupted, as shells have it: 130 for Ctrl-C, 143 for SIGTERM. So a chain
 * of commands (train && fuse) stops. */
int command_interrupted_code(void);

/* RA_ERR_CANCELED with "interrupted; nothing was written" when it is time to leave. */
ra_status command_check_interrupted(ra_error *err);

/* ---- files that change ------------------------------------------------------------------------------- */

/* RA_ERR_CHANGED when a file that is mapped has changed. For loops: looks once per second. What is written is checked
 * anyway (ra_atomic_file_require()); this ends work that is in vain. */
ra_status command_check_files(ra_error *err);

/* ---- models and their data --------------------------------------------------------------------------- */

ra_status model_choice_backend(const model_choice *choice, ra_backend **backend, ra_error *err);

/* The same, or the CPU if it is a device: for computations on dictionaries. */
ra_status model_choice_host_backend(const model_choice *choice, ra_backend **backend, ra_error *err);

/* Opens the model with these settings on a backend that it keeps. archetypes 0: the default. */
ra_status model_choice_open(const model_choice *choice, const char *path, size_t archetypes, ra_model **model,
                            ra_error *err);

/* --layout of the commands that read activations; the member is an int, a ra_layout_of_data. */
extern const char *const data_layout_names[];
#define DATA_LAYOUT_ROW(member)                                                                              \
    {                                                                                                        \
        "layout", RA_SETTING_NAME, member, .names = data_layout_names, .fallback = "auto",                   \
                                           .argument = "KIND",                                               \
                                           .help = "sizes of the data: nchw [n, d, h, w], nhwc [n, h, w, "   \
                                                   "d], rows (d is last), or by their number"                \
    }

/* The rows of commands that write artifacts; each member belongs to the command's struct, dtype is an int. */
extern const char *const model_dtype_names[]; /* f32, f16, bf16, by ra_dtype */
#define MODEL_DTYPE_ROW(member)                                                                              \
    {                                                                                                        \
        "dtype", RA_SETTING_NAME, member, .names = model_dtype_names, .fallback = "f32", .argument = "TYPE", \
                                          .help = "type of the dictionary: f32, f16 or bf16"                 \
    }
#define MODEL_ARCHETYPES_ROW(member)                                                                         \
    {                                                                                                        \
        "archetypes", RA_SETTING_COUNT, member, .min = 1, .max = 65536, .argument = "T",                     \
                                                .help = "points kept for each atom of a dense W, largest "   \
                                                        "weights first (16); mixtures keep all of theirs"    \
    }
#define MODEL_NETWORK_ROW(member)                                                                            \
    {                                                                                                        \
        "model", RA_SETTING_TEXT, member, .argument = "NAME",                                                \
                                          .help = "the network that the activations are from, like "         \
                                                  "gpt2-small"                                               \
    }
#define MODEL_HOOK_ROW(member)                                                                               \
    {                                                                                                        \
        "hook", RA_SETTING_TEXT, member, .argument = "NAME",                                                 \
                                         .help = "where in it they were taken, like "                        \
                                                 "blocks.6.hook_resid_post"                                  \
    }

/* Of fuse and explore. */
#define MODEL_SHAPE_ROW(member)                                                                              \
    {                                                                                                        \
        "shape", RA_SETTING_TEXT, member, .argument = "HxW[x3]",                                             \
                                          .help = "rows are images of this height, width and colors, like "  \
                                                  "8x8"                                                      \
    }

/* Opens data; fails if it has not as many dimensions as the model. */
ra_status open_data_of(const ra_model *model, const char *const *paths, size_t count,
                       const ra_data_options *options, ra_data **data, ra_error *err);

/* D in float32. */
ra_status copy_dictionary(const ra_model *model, ra_matrix *D, ra_error *err);

/* The log sink of the program: prints warnings and errors on stderr, drops the rest. */
void command_log(void *context, ra_log_level level, const char *line);

#endif
