/* page.h - the page, and its parts in the order in which they stand on it.
 *
 * Thread safety: a page belongs to one thread.
 */
#ifndef RASAE_REPORT_PAGE_H
#define RASAE_REPORT_PAGE_H

#include "report/html.h"
#include "report/report.h"

/* Writes the page, whole or not at all. Everything is borrowed. The same report gives the same bytes. */
ra_status report_write(const report_content *report, const char *path, ra_error *err);

/* ---- its parts: tables.c, curves.c, shape.c, atoms.c ---------------------------------------------------- */

/* What came out, as tiles and (of several runs) a table. */
void report_page_results(html_writer *html, const report_content *report);

/* Loss, R2, L0, dead share, gradient norm and learning rate by step. */
ra_status report_page_curves(html_writer *html, const report_content *report, ra_error *err);

/* How often latents fire, and the singular values of the dictionary. */
void report_page_shape(html_writer *html, const report_content *report);

/* The strongest atoms of each run, and the points they are made of. */
ra_status report_page_atoms(html_writer *html, const report_content *report, ra_error *err);

void report_page_settings(html_writer *html, const report_content *report);

#endif
