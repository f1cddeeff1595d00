/* The HTTP library asks for the certificate of each connection, so that a new pair needs no new library. It frees what
 * it is given, hence each handshake parses the texts again: some dozen microseconds of its millisecond. */
#include "http/tls.h"
#include "http/conditions.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SECONDS_OF_A_DAY = 86400, CHAIN_MOST = 16 };

typedef struct pair {
    char *certificate, *key; /* texts */
    int64_t begins, ends;    /* of the chain: the latest begin, the earliest end */
} pair;

/* Which file a name led to. */
typedef struct stamp {
    ino_t inode;
    off_t size;
    struct timespec changed;
} stamp;

struct http_tls {
    char *path[2]; /* certificate and key */
    stamp read[2], seen[2];
    pthread_rwlock_t lock; /* of `now` */
    pair now;
};

static http_tls *serving; /* what http_tls_retrieve() gives out; set before the first connection */

/* ---- reading ------------------------------------------------------------------------------------------- */

static ra_status read_pem(const char *path, const char *what, char **out, ra_error *err) {
    ra_mapping file = {0};
    RA_TRY(ra_mapping_open_steady(path, SIZE_MAX, &file, err));
    char *copy = ra_malloc(file.size + 1, 1);
    if (copy) {
        if (file.size) memcpy(copy, file.data, file.size);
        copy[file.size] = '\0';
    }
    ra_mapping_close(&file);
    if (!copy) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the TLS %s", what);
    if (!strstr(copy, "-----BEGIN ")) {
        ra_free(copy);
        RA_FAIL(err, RA_ERR_FORMAT, "%s is not a TLS %s: expected PEM, a text with \"-----BEGIN\"", path,
                what);
    }
    *out = copy;
    return RA_OK;
}

static gnutls_datum_t datum_of(char *string) {
    return (gnutls_datum_t){(unsigned char *)string, (unsigned)strlen(string)};
}

/* Asks the library that will use them whether it can, so that a mistake is known at once, with its reason. */
static ra_status check_pair(const pair *read, char *const path[2], ra_error *err) {
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t certificate = datum_of(read->certificate), key = datum_of(read->key);
    int failure = gnutls_certificate_allocate_credentials(&credentials);
    if (failure) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the TLS certificate");
    failure = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    if (failure >= 0) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "%s and %s cannot be used as TLS certificate and key: %s", path[0], path[1],
            gnutls_strerror(failure));
}

static ra_status read_dates(pair *read, const char *path, ra_error *err) {
    gnutls_x509_crt_t chain[CHAIN_MOST];
    unsigned count = CHAIN_MOST;
    gnutls_datum_t text = datum_of(read->certificate);
    int failure = gnutls_x509_crt_list_import(chain, &count, &text, GNUTLS_X509_FMT_PEM,
                                              GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (failure < 0)
        RA_FAIL(err, RA_ERR_FORMAT, "the certificates of %s cannot be read: %s", path,
                gnutls_strerror(failure));
    read->begins = INT64_MIN;
    read->ends = INT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        int64_t begins = gnutls_x509_crt_get_activation_time(chain[i]),
                ends = gnutls_x509_crt_get_expiration_time(chain[i]);
        if (begins > read->begins) read->begins = begins;
        if (ends < read->ends) read->ends = ends;
        gnutls_x509_crt_deinit(chain[i]);
    }
    return RA_OK;
}

static void release_pair(pair *old) {
    if (old->key) explicit_bzero(old->key, strlen(old->key));
    ra_free(old->certificate);
    ra_free(old->key);
    *old = (pair){0};
}

static ra_status read_pair(char *const path[2], pair *out, ra_error *err) {
    ra_status status;
    *out = (pair){0};
    RA_TRY_OUT(status, read_pem(path[0], "certificate", &out->certificate, err));
    RA_TRY_OUT(status, read_pem(path[1], "key", &out->key, err));
    RA_TRY_OUT(status, check_pair(out, path, err));
    RA_TRY_OUT(status, read_dates(out, path[0], err));
out:
    if (status != RA_OK) release_pair(out);
    return status;
}

static void warn(const pair *read, const char *path) {
    int64_t now = time(NULL), left = read->ends - now;
    char date[HTTP_DATE_SIZE];
    if (read->begins > now)
        ra_log(RA_LOG_WARNING, "%s: the certificate is not valid yet; clients refuse it", path);
    if (left <= 0)
        ra_log(RA_LOG_WARNING, "%s: the certificate has expired; clients refuse it", path);
    else if (left < (int64_t)HTTP_TLS_SOON_DAYS * SECONDS_OF_A_DAY)
        ra_log(RA_LOG_WARNING, "%s: the certificate expires soon, on %s", path,
               http_date_write(read->ends, date));
}

