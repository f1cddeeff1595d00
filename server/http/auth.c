/* Keys, and how they are compared.
 *
 * Of a key only the SHA-256 is kept: no copy of the secret stays in memory, and each comparison is one of 32
 * bytes, so that its time tells neither how long a key is nor how much of it was right. What a client sends
 * is hashed once, in a time that depends on its own length alone, and compared with every key there is, also
 * after one was found.
 *
 * A reload builds the new set aside and swaps a pointer under a lock that checks hold for the comparisons: a
 * few nanoseconds a key.
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
    int file =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nonblocking: a pipe must not hold up a start */
    if (file < 0) return fail_errno(path, err);
    ra_status status = RA_OK;
    if (fstat(file, &info) != 0)
        status = fail_errno(path, err);
    else if (!S_ISREG(info.st_mode))
        status = ra_error_set(err, RA_ERR_ARGUMENT, "%s: the key file is not a regular file", path);
    else if (info.st_size > LARGEST_FILE)
        status = ra_error_set(err, RA_ERR_TOO_LARGE, "%s: the key file has %lld bytes, expected at most %d",
                              path, (long long)info.st_size, LARGEST_FILE);
    if (status == RA_OK) {
        *capacity = (size_t)info.st_size + 2; /* the NUL, and room to notice that it grew */
        *content = ra_malloc(*capacity, 1);
        status = *content ? read_whole(file, path, *content, *capacity, err)
                          : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the keys");
    }
    close(file);
    if (status == RA_OK && info.st_mode & (S_IRGRP | S_IROTH))
        ra_log(RA_LOG_WARNING, "%s: others than its owner may read the keys; chmod 600 keeps them secret",
               path);
    return status;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static const char blanks[] = " \t\r";

/* The length of the bearer token at `string`: token68 of RFC 9110. */
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

static ra_status add_key(key_set *set, const char *path, size_t line, auth_scope scope, const char *string,
                         size_t size, ra_error *err) {
    key *added = &set->keys[set->count];
    *added = (key){.scope = scope, .line = line};
    if (size < SHORTEST_KEY || size > LONGEST_KEY)
        RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: the key has %zu characters, expected %d to %d", path, line,
                size, SHORTEST_KEY, LONGEST_KEY);
    if (!hash(string, size, added->digest))
        RA_FAIL(err, RA_ERR_INTERNAL, "%s, line %zu: the key cannot be hashed", path, line);
    for (size_t i = 0; i < set->count; i++)
        if (gnutls_memcmp(set->keys[i].digest, added->digest, DIGEST) == 0)
            RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: the key is that of line %zu again", path, line,
                    set->keys[i].line);
    set->count++;
    return RA_OK;
}

/* One line without its newline. */
static ra_status parse_line(key_set *set, const char *path, size_t number, const char *line, ra_error *err) {
    auth_scope scope;
    line += strspn(line, blanks);
    if (!*line || *line == '#') return RA_OK;
    size_t word = strcspn(line, blanks);
    if (scope_of(line, word, &scope) != RA_OK)
        RA_FAIL(err, RA_ERR_FORMAT, "%s, line %zu: expected \"read KEY\" or \"admin KEY\"", path, number);
    const char *string = line + word + strspn(line + word, blanks);
    size_t size = token_size(string);
    if (string[size + strspn(string + size, blanks)])
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s, line %zu: the key holds a character that a key must not hold; expected "
                "letters, digits, - . _ ~ + / and = at the end",
                path, number);
    return add_key(set, path, number, scope, string, size, err);
}

static size_t count_lines(const char *content) {
    size_t lines = 1;
    for (; (content = strchr(content, '\n')); content++) lines++;
    return lines;
}

