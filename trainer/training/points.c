/* Which points: the flags about them, and what follows from these and the data.
 *
 * --points says how many or which, --points-method how they are made, the rest is about k-means. Flags that
 * contradict each other are refused before a file is opened, numbers that do not fit the data before anything is
 * computed. */
#include "training/training.h"

#include <string.h>

enum { POINTS_DEFAULT = 1000 };

/* ---- what --points says ------------------------------------------------------------------------------ */

typedef enum points_word { WORD_NONE, WORD_COUNT, WORD_ALL, WORD_SAMPLE, WORD_FILE } points_word;

/* A file whose name is a number is written ./1000. */
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

static const enum ra_train_setting about_kmeans[] = {RA_TRAIN_KMEANS, RA_TRAIN_POINTS_ROWS,
                                                     RA_TRAIN_POINTS_ITERATIONS};
enum { ABOUT_KMEANS = sizeof about_kmeans / sizeof *about_kmeans };

ra_setting_name train_points_flag(const train_options *options) {
    static const enum ra_train_setting about_points[] = {RA_TRAIN_POINTS_METHOD, RA_TRAIN_POINTS_SEED,
                                                         RA_TRAIN_KMEANS, RA_TRAIN_POINTS_ROWS,
                                                         RA_TRAIN_POINTS_ITERATIONS};
    if (options->points) return (ra_setting_name){"points"};
    for (size_t i = 0; i < sizeof about_points / sizeof *about_points; i++)
        if (ra_setting_known(&options->train, about_points[i]))
            return ra_setting_flag(&ra_train_settings_table()->rows[about_points[i]]);
    return (ra_setting_name){""};
}

static bool makes_mixtures(const train_options *options) {
    const ra_sae_settings *sae = &options->model.settings;
    bool plain = ra_setting_known(sae, RA_SET_DICTIONARY) && sae->dictionary != RA_DICTIONARY_ARCHETYPAL;
    return !plain && (!ra_setting_known(sae, RA_SET_MIXTURE) || sae->mixture > 0);
}

/* How points are made, as far as the flags say; -1: they are in a file. Mixtures take rows of the data unless a
 * number of points is asked for. */
static int method_of(const train_options *options, points_word word) {
    const int said[] = {[WORD_NONE] = makes_mixtures(options) ? RA_POINTS_ALL : RA_POINTS_KMEANS,
                        [WORD_COUNT] = RA_POINTS_KMEANS,
                        [WORD_ALL] = RA_POINTS_ALL,
                        [WORD_SAMPLE] = RA_POINTS_SAMPLE,
                        [WORD_FILE] = -1};
    bool open = word == WORD_NONE || word == WORD_COUNT;
    return open && ra_setting_known(&options->train, RA_TRAIN_POINTS_METHOD) ? options->train.points_method
                                                                             : said[word];
}

/* k-means finds the points, or the rows that atoms start on. */
static bool uses_kmeans(const train_options *options, int method) {
    const ra_train_settings *train = &options->train;
    bool starts = !ra_setting_known(train, RA_TRAIN_INIT) || train->init == RA_INIT_KMEANS;
    return method == RA_POINTS_KMEANS || (method == RA_POINTS_ALL && makes_mixtures(options) && starts);
}

const char *train_points_contradiction(const train_options *options) {
    const ra_train_settings *train = &options->train;
    size_t count;
    points_word word = parse_points(options->points, &count);
    int method = method_of(options, word);
    if (ra_setting_known(train, RA_TRAIN_POINTS_METHOD)) {
        if (word == WORD_FILE)
            return "--points-method says how to make points, but --points names a file that holds them";
        if (train->points_method != method)
            return "--points and --points-method say different things about where the points come from";
        if (word == WORD_COUNT && method == RA_POINTS_ALL)
            return "--points-method all takes every row, so --points cannot give their number";
    }
    for (size_t i = 0; i < ABOUT_KMEANS && !uses_kmeans(options, method); i++)
        if (ra_setting_known(train, about_kmeans[i]))
            return "--kmeans, --points-rows and --points-iterations are about k-means, but the points do not "
                   "come from it";
    if (ra_setting_known(train, RA_TRAIN_POINTS_SEED) && !uses_kmeans(options, method) &&
        method != RA_POINTS_SAMPLE)
        return "--points-seed was given, but nothing about the points is random";
    return NULL;
}

