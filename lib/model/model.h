/* model.h - the inside of a model and of a workspace, and what the files of this folder share.
 *
 *   open.c             which kind of file it is, settings, the parts in their order; retain, release, info
 *   open_artifact.c    a fused file: views into its mapping, every number of it checked
 *   open_checkpoint.c  the eval-mode fuse of a checkpoint, or a plain dictionary
 *   open_encoder.c     encoder and activation, the same for both
 *   open_points.c      what is known of the candidate points, the same for both
 *   open_latents.c     statistics of the latents and the layout of the atoms, of an artifact
 *   labels.c           texts of points, rows and atoms; the ones that are made up from others
 *   provenance.c       atoms, points, and the way back from a point to its atoms
 *   standardize.c      into and out of standardized space, for models that were trained there
 *   resident.c         what of this a device has a copy of; the memory that takes
 *   reconstruct.c encode.c encode_block.c search.c search_score.c explain.c steer.c
 *                      the computations; workspace.c is their scratch, execution.c where they run
 *   vectors.c ranking.c                         float64 dot products; order by falling key
 *   save.c             the artifact that open_artifact.c reads: proto/artifact.md
 *
 * A model is filled by one thread in ra_model_open() and constant afterwards. What it points at lies either
 * in the mapping of its file or in one of its blocks; both go when the last reference does.
 *
 * Everything here is ordinary memory, but for what `resident` points to, which is the backend's.
 */
#ifndef RA_MODEL_MODEL_H
#define RA_MODEL_MODEL_H

#include "ra_model.h"
#include "ra_memory.h"
#include "model/execution.h"
#include "model/ranking.h"
#include "sae/activation.h"
#include "sae/encoder.h"
#include "sae/pursuit.h"

#include <stdatomic.h>

enum { RA_MODEL_BLOCKS = 32 };

/* The value of `format` in the metadata of a fused artifact. */
#define RA_MODEL_FORMAT "rasae.fused.v1"

/* Products of a query with an atom that is shorter may vanish: they say nothing of its cosine. */
#define RA_MODEL_SMALLEST_NORM 0x1p-96

/* The parts of a model that computations read, in the memory of its backend.
 *
 * On the host these are the model's own tensors. On a device they are copies, in one allocation made when the
 * model is opened; the model's own stay for what the host does: atoms, norms, provenance, and the scores that
 * a search answers with. */
typedef struct ra_resident {
    const void *dictionary; /* D [K,d] as the model holds it */
    ra_encoder_weights encoder;
    ra_activation activation;
    /* on a device, for a search by cosine: scores are divided by the norms of the atoms, column by column */
    const float *zeros, *ones, *inverse_norm; /* [K] */
    void *memory;
} ra_resident;

struct ra_model {
    atomic_size_t references;
    ra_backend *backend;
    ra_safetensors *file; /* an artifact, mapped; NULL once a checkpoint is fused */
    ra_model_info info;   /* info.path is the model's own copy */
    void *blocks[RA_MODEL_BLOCKS];
    size_t block_count;

    ra_tensor dictionary; /* D [K,d], F32, F16 or BF16 */
    double *norm;         /* [K] of its rows */
    double largest_norm;
    bool plain_norms; /* each is 0 or so far from the ends of float32 that scores are finite and mean
                         something */

    /* with an encoder */
    ra_encoder_weights encoder;
    ra_activation activation;

    ra_resident resident;

    /* of the inputs; NULL for a model that takes them as they are */
    const float *input_mean, *input_scale; /* [d] */

    /* where atoms come from; NULL when the file does not say */
    const int32_t *archetype_index; /* [K,T]; -1 behind the last of an atom */
    const float *archetype_weight;  /* [K,T], falling */
    const float *relaxation_norm;   /* [K] */
    size_t *use_start;              /* [N+1]: the atoms of point j are use[use_start[j] .. use_start[j+1]) */
    ra_ranked *use;                 /* key: weight, falling; id: atom */
    ra_labels *atom_labels;         /* K lines */
    bool atom_labels_are_given;     /* by the file; else made up from the points' */

