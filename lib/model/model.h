/* model.h - the inside of a model and of a workspace, for the files of this folder:
 *
 *   open/open.c        the kind of the file, settings, the parts in order; retain, release, info
 *   open/artifact.c    a fused artifact
 *   open/checkpoint.c  a checkpoint: fuses its archetypal dictionary, or normalizes its plain one
 *   open/encoder.c     encoder and activation, of both
 *   open/points.c      candidate points, of both
 *   open/statistics.c  statistics of the latents and the layout of the atoms, of an artifact
 *   open/cofiring.c    its lists of latents that are active together
 *   open/quantiles.c   its examples by quantile
 *   open/tensors.c     checks tensors and keeps them
 *   contrast.c         contrasts of two sets of data, of an artifact
 *   labels.c           labels of points, rows and atoms
 *   provenance.c       atoms, points, and the atoms of a point
 *   standardize.c      into standardized space and back
 *   resident.c         the copies on a device
 *   save.c             writes an artifact (proto/artifact.md)
 *   hidden.c           the hidden layers of an encoder
 *   encode.c reconstruct.c search.c search_score.c explain.c steer.c
 *                      the computations
 *   workspace.c execution.c ranking.c
 *                      their scratch memory, where they run, and order by descending key
 *
 * One thread fills a model, in ra_model_open(); then it is constant. What it points to is in the mapping of
 * its file or in one of its allocations, and is freed with the last reference. All of it is host memory,
 * except what `resident` points to, which is backend memory.
 */
#ifndef RA_MODEL_MODEL_H
#define RA_MODEL_MODEL_H

#include "ra_model.h"
#include "ra_memory.h"
#include "ra_text.h"
#include "model/execution.h"
#include "model/ranking.h"
#include "sae/activation.h"
#include "sae/encoder.h"
#include "sae/pursuit.h"

#include <stdatomic.h>

enum { RA_MODEL_ALLOCATIONS = 32 };

extern const char ra_model_training_name[]; /* of the tensor, in checkpoints and artifacts */

/* The value of `format` in the metadata of a fused artifact. */
#define RA_MODEL_FORMAT "rasae.fused.v1"

/* The dot product of a query with a shorter atom may underflow, and then says nothing about its cosine. */
#define RA_MODEL_SMALLEST_NORM 0x1p-96

/* The parts of a model that computations read, in backend memory. On the host they are the model's own
 * tensors. On a device they are copies, in one allocation that is made when the model is opened; the host
 * still needs the model's own for atoms, norms, provenance, and the final scores of a search. */
typedef struct ra_resident {
    const void *dictionary; /* D [K,d] in the model's type */
    ra_encoder_weights encoder;
    ra_activation activation;
    /* on a device, to divide the scores of a search by the norms of the atoms */
    const float *zeros, *ones, *inverse_norm; /* [K] */
    void *memory;
} ra_resident;

struct ra_model {
    atomic_size_t references;
    ra_backend *backend;
    ra_safetensors *file;             /* the mapped artifact; NULL: the file was a checkpoint */
    char file_digest[RA_DIGEST_SIZE]; /* of all its bytes; "": it was not opened `steady` */
    ra_model_info info;               /* info.path is the model's own copy */
    void *allocations[RA_MODEL_ALLOCATIONS];
    size_t allocation_count;

    ra_tensor dictionary; /* D [K,d], F32, F16 or BF16 */
    double *norm;         /* [K] of its rows */
    double largest_norm;
    bool plain_norms; /* every norm is 0 or well inside the range of float32, so that scores are meaningful */

    /* with an encoder */
    ra_encoder_weights encoder;
    struct ra_model_hidden *hidden; /* NULL: none */
    ra_activation activation;

    ra_resident resident;

    /* the standardization of the inputs; NULL: none */
    const float *input_mean,
        *input_scale; /* [d] as computations use them: with the decoder's bias in the mean */
    const float *file_mean, *file_scale; /* [d] as the file has them; NULL: it has none */
    const float *output_bias;  /* [d] of the decoder, in the space of (x - mean) / scale; NULL: none */
    const float *encoder_bias; /* [K] as the file has it, where that in `encoder` is another */

