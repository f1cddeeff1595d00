#include "report/pieces.h"

#include "report/chart.h"

#include <math.h>

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
    html_text(html, report->runs[run].name, REPORT_NAME_MOST);
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
