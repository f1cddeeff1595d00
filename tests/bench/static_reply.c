/* The least that libmicrohttpd costs: it reads a request, throws its body away and sends the same bytes each time.
 *
 *     build/tests/static_reply BYTES
 *
 * One thread, and the flags that the daemon has where they matter (epoll, connections that are kept, TCP_NODELAY is the
 * library's own). Prints the port on which it answers, and ends when its standard input does. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result answer(void *reply, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *body, size_t *size,
                              void **seen) {
    static int any;
    (void)url, (void)method, (void)version, (void)body;
    if (!*seen) { /* the headers */
        *seen = &any;
        return MHD_YES;
    }
    if (*size) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, reply);
}

int main(int argc, char **argv) {
    size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    char *bytes = size ? malloc(size) : NULL;
    if (!bytes) {
        fprintf(stderr, "static_reply: usage: static_reply BYTES\n");
        return 2;
    }
    memset(bytes, '7', size);
    struct MHD_Response *reply = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, reply,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_END);
    const union MHD_DaemonInfo *port = daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!port) {
        fprintf(stderr, "static_reply: libmicrohttpd did not start\n");
        return 1;
    }
    printf("%u\n", (unsigned)port->port);
    fflush(stdout);
    char ignored[64];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {}
    MHD_stop_daemon(daemon);
    MHD_destroy_response(reply);
    return 0;
}
