/* rasae - trains Relaxed Archetypal SAE dictionaries and works with them offline. This file is the table of
 * commands; each has its own file. How to add one: command.h. */
#include "command.h"
#include "app/start.h"
#include "options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command_row {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} command_row;

static const command_row commands[] = {
    {"train", command_train, "train a dictionary on a file of activations"},
    {"fuse", command_fuse, "make the artifact that is served from a checkpoint"},
    {"encode", command_encode, "activations to sparse codes"},
    {"reconstruct", command_reconstruct, "codes back to activations"},
    {"inspect", command_inspect, "what is in a file"},
    {"eval", command_eval, "how well a model explains activations"},
    {"compare", command_compare, "how alike dictionaries are"},
    {"layout", command_layout, "a place on a map for each atom"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const char *command_name(const void *context, size_t i) {
    (void)context;
    return i < COMMAND_COUNT ? commands[i].name : NULL;
}

static const command_row *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static int print_help(void) {
    printf("rasae %s - Relaxed Archetypal SAE dictionaries: train, fuse, look inside\n\n"
           "Usage: rasae COMMAND ...\n\n"
           "Commands:\n",
           RA_VERSION);
    for (size_t i = 0; i < COMMAND_COUNT; i++) printf("  %-13s%s\n", commands[i].name, commands[i].summary);
    printf("\n  rasae COMMAND --help  explains a command, its flags and their defaults\n"
           "  rasae --version       prints the version\n"
           "\n"
           "Files: activations are .npy or .safetensors, [rows, d], in f32, f16 or bf16; models are\n"
           ".safetensors. Exit code: 0 good, 1 failed, 2 wrong usage.\n"
           "\n"
           "Example:\n"
           "  rasae train acts.npy -o words.safetensors --concepts 1000 --top-k 32\n"
           "  rasae eval words.safetensors acts.npy\n"
           "  rasae fuse words.safetensors -o words.fused.safetensors --dtype f16\n");
    return EXIT_GOOD;
}

static int print_version(void) {
    printf("rasae %s\n", RA_VERSION);
    return EXIT_GOOD;
}

static int no_such_command(const char *name) {
    const char *near = nearest_name(name, COMMAND_COUNT, command_name, NULL);
    if (near) return usage_error("", "there is no command \"%s\" (did you mean %s?)", name, near);
    return usage_error("", "there is no command \"%s\"", name);
}

static bool is_one_of(const char *word, const char *first, const char *second) {
    return strcmp(word, first) == 0 || strcmp(word, second) == 0;
}

static int run(int argc, char **argv) {
    if (argc < 2) return usage_error("", "a command is missing");
    char *first = argv[1];
    if (is_one_of(first, "--help", "-h")) return print_help();
    if (is_one_of(first, "--version", "-V")) return print_version();
    if (strcmp(first, "help") == 0 && argc == 2) return print_help();
    if (strcmp(first, "help") == 0) { /* `rasae help train` is `rasae train --help` */
        const command_row *asked = find_command(argv[2]);
        static char flag[] = "--help";
        char *words[] = {argv[2], flag, NULL};
        return asked ? asked->run(2, words) : no_such_command(argv[2]);
    }
    const command_row *command = find_command(first);
    return command ? command->run(argc - 1, argv + 1) : no_such_command(first);
}

int main(int argc, char **argv) {
    start_with_vector_units(argv);
    ra_log_set_sink(command_log, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is then an error like a full disk, which cleans up */
    int code = run(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_GOOD) {
        fprintf(stderr, "rasae: cannot write to the standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return code;
}
