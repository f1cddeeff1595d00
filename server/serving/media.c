#include "serving/media.h"
#include "codec/problems.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 65 };

struct media_source {
    char name[NAME_SIZE];
    const char *url; /* of the settings; NULL: of the folder, by the label */
    int folder;      /* -1: there is none */
};

struct media {
    media_source *sources;
    size_t count;
};

/* ---- templates ----------------------------------------------------------------------------------------- */

static const char by_label[] = "{path}"; /* of a folder without a template */

typedef enum variable { LABEL, PATH, ROW, ITEM, VARIABLES } variable;
static const char *const variables[VARIABLES] = {"label", "path", "row", "item"};

/* That of a brace, and where the text goes on; VARIABLES when it is none. */
static variable variable_at(const char *brace, const char **rest) {
    for (int v = 0; v < VARIABLES; v++) {
        size_t size = strlen(variables[v]);
        if (strncmp(brace + 1, variables[v], size) != 0 || brace[1 + size] != '}') continue;
        *rest = brace + size + 2;
        return (variable)v;
    }
    return VARIABLES;
}

static ra_status split(const char *words, const char *what, const char **value, ra_error *err) {
    const char *equals = strchr(words, '=');
    if (!equals || equals == words || !equals[1] || equals - words >= NAME_SIZE)
        RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" names no dictionary and %s, expected NAME=%s", words, what,
                what);
    *value = equals + 1;
    return RA_OK;
}

ra_status media_check_folder(const char *words, ra_error *err) {
    const char *folder = "";
    return split(words, "DIR", &folder, err);
}

static bool is_of_folder(const char *url) {
    return url[0] != '/' && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0;
}

ra_status media_check_url(const char *words, ra_error *err) {
    const char *url = "", *at;
    RA_TRY(split(words, "TEMPLATE", &url, err));
    for (at = url; *at;) {
        unsigned char letter = (unsigned char)*at;
        if (letter <= ' ' || letter > '~' || strchr("\"<>\\^`|}", letter))
            RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" has a character that no address has, at its byte %zu", url,
                    (size_t)(at - url));
        if (letter != '{')
            at++;
        else if (variable_at(at, &at) == VARIABLES)
            RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\": \"%.20s\" is not {label}, {path}, {row} or {item}", url,
                    at);
    }
    return RA_OK;
}

static void write_escaped(const char *label, bool keep_slashes, text *out) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *label; label++) {
        unsigned char c = (unsigned char)*label;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c) || (c == '/' && keep_slashes);
        const char code[3] = {'%', digits[c >> 4], digits[c & 15]};
        text_append(out, plain ? label : code, plain ? 1 : 3);
    }
}

static const char *template_of(const media_source *source) {
    return source->url ? source->url : by_label;
}

static void write_start(const media_source *source, const char *base, text *out) {
    if (is_of_folder(template_of(source)))
        text_format(out, "%s/v1/dictionaries/%s/media/", base, source->name);
}

void media_write_template(const media_source *source, const char *base, text *out) {
    write_start(source, base, out);
    text_string(out, template_of(source));
}

/* How many letters of an address are its origin; 0 when it has none of its own, or one that is no plain host and port. */
static size_t origin_size(const char *url) {
    static const char host[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    size_t size = scheme + strspn(url + scheme, host);
    return scheme && size > scheme && (url[size] == '/' || !url[size]) ? size : 0;
}

void media_write_origins(const media *all, text *out) {
    for (size_t i = 0; all && i < all->count; i++) {
        const char *url = template_of(&all->sources[i]);
        size_t size = origin_size(url);
        if (!size) continue;
        text_append(out, " ", 1);
        text_append(out, url, size);
    }
}

static bool needs_label(const char *template) {
    return strstr(template, "{label}") || strstr(template, "{path}");
}

bool media_write_link(const media_source *source, const char *base, const media_row *row, text *out) {
    const char *at = template_of(source);
    if (needs_label(at) && !row->label) return false;
    if (strstr(at, "{item}") && !row->has_item) return false;
    write_start(source, base, out);
    while (*at) {
        size_t plain = strcspn(at, "{");
        text_append(out, at, plain);
        at += plain;
        if (!*at) break;
        switch (variable_at(at, &at)) {
        case LABEL:
            write_escaped(row->label, false, out);
            break;
        case PATH:
            write_escaped(row->label, true, out);
            break;
        case ROW:
            text_format(out, "%zu", row->row);
            break;
        case ITEM:
            text_format(out, "%zu", row->item);
            break;
        case VARIABLES:
            at++; /* media_check_url() lets none pass */
        }
    }
    return true;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

const media_source *media_of(const media *all, const char *dictionary) {
    for (size_t i = 0; all && i < all->count; i++)
        if (strcmp(all->sources[i].name, dictionary) == 0) return &all->sources[i];
    return NULL;
}

/* The source of the name before the '=', a new one if need be. */
static media_source *source_of(media *all, const char *words) {
    char name[NAME_SIZE] = "";
    memcpy(name, words, (size_t)(strchr(words, '=') - words));
    media_source *known = (media_source *)media_of(all, name);
    if (known) return known;
    known = &all->sources[all->count++];
    *known = (media_source){.folder = -1};
    memcpy(known->name, name, NAME_SIZE);
    return known;
}

static ra_status add_folder(media *all, const char *words, ra_error *err) {
    const char *path = "";
    RA_TRY(media_check_folder(words, err));
    RA_TRY(split(words, "DIR", &path, err));
    media_source *source = source_of(all, words);
    if (source->folder >= 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the folder of the media of \"%s\" is given twice", source->name);
    source->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source->folder < 0)
        RA_FAIL(err, RA_ERR_IO, "the folder %s of the media of \"%s\" cannot be opened: %s", path,
                source->name, strerror(errno));
    return RA_OK;
}

static ra_status add_url(media *all, const char *words, ra_error *err) {
    const char *url = "";
    RA_TRY(media_check_url(words, err));
    RA_TRY(split(words, "TEMPLATE", &url, err));
    media_source *source = source_of(all, words);
    if (source->url)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the address of the media of \"%s\" is given twice", source->name);
    if (is_of_folder(url) && source->folder < 0)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "\"%s\" begins with neither http:// nor https:// nor a slash, and there is no --media %s=DIR "
                "whose files it could name",
                url, source->name);
    source->url = url;
    return RA_OK;
}

