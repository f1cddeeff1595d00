/* A group of members, which are threads here: each trains on its slice of every batch, and all end with the
 * parameters of a single process, for each kind, encoder and loss. */
#include "data_files.h"
#include "harness.h"
#include "ra_group.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <pthread.h>
#include <string.h>

enum { ROWS = 58, D_ = 7, N = 20, K = 14, STEPS = 12, MEMBERS_MOST = 4 };

/* ---- a group of threads -------------------------------------------------------------------------------- */

typedef struct meeting {
    pthread_barrier_t barrier;
    size_t size;
    void *values[MEMBERS_MOST];
} meeting;

typedef struct member {
    meeting *meeting;
    size_t rank;
    ra_group group;
    const ra_sae_settings *sae;
    const ra_train_settings *train;
    const char *data;
    float *parameters; /* all of them, one after the other, at the end */
    size_t size;
    double loss; /* of the last step */
    ra_status status;
    ra_error err;
} member;

/* Each member adds up all members' values in the order of their ranks, in its own memory until all have read
 * them. */
#define DEFINE_COLLECTIVE(name, type, fold)                                                                  \
    static ra_status name(void *context, type *values, size_t n, ra_error *err) {                            \
        const member *m = context;                                                                           \
        type *all = ra_calloc(n, sizeof *all);                                                               \
        (void)err;                                                                                           \
        m->meeting->values[m->rank] = values;                                                                \
        pthread_barrier_wait(&m->meeting->barrier);                                                          \
        for (size_t r = 0; r < m->meeting->size; r++)                                                        \
            for (size_t i = 0; i < n; i++) {                                                                 \
                type value = ((const type *)m->meeting->values[r])[i];                                       \
                fold;                                                                                        \
            }                                                                                                \
        pthread_barrier_wait(&m->meeting->barrier);                                                          \
        memcpy(values, all, n * sizeof *all);                                                                \
        pthread_barrier_wait(&m->meeting->barrier);                                                          \
        ra_free(all);                                                                                        \
        return RA_OK;                                                                                        \
    }

DEFINE_COLLECTIVE(sum_f32, float, all[i] += value)
DEFINE_COLLECTIVE(sum_f64, double, all[i] += value)
DEFINE_COLLECTIVE(sum_u64, uint64_t, all[i] += value)
DEFINE_COLLECTIVE(unite, uint8_t, all[i] = all[i] || value)

/* ---- one member's run ---------------------------------------------------------------------------------- */

static bool note(void *context, size_t which, const ra_train_progress *progress) {
    (void)which;
    ((member *)context)->loss = progress->loss;
    return true;
}

static ra_status make(member *m, ra_backend *backend, ra_sae **sae, ra_error *err) {
    float points[N * D_];
    test_fill(points, N * D_, 31);
    for (size_t i = 0; i < N * D_; i++) points[i] *= 0.5f;
    ra_tensor view = ra_tensor_2d(RA_F32, points, N, D_);
    ra_dictionary *dictionary = NULL;
    ra_status status = ra_archetypal_dictionary_new(backend, D_, K, &view, 0.5f, true, &dictionary, err);
    return status == RA_OK ? ra_sae_new(m->sae, dictionary, 32, sae, err) : status;
}

static void keep_parameters(member *m, ra_sae *sae) {
    size_t count;
    const ra_parameter *p = ra_sae_parameters(sae, &count);
    for (size_t i = 0; i < count; i++) m->size += ra_parameter_size(&p[i]);
    m->parameters = ra_malloc(m->size, sizeof *m->parameters);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(m->parameters + used, p[i].value, ra_parameter_size(&p[i]) * sizeof(float));
        used += ra_parameter_size(&p[i]);
    }
}

static void *run(void *context) {
    member *m = context;
    ra_backend *backend = NULL;
    ra_data *data = NULL;
    ra_sae *sae = NULL;
    m->status = ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &m->err);
    if (m->status == RA_OK) m->status = ra_data_open(&m->data, 1, NULL, &data, &m->err);
    if (m->status == RA_OK) m->status = make(m, backend, &sae, &m->err);
    if (m->status == RA_OK) {
        ra_sae_set_group(sae, &m->group);
        m->status = ra_train(sae, data, m->train, note, m, &m->err);
    }
    if (m->status == RA_OK) keep_parameters(m, sae);
    ra_sae_free(sae);
    ra_data_free(data);
    ra_backend_release(backend);
    return NULL;
}

