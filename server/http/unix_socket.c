#include "http/unix_socket.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char prefix[] = "unix:";

bool unix_address_is(const char *text) {
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

/* ---- the text ------------------------------------------------------------------------------------------ */

static bool read_mode(const char *word, mode_t *mode) {
    char *end;
    unsigned long value = strtoul(word, &end, 8);
    *mode = (mode_t)value;
    return *word >= '0' && *word <= '7' && !*end && value <= 0777;
}

static bool read_number(const char *word, unsigned *value) {
    char *end;
    *value = (unsigned)strtoul(word, &end, 10);
    return *word >= '0' && *word <= '9' && !*end;
}

/* "USER", "USER:GROUP" or ":GROUP"; cut in place. */
static ra_status read_owner(char *words, unix_address *address, ra_error *err) {
    char *group = strchr(words, ':');
    if (group) *group++ = '\0';
    const struct passwd *user = *words ? getpwnam(words) : NULL;
    if (user)
        address->user = user->pw_uid;
    else if (*words && !read_number(words, &address->user))
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no user '%s' to own the socket", words);
    const struct group *own = group && *group ? getgrnam(group) : NULL;
    if (own)
        address->group = own->gr_gid;
    else if (group && *group && !read_number(group, &address->group))
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no group '%s' to own the socket", group);
    return RA_OK;
}

static ra_status read_option(char *option, unix_address *address, ra_error *err) {
    if (strncmp(option, "mode=", 5) == 0) {
        if (read_mode(option + 5, &address->mode)) return RA_OK;
        RA_FAIL(err, RA_ERR_ARGUMENT, "the mode of the socket is '%s', expected an octal number such as 0660",
                option + 5);
    }
    if (strncmp(option, "owner=", 6) == 0) return read_owner(option + 6, address, err);
    RA_FAIL(err, RA_ERR_ARGUMENT, "'%s' is nothing that a socket has; expected mode=0660 or owner=USER:GROUP",
            option);
}

ra_status unix_address_parse(const char *text, unix_address *address, ra_error *err) {
    char words[512];
    *address = (unix_address){.mode = 0600, .user = (uid_t)-1, .group = (gid_t)-1};
    int size = snprintf(words, sizeof words, "%s", text + sizeof prefix - 1);
    char *options = strchr(words, ',');
    if (options) *options++ = '\0';
    if (words[0] != '/' || strlen(words) >= sizeof address->path || size >= (int)sizeof words)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the address '%s' has no good path; expected unix:/PATH of at most %zu characters", text,
                sizeof address->path - 1);
    snprintf(address->path, sizeof address->path, "%.*s", (int)sizeof address->path - 1, words);
    for (char *next; options; options = next) {
        next = strchr(options, ',');
        if (next) *next++ = '\0';
        RA_TRY(read_option(options, address, err));
    }
    return RA_OK;
}

/* ---- the socket ---------------------------------------------------------------------------------------- */

static struct sockaddr_un name_of(const unix_address *address) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address->path, sizeof name.sun_path);
    return name;
}

int unix_socket_connect(const unix_address *address) {
    struct sockaddr_un name = name_of(address);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&name, sizeof name) == 0) return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

/* Removes what a server that has ended left behind. */
static ra_status make_way(const unix_address *address, ra_error *err) {
    struct stat info;
    if (lstat(address->path, &info) != 0) return RA_OK;
    if (!S_ISSOCK(info.st_mode))
        RA_FAIL(err, RA_ERR_IO, "cannot listen on unix:%s: there is a file of this name that is no socket",
                address->path);
    int connected = unix_socket_connect(address);
    if (connected >= 0) close(connected);
    if (connected >= 0 || errno == EAGAIN)
        RA_FAIL(err, RA_ERR_IO, "cannot listen on unix:%s: another process does", address->path);
    (void)unlink(address->path);
    return RA_OK;
}

/* Nobody can connect before the socket listens, so mode and owner are in time. */
static bool set_access(unix_address *address) {
    struct stat info;
    if (chmod(address->path, address->mode) != 0) return false;
    if ((address->user != (uid_t)-1 || address->group != (gid_t)-1) &&
        chown(address->path, address->user, address->group) != 0)
        return false;
    if (lstat(address->path, &info) != 0) return false;
    address->inode = info.st_ino;
    return true;
}

ra_status unix_socket_open(unix_address *address, int *descriptor, ra_error *err) {
    struct sockaddr_un name = name_of(address);
    RA_TRY(make_way(address, err));
    int bound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bound >= 0 && bind(bound, (struct sockaddr *)&name, sizeof name) == 0 && set_access(address)) {
        *descriptor = bound;
        return RA_OK;
    }
    int reason = errno;
    if (bound >= 0) close(bound);
    RA_FAIL(err, RA_ERR_IO, "cannot listen on unix:%s: %s", address->path, strerror(reason));
}

void unix_socket_remove(const unix_address *address) {
    struct stat info;
    if (address->inode && lstat(address->path, &info) == 0 && info.st_ino == address->inode)
        (void)unlink(address->path);
}
