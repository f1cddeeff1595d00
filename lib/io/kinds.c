#include "io/kinds.h"
#include "io/zip.h"

#include "ra_io.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* `%s` in a conversion is the path, once or twice. NULL: the same kind of file is right there. */
typedef struct kind {
    const char *what;
    bool (*is)(const unsigned char *bytes, size_t size);
    const char *array, *model;
} kind;

/* ---- recognition --------------------------------------------------------------------------------------- */

static bool starts(const unsigned char *bytes, size_t size, const char *magic, size_t length) {
    return size >= length && memcmp(bytes, magic, length) == 0;
}

#define MAGIC(name, text)                                                                                    \
    static bool is_##name(const unsigned char *bytes, size_t size) {                                         \
        return starts(bytes, size, text, sizeof text - 1);                                                   \
    }
MAGIC(npy, "\x93NUMPY")
MAGIC(lfs, "version https://git-lfs.github.com/spec/")
MAGIC(hdf5, "\x89HDF\r\n\x1a\n")
MAGIC(parquet, "PAR1")
MAGIC(arrow, "ARROW1")
MAGIC(gzip, "\x1f\x8b")
MAGIC(zstd, "\x28\xb5\x2f\xfd")
MAGIC(matlab, "MATLAB 5.0")
MAGIC(html, "<!DOCTYPE html")
#undef MAGIC

/* Looks for a word among the first bytes. */
static bool holds(const unsigned char *bytes, size_t size, const char *word) {
    enum { LOOK = 1 << 16 };
    return memmem(bytes, size < LOOK ? size : LOOK, word, strlen(word)) != NULL;
}

static bool is_json(const unsigned char *bytes, size_t size) {
    size_t at = 0;
    while (at < size && isspace(bytes[at])) at++;
    return at < size && (bytes[at] == '{' || bytes[at] == '[') && size - at > 1 &&
           !memchr(bytes, 0, size < 512 ? size : 512);
}

static bool is_index(const unsigned char *bytes, size_t size) {
    return is_json(bytes, size) && holds(bytes, size, "\"weight_map\"");
}

/* Protocol 2 to 5. Those of torch.save are read elsewhere (torch/). */
static bool is_pickle(const unsigned char *bytes, size_t size) {
    return size > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
}

static bool is_npz(const unsigned char *bytes, size_t size) {
    return ra_zip_is(bytes, size) && holds(bytes, size, ".npy");
}

static bool is_zip(const unsigned char *bytes, size_t size) {
    return ra_zip_is(bytes, size) && !is_npz(bytes, size);
}

/* Numbers in rows. */
static bool is_table(const unsigned char *bytes, size_t size) {
    size_t look = size < 256 ? size : 256, digits = 0;
    for (size_t i = 0; i < look; i++) {
        if (!isprint(bytes[i]) && !isspace(bytes[i])) return false;
        digits += isdigit(bytes[i]) != 0;
    }
    return look >= 8 && 3 * digits > look;
}

/* ---- the table: the first that fits ------------------------------------------------------------------- */

#define SAVE "In Python: numpy.save('%s.npy', "
#define KEEP "In Python: safetensors.torch.save_file("

static const kind kinds[] = {
    {"a NumPy array, not a model", is_npy, NULL, "Did you swap MODEL and DATA?"},
    {"a Git LFS pointer, not the file itself", is_lfs, "Run: git lfs pull", "Run: git lfs pull"},
    {"an HDF5 file", is_hdf5, SAVE "h5py.File('%s')['NAME'][:])",
     "In Python: safetensors.numpy.save_file({k: v[()] for k, v in h5py.File('%s').items()}, "
     "'%s.safetensors')"},
    {"a Parquet file", is_parquet, SAVE "pandas.read_parquet('%s').to_numpy('float32'))",
     "Expected a .safetensors file"},
    {"an Arrow file", is_arrow, SAVE "pandas.read_feather('%s').to_numpy('float32'))",
     "Expected a .safetensors file"},
    {"a gzip file", is_gzip, "Run: gunzip '%s'", "Run: gunzip '%s'"},
    {"a zstd file", is_zstd, "Run: unzstd '%s'", "Run: unzstd '%s'"},
    {"a MATLAB file", is_matlab, SAVE "scipy.io.loadmat('%s')['NAME'])", "Expected a .safetensors file"},
    {"a web page", is_html, "Was it downloaded from a page that asks to log in?",
     "Was it downloaded from a page that asks to log in?"},
    {"a pickle", is_pickle, SAVE "numpy.load('%s', allow_pickle=True))",
     KEEP "torch.load('%s', map_location='cpu'), '%s.safetensors')"},
    {"a .npz archive", is_npz, NULL,
     "In Python: safetensors.numpy.save_file(dict(numpy.load('%s')), '%s.safetensors')"},
    {"a zip archive", is_zip, "Run: unzip '%s'", "Run: unzip '%s'"},
    {"the JSON index of a model in several files", is_index, "Expected a .npy, .npz or .safetensors file",
     "Give the .safetensors file that it names, or join them in Python with safetensors.torch.load_file"},
    {"JSON text", is_json, SAVE "numpy.array(json.load(open('%s')), 'float32'))",
     "Expected the .safetensors file beside it"},
    {"a table of numbers in text", is_table, SAVE "numpy.loadtxt('%s', delimiter=',', dtype='float32'))",
     "Expected a .safetensors file"},
};

ra_status ra_kinds_refuse(const char *path, const void *bytes, size_t size, bool model, ra_error *err) {
    char convert[1024] = "";
    if (size == 0) return RA_OK;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *line = model ? kinds[i].model : kinds[i].array;
        if (!line || !kinds[i].is(bytes, size)) continue;
        size_t used = 0;
        for (const char *at = line; *at && used + 1 < sizeof convert;) {
            bool name = strncmp(at, "%s", 2) == 0;
            size_t length = strcspn(at + name, "%");
            int n = name ? snprintf(convert + used, sizeof convert - used, "%s", path)
                         : snprintf(convert + used, sizeof convert - used, "%.*s", (int)(length + name), at);
            used += n > 0 ? (size_t)n : 0;
            at += name ? 2 : length;
        }
        RA_FAIL(err, RA_ERR_FORMAT, "%s is %s. %s", path, kinds[i].what, convert);
    }
    return RA_OK;
}
