/* ra_dictionary.h - the dictionary layer: the relaxed archetypal one, and the plain one it is compared with.
 *
 *     D = (W C + Relax) exp(multiplier)          Fel et al. 2025 (arXiv 2502.12892), eq. 4
 *
 * C [N,d] are candidate points (real data or k-means centroids), which are fixed. W [K,N] is row-stochastic:
 * each atom starts as a convex combination of points. Relax [K,d] moves it out of their hull by at most
 * delta. The multiplier [] scales all atoms.
 *
 * In training mode every read of D first projects W and Relax in place (overcomplete 0.3.0,
 * archetypal_dictionary.py); gradients then flow to the projected parameters as if there had been no
 * projection. In evaluation mode D is fused once and reused, and is never stale: ra_dictionary_changed() or a
 * change of mode makes the next read fuse it again.
 *
 * The plain dictionary has the weights [K,d] of D themselves and normalizes them in place on each read in
 * training mode. Both have the same interface, so any SAE works with either.
 *
 *     ra_dictionary *archetypal = NULL;
 *     ra_tensor C = ra_tensor_2d(RA_F32, points->vectors.data, points->vectors.rows, d);
 *     RA_TRY(ra_archetypal_dictionary_new(backend, d, K, &C, 1.0f, true, &archetypal, err));
 *     RA_TRY(ra_dictionary_forward(archetypal, &codes, x_hat, err));
 *     ra_dictionary_free(archetypal);
 *
 * Thread safety: one thread at a time. Pointers are backend memory.
 */
#ifndef RA_DICTIONARY_H
#define RA_DICTIONARY_H

#include "ra_backend.h"

/* The values of the setting `dictionary`. */
typedef enum ra_dictionary_kind {
    RA_DICTIONARY_ARCHETYPAL,
    RA_DICTIONARY_L2,       /* rows / (||row||_2 + 1e-8) */
    RA_DICTIONARY_MAX_L2,   /* all rows / the largest ||row||_2 */
    RA_DICTIONARY_L1,       /* rows / (||row||_1 + 1e-8) */
    RA_DICTIONARY_MAX_L1,   /* all rows / the largest ||row||_1 */
    RA_DICTIONARY_IDENTITY, /* no normalization */
} ra_dictionary_kind;

/* Where the atoms start: the values of the setting `init`. */
typedef enum ra_init {
    RA_INIT_EYE,      /* archetypal: atom k on point k, as in overcomplete */
    RA_INIT_PERMUTED, /* on points drawn without repetition; with K > N drawing starts over */
    RA_INIT_RANDOM,   /* uniform on the simplex of RA_INIT_RANDOM_POINTS points, drawn for each atom */
    RA_INIT_KMEANS,   /* mixtures of rows: on the rows nearest to the centers of k-means */
    RA_INIT_XAVIER,   /* plain: random, as in overcomplete */
    RA_INIT_POINTS,   /* plain: on points, drawn as for permuted */
} ra_init;

enum { RA_INIT_RANDOM_POINTS = 8 };

/* One named array of a model: a trained parameter with its gradient, or a buffer that is only saved. */
typedef struct ra_parameter {
    const char *name;         /* in a state dict of overcomplete: "dictionary.W" */
    ra_dtype dtype;           /* F32; I32 for numbers of points, behind a pointer to float */
    float *value;             /* backend memory */
    float *gradient;          /* the same size; NULL when it is not trained */
    const double *rate;       /* the learning rate is multiplied by it; NULL: by 1 */
    ra_projection projection; /* what the optimizer does with each row after a step */
    float radius;
    int rank;
    size_t shape[2];
} ra_parameter;

size_t ra_parameter_size(const ra_parameter *parameter); /* number of elements */

typedef struct ra_dictionary ra_dictionary;

/* points: C [N,d] of any float type, copied. W = eye(K,N), Relax = 0, multiplier = 0. delta >= 0; 0 is the
 * pure archetypal SAE. With K > N the last K-N atoms start as zeros. */