    /* the candidate points */
    ra_tensor point_vectors;         /* [N,d]; data is NULL when they are not held */
    size_t point_row_count;          /* R: data rows kept for a point */
    const int32_t *point_row;        /* [N,R]; -1 behind the last of a point */
    const float *point_row_distance; /* [N,R] */
    ra_labels *point_row_labels;     /* N * R lines */
    ra_labels *point_labels;         /* N lines */
    bool point_labels_are_given;

    /* what was measured after training (open/statistics.c) */
    ra_latent_statistics statistics; /* rows is 0 if there are none */
    ra_labels *example_labels;       /* K * T lines; statistics.top_label */
    const float *layout;             /* [K,2]; NULL without one */
};

/* What the metadata say of how training began, kept through a fuse: key, and its place in info. */
enum { RA_MODEL_ORIGINS = 2 };
typedef struct ra_model_origin {
    const char *key;
    size_t offset; /* of a const char * in ra_model_info; its text is the model's own */
} ra_model_origin;
extern const ra_model_origin ra_model_origins[RA_MODEL_ORIGINS];

const char *ra_model_origin_text(const ra_model *model, size_t i); /* NULL when it is not known */

/* ---- memory (open.c). Blocks are counted in info.bytes and freed with the model. ---------------------- */

ra_status ra_model_allocate(ra_model *model, const char *what, size_t count, size_t size, void **block,
                            ra_error *err);

/* *kept <- the tensor where it stays valid: as it is in the mapping of an artifact, else in a block. */
ra_status ra_model_keep(ra_model *model, const char *what, const ra_tensor *tensor, ra_tensor *kept,
                        ra_error *err);

/* The same in f32. */
ra_status ra_model_keep_f32(ra_model *model, const char *what, const ra_tensor *tensor, const float **values,
                            ra_error *err);

/* ---- checks (open_checks.c). A failure names file and tensor, what is expected and what is there. ------ */

enum { RA_MODEL_ANY_FLOAT = RA_DTYPE_COUNT }; /* in place of a ra_dtype: F32, F16 or BF16 */

/* tensor: of `name` in the file, rank and sizes as given; a size of 0 takes any that is at least 1. */
ra_status ra_model_check_tensor(const char *path, const char *name, const ra_tensor *tensor, int dtype,
                                int rank, size_t rows, size_t cols, ra_error *err);

/* No NaN or infinity in a float tensor; in parallel. */
ra_status ra_model_check_finite(const ra_model *model, const char *name, const ra_tensor *tensor,
                                ra_error *err);

/* Fails unless the setting is known, naming it and its flag. */
ra_status ra_model_need_setting(const ra_model *model, enum ra_sae_setting setting, ra_error *err);

/* ---- the parts of opening. Those that read both kinds of file find D's sizes in info. ----------------- */

