/* rasae consensus: what several runs have in common, as a checkpoint to train further from. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/agreement.h"
#include "common/files.h"

static struct consensus_flags {
    uint64_t known;
    const char *output;
    size_t concepts, keep;
    double level;
    bool json, quiet;
    model_choice model;
} flags;

#define AT(member) offsetof(struct consensus_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "START",
        .help = "the checkpoint to train further from"},
    {"concepts", RA_SETTING_COUNT, AT(concepts), .min = 1, .max = 0x1p31, .argument = "K",
        .help = "atoms of the consensus (as many as the first run has)"},
    {"keep", RA_SETTING_COUNT, AT(keep), .min = 1, .max = 0x1p31, .argument = "N",
        .help = "keep the N of these atoms that most runs have (all)"},
    {"level", RA_SETTING_REAL, AT(level), .min = 0, .max = 1, .fallback = "0.7", .argument = "X",
        .help = "the cosine from which on a run has an atom"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

static ra_status print_result(const ra_consensus *c, const ra_agreement *agreement, ra_error *err) {
    agreement_figures figures;
    text json = {0};
    RA_TRY(agreement_figures_of(agreement, &figures, err));
    if (flags.json) {
        json_object(&json, NULL);
        json_text(&json, "output", flags.output);
        json_count(&json, "runs", c->runs);
        json_count(&json, "concepts", c->atoms.rows);
        json_real(&json, "level", agreement->level);
        json_real(&json, "share", figures.share);
        json_real(&json, "cosine", figures.cosine);
        json_real(&json, "found_by_half", figures.found);
        json_array(&json, "atoms");
        for (size_t k = 0; k < c->atoms.rows; k++) {
            json_object(&json, NULL);
            json_count(&json, "atom", k);
            json_float(&json, "share", agreement->share[k]);
            json_float(&json, "cosine", agreement->cosine[k]);
            json_object_end(&json);
        }
        json_array_end(&json);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    if (flags.quiet) return RA_OK;
    print_clean(stdout, flags.output);
    printf(": %s atoms from %zu runs; at least half of the runs have %.1f %% of them (cosine %.2g and more), "
           "the median atom is in %.0f %% of the runs, mean cosine %.3f\n",
           format_grouped(c->atoms.rows).text, c->runs, 100 * figures.found, agreement->level,
           100 * figures.share, figures.cosine);
    command_next("rasae train DATA --init %s --lr 2e-4 --steps 1000 -o OUT.safetensors", flags.output);
    return RA_OK;
}

static ra_status consensus(int argc, char **argv, ra_error *err) {
    const char *const *paths = (const char *const *)argv;
    run_dictionaries runs = {.count = 0};
    ra_consensus result = {0};
    ra_agreement agreement = {0};
    ra_backend *backend = NULL;
    ra_status status;
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, paths, (size_t)argc, err));
    RA_TRY_OUT(status, run_dictionaries_open(&flags.model, paths, (size_t)argc, &runs, err));
    RA_TRY_OUT(status, model_choice_host_backend(&flags.model, &backend, err));
    size_t K = flags.concepts ? flags.concepts : runs.D[0].rows;
    RA_TRY_OUT(status, ra_consensus_find(backend, runs.D, runs.count, K, &result, err));
    RA_TRY_OUT(status,
               run_dictionaries_agreement(&flags.model, &result.atoms, &runs, flags.level, &agreement, err));
    if (flags.keep) RA_TRY_OUT(status, ra_consensus_keep(&result, &agreement, flags.keep, err));
    RA_TRY_OUT(status, ra_consensus_write(&result, paths, &agreement, flags.output, err));
    status = print_result(&result, &agreement, err);
out:
    ra_agreement_release(&agreement);
    ra_consensus_release(&result);
    run_dictionaries_release(&runs);
    ra_backend_release(backend);
    return status;
}

const command command_consensus = {
    .name = "consensus",
    .summary = "join the atoms of several runs to a dictionary to train further from",
    .usage = "A B... -o START [flags]",
    .about =
        "Pools the atoms of runs on the same data, clusters them (Ward's criterion, then nearest means)\n"
        "and writes the means of the groups as a checkpoint, with the means of their encoders. Train it\n"
        "further at a low rate: `rasae train DATA --init START --lr 2e-4 --steps 1000 -o OUT`. The runs\n"
        "are checkpoints of one kind, plain or of mixtures. START keeps for each atom its agreement: the\n"
        "share of the runs that have it, and the mean cosine. Atoms that few runs have say more about their "
        "run\n"
        "than about the data: --keep leaves them out. `rasae train --consensus M` does all of it.\n",
    .example = "  rasae consensus run1.safetensors run2.safetensors run3.safetensors -o start.safetensors\n"
               "  rasae consensus run*.safetensors --concepts 300 -o start.safetensors --json\n",
    .min_arguments = 2,
    .max_arguments = RUNS_MOST,
    .arguments = "two checkpoints or more, A and B",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = consensus,
};
