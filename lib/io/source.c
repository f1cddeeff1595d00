/* A folder in place of a file, as hubs of models lay them out: weights, a config.json, a README. */
#include "ra_io.h"
#include "ra_memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What weights are called. */
static const char *const endings[] = {".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz"};

/* What stands beside them and ends in the same way. */
static const char *const others[] = {"sparsity.safetensors", "optimizer.pt",    "optimizer.bin",
                                     "scheduler.pt",         "lr_scheduler.pt", "rng_state.pth",
                                     "training_args.bin"};

static int is_weights(const struct dirent *item) {
    size_t length = strlen(item->d_name);
    if (item->d_name[0] == '.') return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(item->d_name, others[i]) == 0) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t tail = strlen(endings[i]);
        if (length > tail && strcmp(item->d_name + length - tail, endings[i]) == 0) return true;
    }
    return false;
}

static ra_status join(const char *folder, const char *name, char **file, ra_error *err) {
    size_t size = strlen(folder) + strlen(name) + 2;
    *file = ra_malloc(size, 1);
    if (!*file) RA_FAIL_MEMORY(err, "the name of a file", size);
    bool slash = folder[0] && folder[strlen(folder) - 1] == '/';
    snprintf(*file, size, "%s%s%s", folder, slash ? "" : "/", name);
    return RA_OK;
}

static int is_folder(const struct dirent *item) {
    return item->d_name[0] != '.';
}

/* The folders in a folder, "a, b, ...", as they are in a snapshot with several dictionaries. */
static void list_folders(const char *folder, char *names, size_t size) {
    struct dirent **list = NULL;
    int count = scandir(folder, &list, is_folder, alphasort);
    size_t used = 0;
    names[0] = '\0';
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct stat what;
        int length = snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        bool is =
            length > 0 && (size_t)length < sizeof path && stat(path, &what) == 0 && S_ISDIR(what.st_mode);
        if (is && used + strlen(list[i]->d_name) + 8 < size)
            used += (size_t)snprintf(names + used, size - used, "%s%s", used ? ", " : "", list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

static ra_status choose(const char *folder, struct dirent **list, int count, char **file, ra_error *err) {
    static const char inner[] = "checkpoints";
    char names[256] = "";
    size_t used = 0;
    if (count == 1) return join(folder, list[0]->d_name, file, err);
    if (count == 0) list_folders(folder, names, sizeof names);
    if (count == 0 && strcmp(names, inner) == 0) { /* as lm_saes lays them out */
        char *below = NULL;
        RA_TRY(join(folder, inner, &below, err));
        ra_status status = ra_source_find(below, file, err);
        ra_free(below);
        return status;
    }
    if (names[0])
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%s is a directory without weights; it has the folders %s: give the path of one", folder,
                names);
    if (count == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%s is a directory without weights; expected a file in it that ends with .safetensors, .pt, "
                ".pth, .bin, "
                ".ckpt",
                folder);
    for (int i = 0; i < count && used + strlen(list[i]->d_name) + 3 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", list[i]->d_name);
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "%s is a directory with several files of weights (%s%s); give the path of one", folder, names,
            used + 64 > sizeof names ? ", ..." : "");
}

ra_status ra_source_find(const char *path, char **file, ra_error *err) {
    struct stat what;
    struct dirent **list = NULL;
    if (stat(path, &what) != 0 || !S_ISDIR(what.st_mode)) { /* opening it will say what is wrong */
        *file = ra_strdup(path);
        if (!*file) RA_FAIL_MEMORY(err, "the name of a file", strlen(path) + 1);
        return RA_OK;
    }
    int count = scandir(path, &list, is_weights, alphasort);
    if (count < 0) RA_FAIL(err, RA_ERR_IO, "%s: cannot read the directory: %s", path, strerror(errno));
    ra_status status = choose(path, list, count, file, err);
    for (int i = 0; i < count; i++) free(list[i]); /* from scandir(), not from our allocator */
    free(list);
    return status;
}