ra_status ra_archetypal_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                       const ra_tensor *points, float delta, bool use_multiplier,
                                       ra_dictionary **dictionary, ra_error *err);

/* The same with at most `most` points per atom, 1 to RA_MIXTURE_MOST (dictionary/mixture/ has the method):
 *
 *     dictionary.W.index   I32 [K,T]   the points of each atom, then -1
 *     dictionary.W.weight  F32 [K,T]   their weights
 *     dictionary.mixture   F32 [2]     the points' mean norm, and how strongly Relax is pulled back
 *
 * in the place of W. hull_share, 0 to 1: the cosine between mixture and atom that the median atom is to have;
 * 0: delta alone keeps atoms near their hull. Atom k starts on point k. */
ra_status ra_mixture_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                    size_t most, const ra_tensor *points, float delta, double hull_share,
                                    bool use_multiplier, ra_dictionary **dictionary, ra_error *err);

/* index, weight [K,T] <- those of every atom. The caller keeps the rules of ra_mixture (ra_backend.h). */
ra_status ra_mixture_set(ra_dictionary *dictionary, const int32_t *index, const float *weight, ra_error *err);

/* T; 0 for a dictionary that is not one of mixtures. */
size_t ra_dictionary_mixture(const ra_dictionary *dictionary);

/* Whether its candidate points come from a source (below). */
bool ra_dictionary_reads_candidates(const ra_dictionary *dictionary);

/* Candidate points that are read when they are looked at, so that there may be more than memory holds. */
typedef struct ra_point_source {
    size_t count; /* N */
    /* rows [n,d], host memory <- candidates with these numbers, ascending */
    ra_status (*read)(void *context, const uint64_t *numbers, size_t n, float *rows, ra_error *err);
    void *context;
} ra_point_source;

/* From here on candidates come from the source, which must outlive the dictionary; numbers [N of now] says
 * which candidate each point of C is. C then holds the points that atoms have, and no more; an autoencoder
 * that has been made around the dictionary has to be told (ra_sae_changed()). */
ra_status ra_mixture_set_source(ra_dictionary *dictionary, const ra_point_source *source,
                                const uint64_t *numbers, ra_error *err);

/* The points that atoms have, each once, by ascending number: what a file holds of a dictionary with a
 * source. All NULL for one without. */
typedef struct ra_mixture_points {
    size_t count;
    uint64_t *number; /* [count] which candidate each is */
    float *vectors;   /* [count,d] */
    int32_t *index;   /* [K,T] as ra_mixture.index, counted among these */
} ra_mixture_points;
ra_status ra_mixture_points_get(const ra_dictionary *dictionary, ra_mixture_points *points, ra_error *err);
void ra_mixture_points_release(ra_mixture_points *points);

/* kind: one of the normalizations. weights [K,d] of any float type; NULL: Xavier-uniform from `seed`. */
ra_status ra_plain_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                  ra_dictionary_kind kind, const ra_tensor *weights, bool use_multiplier,
                                  uint64_t seed, ra_dictionary **dictionary, ra_error *err);

/* W <- its start (eye, permuted or random), from `seed`. eye with K > N is allowed, with a warning in the
 * log: the last K-N atoms stay zeros. RA_ERR_ARGUMENT for other values and for a plain dictionary. */
ra_status ra_archetypal_dictionary_init(ra_dictionary *dictionary, ra_init init, uint64_t seed,
                                        ra_error *err);

/* The atoms of a plain dictionary <- points [N,d] of any float type, drawn from `seed` without repetition;
 * with K > N drawing starts over. RA_ERR_ARGUMENT for an archetypal dictionary. */
ra_status ra_plain_dictionary_init(ra_dictionary *dictionary, const ra_tensor *points, uint64_t seed,
                                   ra_error *err);

/* Lowers the multiplier until no atom is longer than `limit`, if one is. Encoders that use the dictionary
 * (tied ones, pursuits) start with atoms of at most unit length: in a pursuit, atoms longer than sqrt(2)
 * would increase the residual of an input. */
