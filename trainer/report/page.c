/* The page: its head and the order of its parts.
 *
 * One file that is whole by itself: style sheet and script (which only reads values off under the pointer)
 * are carried in this program and written into the page. Its policy forbids everything else, and names the
 * script by its digest, so that a label that looks like markup could do nothing even if it
 * were not escaped. */
#include "report/page.h"
#include "report/pieces.h"

/* report.css and report.js, between two symbols each; see ASSETS in the Makefile. */
extern const char asset_trainer_report_report_css[], asset_trainer_report_report_css_end[];
extern const char asset_trainer_report_report_js[], asset_trainer_report_report_js_end[];

/* SHA-256 of report.js in base64; tests/cli/test_report.py says what it should be. */
#define SCRIPT_DIGEST "sha256-DT4MjWrIaCLlkaP5bU1Q4YkyS5CUxwOiddxxP3JqaAM="

static void write_asset(html_writer *html, const char *begin, const char *end) {
    html_bytes(html, begin, (size_t)(end - begin));
}

static void write_head(html_writer *html, const report_content *report) {
    html_raw(html, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                   "'unsafe-inline'; script-src '" SCRIPT_DIGEST "'; img-src data:\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html_text(html, report->title, REPORT_NAME_MOST);
    html_raw(html, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    write_asset(html, asset_trainer_report_report_css, asset_trainer_report_report_css_end);
    html_raw(html, "</style>\n</head>\n<body>\n<header>\n<h1><bdi>");
    html_text(html, report->title, REPORT_NAME_MOST);
    html_raw(html, "</bdi></h1>\n<nav><a href=\"#results\">Results</a> <a href=\"#curves\">Training</a> <a "
                   "href=\"#shape\">Dictionary</a> <a href=\"#atoms\">Atoms</a> <a "
                   "href=\"#settings\">Settings</a></nav>\n</header>\n<main>\n");
}

static void write_foot(html_writer *html) {
    html_raw(html, "</main>\n<footer>Written by <code>rasae train --report</code>.</footer>\n<script>");
    write_asset(html, asset_trainer_report_report_js, asset_trainer_report_report_js_end);
    html_raw(html, "</script>\n</body>\n</html>\n");
}

static ra_status write_parts(html_writer *html, const report_content *report, ra_error *err) {
    write_head(html, report);
    report_page_results(html, report);
    RA_TRY(report_page_curves(html, report, err));
    report_page_shape(html, report);
    RA_TRY(report_page_atoms(html, report, err));
    report_page_settings(html, report);
    write_foot(html);
    return RA_OK;
}

ra_status report_write(const report_content *report, const char *path, ra_error *err) {
    html_writer html;
    RA_TRY(html_begin(&html, path, err));
    ra_status status = write_parts(&html, report, err);
    if (status == RA_OK) return html_end(&html);
    html.status = status;
    return html_end(&html);
}
