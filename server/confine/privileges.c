#include "confine/confine.h"

#include <sys/prctl.h>

void confine_privileges(bool secret) {
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (secret) (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
