/* The page: its head, the order of its parts, and the tables.
 *
 * One file that is whole by itself: style sheet and script (which only reads values off under the pointer)
 * are carried in this program and written into the page. Its policy forbids everything else, and names the
 * script by its digest, so that a label that looks like markup could do nothing even if it
 * were not escaped. */
#include "report/page.h"

#include "command.h"

#include <math.h>
#include <stdio.h>

/* report.css and report.js, between two symbols each; see ASSETS in the Makefile. */
extern const char asset_trainer_report_report_css[], asset_trainer_report_report_css_end[];
extern const char asset_trainer_report_report_js[], asset_trainer_report_report_js_end[];

/* SHA-256 of report.js in base64; tests/cli/test_report.py says what it should be. */
#define SCRIPT_DIGEST "sha256-DT4MjWrIaCLlkaP5bU1Q4YkyS5CUxwOiddxxP3JqaAM="

enum { NAME_MOST = 200 };

/* ---- shared pieces ------------------------------------------------------------------------------------ */

void report_begin_figure(html_writer *html, const char *heading, const char *figure, const char *sentence) {
    html_raw(html, "<figure>\n<figcaption><h3>");
    html_text(html, heading, 0);
    if (figure) {
        html_raw(html, " <output>");
        html_text(html, figure, 0);
        html_raw(html, "</output>");
    }
    html_raw(html, "</h3><p>");
    html_text(html, sentence, 0);
    html_raw(html, "</p></figcaption>\n");
}

void report_end_figure(html_writer *html) {
    html_raw(html, "</figure>\n");
}

short_text report_number(double value, int decimals) {
    short_text out;
    double size = fabs(value);
    if (!isfinite(value))
        snprintf(out.text, sizeof out.text, "\u2013");
    else if (decimals)
        snprintf(out.text, sizeof out.text, "%.*f", decimals, value);
    else if (size > 0 && size < 1e-3) {
        int exponent = (int)floor(log10(size));
        snprintf(out.text, sizeof out.text, "%.4ge%d", value / pow(10, exponent), exponent);
    } else
        snprintf(out.text, sizeof out.text, "%.4g", value);
    return out;
}

void report_run_name(html_writer *html, const report_content *report, size_t run) {
    html_raw(html, "<span");
    chart_run_class(html, "swatch", run);
    html_raw(html, "></span> ");
    html_text(html, report->runs[run].name, NAME_MOST);
}

void report_legend(html_writer *html, const report_content *report) {
    if (report->run_count < 2) return;
    html_raw(html, "<ul class=\"legend\">");
    for (size_t r = 0; r < report->run_count; r++) {
        html_raw(html, "<li>");
        report_run_name(html, report, r);
        html_raw(html, "</li>");
    }
    html_raw(html, "</ul>\n");
}

/* ---- results ------------------------------------------------------------------------------------------ */

enum { QUANTITY = -1 }; /* in the place of decimals: "14.7k" */

typedef double run_value(const report_run *run);

static double r2_of(const report_run *run) {
    return run->r2;
}

static double loss_of(const report_run *run) {
    return run->loss;
}

static double l0_of(const report_run *run) {
    return run->l0;
}

static double dead_of(const report_run *run) {
    return 100 * run->dead;
}

static double stable_rank_of(const report_run *run) {
    return run->measures->singular_count ? run->measures->stable_rank : NAN;
}

static double effective_rank_of(const report_run *run) {
    return run->measures->singular_count ? run->measures->effective_rank : NAN;
}

static double speed_of(const report_run *run) {
    return run->rows_per_second;
}

static const struct result_row {
    const char *name, *unit;
    run_value *value;
    int decimals; /* 0: significant digits */
    const char *note;
} results[] = {
    {"R\u00b2", "", r2_of, 4, "over the last tenth of the steps"},
    {"Loss", "", loss_of, 0, "over the last tenth of the steps"},
    {"L0", "", l0_of, 0, "active latents a row"},
    {"Dead latents", "%", dead_of, 1, "in the last epoch\u2019s worth of steps"},
    {"Stable rank", "", stable_rank_of, 2, "of the dictionary"},
    {"Effective rank", "", effective_rank_of, 1, "of the dictionary"},
    {"Rows a second", "", speed_of, QUANTITY, "in training"},
};
enum { RESULT_COUNT = sizeof results / sizeof *results };

/* The text is for people, the attribute holds all digits. */
static void write_value(html_writer *html, const struct result_row *row, double value) {
    short_text text = isfinite(value) && row->decimals == QUANTITY ? format_quantity(value)
                                                                   : report_number(value, row->decimals);
    if (isfinite(value))
        html_format(html, "<data value=\"%.9g\">%s%s</data>", value, text.text, row->unit);
    else
        html_raw(html, text.text);
}

static void write_tiles(html_writer *html, const report_run *run) {
    html_raw(html, "<dl class=\"tiles\">\n");
    for (size_t i = 0; i < RESULT_COUNT; i++) {
        html_format(html, "<div><dt>%s</dt><dd>", results[i].name);
        write_value(html, &results[i], results[i].value(run));
        html_format(html, "</dd><dd class=\"note\">%s</dd></div>\n", results[i].note);
    }
    html_raw(html, "</dl>\n");
}

static void write_head_of_table(html_writer *html) {
    html_raw(html, "<thead><tr><th scope=\"col\">run</th>");
    for (size_t i = 0; i < RESULT_COUNT; i++)
        html_format(html, "<th scope=\"col\" title=\"%s\">%s</th>", results[i].note, results[i].name);
    html_raw(html, "</tr></thead>\n");
}