static void run_members(member *members, size_t size, const ra_sae_settings *sae,
                        const ra_train_settings *train, const char *data) {
    meeting all = {.size = size};
    pthread_t threads[MEMBERS_MOST];
    pthread_barrier_init(&all.barrier, NULL, (unsigned)size);
    for (size_t r = 0; r < size; r++) {
        members[r] = (member){.meeting = &all, .rank = r, .sae = sae, .train = train, .data = data};
        members[r].group = (ra_group){.rank = r,
                                      .size = size,
                                      .context = &members[r],
                                      .sum_f32 = sum_f32,
                                      .sum_f64 = sum_f64,
                                      .sum_u64 = sum_u64,
                                      .unite = unite};
        ck_assert_int_eq(pthread_create(&threads[r], NULL, run, &members[r]), 0);
    }
    for (size_t r = 0; r < size; r++) pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&all.barrier);
    for (size_t r = 0; r < size; r++) ck_assert_msg(members[r].status == RA_OK, "%s", members[r].err.message);
}

/* ---- the cases ----------------------------------------------------------------------------------------- */

typedef struct group_case {
    ra_sae_kind sae;
    ra_encoder_kind encoder;
    ra_loss loss;
} group_case;

static const group_case cases[] = {
    {RA_SAE_RELU, RA_ENCODER_LINEAR, RA_LOSS_MSE_L1},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_MSE},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_REANIMATE},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_AUXK},
    {RA_SAE_TOPK, RA_ENCODER_LINEAR, RA_LOSS_ELASTIC},
    {RA_SAE_TOPK, RA_ENCODER_MLP_LN_1, RA_LOSS_HOYER},
    {RA_SAE_TOPK, RA_ENCODER_MLP_BN_1, RA_LOSS_MSE},
    {RA_SAE_TOPK, RA_ENCODER_TIED, RA_LOSS_KAPPA_4},
    {RA_SAE_BATCHTOPK, RA_ENCODER_LINEAR, RA_LOSS_MSE},
    {RA_SAE_BATCHTOPK, RA_ENCODER_TIED, RA_LOSS_REANIMATE},
    {RA_SAE_JUMPRELU, RA_ENCODER_LINEAR, RA_LOSS_L0},
    {RA_SAE_JUMPRELU, RA_ENCODER_TIED, RA_LOSS_MSE_L1},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_MSE},
    {RA_SAE_MP, RA_ENCODER_IDENTITY, RA_LOSS_ELASTIC},
};

static uint32_t known(const char *key) {
    return UINT32_C(1) << ra_setting_by_key(ra_train_settings_table(), key);
}

static void check_members(const group_case *c, size_t batch_size) {
    static float x[ROWS * D_];
    test_fill(x, ROWS * D_, 33);
    const char *data = data_file_npy("x.npy", x, ROWS, D_);
    ra_sae_settings sae = {.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K |
                                    1u << RA_SET_BANDWIDTH,
                           .sae = (int)c->sae,
                           .encoder = (int)c->encoder,
                           .top_k = 3,
                           .bandwidth = 0.2};
    ra_sae_settings_defaults(&sae);
    ra_train_settings train = {.known = known("loss") | known("steps") | known("batch_size") | known("lr"),
                               .loss = (int)c->loss,
                               .steps = STEPS,
                               .batch_size = batch_size,
                               .lr = 5e-3};
    member alone, members[MEMBERS_MOST];
    run_members(&alone, 1, &sae, &train, data);
    for (size_t size = 2; size <= MEMBERS_MOST; size += 1) {
        run_members(members, size, &sae, &train, data);
        for (size_t r = 0; r < size; r++) {
            ck_assert_uint_eq(members[r].size, alone.size);
            ck_assert_double_eq_tol(members[r].loss, alone.loss, 1e-5 * alone.loss);
            assert_close(members[r].parameters, alone.parameters, alone.size, 1e-5);
            ck_assert_mem_eq(members[r].parameters, members[0].parameters, alone.size * sizeof(float));
        }
        for (size_t r = 0; r < size; r++) ra_free(members[r].parameters);
    }
    ra_free(alone.parameters);
}

/* 25, 25 and 8 rows per epoch: slices of different sizes. */
START_TEST(test_members_train_what_one_does) {
    check_members(&cases[_i], 25);
}
END_TEST

/* Some members never have a row, but take part in all calls. */
START_TEST(test_a_member_may_have_no_rows) {
    check_members(&cases[_i], 2);
}
END_TEST

START_TEST(test_slices_cover_everything_once) {
    for (size_t n = 0; n < 40; n++)
        for (size_t size = 1; size < 9; size++) {
            size_t next = 0, least = n, most = 0;
            for (size_t rank = 0; rank < size; rank++) {
                const ra_group group = {.rank = rank, .size = size};
                size_t first, count = ra_group_slice(&group, n, &first);
                ck_assert_uint_eq(first, next);
                next += count;
                least = count < least ? count : least;
                most = count > most ? count : most;
            }
            ck_assert_uint_eq(next, n);
            ck_assert_uint_le(most - least, 1);
        }
}
END_TEST

TEST_CASES_LOOP(group_training, 30, sizeof cases / sizeof *cases, test_members_train_what_one_does,
                test_a_member_may_have_no_rows)
TEST_CASES(group, test_slices_cover_everything_once)
