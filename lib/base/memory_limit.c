/* How much memory there is.
 *
 * A container sees the memory of the whole machine in sysconf(); its limit is in the files of its control group.
 * Two files of /proc tell where these are. /proc/self/cgroup has the path of the group in its hierarchy:
 *
 *     4:memory:/docker/0123      version 1: the hierarchy that has the controller `memory`
 *     0::/user.slice/job         version 2: the one hierarchy
 *
 * /proc/self/mountinfo has where a hierarchy is mounted, and which of its groups the mount point shows: inside
 * of a container often the container's own group, so that the beginning of the path is not there.
 *
 *     31 24 0:27 /docker/0123 /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
 *
 * The limit of a group holds for all groups in it, so every folder from the group up to the mount point counts. */
#include "ra_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, LINE_SIZE = 3 * PATH_SIZE };

/* In version 2 a group is slowed down above memory.high and killed above memory.max. */
static const char *const limits_1[] = {"memory.limit_in_bytes", NULL};
static const char *const limits_2[] = {"memory.max", "memory.high", NULL};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The number in a file; SIZE_MAX for "max", or without the file. */
static size_t read_limit(const char *folder, const char *name) {
    char path[PATH_SIZE], text[64];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path) return SIZE_MAX;
    FILE *file = fopen(path, "re");
    if (!file) return SIZE_MAX;
    size_t limit = SIZE_MAX;
    if (fgets(text, sizeof text, file) && *text >= '0' && *text <= '9') {
        unsigned long long bytes = strtoull(text, NULL, 10);
        if (bytes > 0 && bytes < SIZE_MAX) limit = (size_t)bytes;
    }
    fclose(file);
    return limit;
}

/* The smallest limit in the folders from `folder` up to its first `top` characters. Cuts the text. */
static size_t limit_above(char *folder, size_t top, const char *const *names) {
    size_t limit = SIZE_MAX;
    for (;;) {
        for (size_t i = 0; names[i]; i++) limit = least(limit, read_limit(folder, names[i]));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < top) return limit;
        *slash = '\0';
    }
}

/* group <- the path of this process's group; false without one. */
static bool find_group(const char *root, bool second, char *group) {
    char path[PATH_SIZE], line[LINE_SIZE];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    while (!found && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'), *at = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!at) continue;
        *at++ = '\0';
        at[strcspn(at, "\n")] = '\0';
        controllers++;
        if (second) {
            found = *controllers == '\0';
        } else {
            for (char *rest = controllers, *name; (name = strsep(&rest, ",")) && !found;)
                found = strcmp(name, "memory") == 0;
        }
        if (found) snprintf(group, PATH_SIZE, "%.*s", PATH_SIZE - 1, at);
    }
    fclose(file);
    return found;
}

/* Whether a line of mountinfo is the hierarchy; shown, where <- the group that it shows and its mount point. */
static bool is_hierarchy(char *line, bool second, char **shown, char **where) {
    char *rest = line, *type = strstr(line, " - "), *options;
    line[strcspn(line, "\n")] = '\0';
    if (!type) return false;
    *type = '\0';
    type += 3;
    for (int i = 0; i < 3; i++) (void)strsep(&rest, " "); /* two numbers and the device */
    *shown = strsep(&rest, " ");
    *where = strsep(&rest, " ");
    char *kind = strsep(&type, " ");
    if (!*shown || !*where || strcmp(kind, second ? "cgroup2" : "cgroup") != 0) return false;
    if (second) return true;
    (void)strsep(&type, " "); /* the source */
    while ((options = strsep(&type, ",")))
        if (strcmp(options, "memory") == 0) return true;
    return false;
}

static size_t hierarchy_limit(const char *root, bool second) {
    char path[PATH_SIZE], line[LINE_SIZE], group[PATH_SIZE], folder[LINE_SIZE], *shown, *where;
    size_t limit = SIZE_MAX;
    if (!find_group(root, second, group)) return SIZE_MAX;
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(path, "re");
    if (!file) return SIZE_MAX;
    while (fgets(line, sizeof line, file)) {
        if (!is_hierarchy(line, second, &shown, &where)) continue;
        size_t hidden = strcmp(shown, "/") == 0 ? 0 : strlen(shown);
        bool below = strncmp(group, shown, hidden) == 0 && (group[hidden] == '/' || group[hidden] == '\0');
        const char *rest = below && strcmp(group + hidden, "/") != 0 ? group + hidden : "";
        int length = snprintf(folder, sizeof folder, "%s%s%s", root, where, rest);
        if (length > 0 && (size_t)length < sizeof folder)
            limit =
                least(limit, limit_above(folder, strlen(root) + strlen(where), second ? limits_2 : limits_1));
    }
    fclose(file);
    return limit;
}

size_t ra_memory_group_limit(const char *root) {
    return least(hierarchy_limit(root, false), hierarchy_limit(root, true));
}

static size_t process_limit(int resource) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

size_t ra_memory_limit(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t limit = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX;
    limit = least(limit, ra_memory_group_limit(""));
    return least(limit, least(process_limit(RLIMIT_AS), process_limit(RLIMIT_DATA)));
}
