/* A run may have millions of steps, but a chart is some hundred pixels wide: neighboring steps are joined. */
#include "report/report.h"

ra_status report_history_init(report_history *history, ra_error *err) {
    *history = (report_history){.points = ra_malloc(REPORT_POINTS, sizeof *history->points), .width = 1};
    if (history->points) return RA_OK;
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the history of a report");
}

void report_history_release(report_history *history) {
    ra_free(history->points);
    *history = (report_history){0};
}

/* into <- both; values that are not means are taken from b, which comes later. */
static void join(report_point *into, const report_point *a, const report_point *b) {
    double rows = a->rows + b->rows, share = rows > 0 ? b->rows / rows : 1;
    report_point sum = *b;
    sum.rows = rows;
    sum.loss = a->loss + share * (b->loss - a->loss);
    sum.r2 = a->r2 + share * (b->r2 - a->r2);
    sum.r2_per_dimension = a->r2_per_dimension + share * (b->r2_per_dimension - a->r2_per_dimension);
    sum.l0 = a->l0 + share * (b->l0 - a->l0);
    sum.grad_norm = a->grad_norm + share * (b->grad_norm - a->grad_norm);
    *into = sum;
}

static void halve(report_history *history) {
    history->count /= 2;
    for (size_t i = 0; i < history->count; i++)
        join(&history->points[i], &history->points[2 * i], &history->points[2 * i + 1]);
    history->width *= 2;
    history->begun = history->width;
}

void report_history_add(report_history *history, const ra_train_progress *step) {
    const report_point point = {.step = (double)step->step,
                                .rows = (double)step->rows,
                                .loss = step->loss,
                                .r2 = step->r2,
                                .r2_per_dimension = step->r2_per_dimension,
                                .l0 = step->l0,
                                .grad_norm = step->grad_norm,
                                .dead = step->dead,
                                .lr = step->lr};
    if (history->count && history->begun < history->width) {
        report_point *last = &history->points[history->count - 1];
        join(last, last, &point);
        history->begun++;
        return;
    }
    if (history->count == REPORT_POINTS) halve(history);
    history->points[history->count++] = point;
    history->begun = 1;
}