static ra_status parse(const char *path, char *content, key_set **out, ra_error *err) {
    key_set *set = ra_calloc(1, sizeof *set + count_lines(content) * sizeof *set->keys);
    if (!set) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the keys");
    ra_status status = RA_OK;
    size_t number = 1;
    for (char *line = content, *next; line && status == RA_OK; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        status = parse_line(set, path, number, line, err);
    }
    if (status == RA_OK && set->count == 0)
        status =
            ra_error_set(err, RA_ERR_FORMAT,
                         "%s: the key file holds no key; expected lines \"read KEY\" or \"admin KEY\"", path);
    if (status == RA_OK)
        *out = set;
    else
        ra_free(set);
    return status;
}

static ra_status read_keys(const char *path, key_set **out, ra_error *err) {
    char *content = NULL;
    size_t capacity = 0;
    ra_status status = read_text(path, &content, &capacity, err);
    if (status == RA_OK) status = parse(path, content, out, err);
    if (content) explicit_bzero(content, capacity);
    ra_free(content);
    return status;
}

/* ---- the set in force ---------------------------------------------------------------------------------- */

ra_status auth_open(const char *path, auth_keys **out, ra_error *err) {
    key_set *set = NULL;
    ra_status status = read_keys(path, &set, err);
    if (status != RA_OK) return status;
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
    ra_status status = read_keys(keys->path, &fresh, err);
    if (status != RA_OK) return status;
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

/* The token of "Bearer TOKEN"; 0 when the header is anything else. */
static size_t find_token(const char *header, const char **token) {
    static const char scheme[] = "Bearer ";
    if (strncasecmp(header, scheme, sizeof scheme - 1) != 0) return 0;
    const char *string = header + strspn(header + sizeof scheme - 2, " ") + sizeof scheme - 2;
    size_t size = token_size(string);
    *token = string;
    return string[size + strspn(string + size, " \t")] ? 0 : size;
}

/* The scope that the token has, AUTH_OPEN for one that no key is. */
static auth_scope find_scope(auth_keys *keys, const char *token, size_t size) {
    unsigned char digest[DIGEST];
    auth_scope found = AUTH_OPEN;
    if (!hash(token, size, digest)) return AUTH_OPEN;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->set->count; i++)
        if (gnutls_memcmp(keys->set->keys[i].digest, digest, DIGEST) == 0) found = keys->set->keys[i].scope;
    pthread_rwlock_unlock(&keys->lock);
    return found;
}

auth_verdict auth_check(auth_keys *keys, auth_scope needed, const char *header) {
    if (needed == AUTH_OPEN) return AUTH_GRANTED;
    if (!keys) return needed == AUTH_READ ? AUTH_GRANTED : AUTH_DISABLED;
    if (!header) return AUTH_NO_KEY;
    const char *token;
    size_t size = find_token(header, &token);
    auth_scope found = size ? find_scope(keys, token, size) : AUTH_OPEN;
    if (found == AUTH_OPEN) return AUTH_BAD_KEY;
    return found >= needed ? AUTH_GRANTED : AUTH_TOO_LOW;
}

void auth_refuse(auth_verdict verdict, const http_request *request, http_response *response) {
    static const struct {
        int status;
        const char *sentence, *challenge;
    } refusals[] = {
        [AUTH_GRANTED] = {500, "the request was granted and refused at once", NULL},
        [AUTH_NO_KEY] = {401, "this asks for a key: send the header Authorization: Bearer KEY",
                         "Bearer realm=\"rasaed\""},
        [AUTH_BAD_KEY] = {401, "the key is not one of this server's; expected Authorization: Bearer KEY",
                          "Bearer realm=\"rasaed\", error=\"invalid_token\""},
        [AUTH_TOO_LOW] = {403, "the key may only read; this asks for an admin key",
                          "Bearer realm=\"rasaed\", error=\"insufficient_scope\""},
        [AUTH_DISABLED] = {403,
                           "this changes the server and is off: start it with --keys FILE, where a line "
                           "\"admin KEY\" names the key to send",
                           NULL},
    };
    http_problem(request, response, refusals[verdict].status, refusals[verdict].sentence);
    if (refusals[verdict].challenge)
        http_response_header(response, "WWW-Authenticate", refusals[verdict].challenge);
}
