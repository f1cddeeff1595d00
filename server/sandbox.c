#include "sandbox.h"
#include "confine/confine.h"
#include "http/unix_socket.h"
#include "ra_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LINKS = 16 }; /* one after another */

typedef struct places {
    confine_place *items;
    size_t count, capacity;
    bool failed; /* out of memory */
} places;

static void add(places *all, const char *path, confine_access access) {
    if (all->count == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 32;
        confine_place *larger = ra_realloc(all->items, capacity, sizeof *larger);
        if (!larger) all->failed = true;
        if (!larger) return;
        all->items = larger;
        all->capacity = capacity;
    }
    char *kept = strdup(path);
    if (!kept) all->failed = true;
    if (kept) all->items[all->count++] = (confine_place){kept, access};
}

static void release(places *all) {
    for (size_t i = 0; i < all->count; i++) free((char *)(uintptr_t)all->items[i].path);
    ra_free(all->items);
}

/* folder <- the folder of `path`, PATH_MAX characters; false for a file of the root, whose folder is everything. */
static bool folder_of(const char *path, char *folder) {
    snprintf(folder, PATH_MAX, "%s", path);
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') folder[--size] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) snprintf(folder, PATH_MAX, ".");
    if (slash) *slash = '\0';
    return folder[0] != '\0';
}

/* For each link on the way to `path`, the folder of what it leads to: a link is swapped for one that leads beside it. */
static void add_links(places *all, const char *path, int depth) {
    char part[PATH_MAX], target[PATH_MAX], whole[PATH_MAX], folder[PATH_MAX];
    size_t length = strlen(path);
    if (depth == MOST_LINKS || length >= sizeof part) return;
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != '\0') continue;
        memcpy(part, path, end);
        part[end] = '\0';
        ssize_t size = readlink(part, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = '\0';
        bool in_root = !folder_of(part, folder);
        int written = target[0] == '/'
                          ? snprintf(whole, sizeof whole, "%s", target)
                          : snprintf(whole, sizeof whole, "%s/%s", in_root ? "" : folder, target);
        if (written < 0 || (size_t)written >= sizeof whole) continue;
        if (folder_of(whole, folder))
            add(all, folder, CONFINE_READ);
        else
            add(all, whole, CONFINE_READ);
        add_links(all, whole, depth + 1);
    }
}

static void add_folder(places *all, const char *path) {
    char entry_path[PATH_MAX];
    add_links(all, path, 0);
    add(all, path, CONFINE_READ);
    DIR *folder = opendir(path);
    if (!folder) return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) continue;
        int size = snprintf(entry_path, sizeof entry_path, "%s/%s", path, entry->d_name);
        if (size > 0 && (size_t)size < sizeof entry_path) add_links(all, entry_path, 0);
    }
    closedir(folder);
}

static void add_file(places *all, const char *path) {
    char folder[PATH_MAX];
    struct stat info;
    if (!path) return;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        add_folder(all, path);
        return;
    }
    add_links(all, path, 0);
    add(all, folder_of(path, folder) ? folder : path, CONFINE_READ);
}

/* The database makes this folder when it opens, if that is possible then; otherwise it tries again later, so the nearest folder
 * above is what may be changed. */
static void add_state(places *all, const char *path) {
    char folder[PATH_MAX];
    if (!path) return;
    (void)mkdir(path, 0700);
    snprintf(folder, sizeof folder, "%s", path);
    for (struct stat info; stat(folder, &info) != 0;) {
        char above[PATH_MAX];
        if (!folder_of(folder, above) || strcmp(folder, above) == 0) return;
        memcpy(folder, above, sizeof folder);
    }
    add_links(all, folder, 0);
    add(all, folder, CONFINE_CHANGE);
}

/* A socket of the file system is removed at the end. */
static void add_socket(places *all, const char *address) {
    char folder[PATH_MAX];
    http_address where;
    ra_error checked;
    if (!address || !unix_address_is(address) || http_address_parse(address, &where, &checked) != RA_OK)
        return;
    if (folder_of(where.local.path, folder)) add(all, folder, CONFINE_REMOVE);
}

/* "NAME=DIR" */
static const char *after_name(const char *item) {
    const char *equals = strchr(item, '=');
    return equals ? equals + 1 : item;
}

static void add_all(places *all, const settings *chosen) {
    /* What the libraries, the metrics and the limits of memory read. */
    static const char *const of_the_system[] = {"/dev/urandom",
                                                "/proc/self",
                                                "/proc/sys/vm/overcommit_memory",
                                                "/proc/sys/fs/lease-break-time",
                                                "/sys/fs/cgroup",
                                                "/sys/devices/system/cpu"};
    for (size_t i = 0; i < sizeof of_the_system / sizeof *of_the_system; i++)
        add(all, of_the_system[i], CONFINE_READ);
    for (size_t i = 0; i < chosen->dictionary.count; i++) add_file(all, settings_dictionary(chosen, i).path);
    if (chosen->dictionary_dir) add_folder(all, chosen->dictionary_dir);
    for (size_t i = 0; i < chosen->media.count; i++) add_folder(all, after_name(chosen->media.items[i]));
    for (size_t i = 0; i < chosen->readable.count; i++) add_folder(all, chosen->readable.items[i]);
    add_file(all, chosen->keys);
    add_file(all, chosen->tls_certificate);
    add_file(all, chosen->tls_key);
    add_state(all, chosen->state);
    add_socket(all, chosen->listen);
    add_socket(all, chosen->admin_listen);
}

static ra_status complain(const settings *chosen, const char *what, const char *why, ra_error *err) {
    if (chosen->sandbox == SANDBOX_REQUIRE)
        RA_FAIL(err, RA_ERR_STATE, "--sandbox is require, but the daemon is not confined to its %s: %s", what,
                why);
    ra_log(RA_LOG_WARNING, "the daemon is not confined to its %s: %s", what, why);
    return RA_OK;
}

/* Sanitizers read files and start programs of their own. */
#ifdef RA_SANITIZE
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif
static const char of_sanitizers[] = "the sanitizers of this build need others";

ra_status sandbox_files(const settings *chosen, bool device, ra_error *err) {
    const char *why = device      ? "the driver of the device has its own"
                      : sanitized ? of_sanitizers
                                  : "out of memory";
    int version = 0;
    if (chosen->sandbox == SANDBOX_OFF) return RA_OK;
    if (!device && !sanitized) {
        places all = {0};
        add_all(&all, chosen);
        /* The entries of /proc/self live as long as somebody holds them, and the right to read them with them. */
        (void)!open("/proc/self", O_PATH | O_CLOEXEC);
        if (!all.failed) version = confine_files(all.items, all.count, &why);
        release(&all);
    }
    if (!version) return complain(chosen, "files", why, err);
    ra_log(RA_LOG_INFO, "confined to the files of its settings (Landlock %d)", version);
    return RA_OK;
}

ra_status sandbox_calls(const settings *chosen, bool device, ra_error *err) {
    const char *why = of_sanitizers;
    if (chosen->sandbox == SANDBOX_OFF) return RA_OK;
    confine_kind kind = device ? CONFINE_DEVICE : chosen->state ? CONFINE_CHANGING : CONFINE_SERVING;
    if (!sanitized) confine_privileges(chosen->keys || chosen->tls_key);
    if (sanitized || !confine_calls(kind, &why)) return complain(chosen, "calls", why, err);
    ra_log(RA_LOG_INFO, "confined to the calls of %s (seccomp)", device ? "a driver" : "serving");
    return RA_OK;
}
