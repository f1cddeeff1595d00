/* Only the SHA-256 of each key is kept: no copy of the secret stays in memory, and every comparison is one of
 * 32 bytes, whose time reveals neither the length of a key nor how much of it was right. The client's key is
 * hashed once, in a time that depends only on its own length, and compared with every key, even after a
 * match.
 *
 * A reload builds the new set aside and swaps a pointer under a lock that checks hold during the comparisons:
 * a few nanoseconds per key.
 */
#include "http/auth.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST = 32, SHORTEST_KEY = 16, LONGEST_KEY = 512, LARGEST_FILE = 1 << 20 };

typedef struct key {
    auth_scope scope;
    size_t line;
    unsigned char digest[DIGEST];
    char name[HTTP_KEY_NAME_SIZE]; /* "": none */
} key;

typedef struct key_set {
    size_t count;
    key keys[];
} key_set;

struct auth_keys {
    char *path;
    pthread_rwlock_t lock; /* of `set` */
    key_set *set;
};

/* ---- the file ------------------------------------------------------------------------------------------ */

static ra_status fail_errno(const char *path, ra_error *err) {
    ra_status status = errno == ENOENT ? RA_ERR_NOT_FOUND : RA_ERR_IO;
    RA_FAIL(err, status, "%s: the key file cannot be read: %s", path, strerror(errno));
}

static ra_status read_whole(int file, const char *path, char *content, size_t capacity, ra_error *err) {
    size_t used = 0;
    ssize_t n;
    while ((n = read(file, content + used, capacity - 1 - used)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(path, err);
        used += (size_t)n;
        if (used == capacity - 1)
            RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: the key file grew while it was read", path);
    }
    content[used] = '\0';
    if (strlen(content) != used) RA_FAIL(err, RA_ERR_FORMAT, "%s: the key file is not a text file", path);
    return RA_OK;
}

/* *content <- the text of the file, `*capacity` bytes that the caller wipes and frees. */
static ra_status read_text(const char *path, char **content, size_t *capacity, ra_error *err) {
    struct stat info;
    ra_status status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block the start */
    if (file < 0) return fail_errno(path, err);
    if (fstat(file, &info) != 0) RA_TRY_OUT(status, fail_errno(path, err));
    if (!S_ISREG(info.st_mode))
        RA_TRY_OUT(status,
                   ra_error_set(err, RA_ERR_ARGUMENT, "%s: the key file is not a regular file", path));
    if (info.st_size > LARGEST_FILE)
        RA_TRY_OUT(status,
                   ra_error_set(err, RA_ERR_TOO_LARGE, "%s: the key file has %lld bytes, expected at most %d",
                                path, (long long)info.st_size, LARGEST_FILE));
    *capacity = (size_t)info.st_size + 2; /* the NUL, and one byte to notice that the file grew */
    *content = ra_malloc(*capacity, 1);
    if (!*content) RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: the keys"));
    RA_TRY_OUT(status, read_whole(file, path, *content, *capacity, err));
    if (info.st_mode & (S_IRGRP | S_IROTH))
        ra_log(RA_LOG_WARNING, "%s: others than its owner may read the keys; chmod 600 keeps them secret",
               path);
out:
    close(file);
    return status;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static const char blanks[] = " \t\r";

/* The length of the bearer token at `string` (token68 in RFC 9110). */
static size_t token_size(const char *string) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    size_t size = strspn(string, letters);
    return size ? size + strspn(string + size, "=") : 0;
}

static bool hash(const char *string, size_t size, unsigned char *digest) {
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, string, size, digest) == 0;
}

static ra_status scope_of(const char *word, size_t size, auth_scope *scope) {
    if (size == 4 && memcmp(word, "read", size) == 0)
        *scope = AUTH_READ;
    else if (size == 5 && memcmp(word, "admin", size) == 0)
        *scope = AUTH_ADMIN;
    else
        return RA_ERR_FORMAT;
    return RA_OK;
}

static ra_status add_key(key_set *set, const char *path, size_t line, key wanted, const char *string,
                         size_t size, ra_error *err) {
    key *added = &set->keys[set->count];
    *added = wanted;
    added->line = line;
    if (size < SHORTEST_KEY || size > LONGEST_KEY)
        RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: the key has %zu characters, expected %d to %d", path, line,
                size, SHORTEST_KEY, LONGEST_KEY);
    if (!hash(string, size, added->digest))
        RA_FAIL(err, RA_ERR_INTERNAL, "%s, line %zu: the key cannot be hashed", path, line);
    for (size_t i = 0; i < set->count; i++)
        if (gnutls_memcmp(set->keys[i].digest, added->digest, DIGEST) == 0)
            RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: the key is the same as in line %zu", path, line,
                    set->keys[i].line);
    set->count++;
    return RA_OK;
}

