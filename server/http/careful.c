/* A copy that is checked after it was made cannot change any more; a mapping that is sent from where it is could, between
 * the check and the sending. The copy costs a small part of the time that the system needs to send the bytes. */
#include "http/careful.h"

#include <string.h>

enum { PIECE = 256 << 10 };

/* Copies up to `most` bytes from `position` on; the library asks for no byte beyond the size that it knows. */
static ssize_t read_piece(void *context, uint64_t position, char *to, size_t most) {
    const http_response *from = context;
    http_piece pieces[HTTP_PIECES];
    size_t count = http_response_pieces(from, pieces), copied = 0;
    for (size_t i = 0; i < count && copied < most; i++) {
        if (position >= pieces[i].size) {
            position -= pieces[i].size;
            continue;
        }
        size_t n = pieces[i].size - (size_t)position;
        if (n > most - copied) n = most - copied;
        memcpy(to + copied, (const char *)pieces[i].data + position, n);
        copied += n;
        position = 0;
    }
    return from->tail.holds(from->tail.owner) && copied ? (ssize_t)copied : MHD_CONTENT_READER_END_WITH_ERROR;
}

struct MHD_Response *http_careful_response(const http_response *response) {
    http_piece pieces[HTTP_PIECES];
    uint64_t size = 0; /* that of a 304, too, which is announced and not sent */
    for (size_t i = 0, count = http_response_pieces(response, pieces); i < count; i++) size += pieces[i].size;
    return MHD_create_response_from_callback(size, PIECE, read_piece, (void *)(uintptr_t)response, NULL);
}