    /* the provenance of the atoms; NULL: the file has none */
    const int32_t *archetype_index; /* [K,T]; -1 after the last of an atom */
    const float *archetype_weight;  /* [K,T] */
    const float
        *archetype_contribution;   /* [K,T], descending; NULL: unknown, and the weights are descending */
    const float *relaxation_norm;  /* [K] */
    const float *relaxation_share; /* [K] */
    const float *hull_share;       /* [K] */
    size_t used;                   /* U: points that an atom is made of */
    uint32_t *use_point;           /* [U] which, ascending */
    size_t *use_start;      /* [U+1]: the i-th of them has the entries use[use_start[i] .. use_start[i+1]) */
    ra_ranked *use;         /* key: weight, descending; id: atom */
    ra_labels *atom_labels; /* K lines */
    bool atom_labels_are_given;              /* some, by the file: RA_LABEL_FILE; others are derived */
    uint8_t *atom_label_source;              /* [K] ra_label_source; NULL: no atom has a label */
    ra_labels *explanations, *label_authors; /* K lines, of the labels in the file; NULL: the file has none */
    const float *label_score;                /* [K]; likewise */

    /* the trace of the atoms (open/trace.c) */
    size_t trace_rows;                              /* R: data rows per atom; 0: the file has no trace */
    const int64_t *trace_row;                       /* [K,R]; -1 after the last of an atom */
    const float *trace_weight, *trace_contribution; /* [K,R], the latter descending */
    const float *trace_cosine;                      /* [K] */
    ra_labels *trace_labels;                        /* K * R lines */

    const float *agreement_share, *agreement_cosine; /* [K]; NULL: the file has none (agreement.c) */

    /* the candidate points */
    ra_tensor point_vectors;         /* [N,d]; data is NULL if the model does not have them */
    size_t point_row_count;          /* R: data rows per point */
    const int32_t *point_row;        /* [N,R]; -1 after the last of a point */
    const float *point_row_distance; /* [N,R] */
    ra_labels *point_row_labels;     /* N * R lines */
    ra_labels *point_labels;         /* N lines */
    bool point_labels_are_given;

    /* measured after training */
    ra_latent_statistics statistics; /* rows is 0 if there are none */
    ra_labels *example_labels;       /* K * T lines; statistics.top_label */
    ra_labels *quantile_labels;      /* K * Q * S lines; statistics.quantiles.label */
    ra_labels *item_labels;          /* K * I lines; statistics.item_codes.label */
    ra_labels *token_words;          /* statistics.tokens.words */
    const float *layout;             /* [K,2]; NULL: none */
    const float *training;  /* [info.training_bins, RA_TRAINING_COLUMNS]; NULL: unknown (training.c) */
    ra_contrast *contrasts; /* [contrast_count] by name */
    size_t contrast_count;
};

/* Where a model comes from: texts of the metadata that a fuse keeps. */
enum { RA_MODEL_ORIGINS = 5 };
typedef struct ra_model_origin {
    const char *key;
    size_t offset; /* of a const char * in ra_model_info */
} ra_model_origin;
extern const ra_model_origin ra_model_origins[RA_MODEL_ORIGINS];

const char *ra_model_origin_text(const ra_model *model, size_t i); /* NULL: unknown */

/* ---- tensors of a file (open/tensors.c) --------------------------------------------------------------- */

/* *memory <- an allocation that is counted in info.bytes and freed with the model. `what` names it in an
 * error. */
ra_status ra_model_allocate(ra_model *model, const char *what, size_t count, size_t size, void **memory,
                            ra_error *err);

/* *kept <- the tensor where it stays valid: in the mapping of an artifact, otherwise in an allocation. */
ra_status ra_model_keep(ra_model *model, const char *what, const ra_tensor *tensor, ra_tensor *kept,
                        ra_error *err);

/* The same, as float32. */
ra_status ra_model_keep_f32(ra_model *model, const char *what, const ra_tensor *tensor, const float **values,
                            ra_error *err);

enum { RA_MODEL_ANY_FLOAT = RA_DTYPE_COUNT }; /* used as a ra_dtype: F32, F16 or BF16 */

