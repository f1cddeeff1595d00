/* The tables: results and settings. */
#include "report/page.h"
#include "report/pieces.h"

#include <math.h>

/* ---- results ------------------------------------------------------------------------------------------ */

enum { QUANTITY = -1 }; /* in the place of decimals: "14.7k" */

typedef double run_value(const report_run *run);

static double r2_of(const report_run *run) {
    return run->r2_per_dimension;
}

static double r2_around_one_mean_of(const report_run *run) {
    return run->r2;
}

static double r2_holdout_of(const report_run *run) {
    return run->r2_holdout;
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

static double hull_share_of(const report_run *run) {
    return (double)ra_model_get_info(run->model)->hull_share;
}

static double trace_cosine_of(const report_run *run) {
    return (double)ra_model_get_info(run->model)->trace_cosine;
}

static double agreement_of(const report_run *run) {
    return 100 * (double)ra_model_get_info(run->model)->agreement_share;
}

static double speed_of(const report_run *run) {
    return run->rows_per_second;
}

static const struct result_row {
    const char *name, *unit;
    run_value *value;
    int decimals; /* 0: significant digits */
    const char *note;
    bool optional; /* left out where no run has it */
} results[] = {
    {"R\u00b2", "", r2_of, 4, "around the mean of each dimension, over the last tenth of the steps", false},
    {"R\u00b2 around one mean", "", r2_around_one_mean_of, 4,
     "as in the reference; flatters where means are large", false},
    {"R\u00b2 held out", "", r2_holdout_of, 4, "on rows that were not trained on (--holdout)", true},
    {"Loss", "", loss_of, 0, "over the last tenth of the steps", false},
    {"L0", "", l0_of, 0, "active latents per row", false},
    {"Dead latents", "%", dead_of, 1, "in the last epoch\u2019s worth of steps", false},
    {"Stable rank", "", stable_rank_of, 2, "of the dictionary", false},
    {"Effective rank", "", effective_rank_of, 1, "of the dictionary", false},
    {"Hull share", "", hull_share_of, 3, "cosine of the median atom with its mixture", false},
    {"Trace", "", trace_cosine_of, 3, "cosine of the median atom with its rows", false},
    {"Agreement", "%", agreement_of, 1, "of the runs of its consensus that have the median atom", true},
    {"Rows per second", "", speed_of, QUANTITY, "in training", false},
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

static bool is_shown(const report_content *report, size_t i) {
    bool known = !results[i].optional;
    for (size_t r = 0; r < report->run_count; r++) known |= isfinite(results[i].value(&report->runs[r])) != 0;
    return known;
}

static void write_tiles(html_writer *html, const report_content *report) {
    const report_run *run = &report->runs[0];
    html_raw(html, "<dl class=\"tiles\">\n");
    for (size_t i = 0; i < RESULT_COUNT; i++) {
        if (!is_shown(report, i)) continue;
        html_format(html, "<div><dt>%s</dt><dd>", results[i].name);
        write_value(html, &results[i], results[i].value(run));
        html_format(html, "</dd><dd class=\"note\">%s</dd></div>\n", results[i].note);
    }
    html_raw(html, "</dl>\n");
}

static void write_head_of_table(html_writer *html, const report_content *report) {
    html_raw(html, "<thead><tr><th scope=\"col\">run</th>");
    for (size_t i = 0; i < RESULT_COUNT; i++)
        if (is_shown(report, i))
            html_format(html, "<th scope=\"col\" title=\"%s\">%s</th>", results[i].note, results[i].name);
    html_raw(html, "</tr></thead>\n");
}

static double mean_of(const report_content *report, run_value *value) {
    double sum = 0;
    for (size_t r = 0; r < report->run_count; r++) sum += value(&report->runs[r]);
    return sum / (double)report->run_count;
}

/* Of a sample: divided by one run less. */
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
        if (!is_shown(report, i)) continue;
        html_raw(html, "<td>");
        write_value(html, &results[i], summary(report, results[i].value));
        html_raw(html, "</td>");
    }
    html_raw(html, "</tr>\n");
}

/* One row per run, and below them mean and standard deviation. */
static void write_table(html_writer *html, const report_content *report) {
    html_raw(html, "<div class=\"scroll\"><table class=\"runs\">\n");
    write_head_of_table(html, report);
    html_raw(html, "<tbody>\n");
    for (size_t r = 0; r < report->run_count; r++) {
        html_raw(html, "<tr><th scope=\"row\">");
        report_run_name(html, report, r);
        html_raw(html, "</th>");
        for (size_t i = 0; i < RESULT_COUNT; i++) {
            if (!is_shown(report, i)) continue;
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
        write_tiles(html, report);
    else
        write_table(html, report);
    html_raw(html, "</section>\n");
}

/* ---- settings ----------------------------------------------------------------------------------------- */

static void begin_entry(html_writer *html, const char *name) {
    html_raw(html, "<tr><th scope=\"row\">");
    html_text(html, name, REPORT_NAME_MOST);
    html_raw(html, "</th><td>");
}

static void write_entry(html_writer *html, const char *name, const char *value) {
    begin_entry(html, name);
    html_text(html, value, REPORT_NAME_MOST);
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
    html_raw(html,
             "<table>\n<caption>Settings that were given, and defaults for the rest</caption>\n<tbody>\n");
    for (size_t i = 0; i < report->setting_count; i++)
        write_entry(html, report->settings[i].name, report->settings[i].value);
    html_raw(html, "</tbody>\n</table>\n</div>\n</section>\n");
}
