#include "http/tls.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <gnutls/gnutls.h>
#include <string.h>

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
static ra_status check_pair(const http_tls *tls, const char *certificate_path, const char *key_path,
                            ra_error *err) {
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t certificate = datum_of(tls->certificate), key = datum_of(tls->key);
    int failure = gnutls_certificate_allocate_credentials(&credentials);
    if (failure) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the TLS certificate");
    failure = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    if (failure >= 0) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "%s and %s cannot be used as TLS certificate and key: %s", certificate_path,
            key_path, gnutls_strerror(failure));
}

ra_status http_tls_read(const char *certificate_path, const char *key_path, http_tls *tls, ra_error *err) {
    ra_status status;
    *tls = (http_tls){0};
    RA_TRY_OUT(status, read_pem(certificate_path, "certificate", &tls->certificate, err));
    RA_TRY_OUT(status, read_pem(key_path, "key", &tls->key, err));
    RA_TRY_OUT(status, check_pair(tls, certificate_path, key_path, err));
out:
    if (status != RA_OK) http_tls_release(tls);
    return status;
}

void http_tls_send(void *session, const void *data, size_t size) {
    const char *at = data;
    for (size_t sent = 0; sent < size;) {
        ssize_t n = gnutls_record_send(session, at + sent, size - sent);
        if (n <= 0) return;
        sent += (size_t)n;
    }
}

void http_tls_release(http_tls *tls) {
    if (tls->key) explicit_bzero(tls->key, strlen(tls->key));
    ra_free(tls->certificate);
    ra_free(tls->key);
    *tls = (http_tls){0};
}