/* ---- what follows with these data -------------------------------------------------------------------- */

ra_status train_plan_check_points(const train_options *options, const train_plan *plan, size_t rows,
                                  ra_error *err) {
    const ra_train_settings *train = &options->train;
    size_t clusters = train_plan_kmeans(plan);
    if (!ra_setting_known(train, RA_TRAIN_POINTS_ROWS) || clusters == 0) return RA_OK;
    if (train->points_rows >= clusters && train->points_rows <= rows) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "--points-rows is %zu, but for %zu clusters of %zu rows of data it can be %zu to %zu",
            train->points_rows, clusters, rows, clusters, rows);
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
            given->rank == 2 ? given->shape[0] : 0; /* the library reports what is wrong with others */
        if (inputs->point_labels && ra_labels_count(inputs->point_labels) != plan->points)
            RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each point of %s",
                    options->point_labels, ra_labels_count(inputs->point_labels), plan->points,
                    options->points);
        return RA_OK;
    }
    if (word == WORD_NONE) {
        count =
            ra_setting_known(&options->train, RA_TRAIN_CONCEPTS) ? options->train.concepts : POINTS_DEFAULT;
        if (count > rows) count = rows;
    } else if (word != WORD_ALL && (count < 1 || count > rows))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--points is %s, but with %zu rows of data it can be %s1 to %s%zu",
                options->points, rows, word == WORD_SAMPLE ? "sample:" : "",
                word == WORD_SAMPLE ? "sample:" : "", rows);
    plan->points = method == RA_POINTS_ALL ? rows : count;
    plan->source = plan->points == rows         ? POINTS_ROWS
                   : method == RA_POINTS_SAMPLE ? POINTS_SAMPLE
                                                : POINTS_KMEANS;
    return RA_OK;
}

/* ---- settings for the file --------------------------------------------------------------------------- */

void train_plan_points_settings(const train_plan *plan, ra_train_settings *settings) {
    bool made = plan->source != POINTS_NONE && plan->source != POINTS_FILE;
    bool kmeans = train_plan_kmeans(plan) > 0, random = kmeans || plan->source == POINTS_SAMPLE;
    if (!made) ra_setting_forget(settings, RA_TRAIN_POINTS_METHOD);
    if (!random) ra_setting_forget(settings, RA_TRAIN_POINTS_SEED);
    for (size_t i = 0; i < ABOUT_KMEANS; i++)
        if (!kmeans) ra_setting_forget(settings, about_kmeans[i]);
    if (!made) return;
    settings->points_method = plan->source == POINTS_ROWS     ? RA_POINTS_ALL
                              : plan->source == POINTS_SAMPLE ? RA_POINTS_SAMPLE
                                                              : RA_POINTS_KMEANS;
    train_know(settings, RA_TRAIN_POINTS_METHOD);
    /* The seed of the points is 0 whatever --seed is: runs that differ in it share their points. */
    ra_train_settings defaults = {.kmeans = RA_KMEANS_LLOYD, .points_seed = 0};
    if (random) train_know(&defaults, RA_TRAIN_POINTS_SEED);
    if (kmeans) train_know(&defaults, RA_TRAIN_KMEANS);
    ra_settings_fill(ra_train_settings_table(), settings, &defaults);
}

size_t train_plan_kmeans(const train_plan *plan) {
    if (plan->source == POINTS_KMEANS) return plan->points;
    return train_plan_reads_rows(plan) && plan->train.init == RA_INIT_KMEANS ? plan->concepts : 0;
}
