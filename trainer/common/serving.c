#include "common/serving.h"
#include "ra_memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { USUAL_PORT = 7777, NAME_MOST = 64, FLAGS_OF_A_FILE = 8 };

const char *serving_program(void) {
    static char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof "rasaed");
    if (size <= 0) return NULL;
    path[size] = '\0';
    memcpy(strrchr(path, '/') + 1, "rasaed", sizeof "rasaed");
    return access(path, X_OK) == 0 ? path : NULL;
}

/* Another program may still take it before the daemon does; then that says so. */
static bool port_is_free(int port) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int reuse = 1; /* as the daemon does */
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = probe >= 0 && setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
                   bind(probe, (const struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0) close(probe);
    return is_free;
}

/* The file's name up to its first dot, in the letters that a dictionary's name may have. */
static void name_of(const char *file, char name[NAME_MOST + 1]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *slash = strrchr(file, '/'), *stem = slash && slash[1] ? slash + 1 : file;
    size_t size = 0;
    while (stem[size] && stem[size] != '.' && size < NAME_MOST - 4) { /* room for a number */
        name[size] = strchr(letters, stem[size]) ? stem[size] : '_';
        size++;
    }
    name[size] = '\0';
    if (size == 0) memcpy(name, "dictionary", sizeof "dictionary");
}

static bool is_taken(char *const *given, const char *name) {
    size_t size = strlen(name);
    for (; *given; given++)
        if (strncmp(*given, name, size) == 0 && (*given)[size] == '=') return true;
    return false;
}

static ra_status add_flag(char **words, size_t *count, const char *flag, const char *name, const char *value,
                          ra_error *err) {
    char *word;
    if (!value) return RA_OK;
    if (asprintf(&word, "%s%s%s", name ? name : "", name ? "=" : "", value) < 0)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the command line of rasaed");
    words[(*count)++] = (char *)flag;
    words[(*count)++] = word;
    words[*count] = NULL;
    return RA_OK;
}

static ra_status make_words(const char *const *files, size_t count, const serving_options *options,
                            char **words, ra_error *err) {
    char listen[32];
    size_t used = 0;
    words[used++] = (char *)"rasaed";
    words[used] = NULL;
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port_is_free(USUAL_PORT) ? USUAL_PORT : 0);
    RA_TRY(add_flag(words, &used, "--listen", NULL, options->listen ? options->listen : listen, err));
    RA_TRY(add_flag(words, &used, "--log-level", NULL, "warning", err));
    for (size_t i = 0; i < count; i++) {
        char name[NAME_MOST + 1];
        name_of(files[i], name);
        for (size_t again = 2, size = strlen(name); is_taken(words, name); again++)
            snprintf(name + size, sizeof name - size, "-%zu", again % 1000);
        RA_TRY(add_flag(words, &used, "--dictionary", name, files[i], err));
        RA_TRY(add_flag(words, &used, "--media", name, options->media, err));
        RA_TRY(add_flag(words, &used, "--media-url", name, options->media_url, err));
        RA_TRY(add_flag(words, &used, "--item-shape", name, options->item_shape, err));
        for (size_t j = 0; j < options->data_count; j++)
            RA_TRY(add_flag(words, &used, "--data", name, options->data[j], err));
    }
    return RA_OK;
}

ra_status serve_files(const char *const *files, size_t count, const serving_options *options, ra_error *err) {
    const char *program = serving_program();
    char **words = ra_malloc(count * (FLAGS_OF_A_FILE + 2 * options->data_count) + 8, sizeof *words);
    if (!words) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the command line of rasaed");
    RA_TRY(make_words(files, count, options, words, err));
    fflush(stdout);
    if (program)
        execv(program, words);
    else
        execvp("rasaed", words);
    RA_FAIL(err, RA_ERR_IO, "rasaed cannot be started: %s; it belongs beside rasae, or on the PATH",
            strerror(errno));
}
