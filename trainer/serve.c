/* rasae serve: the daemon with these files, on this machine, to look at them in a browser. */
#include "commands.h"
#include "common/serving.h"

#include <limits.h>
#include <unistd.h>

static struct serve_flags {
    uint64_t known;
    const char *listen, *media, *media_url, *item_shape, *data;
    model_choice model;
} flags;

#define AT(member) offsetof(struct serve_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"listen", RA_SETTING_TEXT, AT(listen), .argument = "HOST:PORT",
        .help = "where to listen (port 7777 of this machine, or a free one)"},
    {"media", RA_SETTING_TEXT, AT(media), .argument = "DIR",
        .help = "a folder with the pictures and sounds of the rows, under their labels"},
    {"media_url", RA_SETTING_TEXT, AT(media_url), .argument = "TEMPLATE",
        .help = "their address, with {label}, {path}, {row} or {item} in it"},
    {"item_shape", RA_SETTING_TEXT, AT(item_shape), .argument = "[SKIP+]HxW",
        .help = "rows are parts of items, HxW patches or N tokens, where the file does not say"},
    {"data", RA_SETTING_TEXT, AT(data), .argument = "FILE",
        .help = "activations whose rows the page can explain, as numpy.save or safetensors have them"},
};
/* clang-format on */

static ra_status check_files(char **files, int count, ra_error *err) {
    for (int i = 0; i < count; i++)
        if (access(files[i], R_OK) != 0)
            RA_FAIL(err, RA_ERR_NOT_FOUND,
                    "%s cannot be opened: there is no such file, or it may not be read", files[i]);
    return RA_OK;
}

static ra_status serve(int argc, char **argv, ra_error *err) {
    const serving_options options = {.listen = flags.listen,
                                     .media = flags.media,
                                     .media_url = flags.media_url,
                                     .item_shape = flags.item_shape,
                                     .data = &flags.data,
                                     .data_count = flags.data != NULL};
    RA_TRY(check_files(argv, argc, err));
    return serve_files((const char *const *)argv, (size_t)argc, &options, err);
}

const command command_serve = {
    .name = "serve",
    .summary = "show dictionaries in a browser",
    .usage = "FILE... [--listen HOST:PORT]",
    .about = "Starts rasaed with these files: artifacts, checkpoints, or what other programs wrote. It\n"
             "prints its address; open that in a browser. A file is served under its name up to the first\n"
             "dot. Ctrl-C stops it. For a service, with keys and limits, call rasaed yourself.\n",
    .example = "  rasae serve words.safetensors digits.safetensors\n",
    .min_arguments = 1,
    .max_arguments = INT_MAX,
    .arguments = "at least one FILE",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = serve,
};
