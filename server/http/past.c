#include "http/past.h"
#include "http/tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void header(text *out, const char *name, const char *value) {
    text_string(out, name);
    text_string(out, ": ");
    text_string(out, value);
    text_string(out, "\r\n");
}

static void write_head(text *out, const http_response *response, const char *id) {
    char line[128];
    const char *name, *value;
    snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", response->status, http_status_text(response->status));
    text_string(out, line);
    header(out, "Connection", "close");
    if (*id) header(out, "X-Request-Id", id);
    if (response->content_type) header(out, "Content-Type", response->content_type);
    for (size_t at = 0; http_response_next_header(response, &at, &name, &value);) header(out, name, value);
    snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", response->body.size);
    text_string(out, line);
}

void http_past_send(int descriptor, void *tls, const http_response *response, const char *id) {
    text message = {0};
    write_head(&message, response, id);
    text_append(&message, response->body.data, response->body.size);
    if (message.failed || response->body.failed)
        ; /* the client sees the connection end */
    else if (tls)
        http_tls_send(tls, message.data, message.size);
    else
        (void)send(descriptor, message.data, message.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    text_release(&message);
}