ra_status ra_model_open_artifact(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_checkpoint(ra_model *model, const ra_safetensors *file, size_t archetypes,
                                   ra_error *err);
ra_status ra_model_open_encoder(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_standardization(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_points(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_statistics(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_labels(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_index_points(ra_model *model, ra_error *err);

/* names, tensors [RA_MODEL_STATISTICS_TENSORS] <- how statistics lie in a file; returns how many. */
enum { RA_MODEL_STATISTICS_TENSORS = 8 };
size_t ra_model_statistics_tensors(const ra_latent_statistics *latents, const char **names,
                                   ra_tensor *tensors);

/* ---- copies on a device (resident.c) ------------------------------------------------------------------ */

/* For a complete model. Fails with RA_ERR_MEMORY, before it allocates anything, if the device lacks memory
 * for the model and the workspaces that compute with it. */
ra_status ra_model_make_resident(ra_model *model, size_t workspaces, ra_error *err);
void ra_model_release_resident(ra_model *model);

/* ---- labels (labels.c) --------------------------------------------------------------------------------- */

/* Line i, NULL when there are no labels or the line is empty. */
const char *ra_model_label(const ra_labels *labels, size_t i);

/* ---- scratch (workspace.c) ---------------------------------------------------------------------------- */

/* A block that grows and stays; its content is lost when it grows. */
typedef struct ra_scratch {
    void *data;
    size_t bytes;
} ra_scratch;

struct ra_workspace {
    ra_executions executions; /* where the arithmetic of a backend runs */
    ra_scratch input;         /* encode: [B,d] standardized inputs */
    ra_scratch query;         /* search: [block,d] unit queries */
    ra_scratch neighbor;      /* neighbors: [d] the atom */
    ra_scratch scores;        /* search: [K], of a device */
    ra_scratch ranked;        /* search: [K]; explain: [entries] */
    ra_scratch x_hat;         /* explain: [B,d] */
    ra_scratch share;         /* explain: [entries] contributions */
    ra_scratch shift;         /* steer: [d] the sum of the pushes, in float64, and [d] of an atom */
    ra_codes block;     /* encode, reconstruct: codes of one block of rows; search: the best of each query */
    ra_pursuit pursuit; /* encode: mp */
    ra_codes codes;     /* explain, steer */
};

/* *values <- room for count elements of `size` bytes. */
ra_status ra_scratch_reserve(ra_scratch *scratch, const char *what, size_t count, size_t size, void **values,
                             ra_error *err);

/* ---- shared by the computations ----------------------------------------------------------------------- */

/* RA_ERR_NOT_FINITE, naming row and column, unless x [rows, d] is finite throughout. `what` is "input",
 * "query". */
ra_status ra_model_check_rows(const char *what, const float *x, size_t rows, size_t d, ra_error *err);

/* *standardized <- finite x [rows,d] in the space of the dictionary: x itself when that is the space of the
 * inputs, else in workspace->input. RA_ERR_NOT_FINITE where that is beyond float32. */
ra_status ra_model_standardize(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **standardized, ra_error *err);

/* x [rows,d] <- back in the space of the inputs. */
void ra_model_unstandardize(const ra_model *model, float *x, size_t rows);

/* What ra_model_encode() does before it encodes: checks of model and x, and x in the space
 * of the dictionary. */
ra_status ra_model_take_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **inputs, ra_error *err);

/* ra_model_encode() of inputs as the above gives them, and ra_model_reconstruct(), both within the space of
 * the dictionary. */
ra_status ra_model_encode_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                                 ra_codes *codes, ra_error *err);
ra_status ra_model_decode(const ra_model *model, ra_workspace *workspace, const ra_codes *codes, float *x_hat,
                          ra_error *err);

/* codes <- those of a block of at most block_rows() of `rows` rows (encode_block.c). */
size_t ra_model_encode_block_rows(const ra_model *model, size_t rows);
ra_status ra_model_encode_block(const ra_model *model, ra_workspace *workspace, ra_execution *execution,
                                const float *x, size_t rows, ra_codes *codes, ra_error *err);

/* scores [count,K] <- queries [count,d] D^T, rounded in float32 as it comes; both, and `atoms`, in the memory
 * of the execution (search_score.c). atoms has score_scratch() bytes, for D in float32. */
size_t ra_model_score_scratch(const ra_model *model, const ra_execution *execution, size_t count);
ra_status ra_model_score(const ra_model *model, const ra_execution *execution, const float *queries,
                         size_t count, float *atoms, float *scores, ra_error *err);

/* The most memory that a execution on a device takes for these. */
size_t ra_model_encode_scratch(const ra_model *model);
size_t ra_model_reconstruct_scratch(const ra_model *model);
size_t ra_model_search_scratch(const ra_model *model);
size_t ra_model_pursuit_scratch(const ra_model *model); /* beside the execution's */

#endif
