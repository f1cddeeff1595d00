/* rasae explore: from a checkpoint and its data to a page in the browser: fuse, eval --save, layout, serve.
 *
 * Each step is the command of that name, as a process of its own: it prints its own progress and errors, and its memory is
 * gone when it ends. What they write is kept, so that `rasae serve` shows it again at once. */
#include "commands.h"
#include "common/files.h"
#include "common/serving.h"
#include "ra_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static struct explore_flags {
    uint64_t known;
    const char *output, *labels, *tensor, *shape, *item_shape, *tokens, *listen, *media, *media_url;
    size_t items;
    int layout;
    bool serve;
    model_choice model;
} flags;

#define AT(member) offsetof(struct explore_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .argument = "FILE",
        .help = "the artifact that is made (CHECKPOINT's name with .explore.safetensors)"},
    {"labels", RA_SETTING_TEXT, AT(labels), .argument = "FILE", .help = "one label per data row"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of DATA, when it holds several"},
    DATA_LAYOUT_ROW(AT(layout)),
    MODEL_SHAPE_ROW(AT(shape)),
    {"item_shape", RA_SETTING_TEXT, AT(item_shape), .argument = "[SKIP+]HxW",
        .help = "rows are parts of items: HxW patches or N tokens, after SKIP class and register tokens"},
    {"tokens", RA_SETTING_TEXT, AT(tokens), .argument = "FILE",
        .help = "the tokens of texts, one JSON array of strings per item"},
    {"items", RA_SETTING_COUNT, AT(items), .max = 1024, .fallback = "4", .argument = "I",
        .help = "items whose codes are kept for a latent; 0: none"},
    {"listen", RA_SETTING_TEXT, AT(listen), .argument = "HOST:PORT",
        .help = "where to listen (port 7777 of this machine, or a free one)"},
    {"media", RA_SETTING_TEXT, AT(media), .argument = "DIR",
        .help = "a folder with the pictures and sounds of the rows, under their labels"},
    {"media_url", RA_SETTING_TEXT, AT(media_url), .argument = "TEMPLATE",
        .help = "their address, with {label}, {path}, {row} or {item} in it"},
    {"serve", RA_SETTING_BOOL, AT(serve), .flag = "no-serve", .fallback = "true", .help = "make the artifact and end"},
};
/* clang-format on */

typedef struct words {
    const char **word; /* [size], NULL after the last */
    size_t size;
} words;

static void add(words *line, const char *word) {
    line->word[line->size++] = word;
    line->word[line->size] = NULL;
}

static void add_flag(words *line, const char *flag, const char *value) {
    if (!value) return;
    add(line, flag);
    add(line, value);
}

/* ---- a step -------------------------------------------------------------------------------------------- */

static ra_status wait_for(pid_t step, const char *name, ra_error *err) {
    const struct timespec pause = {.tv_nsec = 20000000};
    bool told = false;
    int state;
    pid_t ended;
    while ((ended = waitpid(step, &state, WNOHANG)) != step) {
        if (ended < 0 && errno != EINTR)
            RA_FAIL(err, RA_ERR_IO, "rasae %s was lost: %s", name, strerror(errno));
        if (command_interrupted() && !told) kill(step, SIGTERM); /* Ctrl-C has reached it already */
        told = command_interrupted();
        nanosleep(&pause, NULL);
    }
    if (command_interrupted()) RA_FAIL(err, RA_ERR_CANCELED, "interrupted in rasae %s", name);
    if (WIFSIGNALED(state)) RA_FAIL(err, RA_ERR_IO, "rasae %s was ended by signal %d", name, WTERMSIG(state));
    if (WEXITSTATUS(state)) RA_FAIL(err, RA_ERR_IO, "rasae %s failed, as it says above", name);
    return RA_OK;
}

/* Its progress and its errors are for the reader, what it prints is not. */
static ra_status run_step(const words *line, ra_error *err) {
    posix_spawn_file_actions_t actions;
    pid_t step;
    fprintf(stderr, "rasae %s\n", line->word[1]);
    if (posix_spawn_file_actions_init(&actions) != 0) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a process");
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawn(&step, "/proc/self/exe", &actions, NULL, (char *const *)line->word, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) RA_FAIL(err, RA_ERR_IO, "rasae %s cannot be started: %s", line->word[1], strerror(failed));
    return wait_for(step, line->word[1], err);
}

