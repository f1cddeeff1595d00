/* report_page.h - the parts of the page, in the order in which they stand on it; report.c calls them. */
#ifndef RASAE_REPORT_PAGE_H
#define RASAE_REPORT_PAGE_H

#include "report/chart.h"
#include "app/format.h"
#include "report/html.h"
#include "report/report.h"

/* What came out, as tiles and (of several runs) a table. */
void report_page_results(html_writer *html, const report_content *report);

/* Loss, R2, L0, dead share, gradient norm and learning rate by step. */
ra_status report_page_curves(html_writer *html, const report_content *report, ra_error *err);

/* How often latents fire, and the singular values of the dictionary. */
void report_page_shape(html_writer *html, const report_content *report);

/* The strongest atoms of each run, and the points they are made of. */
ra_status report_page_atoms(html_writer *html, const report_content *report, ra_error *err);

void report_page_settings(html_writer *html, const report_content *report);

/* ---- shared ------------------------------------------------------------------------------------------- */

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
