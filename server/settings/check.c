/* --check-config: finds what would stop a start, without serving. Addresses are resolved but not bound: the
 * daemon that this configuration is for may be running on them. */
#include "settings/check.h"
#include "http/auth.h"
#include "http/tls.h"
#include "settings/dictionaries.h"
#include "serving/rows.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static ra_status check_address(const char *written, ra_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    http_address address;
    if (!written) return RA_OK;
    RA_TRY(http_address_parse(written, &address, err));
    if (address.local.path[0]) return RA_OK;
    int failure = getaddrinfo(address.host[0] ? address.host : NULL, address.port, &hints, &found);
    if (failure)
        RA_FAIL(err, RA_ERR_IO, "cannot listen on %s:%s: %s", address.host, address.port,
                failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    freeaddrinfo(found);
    return RA_OK;
}

static ra_status check_addresses(const settings *chosen, ra_error *err) {
    RA_TRY(check_address(chosen->listen, err));
    return check_address(chosen->admin_listen, err);
}

/* The device, and every dictionary on it as the start opens it: that takes as long, and as much memory. */
static ra_status check_dictionaries(const settings *chosen, ra_error *err) {
    ra_backend *backend = NULL;
    RA_TRY(ra_backend_open(chosen->device, &(ra_backend_options){.threads = chosen->compute_threads},
                           &backend, err));
    registry *dictionaries = NULL;
    ra_status status = settings_open_dictionaries(
        chosen, (registry_options){.backend = backend, .workspaces = 1}, &dictionaries, err);
    registry_free(dictionaries);
    ra_backend_release(backend);
    return status;
}

static ra_status check_keys(const settings *chosen, ra_error *err) {
    auth_keys *keys = NULL;
    if (!chosen->keys) return RA_OK;
    ra_status status = auth_open(chosen->keys, &keys, err);
    auth_free(keys);
    return status;
}

/* A start only warns of an expired certificate; here it is an error, because no client will accept it. */
static ra_status check_tls(const settings *chosen, ra_error *err) {
    http_tls *tls = NULL;
    if (!chosen->tls_certificate) return RA_OK;
    RA_TRY(http_tls_open(chosen->tls_certificate, chosen->tls_key, &tls, err));
    bool expired = http_tls_expires(tls) <= time(NULL);
    http_tls_free(tls);
    if (expired)
        RA_FAIL(err, RA_ERR_STATE, "the certificate %s has expired; put a valid one in its place",
                chosen->tls_certificate);
    return RA_OK;
}

static ra_status check_data(const settings *chosen, ra_error *err) {
    data_rows *rows = NULL;
    RA_TRY(rows_open(chosen->data.items, chosen->data.count, &rows, err));
    rows_free(rows);
    return RA_OK;
}

static ra_status check_state(const settings *chosen, ra_error *err) {
    ra_error why = {0};
    if (!chosen->state || store_check(chosen->state, &why) == RA_OK) return RA_OK;
    RA_FAIL(err, why.code, "--state %s: %s", chosen->state, why.message);
}

ra_status settings_check(const settings *chosen, ledger *shares, ra_error *err) {
    typedef ra_status check(const settings *chosen, ra_error *err);
    static check *const checks[] = {check_addresses, check_keys, check_tls,
                                    check_state,     check_data, check_dictionaries};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) RA_TRY(checks[i](chosen, err));
    return ledger_settle(chosen, chosen->admin_listen != NULL, shares, err);
}
