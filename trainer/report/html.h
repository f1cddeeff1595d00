/* html.h - a page, written as it is made into an atomic file.
 *
 *     html_writer html;
 *     RA_TRY(html_begin(&html, path, err));
 *     html_raw(&html, "<p>");
 *     html_text(&html, label, 80);
 *     html_format(&html, " %.3g</p>\n", weight);
 *     return html_end(&html);
 *
 * The first failure is kept; html_end() returns it. Texts that come from files or from the command
 * line go through html_text() and nothing else: it is the only function that escapes.
 *
 * Thread safety: a writer belongs to one thread.
 */
#ifndef RASAE_REPORT_HTML_H
#define RASAE_REPORT_HTML_H

#include "ra_io.h"

typedef struct html_writer {
    ra_atomic_file *file;
    ra_status status; /* of the first failure */
    ra_error *err;
    size_t used;
    char buffer[16384];
} html_writer;

/* After a failure there is nothing to end. */
ra_status html_begin(html_writer *html, const char *path, ra_error *err);

void html_raw(html_writer *html, const char *markup);
void html_bytes(html_writer *html, const char *markup, size_t size);

/* Markup with numbers in it. */
void html_format(html_writer *html, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text between tags or within quoted attributes, cut with an ellipsis after `most` characters (0: never).
 * What is not UTF-8 becomes U+FFFD, control characters become spaces. NULL is the empty text. */
void html_text(html_writer *html, const char *text, size_t most);

/* Puts the page under its name, or removes the unfinished one. */
ra_status html_end(html_writer *html);

#endif