/* ---- files that change --------------------------------------------------------------------------------- */

static stamp stamp_of(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) return (stamp){0};
    return (stamp){info.st_ino, info.st_size, info.st_mtim};
}

static bool same(const stamp *a, const stamp *b) {
    return a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

bool http_tls_changed(http_tls *tls) {
    bool changed = false, still = true;
    for (int i = 0; i < 2; i++) {
        stamp now = stamp_of(tls->path[i]);
        changed |= !same(&now, &tls->read[i]);
        still &= same(&now, &tls->seen[i]);
        tls->seen[i] = now;
    }
    return changed && still;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

ra_status http_tls_reload(http_tls *tls, ra_error *err) {
    pair fresh;
    for (int i = 0; i < 2; i++) tls->read[i] = tls->seen[i] = stamp_of(tls->path[i]);
    RA_TRY(read_pair(tls->path, &fresh, err));
    warn(&fresh, tls->path[0]);
    pthread_rwlock_wrlock(&tls->lock);
    pair old = tls->now;
    tls->now = fresh;
    pthread_rwlock_unlock(&tls->lock);
    release_pair(&old);
    return RA_OK;
}

ra_status http_tls_open(const char *certificate_path, const char *key_path, http_tls **out, ra_error *err) {
    http_tls *tls = ra_calloc(1, sizeof *tls);
    if (!tls) RA_FAIL_MEMORY(err, "the TLS certificate", sizeof *tls);
    pthread_rwlock_init(&tls->lock, NULL);
    tls->path[0] = ra_strdup(certificate_path);
    tls->path[1] = ra_strdup(key_path);
    ra_status status = tls->path[0] && tls->path[1]
                           ? http_tls_reload(tls, err)
                           : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the TLS certificate");
    if (status != RA_OK) {
        http_tls_free(tls);
        return status;
    }
    serving = *out = tls;
    return RA_OK;
}

int64_t http_tls_expires(http_tls *tls) {
    pthread_rwlock_rdlock(&tls->lock);
    int64_t ends = tls->now.ends;
    pthread_rwlock_unlock(&tls->lock);
    return ends;
}

void http_tls_free(http_tls *tls) {
    if (!tls) return;
    if (serving == tls) serving = NULL;
    release_pair(&tls->now);
    pthread_rwlock_destroy(&tls->lock);
    ra_free(tls->path[0]);
    ra_free(tls->path[1]);
    ra_free(tls);
}

/* ---- a handshake --------------------------------------------------------------------------------------- */

/* What it writes is freed by the library, as the flag says. */
static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                    unsigned *count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
                    unsigned *flags) {
    (void)session, (void)info;
    gnutls_pcert_st *chain = gnutls_calloc(CHAIN_MOST, sizeof *chain);
    unsigned length = CHAIN_MOST;
    *count = 0;
    *ocsp = NULL;
    *ocsp_count = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    if (!chain) return -1;
    pthread_rwlock_rdlock(&serving->lock);
    gnutls_datum_t text = datum_of(serving->now.certificate), secret = datum_of(serving->now.key);
    int failure = gnutls_pcert_list_import_x509_raw(chain, &length, &text, GNUTLS_X509_FMT_PEM, 0);
    if (failure < 0) length = 0;
    bool made = failure >= 0 && gnutls_privkey_init(key) == 0;
    if (made) failure = gnutls_privkey_import_x509_raw(*key, &secret, GNUTLS_X509_FMT_PEM, NULL, 0);
    pthread_rwlock_unlock(&serving->lock);
    if (made && failure >= 0) {
        *certs = chain;
        *count = length;
        return 0;
    }
    if (made) gnutls_privkey_deinit(*key);
    for (unsigned i = 0; i < length; i++) gnutls_pcert_deinit(&chain[i]);
    gnutls_free(chain);
    return -1;
}

void *http_tls_retrieve(void) {
    static gnutls_certificate_retrieve_function3 *const function = retrieve;
    return (void *)(uintptr_t)function;
}

/* ---- past the library ---------------------------------------------------------------------------------- */

void http_tls_send(void *session, const void *data, size_t size) {
    const char *at = data;
    for (size_t sent = 0; sent < size;) {
        ssize_t n = gnutls_record_send(session, at + sent, size - sent);
        if (n <= 0) return;
        sent += (size_t)n;
    }
}
