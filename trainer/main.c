/* rasae - trains Relaxed Archetypal SAE dictionaries and works with them offline. This file is the table of
 * commands; each has its own file. */
#include "app/nearest.h"
#include "app/start.h"
#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static const command *const commands[] = {
    &command_train,   &command_fuse,      &command_encode,   &command_reconstruct,
    &command_inspect, &command_trace,     &command_eval,     &command_compare,
    &command_layout,  &command_consensus, &command_contrast, &command_label,
    &command_import,  &command_export,    &command_serve,    &command_explore};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const command *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int print_help(void) {
    printf("rasae %s - Relaxed Archetypal SAE dictionaries: train, fuse, measure, look inside\n\n"
           "Usage: rasae COMMAND ...\n\n"
           "Commands:\n",
           RA_VERSION);
    for (size_t i = 0; i < COMMAND_COUNT; i++) printf("  %-13s%s\n", commands[i]->name, commands[i]->summary);
    printf("\n  rasae COMMAND --help  explains a command, its flags and their defaults\n"
           "  rasae --version       prints the version\n"
           "\n"
           "Files: activations are .npy, .npz, .pt or .safetensors, [rows, d], in f32, f16, bf16 or f64; "
           "models are\n"
           ".safetensors, or what torch.save wrote. Exit status: 0 good, 1 failed, 2 wrong usage, 130 or 143 "
           "stopped by Ctrl-C or "
           "SIGTERM.\n"
           "\n"
           "Example:\n"
           "  rasae train acts.npy -o words.safetensors --concepts 1000 --top-k 32\n"
           "  rasae eval words.safetensors acts.npy\n"
           "  rasae fuse words.safetensors -o words.fused.safetensors --dtype f16\n");
    return EXIT_GOOD;
}

static int start(const char *name, int argc, char **argv) {
    const command_line line = {.program = "rasae"};
    const command *what = find_command(name);
    if (what) return what->start ? what->start(argc, argv) : command_start(what, argc, argv);
    nearest near = nearest_to(name);
    for (size_t i = 0; i < COMMAND_COUNT; i++) nearest_try(&near, commands[i]->name);
    if (near.name[0])
        return command_line_wrong(&line, "there is no command \"%s\" (did you mean %s?)", name, near.name);
    return command_line_wrong(&line, "there is no command \"%s\"", name);
}

static bool is_one_of(const char *word, const char *first, const char *second) {
    return strcmp(word, first) == 0 || strcmp(word, second) == 0;
}

static int run(int argc, char **argv) {
    static char help[] = "--help";
    if (argc < 2) return command_line_wrong(&(command_line){.program = "rasae"}, "a command is missing");
    if (is_one_of(argv[1], "--help", "-h")) return print_help();
    if (is_one_of(argv[1], "--version", "-V")) {
        print_version("rasae");
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "help") != 0) return start(argv[1], argc - 1, argv + 1);
    if (argc == 2) return print_help();
    char *words[] = {argv[2], help, NULL}; /* `rasae help train` is `rasae train --help` */
    return start(argv[2], 2, words);
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    ra_log_set_sink(command_log, NULL);
    ra_mapping_guard();
    ra_atomic_file_require(ra_mapping_check_all);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is then an error like a full disk, which cleans up */
    int code = run(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_GOOD) {
        fprintf(stderr, "rasae: cannot write to the standard output: %s\n", strerror(errno));
        code = EXIT_FAILED;
    }
    start_end(code);
}