ra_status ra_dictionary_limit_norms(ra_dictionary *dictionary, float limit, ra_error *err);

void ra_dictionary_free(ra_dictionary *dictionary);

ra_dictionary_kind ra_dictionary_get_kind(const ra_dictionary *dictionary);
size_t ra_dictionary_concepts(const ra_dictionary *dictionary);   /* K */
size_t ra_dictionary_dimensions(const ra_dictionary *dictionary); /* d */
ra_backend *ra_dictionary_backend(const ra_dictionary *dictionary);

/* W, Relax, multiplier and C; or _weights and multiplier. Call ra_dictionary_changed() after writing to a
 * value. */
const ra_parameter *ra_dictionary_parameters(const ra_dictionary *dictionary, size_t *count);
void ra_dictionary_changed(ra_dictionary *dictionary);

/* To be called after the optimizer's step number `step` (1, 2, ...) with this learning rate, in which it has projected the
 * rows of each parameter that has a projection. */
void ra_dictionary_moved(ra_dictionary *dictionary, size_t step, double rate);

/* To be called when all values have been replaced by those of a file: checks those that could not be, and what
 * follows from them follows. */
ra_status ra_dictionary_loaded(ra_dictionary *dictionary, ra_error *err);

/* Projects the parameters in place, unless they have not changed since the last projection. A checkpoint of a
 * run holds projected parameters, and the run that continues from it calls ra_dictionary_set_projected():
 * projecting twice would change the last bits. */
ra_status ra_dictionary_project(ra_dictionary *dictionary, ra_error *err);
void ra_dictionary_set_projected(ra_dictionary *dictionary);

/* A new dictionary is in training mode. */
void ra_dictionary_set_training(ra_dictionary *dictionary, bool training);

/* *D [K,d] <- D, as get_dictionary() in overcomplete: owned by the dictionary, valid until the next call or
 * change. */
ra_status ra_dictionary_get(ra_dictionary *dictionary, const float **D, ra_error *err);

/* D is asked for soon: its scale starts on its way from a device, and has arrived with the next wait for the
 * default stream, which ra_dictionary_arrived() tells; ra_dictionary_get() and _select() then need no wait of their
 * own. The dictionary has to stay until that wait. */
ra_status ra_dictionary_ask(ra_dictionary *dictionary, ra_error *err);
void ra_dictionary_arrived(ra_dictionary *dictionary);

/* The atoms of a batch: *D [count,d] <- the rows of D of these atoms (ascending), packed; owned by the
 * dictionary, valid until the next call or change. atoms NULL: all K, as ra_dictionary_get(). With 50 of
 * 10,000 latents active, most atoms take no part in a batch, and their rows of W C are not computed. The
 * backward pass that follows is for the same atoms. */
ra_status ra_dictionary_select(ra_dictionary *dictionary, const int32_t *atoms, size_t count, const float **D,
                               ra_error *err);

/* x_hat [B,d] <- z D, sparse and dense z. */
ra_status ra_dictionary_forward(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err);
ra_status ra_dictionary_forward_dense(ra_dictionary *dictionary, const float *z, size_t rows, float *x_hat,
                                      ra_error *err);

/* Writes the parameters' gradients, from the gradient dD of the loss with respect to D as last read ([K,d],
 * or [count,d] if atoms were selected): dW = e^m dD C^T, dRelax = e^m dD, dmultiplier = sum(dD * D). Those of
 * W, Relax and _weights have the same rows as dD: packed if atoms were selected. If dD is
 * ra_dictionary_gradient_memory(), nothing is copied. */
ra_status ra_dictionary_backward(ra_dictionary *dictionary, const float *dD, ra_error *err);