/* name <- the rest of a line after the key, "" when there is none; false when it cannot be a name. */
static bool read_name(const char *rest, char name[HTTP_KEY_NAME_SIZE]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    bool apart = *rest && strchr(blanks, *rest);
    rest += strspn(rest, blanks);
    size_t size = strspn(rest, letters);
    if (size >= HTTP_KEY_NAME_SIZE || (size && !apart) || rest[size + strspn(rest + size, blanks)])
        return false;
    memcpy(name, rest, size);
    name[size] = '\0';
    return true;
}

/* One line without its newline. */
static ra_status parse_line(key_set *set, const char *path, size_t number, const char *line, ra_error *err) {
    key wanted = {0};
    line += strspn(line, blanks);
    if (!*line || *line == '#') return RA_OK;
    size_t word = strcspn(line, blanks);
    if (scope_of(line, word, &wanted.scope) != RA_OK)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s, line %zu: expected \"read KEY\" or \"admin KEY\", and perhaps a name after the key",
                path, number);
    const char *string = line + word + strspn(line + word, blanks);
    size_t size = token_size(string);
    if (!read_name(string + size, wanted.name))
        RA_FAIL(
            err, RA_ERR_FORMAT,
            "%s, line %zu: the key has a character that is not allowed, or its name has one; expected "
            "letters, "
            "digits, - . _ ~ + / and = at the end in the key, and after it nothing or a name of at most %d "
            "letters, digits, dots, dashes and underscores",
            path, number, HTTP_KEY_NAME_SIZE - 1);
    return add_key(set, path, number, wanted, string, size, err);
}

static size_t count_lines(const char *content) {
    size_t lines = 1;
    for (; (content = strchr(content, '\n')); content++) lines++;
    return lines;
}

static ra_status parse(const char *path, char *content, key_set **out, ra_error *err) {
    ra_status status = RA_OK;
    size_t number = 1;
    key_set *set = ra_calloc(1, sizeof *set + count_lines(content) * sizeof *set->keys);
    if (!set) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the keys");
    for (char *line = content, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        RA_TRY_OUT(status, parse_line(set, path, number, line, err));
    }
    if (set->count == 0)
        RA_TRY_OUT(status,
                   ra_error_set(err, RA_ERR_FORMAT,
                                "%s: the key file has no keys; expected lines \"read KEY\" or \"admin KEY\"",
                                path));
    *out = set;
    set = NULL;
out:
    ra_free(set);
    return status;
}

static ra_status read_keys(const char *path, key_set **out, ra_error *err) {
    char *content = NULL;
    size_t capacity = 0;
    ra_status status;
    RA_TRY_OUT(status, read_text(path, &content, &capacity, err));
    RA_TRY_OUT(status, parse(path, content, out, err));
out:
    if (content) explicit_bzero(content, capacity);
    ra_free(content);
    return status;
}

/* ---- the set in force ---------------------------------------------------------------------------------- */

ra_status auth_open(const char *path, auth_keys **out, ra_error *err) {
    key_set *set = NULL;
    RA_TRY(read_keys(path, &set, err));
    auth_keys *keys = ra_calloc(1, sizeof *keys);
    char *copy = ra_strdup(path);
    if (!keys || !copy || pthread_rwlock_init(&keys->lock, NULL) != 0) {
        ra_free(set);
        ra_free(copy);
        ra_free(keys);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the keys");
    }
    keys->path = copy;
    keys->set = set;
    *out = keys;
    return RA_OK;
}

ra_status auth_reload(auth_keys *keys, ra_error *err) {
    key_set *fresh = NULL;
    RA_TRY(read_keys(keys->path, &fresh, err));
    pthread_rwlock_wrlock(&keys->lock);
    key_set *old = keys->set;
    keys->set = fresh;
    pthread_rwlock_unlock(&keys->lock);
    ra_free(old);
    return RA_OK;
}

size_t auth_count(auth_keys *keys) {
    pthread_rwlock_rdlock(&keys->lock);
    size_t count = keys->set->count;
    pthread_rwlock_unlock(&keys->lock);
    return count;
}