ra_status media_open(char *const *folders, size_t folder_count, char *const *urls, size_t url_count,
                     media **out, ra_error *err) {
    media *all = ra_calloc(1, sizeof *all);
    ra_status status = RA_OK;
    if (all) all->sources = ra_calloc(folder_count + url_count + 1, sizeof *all->sources);
    if (!all || !all->sources) {
        media_free(all);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the media of %zu dictionaries", folder_count + url_count);
    }
    for (size_t i = 0; i < folder_count; i++) RA_TRY_OUT(status, add_folder(all, folders[i], err));
    for (size_t i = 0; i < url_count; i++) RA_TRY_OUT(status, add_url(all, urls[i], err));
    *out = all;
    return RA_OK;
out:
    media_free(all);
    return status;
}

void media_free(media *all) {
    if (!all) return;
    for (size_t i = 0; i < all->count; i++)
        if (all->sources[i].folder >= 0) close(all->sources[i].folder);
    ra_free(all->sources);
    ra_free(all);
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* What a browser shows and does not run. */
static const char *const types[][2] = {
    {"avif", "image/avif"}, {"flac", "audio/flac"}, {"gif", "image/gif"},   {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},  {"mp3", "audio/mpeg"},  {"mp4", "video/mp4"},   {"ogg", "audio/ogg"},
    {"png", "image/png"},   {"wav", "audio/wav"},   {"webm", "video/webm"}, {"webp", "image/webp"},
};

static const char *type_of(const char *name) {
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot + 1, types[i][0]) == 0) return types[i][1];
    return NULL;
}

static ra_status fail_unknown(ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_MEDIA, .where = "path"),
                  "there is no such file among the media of the dictionary");
}

/* Walks down by one name after the other, so that nothing on the way is a link, whoever changes the folder meanwhile.
 * -1: there is no such file. */
static int open_below(int folder, const char *path) {
    char name[256];
    int at = folder;
    for (;;) {
        size_t size = strcspn(path, "/");
        bool last = !path[size];
        if (size == 0 || size >= sizeof name || path[0] == '.') break;
        memcpy(name, path, size);
        name[size] = '\0';
        int next =
            openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
        if (at != folder) close(at);
        if (next < 0 || last) return next;
        at = next;
        path += size + 1;
    }
    if (at != folder) close(at);
    return -1;
}

static ra_status read_whole(int file, size_t size, text *bytes, ra_error *err) {
    RA_UNINITIALIZED char block[1 << 16];
    for (size_t done = 0; done < size;) {
        ssize_t got = read(file, block, sizeof block < size - done ? sizeof block : size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            RA_FAIL(err, RA_ERR_IO, "a file of media cannot be read: %s",
                    got ? strerror(errno) : "it became shorter");
        text_append(bytes, block, (size_t)got);
        done += (size_t)got;
    }
    return RA_OK;
}

ra_status media_read(const media_source *source, const char *path, text *bytes, media_file *file,
                     ra_error *err) {
    struct stat found;
    file->type = type_of(path);
    if (source->folder < 0 || !file->type) return fail_unknown(err);
    int descriptor = open_below(source->folder, path);
    if (descriptor < 0) return fail_unknown(err);
    ra_status status;
    if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) {
        status = fail_unknown(err);
    } else if (found.st_size > MEDIA_MOST) {
        status = ra_error_set(err, RA_ERR_TOO_LARGE, "the file has %lld bytes; at most %d are sent",
                              (long long)found.st_size, MEDIA_MOST);
        err->facts =
            (ra_error_facts){.kind = PROBLEM_REPLY_TOO_LARGE, PROBLEM_COUNTS(MEDIA_MOST, found.st_size)};
    } else {
        file->modified = found.st_mtime;
        status = read_whole(descriptor, (size_t)found.st_size, bytes, err);
    }
    close(descriptor);
    return status;
}