/* x_hat = z D and its gradients without D: for D = e^m (W C + Relax) and few active latents, the products
 *
 *     x_hat = e^m ((z W) C + z Relax)        g = e^m dx_hat C^T        dW = z^T g
 *     dz = g . W_k + e^m dx_hat . Relax_k    dRelax = e^m z^T dx_hat   dm = sum(dx_hat * x_hat)
 *
 * are of B rows where W C and dD C^T are of as many as there are active atoms. Whether they cost less for a batch of
 * `rows` with this many active latents and different atoms follows from these numbers alone, so the same batch
 * always takes the same way. Only in host memory, and never for other kinds of dictionary. */
bool ra_dictionary_decodes(const ra_dictionary *dictionary, size_t rows, size_t entries, size_t atoms);

/* x_hat [B,d] <- z D, if ra_dictionary_decodes(). */
ra_status ra_dictionary_decode(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err);

/* Writes the gradients of the parameters, those of W and Relax packed as in `packed`, and those of the values
 * of z: dvalue [entries]. After ra_dictionary_decode() of the same codes. */
typedef struct ra_decoded {
    const ra_codes *z;      /* [B,K] */
    const ra_codes *packed; /* the same, with latents numbered as the rows of the gradients */
    const float *x_hat;     /* [B,d] as it was decoded */
    const float *dx_hat;    /* [B,d] the gradient of the loss */
} ra_decoded;
ra_status ra_dictionary_decode_backward(ra_dictionary *dictionary, const ra_decoded *decoded, float *dvalue,
                                        ra_error *err);

/* [K,d] of the dictionary's own memory to write dD to: the gradient of Relax or _weights. */
float *ra_dictionary_gradient_memory(ra_dictionary *dictionary);

/* ---- the eval-mode fuse alone, straight from file views ------------------------------------------------ */

/* What the fuse reports of each atom besides D: what it is made of, as shares of the atom itself. With
 * D_k = e^m (sum_j W_kj C_j + Relax_k), projected, the share of a part p is (p . D_k) / ||D_k||^2, signed, so that
 * the shares of all points and of the relaxation add up to 1. A part may have much weight and a small share (a
 * short point), or a negative one (it points away from the atom). */
typedef struct ra_provenance {
    size_t count;            /* T: points kept for an atom */
    int32_t *index;          /* [K,T] points, by falling share; -1 behind the last */
    float *weight;           /* [K,T] convex weights, of the projected row; 0 where index is -1 */
    float *contribution;     /* [K,T] shares: of e^m W_kj C_j; 0 where index is -1 */
    float *relaxation_norm;  /* [K] ||projected row of Relax||, before the multiplier */
    float *relaxation_share; /* [K] share: of e^m Relax_k; 0 for an atom of zeros */
    float *hull_share;       /* [K] cosine between the atom and its mixture; 0 where one of them is zeros */
} ra_provenance;

/* Room for the provenance of K atoms; on failure nothing is left behind. */
ra_status ra_provenance_init(ra_provenance *provenance, size_t atoms, size_t count, ra_error *err);
void ra_provenance_release(ra_provenance *provenance); /* leaves {0} */

/* D [K,d] <- the fuse of W [K,N], C [N,d] and Relax [K,d] of any float types, which need not be projected.
 * Reads W in blocks of rows, so a W larger than memory can be fused from its mapping. Of each row the points
 * with the largest weights are considered, four times as many as are kept. provenance may be NULL. D and the
 * provenance are host memory, whatever the backend. */
ra_status ra_dictionary_fuse(ra_backend *backend, const ra_tensor *W, const ra_tensor *C,
                             const ra_tensor *Relax, float multiplier, float delta, float *D,
                             const ra_provenance *provenance, ra_error *err);

/* The same of a dictionary of mixtures: index I32 [K,T], weight [K,T]. */
ra_status ra_mixture_fuse(ra_backend *backend, const ra_tensor *index, const ra_tensor *weight,
                          const ra_tensor *C, const ra_tensor *Relax, float multiplier, float delta, float *D,
                          const ra_provenance *provenance, ra_error *err);

#endif
