/* Which points: the flags about them, and what follows from these and the data.
 *
 * --points says how many or which, --points-method how they are made, the rest is about k-means. What does
 * not fit together is refused before a file is opened; what the data cannot give, before anything is
 * computed. */
#include "training/training.h"

#include <stdint.h>
#include <string.h>

enum { POINTS_DEFAULT = 1000 };

/* ---- what --points says ------------------------------------------------------------------------------ */

typedef enum points_word { WORD_NONE, WORD_COUNT, WORD_ALL, WORD_SAMPLE, WORD_FILE } points_word;

/* A file with a name of digits is written ./1000. */
static points_word parse_points(const char *word, size_t *count) {
    static const char sample[] = "sample:";
    *count = 0;
    if (!word) return WORD_NONE;
    if (strcmp(word, "all") == 0) return WORD_ALL;
    if (ra_count_parse(word, count)) return WORD_COUNT;
    if (strncmp(word, sample, sizeof sample - 1) == 0 && ra_count_parse(word + sizeof sample - 1, count))
        return WORD_SAMPLE;
    return WORD_FILE;
}

bool train_points_is_file(const char *points) {
    size_t count;
    return parse_points(points, &count) == WORD_FILE;
}

/* ---- flags that contradict each other ---------------------------------------------------------------- */

static const char *const kmeans_flags[] = {"kmeans", "points-rows", "points-iterations"};
enum { KMEANS_FLAGS = sizeof kmeans_flags / sizeof *kmeans_flags };

const char *train_points_flag(const train_options *options) {
    if (options->points) return "points";
    if (train_knows(&options->train, "points-method")) return "points-method";
    if (train_knows(&options->train, "points-seed")) return "points-seed";
    for (size_t i = 0; i < KMEANS_FLAGS; i++)
        if (train_knows(&options->train, kmeans_flags[i])) return kmeans_flags[i];
    return NULL;
}

/* How points are made, as far as the flags say; -1: they are in a file. */
static int method_of(const train_options *options, points_word word) {
    static const int said[] = {[WORD_NONE] = RA_POINTS_KMEANS,
                               [WORD_COUNT] = RA_POINTS_KMEANS,
                               [WORD_ALL] = RA_POINTS_ALL,
                               [WORD_SAMPLE] = RA_POINTS_SAMPLE,
                               [WORD_FILE] = -1};
    bool open = word == WORD_NONE || word == WORD_COUNT;
    return open && train_knows(&options->train, "points-method") ? options->train.points_method : said[word];
}

const char *train_points_contradiction(const train_options *options) {
    const ra_train_settings *train = &options->train;
    size_t count;
    points_word word = parse_points(options->points, &count);
    int method = method_of(options, word);
    if (train_knows(train, "points-method")) {
        if (word == WORD_FILE)
            return "--points-method says how to make points, but --points names a file that holds them";
        if (train->points_method != method)
            return "--points and --points-method say different things about where the points come from";
        if (word == WORD_COUNT && method == RA_POINTS_ALL)
            return "--points-method all takes every row, so --points cannot give their number";
    }
    for (size_t i = 0; i < KMEANS_FLAGS && method != RA_POINTS_KMEANS; i++)
        if (train_knows(train, kmeans_flags[i]))
            return "--kmeans, --points-rows and --points-iterations are about k-means, but the points do not "
                   "come from it";
    if (train_knows(train, "points-seed") && method != RA_POINTS_KMEANS && method != RA_POINTS_SAMPLE)
        return "--points-seed was given, but nothing about the points is random";
    return NULL;
}

/* ---- what follows with these data -------------------------------------------------------------------- */

static ra_status check_counts(const train_options *options, const train_plan *plan, size_t rows,
                              ra_error *err) {
    const ra_train_settings *train = &options->train;
    if (!train_knows(train, "points-rows") || plan->source == POINTS_ROWS) return RA_OK;
    if (train->points_rows >= plan->points && train->points_rows <= rows) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "--points-rows is %zu, but for %zu points from %zu rows of data it can be %zu to %zu",
            train->points_rows, plan->points, rows, plan->points, rows);
}

ra_status train_plan_points(const train_options *options, const train_inputs *inputs, train_plan *plan,
                            ra_error *err) {
    size_t rows = ra_data_rows(inputs->data), count;
    points_word word = parse_points(options->points, &count);
    int method = method_of(options, word);
    if (inputs->points) {
        const ra_tensor *given = ra_array_tensor(inputs->points);
        plan->source = POINTS_FILE;
        plan->points =
            given->rank == 2 ? given->shape[0] : 0; /* the library says what is wrong with others */
        return RA_OK;
    }
    if (word == WORD_NONE) {
        count = train_knows(&options->train, "concepts") ? options->train.concepts : POINTS_DEFAULT;
        if (count > rows) count = rows;
    } else if (word != WORD_ALL && (count < 1 || count > rows))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--points is %s, but with %zu rows of data it can be %s1 to %s%zu",
                options->points, rows, word == WORD_SAMPLE ? "sample:" : "",
                word == WORD_SAMPLE ? "sample:" : "", rows);
    plan->points = method == RA_POINTS_ALL ? rows : count;
    plan->source = plan->points == rows         ? POINTS_ROWS
                   : method == RA_POINTS_SAMPLE ? POINTS_SAMPLE
                                                : POINTS_KMEANS;
    return check_counts(options, plan, rows, err);
}

/* ---- settings for the file --------------------------------------------------------------------------- */

static uint32_t bit_of(const char *flag) {
    int row = ra_setting_by_flag(ra_train_settings_table(), flag);
    return row < 0 ? 0 : (uint32_t)1 << row;
}

void train_plan_points_settings(const train_plan *plan, ra_train_settings *settings) {
    uint32_t kmeans = 0;
    for (size_t i = 0; i < KMEANS_FLAGS; i++) kmeans |= bit_of(kmeans_flags[i]);
    if (plan->source != POINTS_KMEANS) settings->known &= ~kmeans;
    if (plan->source == POINTS_KMEANS && !train_knows(settings, "kmeans")) {
        settings->kmeans = RA_KMEANS_LLOYD;
        settings->known |= bit_of("kmeans");
    }
    if (plan->source == POINTS_NONE || plan->source == POINTS_FILE) {
        settings->known &= ~(bit_of("points-method") | bit_of("points-seed"));
        return;
    }
    settings->points_method = plan->source == POINTS_ROWS     ? RA_POINTS_ALL
                              : plan->source == POINTS_SAMPLE ? RA_POINTS_SAMPLE
                                                              : RA_POINTS_KMEANS;
    settings->known |= bit_of("points-method");
    if (plan->source == POINTS_ROWS)
        settings->known &= ~bit_of("points-seed");
    else if (!train_knows(settings, "points-seed")) {
        settings->points_seed = 0; /* whatever the seed is: runs that differ in it share their points */
        settings->known |= bit_of("points-seed");
    }
}