static double mean_of(const report_content *report, run_value *value) {
    double sum = 0;
    for (size_t r = 0; r < report->run_count; r++) sum += value(&report->runs[r]);
    return sum / (double)report->run_count;
}

/* Of a sample: over one run less. */
static double deviation_of(const report_content *report, run_value *value) {
    double mean = mean_of(report, value), squares = 0;
    for (size_t r = 0; r < report->run_count; r++) {
        double gap = value(&report->runs[r]) - mean;
        squares += gap * gap;
    }
    return sqrt(squares / (double)(report->run_count - 1));
}

static void write_summary_row(html_writer *html, const report_content *report, const char *name,
                              double summary(const report_content *report, run_value *value)) {
    html_format(html, "<tr><th scope=\"row\">%s</th>", name);
    for (size_t i = 0; i < RESULT_COUNT; i++) {
        html_raw(html, "<td>");
        write_value(html, &results[i], summary(report, results[i].value));
        html_raw(html, "</td>");
    }
    html_raw(html, "</tr>\n");
}

/* One row a run, and below them mean and standard deviation. */
static void write_table(html_writer *html, const report_content *report) {
    html_raw(html, "<div class=\"scroll\"><table class=\"runs\">\n");
    write_head_of_table(html);
    html_raw(html, "<tbody>\n");
    for (size_t r = 0; r < report->run_count; r++) {
        html_raw(html, "<tr><th scope=\"row\">");
        report_run_name(html, report, r);
        html_raw(html, "</th>");
        for (size_t i = 0; i < RESULT_COUNT; i++) {
            html_raw(html, "<td>");
            write_value(html, &results[i], results[i].value(&report->runs[r]));
            html_raw(html, "</td>");
        }
        html_raw(html, "</tr>\n");
    }
    html_raw(html, "</tbody>\n<tfoot>\n");
    write_summary_row(html, report, "mean", mean_of);
    write_summary_row(html, report, "standard deviation", deviation_of);
    html_raw(html, "</tfoot>\n</table></div>\n");
}

void report_page_results(html_writer *html, const report_content *report) {
    html_raw(html, "<section id=\"results\">\n<h2>Results</h2>\n");
    if (report->run_count == 1)
        write_tiles(html, &report->runs[0]);
    else
        write_table(html, report);
    html_raw(html, "</section>\n");
}

/* ---- settings ----------------------------------------------------------------------------------------- */

static void begin_entry(html_writer *html, const char *name) {
    html_raw(html, "<tr><th scope=\"row\">");
    html_text(html, name, NAME_MOST);
    html_raw(html, "</th><td>");
}

static void write_entry(html_writer *html, const char *name, const char *value) {
    begin_entry(html, name);
    html_text(html, value, NAME_MOST);
    html_raw(html, "</td></tr>\n");
}

static void write_shapes(html_writer *html, const report_content *report) {
    enum { FILES_SHOWN = 20 };
    const ra_model_info *info = ra_model_get_info(report->runs[0].model);
    html_raw(html, "<table>\n<caption>Data and model</caption>\n<tbody>\n");
    for (size_t i = 0; i < report->data_count && i < FILES_SHOWN; i++)
        write_entry(html, i == 0 ? "data" : "", report->data[i]);
    if (report->data_count > FILES_SHOWN) {
        begin_entry(html, "");
        html_format(html, "and %zu more files</td></tr>\n", report->data_count - FILES_SHOWN);
    }
    write_entry(html, "rows", format_grouped(report->rows).text);
    write_entry(html, "dimensions", format_grouped(report->dimensions).text);
    write_entry(html, "concepts", format_grouped(info->concepts).text);
    if (info->points) write_entry(html, "points", format_grouped(info->points).text);
    write_entry(html, "steps", format_grouped(report->runs[0].steps).text);
    begin_entry(html, "trained in");
    for (size_t r = 0; r < report->run_count; r++)
        html_format(html, "%s%s", r ? ", " : "", format_seconds(report->runs[r].seconds).text);
    html_raw(html, "</td></tr>\n");
    for (size_t r = 0; r < report->run_count; r++)
        write_entry(html, r == 0 ? "written to" : "", report->runs[r].output);
    html_raw(html, "</tbody>\n</table>\n");
}

void report_page_settings(html_writer *html, const report_content *report) {
    html_raw(html, "<section id=\"settings\">\n<h2>Settings</h2>\n<div class=\"tables\">\n");
    write_shapes(html, report);
    html_raw(html, "<table>\n<caption>What was asked for, and the defaults of the rest</caption>\n<tbody>\n");
    for (size_t i = 0; i < report->setting_count; i++)
        write_entry(html, report->settings[i].name, report->settings[i].value);
    html_raw(html, "</tbody>\n</table>\n</div>\n</section>\n");
}

/* ---- the page ----------------------------------------------------------------------------------------- */

static void write_asset(html_writer *html, const char *begin, const char *end) {
    html_bytes(html, begin, (size_t)(end - begin));
}

static void write_head(html_writer *html, const report_content *report) {
    html_raw(html, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                   "'unsafe-inline'; script-src '" SCRIPT_DIGEST "'; img-src data:\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html_text(html, report->title, NAME_MOST);
    html_raw(html, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    write_asset(html, asset_trainer_report_report_css, asset_trainer_report_report_css_end);
    html_raw(html, "</style>\n</head>\n<body>\n<header>\n<h1><bdi>");
    html_text(html, report->title, NAME_MOST);
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
