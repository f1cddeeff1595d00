/* unix_socket.h - listening on, and connecting to, a socket of the file system: "unix:/run/rasaed/words.sock".
 *
 * For a proxy on the same machine: who may connect is decided by the file's mode and owner, which can be part of the
 * address: "unix:/run/rasaed/words.sock,mode=0660,owner=rasaed:www-data" (the default is 0600 and the user of the
 * process). Names and numbers are fine for owners.
 *
 * Thread safety: plain functions.
 */
#ifndef RASAED_HTTP_UNIX_SOCKET_H
#define RASAED_HTTP_UNIX_SOCKET_H

#include "ra_status.h"

#include <stdbool.h>
#include <sys/types.h>

enum { UNIX_PATH_SIZE = 108 }; /* sun_path of sockaddr_un */

typedef struct unix_address {
    char path[UNIX_PATH_SIZE]; /* "": none */
    mode_t mode;
    uid_t user; /* -1: stays */
    gid_t group;
    ino_t inode; /* of the socket that was opened */
} unix_address;

bool unix_address_is(const char *text); /* whether it begins with "unix:" */

/* RA_ERR_ARGUMENT says what is wrong with the text. */
ra_status unix_address_parse(const char *text, unix_address *address, ra_error *err);

/* *descriptor <- a bound socket. A file that another server left behind is replaced; one that somebody listens on is
 * RA_ERR_IO, and so is a file that is no socket. */
ra_status unix_socket_open(unix_address *address, int *descriptor, ra_error *err);

/* Removes the file, if it still is the one that was opened. */
void unix_socket_remove(const unix_address *address);

/* A connected socket; -1, and errno, when there is none. */
int unix_socket_connect(const unix_address *address);

#endif