/* Fails unless a tensor has this type, rank and sizes; a size of 0 stands for any of at least 1. */
ra_status ra_model_check_tensor(const char *path, const char *name, const ra_tensor *tensor, int dtype,
                                int rank, size_t rows, size_t cols, ra_error *err);

/* Fails if a float tensor holds a NaN or an infinity. */
ra_status ra_model_check_finite(const ra_model *model, const char *name, const ra_tensor *tensor,
                                ra_error *err);

/* Fails unless the setting is known. */
ra_status ra_model_need_setting(const ra_model *model, enum ra_sae_setting setting, ra_error *err);

/* ---- the parts of opening; info holds the sizes of D for all but the first two ------------------------- */

ra_status ra_model_open_artifact(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_checkpoint(ra_model *model, const ra_safetensors *file, size_t archetypes,
                                   ra_error *err);
ra_status ra_model_open_encoder(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_standardization(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_points(ra_model *model, const ra_safetensors *file, ra_error *err);
/* The figures of info about the median atom. */
ra_status ra_model_measure_provenance(ra_model *model, ra_error *err);

ra_status ra_model_open_training(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_trace(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_agreement(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_statistics(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_contrasts(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_cofiring(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_quantiles(ra_model *model, const ra_safetensors *file, ra_error *err);
/* given: the shape of ra_model_options. */
ra_status ra_model_open_item_shape(ra_model *model, const ra_safetensors *file, const ra_latent_items *given,
                                   ra_error *err);
ra_status ra_model_open_items(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_tokens(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_open_labels(ra_model *model, const ra_safetensors *file, ra_error *err);
ra_status ra_model_index_points(ra_model *model, ra_error *err);

/* names, tensors [RA_MODEL_STATISTICS_TENSORS] <- the tensors of a file that hold the statistics; returns how
 * many. Those of the lists, the quantiles, the items and the tokens (but their words) are among them. */
enum { RA_MODEL_STATISTICS_TENSORS = 8 + 9 + 3 + 2 + 4 };
size_t ra_model_statistics_tensors(const ra_latent_statistics *statistics, const char **names,
                                   ra_tensor *tensors);
size_t ra_model_cofiring_tensors(const ra_latent_statistics *statistics, const char **names,
                                 ra_tensor *tensors);
size_t ra_model_quantile_tensors(const ra_latent_statistics *statistics, const char **names,
                                 ra_tensor *tensors);
size_t ra_model_item_tensors(const ra_latent_statistics *statistics, const char **names, ra_tensor *tensors);
size_t ra_model_token_tensors(const ra_latent_statistics *statistics, const char **names, ra_tensor *tensors);

/* The words of the tokens, written into `text`. */
ra_status ra_model_add_token_words(const ra_latent_statistics *statistics, ra_text *text, ra_tensor *tensor,
                                   const char **name, ra_error *err);

/* Adds a contrast to a file. *parts holds what the writer refers to: names of tensors and keys of metadata. */
enum { RA_MODEL_CONTRAST_TENSORS = 3, RA_MODEL_CONTRAST_TEXTS = 6 };
typedef struct ra_model_contrast_parts {
    char name[RA_MODEL_CONTRAST_TENSORS][RA_CONTRAST_NAME + 32],
        key[RA_MODEL_CONTRAST_TEXTS][RA_CONTRAST_NAME + 32];
    ra_tensor tensor[RA_MODEL_CONTRAST_TENSORS];
} ra_model_contrast_parts;
ra_status ra_model_store_contrast(const ra_contrast *contrast, ra_model_contrast_parts *parts,
                                  ra_safetensors_writer *writer, ra_error *err);

/* Their metadata. */
ra_status ra_model_store_statistics(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                                    ra_error *err);
ra_status ra_model_store_cofiring(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                                  ra_error *err);
ra_status ra_model_store_items(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                               ra_error *err);

/* ---- copies on a device (resident.c) ------------------------------------------------------------------ */

/* Fills model->resident of a complete model. RA_ERR_MEMORY, before anything is allocated, if the device has
 * not enough memory for the model and its workspaces. */
ra_status ra_model_make_resident(ra_model *model, size_t workspaces, ra_error *err);
void ra_model_release_resident(ra_model *model);

/* ---- labels (labels.c) --------------------------------------------------------------------------------- */

/* Line i; NULL if there are no labels or the line is empty. */
const char *ra_model_label(const ra_labels *labels, size_t i);

/* ---- scratch (workspace.c) ---------------------------------------------------------------------------- */

/* Memory that grows; its contents are lost when it does. */
typedef struct ra_scratch {
    void *data;
    size_t bytes;
} ra_scratch;

struct ra_workspace {
    ra_executions executions; /* where backends compute */
    ra_scratch input;         /* encode: [B,d] standardized inputs */
    ra_scratch hidden;        /* encode: two layers of a chunk, and what a norm measures */
    ra_scratch query;         /* search: [chunk,d] unit queries */
    ra_scratch neighbor;      /* neighbors: [d] the atom */
    ra_scratch scores;        /* search: [K] from a device */
    ra_scratch chosen;        /* search: the atoms among which it is, if they are few */
    ra_scratch ranked;        /* search: [K]; explain: [entries] */
    ra_scratch x_hat;         /* explain: [B,d] */
    ra_scratch share;         /* explain: [entries] contributions; edit: [count] */
    ra_scratch
        shift;      /* steer: [d] the sum of the pushes in float64, and [d] an atom; steer, edit: ra_moving */
    ra_codes chunk; /* encode, reconstruct: codes of a chunk of rows; search: the best atoms of each query */
    ra_pursuit pursuit;          /* encode: mp */
    ra_codes codes;              /* explain, steer */
    const atomic_bool *canceled; /* ra_workspace_watch() */
};

/* RA_ERR_CANCELED if the caller no longer wants the result. */
ra_status ra_workspace_check(const ra_workspace *workspace, ra_error *err);

/* *values <- memory for count elements of `size` bytes. */
ra_status ra_scratch_reserve(ra_scratch *scratch, const char *what, size_t count, size_t size, void **values,
                             ra_error *err);

/* ---- shared by the computations ----------------------------------------------------------------------- */

/* RA_ERR_NOT_FINITE, naming row and column, unless x [rows,d] is finite. `what` is "input" or "query". */
ra_status ra_model_check_rows(const char *what, const float *x, size_t rows, size_t d, ra_error *err);

/* *standardized <- x [rows,d] in the space of the dictionary: x itself without a standardization, otherwise
 * in workspace->input. x is finite; RA_ERR_NOT_FINITE if the result is not. */
ra_status ra_model_standardize(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **standardized, ra_error *err);

/* The first part of ra_model_encode(): checks model and x; *inputs <- x in the space of the dictionary. */
ra_status ra_model_take_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                               const float **inputs, ra_error *err);

/* ra_model_encode() and ra_model_reconstruct() within the space of the dictionary. */
ra_status ra_model_encode_inputs(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                                 ra_codes *codes, ra_error *err);
ra_status ra_model_decode(const ra_model *model, ra_workspace *workspace, const ra_codes *codes, float *x_hat,
                          ra_error *err);

/* scores [count,K] <- queries [count,d] D^T, rounded like any float32 product (search_score.c). All are
 * memory of the execution; `atoms` has score_scratch() bytes, for rows of D in float32. */
size_t ra_model_score_scratch(const ra_model *model, const ra_execution *execution, size_t count);
ra_status ra_model_score(const ra_model *model, const ra_execution *execution, const float *queries,
                         size_t count, float *atoms, float *scores, ra_error *err);

/* The same with n atoms: scores [count,n]. On the host; atoms has score_chosen_scratch() bytes. */
size_t ra_model_score_chosen_scratch(const ra_model *model, size_t count);
ra_status ra_model_score_chosen(const ra_model *model, const ra_execution *execution, const float *queries,
                                size_t count, const int32_t *ids, size_t n, float *atoms, float *scores,
                                ra_error *err);

/* The most memory that a computation takes of an execution on a device. */
size_t ra_model_encode_scratch(const ra_model *model);
size_t ra_model_reconstruct_scratch(const ra_model *model);
size_t ra_model_search_scratch(const ra_model *model);
size_t ra_model_pursuit_scratch(const ra_model *model); /* of the device, but not of the execution */

#endif
