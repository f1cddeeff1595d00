/* What is printed at the end of a run. */
#include "training/training.h"

#include "app/format.h"
#include "app/json.h"

#include <math.h>

static ra_status summary_json(const train_run *run, const train_model *model, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "output", model->output);
    if (run->reported) json_text(&json, "report", run->options->report);
    json_count(&json, "seed", model->seed);
    json_count(&json, "concepts", run->plan->concepts);
    json_count(&json, "dimensions", ra_data_dimensions(run->inputs->data));
    json_count(&json, "points", run->points.vectors.rows);
    json_count(&json, "steps", ra_trainer_done(model->trainer));
    json_bool(&json, "finished", ra_trainer_done(model->trainer) >= ra_trainer_steps(model->trainer));
    json_real(&json, "loss", model->loss / model->rows);
    json_real(&json, "r2_per_dimension", model->r2_per_dimension / model->rows);
    json_real(&json, "r2", model->r2 / model->rows);
    if (model->measured) json_real(&json, "r2_holdout", model->r2_holdout);
    json_real(&json, "l0", model->l0 / model->rows);
    json_real(&json, "dead", model->last.dead);
    json_real(&json, "seconds", run->seconds);
    json_real(&json, "rows_per_second", run->seconds > 0 ? run->total_rows / run->seconds : NAN);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

/* The losses auxk and reanimate are not among the advice. auxk trains latents whose pre-code is positive, which those
 * of dead latents are not: on digits it left 85 % dead, without it 45 %. reanimate wakes all of them, for an R2 below 0.
 * --standardize element left 4 %. */
static void advise_on_dead(const train_run *run, const train_model *model) {
    static const double many = 0.1;
    size_t dead = (size_t)lround(model->last.dead * (double)run->plan->concepts);
    if (model->rows == 0 || run->interrupted || model->last.dead < many) return;
    printf("%s of %s latents are dead: not active in the last epoch. Try ", format_grouped(dead).text,
           format_grouped(run->plan->concepts).text);
    if (run->plan->train.standardize == RA_STANDARDIZE_NONE) printf("--standardize element, ");
    printf("a larger --top-k, or fewer --concepts\n");
}

static size_t held_rows(const train_inputs *inputs) {
    return inputs->holdout ? ra_data_rows(inputs->holdout) : ra_data_held_rows(inputs->data);
}

static ra_status summary_text(const train_run *run, const train_model *model, ra_error *err) {
    (void)err;
    size_t done = ra_trainer_done(model->trainer), steps = ra_trainer_steps(model->trainer);
    if (run->interrupted) {
        printf(
            "training was interrupted at step %zu of %zu; to continue, run the same command with --resume ",
            done, steps);
        print_clean(stdout, run->options->output);
        putchar('\n');
    } else if (model->rows > 0) {
        printf("%zu step%s in %s; over the last tenth: loss %.6g, R2 %.4f (one mean %.4f), L0 %.1f, dead "
               "%.1f%%\n",
               done, done == 1 ? "" : "s", format_seconds(run->seconds).text, model->loss / model->rows,
               model->r2_per_dimension / model->rows, model->r2 / model->rows, model->l0 / model->rows,
               100 * model->last.dead);
    } else {
        printf("all %zu steps had been done before\n", done);
    }
    if (model->measured)
        printf("R2 %.4f on %s rows that were held out\n", model->r2_holdout,
               format_grouped(held_rows(run->inputs)).text);
    advise_on_dead(run, model);
    if (model->rows > 0 && model->r2_per_dimension < 0)
        printf("an R2 below 0 is worse than the mean of the data: try more --epochs, another --lr, or "
               "activations "
               "scaled to rows of about unit length\n");
    print_clean(stdout, model->output);
    printf(": %s concepts of %zu dimensions\n", format_grouped(run->plan->concepts).text,
           ra_data_dimensions(run->inputs->data));
    return RA_OK;
}

/* There is no model yet. */
static ra_status summary_of_points(const train_run *run, ra_error *err) {
    text json = {0};
    if (run->options->json) {
        json_object(&json, NULL);
        json_text(&json, "output", run->models[0].output);
        json_count(&json, "steps", 0);
        json_bool(&json, "finished", false);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    printf("interrupted while looking for points; to continue, run the same command with --resume ");
    print_clean(stdout, run->options->output);
    putchar('\n');
    return RA_OK;
}

ra_status train_summary(const train_run *run, ra_error *err) {
    if (run->options->part || (run->options->quiet && !run->options->json)) return RA_OK;
    if (!run->models[0].trainer) return summary_of_points(run, err);
    for (size_t i = 0; i < run->count; i++)
        RA_TRY((run->options->json ? summary_json : summary_text)(run, &run->models[i], err));
    if (run->options->json) return RA_OK;
    if (run->reported) {
        print_clean(stdout, run->options->report);
        printf(": the report\n");
    }
    if (!run->interrupted)
        command_next("rasae eval %s DATA, then rasae fuse %s -o FUSED.safetensors", run->models[0].output,
                     run->models[0].output);
    return RA_OK;
}
