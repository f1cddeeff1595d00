#include "export/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ra_status check_free(const char *path, ra_error *err) {
    struct stat what;
    if (lstat(path, &what) != 0) return RA_OK;
    if (!S_ISDIR(what.st_mode))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s exists and is not a folder; give -o a new name", path);
    DIR *listing = opendir(path);
    if (!listing) RA_FAIL(err, RA_ERR_IO, "cannot read the folder %s: %s", path, strerror(errno));
    size_t items = 0;
    while (readdir(listing)) items++; /* . and .. are among them */
    closedir(listing);
    if (items <= 2) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "the folder %s exists and is not empty; give -o a new name, or remove it",
            path);
}

/* The name without slashes at its end. */
static ra_status keep_name(export_folder *folder, const char *path, ra_error *err) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    folder->path = ra_malloc(length + 1, 1);
    if (!folder->path) RA_FAIL_MEMORY(err, "the name of a folder", length + 1);
    memcpy(folder->path, path, length);
    folder->path[length] = '\0';
    return RA_OK;
}

static ra_status make_temporary(export_folder *folder, ra_error *err) {
    enum { MORE = sizeof "..XXXXXX" };
    size_t size = strlen(folder->path) + MORE;
    const char *slash = strrchr(folder->path, '/');
    int parent = slash ? (int)(slash - folder->path + 1) : 0;
    char *name = ra_malloc(size, 1);
    if (!name) RA_FAIL_MEMORY(err, "the name of a folder", size);
    snprintf(name, size, "%.*s.%s.XXXXXX", parent, folder->path, folder->path + parent);
    if (!mkdtemp(name)) {
        int reason = errno;
        ra_free(name);
        RA_FAIL(err, reason == ENOENT ? RA_ERR_NOT_FOUND : RA_ERR_IO,
                "cannot write %s: cannot create a folder beside it: %s", folder->path, strerror(reason));
    }
    folder->temporary = name;
    mode_t mask = umask(0); /* the program has no other thread that creates files now */
    umask(mask);
    chmod(name, 0777 & ~mask);
    return RA_OK;
}

ra_status export_folder_begin(export_folder *folder, const char *path, ra_error *err) {
    *folder = (export_folder){0};
    ra_status status = keep_name(folder, path, err);
    if (status == RA_OK) status = check_free(folder->path, err);
    if (status == RA_OK) status = make_temporary(folder, err);
    if (status != RA_OK) export_folder_abort(folder);
    return status;
}

/* The name itself goes to the disk, too. */
static void flush_parent(const char *path) {
    char *copy = ra_strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash) slash[slash == copy] = '\0';
    int parent = copy ? open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (parent >= 0) fsync(parent);
    if (parent >= 0) close(parent);
    ra_free(copy);
}

ra_status export_folder_commit(export_folder *folder, ra_error *err) {
    ra_status status = ra_mapping_check_all(err);
    if (status == RA_OK && rename(folder->temporary, folder->path) != 0)
        status = ra_error_set(err, RA_ERR_IO, "cannot write %s: %s", folder->path, strerror(errno));
    if (status == RA_OK) {
        flush_parent(folder->path);
        ra_free(folder->temporary);
        folder->temporary = NULL;
    }
    export_folder_abort(folder);
    return status;
}

static void remove_files(const char *folder) {
    DIR *listing = opendir(folder);
    for (struct dirent *item; listing && (item = readdir(listing));)
        if (item->d_name[0] != '.') unlinkat(dirfd(listing), item->d_name, 0);
    if (listing) closedir(listing);
    rmdir(folder);
}

void export_folder_abort(export_folder *folder) {
    if (folder->temporary) remove_files(folder->temporary);
    ra_free(folder->temporary);
    ra_free(folder->path);
    *folder = (export_folder){0};
}
