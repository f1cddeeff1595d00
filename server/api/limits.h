/* limits.h - how much one request may ask for, where no setting says so. `GET /v1` tells them to clients, together
 * with those of the settings.
 *
 * Thread safety: constants.
 */
#ifndef RASAED_API_LIMITS_H
#define RASAED_API_LIMITS_H

enum {
    LIMIT_PAGE = 1000,               /* items of one page of a list, and numbers of one list in the query */
    LIMIT_IDS = 65536,               /* numbers of one list in a body */
    LIMIT_COMPARED = 4096,           /* atoms of a dictionary that is compared with another one */
    LIMIT_COMPARED_POINTS = 1 << 26, /* numbers of its points that are */
    LIMIT_LISTS = 1000,              /* named lists of a dictionary */
    LIMIT_RESULTS = 1 << 20,         /* results of a search, of all its vectors together */
    LIMIT_REPLY_BYTES = 256 << 20    /* of a reply that is made for the request */
};

#endif
