/* media.h - the pictures and sounds that the rows of a dictionary's data were made of: where they are, by a template
 * of their address, or by a folder of this machine that the server shows.
 *
 *     --media-url 'words=https://example.org/{label}.webp'       an address anywhere
 *     --media words=/data/images                                 files of a folder: the address of /data/images/{path}
 *     --media words=/data/images --media-url words=256/{item}.png    the address of /data/images/256/{item}.png
 *
 * In braces stand `label`, that of the row, percent-encoded but for letters, digits, '-', '.', '_' and '~'; `path`, the same
 * with its slashes kept; `row` and `item`, numbers from 0. A template that begins with neither http://, https:// nor a slash
 * is about the folder.
 *
 * No path of a request leaves the folder: media_read() walks down from it, one name after the other, and takes neither
 * "..", nor a name that begins with a dot, nor a symbolic link, nor anything but a regular file. What a browser could run
 * (HTML, SVG, scripts) has no media type here and is not served.
 *
 * Thread safety: constant once opened.
 */
#ifndef RASAED_SERVING_MEDIA_H
#define RASAED_SERVING_MEDIA_H

#include "app/row_json.h"

#include <stdint.h>

typedef struct media media; /* of all dictionaries */
typedef struct media_source media_source;

/* RA_ERR_ARGUMENT for items that are not NAME=DIR, NAME=TEMPLATE. */
ra_status media_check_folder(const char *words, ra_error *err);
ra_status media_check_url(const char *words, ra_error *err);

/* folders: NAME=DIR each; urls: NAME=TEMPLATE each; at most one of a name. Opens the folders. */
ra_status media_open(char *const *folders, size_t folder_count, char *const *urls, size_t url_count,
                     media **out, ra_error *err);
void media_free(media *all); /* NULL is fine */

/* That of a dictionary, NULL when it has none. all may be NULL. */
const media_source *media_of(const media *all, const char *dictionary);

/* Adds the template itself, as clients see it. base: the prefix of links, "" or "/rasae". */
void media_write_template(const media_source *source, const char *base, text *out);

/* Adds " https://example.org" for each address that is elsewhere: from where our pages may load media. */
void media_write_origins(const media *all, text *out);

/* Adds the address for a row; false, and nothing added, if the template needs a label or an item and the row has none. */
bool media_write_link(const media_source *source, const char *base, const media_row *row, text *out);

typedef struct media_file {
    const char *type; /* a constant: its media type */
    int64_t modified; /* seconds since 1970 */
} media_file;

/* bytes <- the content of the file at this path below the folder. RA_ERR_NOT_FOUND for anything that is not served, for
 * whatever reason; RA_ERR_TOO_LARGE above MEDIA_MOST. */
enum { MEDIA_MOST = 64 << 20 };
ra_status media_read(const media_source *source, const char *path, text *bytes, media_file *file,
                     ra_error *err);

#endif
