/* Two faces of the same report. A bar overwrites itself, so it may come often and must never be wider than
 * the terminal: a wrapped line cannot be taken back. Plain lines stay, so they come seldom. The bar goes to
 * stderr, which keeps stdout for results; lines go to stdout, which keeps stderr for errors.
 *
 * Long work calls progress_due() after every step and formats its figures only when it returns true. */
#include "common/progress.h"
#include "common/command.h"
#include "app/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1, LINE_SECONDS = 2, LONGEST_SILENCE = 30;
enum { LINE_PERCENT = 5, WIDTH_UNKNOWN = 80, WIDTH_MAX = 240, BAR_MIN = 6, BAR_MAX = 30, FIELD_MAX = 12 };

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool can_draw(int fd) {
    const char *terminal = getenv("TERM");
    return isatty(fd) && terminal && strcmp(terminal, "dumb") != 0;
}

static size_t terminal_width(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return WIDTH_UNKNOWN;
    return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

static void erase(progress_meter *progress) {
    if (progress->drawn) fputs("\r\x1b[K", stderr);
    progress->drawn = false;
}

/* ---- life, and lines between the bars ---------------------------------------------------------------- */

/* "using the CPU: ..." is news only where there is something else to use. */
static bool is_news(const char *line) {
    static const char cpu[] = "using the CPU: ", *const drivers[] = {"/dev/nvidiactl", "/dev/dxg"};
    if (strncmp(line, cpu, sizeof cpu - 1) != 0) return true;
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (access(drivers[i], F_OK) == 0) return true;
    return false;
}

static void pass_log_line(void *context, ra_log_level level, const char *line) {
    progress_meter *progress = context;
    if (!is_news(line)) return;
    erase(progress);
    if (level >= RA_LOG_WARNING)
        command_log(NULL, level, line);
    else if (level == RA_LOG_INFO)
        progress_note(progress, "%s", line);
}

void progress_open(progress_meter *progress, progress_mode mode) {
    *progress = (progress_meter){0};
    bool screen = can_draw(STDERR_FILENO);
    if (mode == PROGRESS_BAR) progress->bar = screen;
    if (mode == PROGRESS_LINES) {
        progress->bar = screen && isatty(STDOUT_FILENO);
        progress->lines = !progress->bar;
    }
    ra_log_set_sink(pass_log_line, progress);
}

void progress_close(progress_meter *progress) {
    erase(progress);
    if (progress->lines) fflush(stdout);
    ra_log_set_sink(command_log, NULL);
}

void progress_note(progress_meter *progress, const char *format, ...) {
    FILE *to = progress->bar ? stderr : stdout;
    if (!progress->bar && !progress->lines) return;
    erase(progress);
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    print_clean(to, line);
    putc('\n', to);
    fflush(to); /* for readers of a pipe */
}

/* ---- when to show ------------------------------------------------------------------------------------ */

void progress_start(progress_meter *progress, const char *what, size_t total) {
    progress->what = what;
    progress->total = total;
    progress->started = now_seconds();
    progress->shown = progress->bar ? 0 : progress->started;
    progress->shown_done = 0;
}

double progress_elapsed(const progress_meter *progress) {
    return now_seconds() - progress->started;
}

bool progress_due(const progress_meter *progress, size_t done) {
    if (!progress->bar && !progress->lines) return false;
    if (progress->total && done >= progress->total) return true;
    double silence = now_seconds() - progress->shown;
    if (progress->bar) return silence >= REDRAW_SECONDS;
    bool far = progress->total == 0 || (done - progress->shown_done) >= progress->total * LINE_PERCENT / 100;
    return silence >= (far ? LINE_SECONDS : LONGEST_SILENCE);
}

/* ---- what is shown ----------------------------------------------------------------------------------- */

/* Everything but the bar, as separate fields, most important first. */
typedef struct line_content {
    progress_field fields[FIELD_MAX];
    size_t count;
} line_content;

static void add_field(line_content *content, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_field(line_content *content, const char *format, ...) {
    if (content->count == FIELD_MAX) return;
    va_list args;
    va_start(args, format);
    vsnprintf(content->fields[content->count++].text, sizeof content->fields[0].text, format, args);
    va_end(args);
}

static line_content make_content(const progress_meter *progress, size_t done, double rows,
                                 const progress_field *details, size_t count) {
    line_content content = {.count = 0};
    double elapsed = progress_elapsed(progress);
    if (progress->total && done > 0 && done < progress->total)
        add_field(&content, "ETA %s",
                  format_seconds(elapsed / (double)done * (double)(progress->total - done)).text);
    else if (progress->total && done > 0)
        add_field(&content, "in %s", format_seconds(elapsed).text);
    for (size_t i = 0; i < count; i++) add_field(&content, "%s", details[i].text);
    if (rows > 0 && elapsed > 0) add_field(&content, "%s rows/s", format_quantity(rows / elapsed).text);
    if (progress->total) add_field(&content, "%zu/%zu", done, progress->total);
    return content;
}

/* `width` characters of "[====>     ]"; returns how many were written. */
static size_t draw_bar(char *to, size_t width, double share) {
    size_t inside = width - 2, filled = (size_t)(share * (double)inside);
    to[0] = '[';
    for (size_t i = 0; i < inside; i++) to[i + 1] = i < filled ? '=' : i == filled ? '>' : ' ';
    to[width - 1] = ']';
    return width;
}

static void show_bar(progress_meter *progress, size_t done, const line_content *content) {
    char line[2 * WIDTH_MAX], percent[16] = "";
    /* The last column stays free, since some terminals wrap there, and two more for the ^C that a terminal
     * echoes: what wraps cannot be taken back. */
    size_t columns = terminal_width(), width = columns > 3 ? columns - 3 : 0;
    double share = progress->total ? (double)done / (double)progress->total : 0;
    if (progress->total) snprintf(percent, sizeof percent, "%3.0f%% ", 100 * share);
    size_t bar = progress->total ? BAR_MIN : 0, length = strlen(percent) + bar, fields = 0;
    while (fields < content->count && length + 2 + strlen(content->fields[fields].text) <= width)
        length += 2 + strlen(content->fields[fields++].text);
    size_t name = strlen(progress->what) + 1; /* left out first: a note has named it */
    bool named = progress->total == 0 || (fields == content->count && length + name <= width);
    size_t used = (size_t)snprintf(line, 64, "%.40s%s%s", named ? progress->what : "",
                                   named && percent[0] ? " " : "", percent);
    if (named) length += name;
    if (bar && length <= width) {
        size_t wide = bar + (width - length);
        used += draw_bar(line + used, wide < BAR_MAX ? wide : BAR_MAX, share);
    }
    for (size_t i = 0; i < fields; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "  %s", content->fields[i].text);
    fprintf(stderr, "\r%.*s\x1b[K", (int)(used < width ? used : width), line);
    fflush(stderr);
    progress->drawn = true;
}

static void show_line(const progress_meter *progress, size_t done, const line_content *content) {
    printf("%s", progress->what);
    if (progress->total) printf(" %3.0f%%", 100.0 * (double)done / (double)progress->total);
    for (size_t i = 0; i < content->count; i++) printf("  %s", content->fields[i].text);
    putchar('\n');
    fflush(stdout);
}

void progress_show(progress_meter *progress, size_t done, double rows, const progress_field *details,
                   size_t count) {
    line_content content = make_content(progress, done, rows, details, count);
    if (progress->bar)
        show_bar(progress, done, &content);
    else if (progress->lines)
        show_line(progress, done, &content);
    progress->shown = now_seconds();
    progress->shown_done = done;
}

bool progress_share(void *meter, uint64_t done, uint64_t total) {
    progress_meter *progress = meter;
    size_t percent = (size_t)(100 * done / (total ? total : 1));
    progress->total = 100;
    if (progress_due(progress, percent)) progress_show(progress, percent, 0, NULL, 0);
    return !command_interrupted();
}

void progress_rows(progress_meter *progress, size_t done) {
    if (progress_due(progress, done)) progress_show(progress, done, (double)done, NULL, 0);
}