void auth_free(auth_keys *keys) {
    if (!keys) return;
    pthread_rwlock_destroy(&keys->lock);
    ra_free(keys->set);
    ra_free(keys->path);
    ra_free(keys);
}

/* ---- a request ----------------------------------------------------------------------------------------- */

/* The length of the token at the start of `string`, 0 when something else follows. */
static size_t whole_token(const char *string) {
    size_t size = token_size(string);
    return string[size + strspn(string + size, " \t")] ? 0 : size;
}

/* *token <- the key in the header; returns its length, 0 when it is none. */
static size_t find_token(http_header_id header, const char *value, const char **token) {
    static const char scheme[] = "Bearer ";
    *token = value + strspn(value, " \t");
    if (header != HTTP_AUTHORIZATION) return whole_token(*token);
    if (strncasecmp(value, scheme, sizeof scheme - 1) != 0) return 0;
    *token = value + sizeof scheme - 1;
    *token += strspn(*token, " ");
    return whole_token(*token);
}

/* The scope of the token, and the name of its key; AUTH_OPEN when it is not one of the keys. */
static auth_scope find_scope(auth_keys *keys, const char *token, size_t size, char name[HTTP_KEY_NAME_SIZE]) {
    unsigned char digest[DIGEST];
    auth_scope found = AUTH_OPEN;
    if (!hash(token, size, digest)) return AUTH_OPEN;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->set->count; i++) {
        const key *at = &keys->set->keys[i];
        if (gnutls_memcmp(at->digest, digest, DIGEST) != 0) continue;
        found = at->scope;
        memcpy(name, at->name, sizeof at->name);
    }
    pthread_rwlock_unlock(&keys->lock);
    return found;
}

auth_verdict auth_check(auth_keys *keys, auth_scope needed, const char *const *headers,
                        char name[HTTP_KEY_NAME_SIZE]) {
    static const http_header_id places[] = {HTTP_AUTHORIZATION, HTTP_X_API_KEY, HTTP_API_KEY,
                                            HTTP_X_SECRET_KEY};
    const char *token = NULL;
    size_t size = 0, sent = 0;
    char nobody[HTTP_KEY_NAME_SIZE];
    if (!name) name = nobody;
    name[0] = '\0';
    if (needed == AUTH_OPEN) return AUTH_GRANTED;
    if (!keys) return needed == AUTH_READ ? AUTH_GRANTED : AUTH_DISABLED;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = headers[places[i]];
        if (value && ++sent == 1) size = find_token(places[i], value, &token);
    }
    if (sent != 1) return sent ? AUTH_SEVERAL : AUTH_NO_KEY;
    auth_scope found = size ? find_scope(keys, token, size, name) : AUTH_OPEN;
    if (found == AUTH_OPEN) return AUTH_BAD_KEY;
    return found >= needed ? AUTH_GRANTED : AUTH_TOO_LOW;
}

void auth_refuse(auth_verdict verdict, const http_request *request, http_response *response) {
    static const struct {
        problem_kind problem;
        const char *sentence, *challenge;
    } refusals[] = {
        [AUTH_GRANTED] = {PROBLEM_INTERNAL_ERROR, "the request was both granted and refused", NULL},
        [AUTH_SEVERAL] =
            {PROBLEM_CONFLICTING_PARAMETERS,
             "the request has keys in several headers; send one of Authorization, X-API-Key, api-key "
             "and X-Secret-Key",
             NULL},
        [AUTH_NO_KEY] =
            {PROBLEM_MISSING_KEY,
             "authentication required: send the header Authorization: Bearer KEY, or X-API-Key: KEY",
             "Bearer realm=\"rasaed\""},
        [AUTH_BAD_KEY] =
            {PROBLEM_INVALID_KEY,
             "the key is not valid; expected the header Authorization: Bearer KEY, or X-API-Key: KEY",
             "Bearer realm=\"rasaed\", error=\"invalid_token\""},
        [AUTH_TOO_LOW] = {PROBLEM_ADMIN_KEY_REQUIRED, "an admin key is required; this key may only read",
                          "Bearer realm=\"rasaed\", error=\"insufficient_scope\""},
        [AUTH_DISABLED] = {PROBLEM_CHANGES_DISABLED,
                           "changing the server is disabled: start it with --keys FILE, a file with a line "
                           "\"admin KEY\", and send that key",
                           NULL},
    };
    http_problem(request, response, refusals[verdict].problem, refusals[verdict].sentence, NULL);
    if (refusals[verdict].challenge)
        http_response_header(response, "WWW-Authenticate", refusals[verdict].challenge);
}
