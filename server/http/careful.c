/* A copy that is checked after it was made cannot change any more; a mapping that is sent from where it is could, between
 * the check and the sending. The copy costs a small part of the time that the system needs to send the bytes.
 *
 * Without pieces the system takes a whole reply of 30 MB from us in one call when the client reads as fast, and the
 * thread does nothing else for some milliseconds; longer, when pages of the file have to be read from the disk. */
#include "http/careful.h"
#include "ra_memory.h"

#include <string.h>

typedef struct sending {
    const http_response *response;
    size_t *count;
} sending;

static size_t piece_size(size_t count, size_t most) {
    size_t size = HTTP_TURN_BYTES / count;
    if (size < HTTP_LEAST_PIECE) size = HTTP_LEAST_PIECE;
    return size < most ? size : most;
}

/* Copies up to `most` bytes from `position` on; the library asks for no byte beyond the size that it knows. */
static ssize_t read_piece(void *context, uint64_t position, char *to, size_t most) {
    const sending *own = context;
    const http_response *from = own->response;
    http_piece pieces[HTTP_PIECES];
    size_t count = http_response_pieces(from, pieces), copied = 0;
    most = piece_size(*own->count, most);
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
    bool holds = !from->tail.holds || from->tail.holds(from->tail.owner);
    return holds && copied ? (ssize_t)copied : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end(void *context) {
    sending *own = context;
    --*own->count;
    ra_free(own);
}

static uint64_t size_of(const http_response *response) {
    http_piece pieces[HTTP_PIECES];
    uint64_t size = 0; /* that of a 304, too, which is announced and not sent */
    for (size_t i = 0, count = http_response_pieces(response, pieces); i < count; i++) size += pieces[i].size;
    return size;
}

bool http_is_for_pieces(const http_response *response) {
    return response->tail.holds || size_of(response) > HTTP_TURN_BYTES;
}

struct MHD_Response *http_careful_response(const http_response *response, size_t *count) {
    sending *own = ra_malloc(1, sizeof *own);
    if (!own) return NULL;
    *own = (sending){response, count};
    struct MHD_Response *made =
        MHD_create_response_from_callback(size_of(response), HTTP_MOST_PIECE, read_piece, own, end);
    if (made)
        ++*count;
    else
        ra_free(own);
    return made;
}
