/* listener.h - the address that the server listens on: "127.0.0.1:8080", "localhost:0", "[::1]:8080",
 * ":8080", "unix:/run/rasaed.sock" (unix_socket.h).
 *
 * An empty host is every address of the machine; port 0 lets the system choose a free port. Opening binds the
 * address, so that a port in use is known early, but nobody can connect before the server starts.
 *
 * Ownership: the caller owns the descriptor until http_server_start() takes it.
 */
#ifndef RASAED_HTTP_LISTENER_H
#define RASAED_HTTP_LISTENER_H

#include "http/unix_socket.h"
#include "ra_status.h"

#include <stdbool.h>

enum { HTTP_HOST_SIZE = 256, HTTP_ADDRESS_SIZE = 320 };

typedef struct http_address {
    char host[HTTP_HOST_SIZE]; /* without brackets; "" for every address */
    char port[6];
    bool secure;        /* https; not part of the text */
    unix_address local; /* with a path: a socket of the file system, and host and port are empty */
} http_address;

/* RA_ERR_ARGUMENT says what is wrong with the text. */
ra_status http_address_parse(const char *text, http_address *address, ra_error *err);

/* *descriptor <- a bound socket; url[HTTP_ADDRESS_SIZE] <- "http://127.0.0.1:8080" with the real port, or https, or
 * "unix:/run/rasaed.sock". */
ra_status http_listener_open(http_address *address, int *descriptor, char *url, ra_error *err);

/* The same for a listening socket that another process has opened. RA_ERR_STATE when it is not one. */
ra_status http_listener_adopt(int descriptor, bool secure, char *url, ra_error *err);

#endif
