/* pieces.h - what the parts of the page have in common.
 *
 * Thread safety: a page belongs to one thread.
 */
#ifndef RASAE_REPORT_PIECES_H
#define RASAE_REPORT_PIECES_H

#include "app/format.h"
#include "report/html.h"
#include "report/report.h"

enum { REPORT_NAME_MOST = 200 }; /* characters of a name that are shown */

/* <figure> with its heading and a sentence on what it shows; the chart and then report_end_figure() follow.
 * `figure` (NULL: none): the one number that stands beside the heading. */
void report_begin_figure(html_writer *html, const char *heading, const char *figure, const char *sentence);
void report_end_figure(html_writer *html);

/* A number for people: with `decimals`, or (0) with four significant digits; "7.246e-4" when it is small. */
short_text report_number(double value, int decimals);

/* Which color is which run; nothing when there is one. */
void report_legend(html_writer *html, const report_content *report);
void report_run_name(html_writer *html, const report_content *report, size_t run); /* behind its color */

#endif
