/* A copy that is checked after it was made cannot change any more; a mapping that is sent from where it is could, between
 * the check and the sending. The copy costs a small part of the time that the system needs to send the bytes.
 *
 * Without pieces the system takes a whole reply of 30 MB from us in one call when the client reads as fast, and the
 * thread does nothing else for some milliseconds; longer, when pages of the file have to be read from the disk.
 *
 * With eight clients that read as fast as they can, pieces of 16 KiB of each of them cost the thread 70 to 80 us per turn
 * of 128 KiB, since each wakes a client; one piece of one of them costs 26 to 34 us. Turns of 64 KiB cost a quarter more
 * per byte, and turns of 256 KiB no less. */
#include "http/careful.h"
#include "ra_memory.h"

#include <string.h>

typedef struct http_sending {
    const http_response *response;
    http_turns *turns;
    struct http_sending *next; /* that waits */
    bool waits;
} http_sending;

void http_turns_begin(http_turns *turns) {
    turns->left = HTTP_TURN_BYTES;
}

static void begin_waiting(http_sending *own) {
    http_turns *turns = own->turns;
    own->waits = true;
    own->next = NULL;
    if (turns->first)
        turns->last->next = own;
    else
        turns->first = own;
    turns->last = own;
}

static void stop_waiting(http_sending *own) {
    http_turns *turns = own->turns;
    http_sending *before = NULL;
    for (http_sending *at = turns->first; at && at != own; at = at->next) before = at;
    if (before)
        before->next = own->next;
    else
        turns->first = own->next;
    if (turns->last == own) turns->last = before;
    own->waits = false;
}

/* How much may be sent now; 0: not yet. The library asks again in each turn. */
static size_t take_turn(http_sending *own, size_t most) {
    http_turns *turns = own->turns;
    if (!own->waits) begin_waiting(own);
    if (turns->first != own || turns->left < HTTP_LEAST_PIECE) return 0;
    stop_waiting(own);
    return most < turns->left ? most : turns->left;
}

/* Copies up to `most` bytes from `position` on; the library asks for no byte beyond the size that it knows. */
static ssize_t read_piece(void *context, uint64_t position, char *to, size_t most) {
    http_sending *own = context;
    const http_response *from = own->response;
    RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
    size_t count = http_response_pieces(from, pieces), copied = 0;
    most = take_turn(own, most);
    if (!most) return 0;
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
    own->turns->left -= copied;
    bool holds = !from->tail.holds || from->tail.holds(from->tail.owner);
    return holds && copied ? (ssize_t)copied : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end(void *context) {
    http_sending *own = context;
    if (own->waits) stop_waiting(own);
    ra_free(own);
}

static uint64_t size_of(const http_response *response) {
    RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
    uint64_t size = 0; /* that of a 304, too, which is announced and not sent */
    for (size_t i = 0, count = http_response_pieces(response, pieces); i < count; i++) size += pieces[i].size;
    return size;
}

bool http_is_for_pieces(const http_response *response) {
    return response->tail.holds || size_of(response) > HTTP_TURN_BYTES;
}

struct MHD_Response *http_careful_response(const http_response *response, http_turns *turns) {
    http_sending *own = ra_malloc(1, sizeof *own);
    if (!own) return NULL;
    *own = (http_sending){.response = response, .turns = turns};
    struct MHD_Response *made =
        MHD_create_response_from_callback(size_of(response), HTTP_MOST_PIECE, read_piece, own, end);
    if (!made) ra_free(own);
    return made;
}