static ra_status run_steps(const char *checkpoint, char **data, size_t count, const char *output, words *line,
                           ra_error *err) {
    char items[32];
    snprintf(items, sizeof items, "%zu", flags.items);
    add(line, "rasae"), add(line, "fuse"), add(line, checkpoint);
    add_flag(line, "--output", output);
    add_flag(line, "--shape", flags.shape);
    RA_TRY(run_step(line, err));
    line->size = 0;
    add(line, "rasae"), add(line, "eval"), add(line, output);
    for (size_t i = 0; i < count; i++) add(line, data[i]);
    add_flag(line, "--save", output);
    add_flag(line, "--items", items);
    add_flag(line, "--labels", flags.labels);
    add_flag(line, "--tensor", flags.tensor);
    add_flag(line, "--item-shape", flags.item_shape);
    add_flag(line, "--tokens", flags.tokens);
    add_flag(line, "--layout", data_layout_names[flags.layout]);
    add(line, "--basic");
    RA_TRY(run_step(line, err));
    line->size = 0;
    add(line, "rasae"), add(line, "layout"), add(line, output);
    add_flag(line, "--output", output);
    return run_step(line, err);
}

/* ---- the command --------------------------------------------------------------------------------------- */

/* Whether the daemon can show rows of all these files: they hold one array each, with its numbers as they are. */
static bool shows_rows(char *const *data, size_t count) {
    bool shows = flags.tensor == NULL;
    for (size_t i = 0; i < count && shows; i++) {
        ra_array *array = NULL;
        size_t offset;
        shows = ra_array_open(data[i], NULL, &array, NULL) == RA_OK && ra_array_offset(array, &offset) &&
                ra_array_tensor(array)->rank <= 3;
        ra_array_free(array);
    }
    return shows;
}

/* words.checkpoint.safetensors -> words.explore.safetensors */
static ra_status choose_output(const char *checkpoint, char *output, size_t size, ra_error *err) {
    static const char *const ends[] = {".safetensors", ".pt", ".pth", ".npz", ".checkpoint", ".fused"};
    size_t length = strlen(checkpoint);
    while (length > 1 && checkpoint[length - 1] == '/') length--;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (length > end + 1 && memcmp(checkpoint + length - end, ends[i], end) == 0) length -= end;
    }
    if (snprintf(output, size, "%.*s.explore.safetensors", (int)length, checkpoint) >= (int)size)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is too long a name; name the artifact with -o", checkpoint);
    return RA_OK;
}

static ra_status explore(int argc, char **argv, ra_error *err) {
    enum { OTHER_WORDS = 24 };
    char chosen[PATH_MAX];
    const char *output = flags.output ? flags.output : chosen;
    size_t count = (size_t)argc - 1;
    RA_TRY(choose_output(argv[0], chosen, sizeof chosen, err));
    RA_TRY(check_output(output, OUTPUT_MODEL, (const char *const *)argv, (size_t)argc, err));
    words line = {.word = ra_malloc(count + OTHER_WORDS, sizeof *line.word)};
    if (!line.word) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the words of a command");
    command_catch_interrupts();
    ra_status status = run_steps(argv[0], argv + 1, count, output, &line, err);
    ra_free(line.word);
    RA_TRY(status);
    fprintf(stderr, "the artifact is kept in %s; `rasae serve %s` shows it again\n", output, output);
    if (!flags.serve) return RA_OK;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    const serving_options options = {.listen = flags.listen,
                                     .media = flags.media,
                                     .media_url = flags.media_url,
                                     .data = (const char *const *)argv + 1,
                                     .data_count = shows_rows(argv + 1, count) ? count : 0};
    return serve_files(&output, 1, &options, err);
}

const command command_explore = {
    .name = "explore",
    .summary = "fuse, measure, lay out and show a checkpoint in a browser",
    .usage = "CHECKPOINT DATA... [-o FILE] [--labels FILE] [--no-serve]",
    .about = "Does what rasae fuse, eval --save, layout and serve do, one after the other, and prints the\n"
             "address to open. DATA are the activations that the latents are measured on, as those of\n"
             "rasae eval. CHECKPOINT may be an artifact as well. The artifact that is made is kept.\n"
             "Ctrl-C stops it.\n",
    .example = "  rasae explore words.checkpoint.safetensors acts.npy --labels words.txt\n"
               "  rasae explore dinov2.safetensors patches.npy --item-shape 5+16x16 --labels images.txt \\\n"
               "      --media-url 'https://example.org/{label}.webp'\n",
    .min_arguments = 2,
    .max_arguments = INT_MAX,
    .arguments = "CHECKPOINT and DATA, at least one file",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = explore,
};
