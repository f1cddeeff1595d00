/* Landlock, without its header: Debian 12's knows the second version, and the kernel says which one it has. */
#include "confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CREATE = 444, ADD = 445, RESTRICT = 446 }; /* the same numbers on every architecture */
enum { ASK_VERSION = 1, BENEATH = 1 };

#define RIGHT(n) (UINT64_C(1) << (n))
#define WRITE_FILE RIGHT(1)
#define READ_FILE RIGHT(2)
#define READ_DIR RIGHT(3)
#define REMOVE_FILE RIGHT(5)
#define MAKE_DIR RIGHT(7)
#define MAKE_REG RIGHT(8)
#define TRUNCATE RIGHT(14)

/* What each version added: its rights of files are those below this number, and whether it knows of TCP. */
enum { FILES_1 = 13, FILES_2 = 14, FILES_3 = 15, FILES_5 = 16, NET_SINCE = 4 };
static const uint64_t BIND_AND_CONNECT = 3;

struct ruleset {
    uint64_t files, net; /* later versions have more; they take those that are not given as none */
};
struct beneath {
    uint64_t allowed;
    int32_t place;
} __attribute__((packed));

static uint64_t known_rights(long version) {
    int count = version >= 5 ? FILES_5 : version >= 3 ? FILES_3 : version >= 2 ? FILES_2 : FILES_1;
    return RIGHT(count) - 1;
}

static const uint64_t rights[] = {
    [CONFINE_READ] = READ_FILE | READ_DIR,
    [CONFINE_CHANGE] = READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_DIR | MAKE_REG | TRUNCATE,
    [CONFINE_REMOVE] = REMOVE_FILE,
};

/* A file has no rights of folders. */
static bool add(int rules, const confine_place *place, uint64_t known) {
    struct stat info;
    int at = open(place->path, O_PATH | O_CLOEXEC);
    if (at < 0) return true;
    struct beneath beneath = {.allowed = rights[place->access] & known, .place = at};
    if (fstat(at, &info) == 0 && !S_ISDIR(info.st_mode)) beneath.allowed &= READ_FILE | WRITE_FILE | TRUNCATE;
    bool added = !beneath.allowed || syscall(ADD, rules, BENEATH, &beneath, 0) == 0;
    close(at);
    return added;
}

int confine_files(const confine_place *places, size_t count, const char **why) {
    long version = syscall(CREATE, NULL, 0, ASK_VERSION);
    if (version < 1) {
        *why = errno == EOPNOTSUPP ? "Landlock is switched off in the kernel"
               : errno == EPERM    ? "the container or the service manager forbids it"
                                   : "the kernel has no Landlock";
        return 0;
    }
    struct ruleset wanted = {.files = known_rights(version),
                             .net = version >= NET_SINCE ? BIND_AND_CONNECT : 0};
    int rules = (int)syscall(CREATE, &wanted, sizeof wanted, 0);
    bool done = rules >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    for (size_t i = 0; done && i < count; i++) done = add(rules, &places[i], wanted.files);
    done = done && syscall(RESTRICT, rules, 0) == 0;
    if (rules >= 0) close(rules);
    if (!done) *why = "the kernel refused the rules";
    return done ? (int)version : 0;
}
