/* --check-config: finds what would stop a start, without serving. Addresses are resolved but not bound: the
 * daemon that this configuration is for may be running on them. */
#include "http/auth.h"
#include "http/tls.h"
#include "settings/ledger.h"
#include "settings/settings.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

static ra_status check_address(const char *written, ra_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    http_address address;
    if (!written) return RA_OK;
    RA_TRY(http_address_parse(written, &address, err));
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

static ra_status check_device(const settings *chosen, ra_error *err) {
    ra_backend *backend = NULL;
    ra_status status = ra_backend_open(chosen->device, &(ra_backend_options){.threads = 1}, &backend, err);
    ra_backend_release(backend);
    return status;
}

/* Reads the whole header of each file, which describes its tensors; the numbers are checked at the start. */
static ra_status check_dictionaries(const settings *chosen, ra_error *err) {
    for (size_t i = 0; i < chosen->dictionary.count; i++) {
        ra_safetensors *file = NULL;
        RA_TRY(ra_safetensors_open(settings_dictionary(chosen, i).path, &file, err));
        ra_safetensors_free(file);
    }
    return RA_OK;
}

static ra_status check_dictionary_dir(const settings *chosen, ra_error *err) {
    if (!chosen->dictionary_dir) return RA_OK;
    DIR *folder = opendir(chosen->dictionary_dir);
    if (!folder)
        RA_FAIL(err, errno == ENOENT ? RA_ERR_NOT_FOUND : RA_ERR_IO, "the directory %s cannot be read: %s",
                chosen->dictionary_dir, strerror(errno));
    closedir(folder);
    return RA_OK;
}

static ra_status check_keys(const settings *chosen, ra_error *err) {
    auth_keys *keys = NULL;
    if (!chosen->keys) return RA_OK;
    ra_status status = auth_open(chosen->keys, &keys, err);
    auth_free(keys);
    return status;
}

static ra_status check_tls(const settings *chosen, ra_error *err) {
    http_tls tls = {0};
    if (!chosen->tls_certificate) return RA_OK;
    ra_status status = http_tls_read(chosen->tls_certificate, chosen->tls_key, &tls, err);
    http_tls_release(&tls);
    return status;
}

static ra_status check_shares(const settings *chosen, ra_error *err) {
    ledger shares;
    return ledger_settle(chosen, chosen->admin_listen != NULL, &shares, err);
}

ra_status settings_check(const settings *chosen, ra_error *err) {
    typedef ra_status check(const settings *chosen, ra_error *err);
    static check *const checks[] = {check_addresses,    check_device,         check_keys,  check_tls,
                                    check_dictionaries, check_dictionary_dir, check_shares};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) RA_TRY(checks[i](chosen, err));
    return RA_OK;
}
