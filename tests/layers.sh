#!/bin/sh
# layers.sh [TOP] - the rules of the architecture, as a check: who may include whom, who may call what.
#
# Prints every violation as `file:line: rule` and exits 1, or one line when there is none. TOP is a source
# tree, by default this one; tests/test_layers.sh plants violations in a copy and expects each to be found.
#
# The tables come first, the rules below them. To add a public header or a layer: a line in its table, and for
# a layer its name in LAYERS of the Makefile.
set -eu

cd "${1:-$(dirname "$0")/..}"

# Each layer and those below it.
layers='
    base:
    tensor:     base
    io:         base tensor
    backend:    base tensor
    data:       base tensor io backend
    dictionary: base tensor io backend
    sae:        base tensor io backend dictionary
    points:     base tensor io backend data dictionary sae
    model:      base tensor io backend data dictionary sae points
    train:      base tensor io backend data dictionary sae points
    metrics:    base tensor io backend data dictionary sae points model
'

# Above them, below the programs: it sees what is public and itself, and may print and read the environment. It is
# no part of librasae.
app=app

# Each public header's layer; `all` is above every layer.
headers='
    ra_status.h:     base
    ra_memory.h:     base
    ra_digest.h:     base
    ra_group.h:      base
    ra_settings.h:   base
    ra_tensor.h:     tensor
    ra_io.h:         io
    ra_backend.h:    backend
    ra_dictionary.h: dictionary
    ra_sae.h:        sae
    ra_latent_statistics.h:    model
    ra_model.h:      model
    ra_data.h:       data
    ra_points.h:     points
    ra_train.h:      train
    ra_metrics.h:    metrics
    ra_layout.h:     metrics
    ra.h:            all
'

# Each foreign library: what its headers begin with, what its names begin with (both extended regular
# expressions), and the folders that alone may use it.
foreign='
    cJSON          cjson/|cJSON        cJSON                 lib/io
    libmicrohttpd  microhttpd          MHD_                  server/http
    GnuTLS         gnutls              gnutls_               server/http
    BLAS           cblas|openblas      cblas_|openblas_      lib/backend
    CUDA           cuda|cublas|nvrtc   cuda[A-Z]|cublas|nvrtc lib/backend/cuda
    xxHash         xxhash              XXH                   lib/base
    zlib           zlib                z_stream|inflateInit|deflateInit server/codec
'

# Functions that nobody calls, and those that a program may call but the library may not. The library does
# not touch stdout and stderr either, whatever the function.
banned='strcpy strcat sprintf vsprintf atoi atof gets strtok'
programs_only='printf vprintf puts putchar perror exit _exit _Exit abort getenv secure_getenv setenv putenv'

# The Makefile's list of the folders of lib/, which has to name them all.
makefile_layers=$(sed -n 's/^LAYERS[[:space:]]*:*=//p' Makefile)

sources=$(find lib server trainer tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort)
if [ -z "$sources" ]; then
    echo "layers: no sources in $(pwd)" >&2
    exit 1
fi

export app layers headers foreign banned programs_only makefile_layers
# shellcheck disable=SC2086 # one word a file
awk '
function violation(rule) {
    printf "%s:%d: %s\n", FILENAME, FNR, rule
    violations++
}

# "name: value" lines into a map.
function read_table(text, map, lines, parts, n, i) {
    n = split(text, lines, "\n")
    for (i = 1; i <= n; i++)
        if (split(lines[i], parts, ":") == 2) {
            gsub(/ /, "", parts[1])
            gsub(/^ +| +$/, "", parts[2])
            map[parts[1]] = parts[2]
        }
}

function words_pattern(words) {
    gsub(/ /, "|", words)
    return words
}

# True when a file of layer `user` may see what belongs to layer `used`.
function may_use(user, used) {
    return user == "all" || user == used || index(" " below[user] " ", " " used " ") > 0
}

# The line without comments; strings and characters become empty ones unless `keep`. `in_comment` goes from
# line to line.
function code_of(line, keep, result, c, pair, quote, end) {
    result = ""
    while (line != "") {
        pair = substr(line, 1, 2)
        c = substr(line, 1, 1)
        if (in_comment) {
            end = index(line, "*/")
            if (!end) return result
            line = substr(line, end + 2)
            in_comment = 0
        } else if (pair == "/*") {
            line = substr(line, 3)
            in_comment = 1
            result = result " "
        } else if (pair == "//") {
            return result
        } else if (c == "\"" || c == "\047") {
            quote = c == "\"" ? "\"([^\"\\\\]|\\\\.)*\"?" : "\047([^\047\\\\]|\\\\.)*\047?"
            match(line, "^" quote)
            result = result (keep ? substr(line, 1, RLENGTH) : c c)
            line = substr(line, RLENGTH + 1)
        } else {
            # All up to the next character that may begin one of these.
            match(line, /^[\/]?[^\/"\047]*/)
            if (!RLENGTH) RLENGTH = 1
            result = result substr(line, 1, RLENGTH)
            line = substr(line, RLENGTH + 1)
        }
    }
    return result
}

# True when `code` has `name` as a whole word, not a member (x.name, x->name); with `call`, before a "(".
function has_word(code, name, call) {
    return (" " code " ") ~ ("[^A-Za-z0-9_.>](" name ")" (call ? "[ \t]*[(]" : "[^A-Za-z0-9_]"))
}

# `target` is what an #include names, without quotes or brackets; `quoted` tells our own from the system.
function check_include(target, quoted, folder, i) {
    for (i = 1; i <= foreigners; i++)
        if (target ~ foreign_header[i] && !foreign_allowed(i)) {
            violation(target ": " foreign_rule[i])
            return
        }
    if (!quoted) {
        if (target ~ /^ra_/) violation(target ": our own headers are included with quotes")
        return
    }
    if (target ~ /(^|\/)[.][.]?\//) {
        violation(target ": no include path goes up or starts at the file itself")
        return
    }
    folder = target ~ /\// ? substr(target, 1, index(target, "/") - 1) : ""

    if (part == "app" || part == "server" || part == "trainer") {
        if (folder in below || folder == "lib")
            violation(target ": " (part == "app" ? "lib/app includes" : "programs include") " public headers of lib only")
        else if ((folder == "server" || folder == "trainer") && folder != part)
            violation(target ": " (part == "app" ? "lib/app is below the programs" : "server and trainer never include each other"))
    } else if (part == "lib") {
        if (target in header_layer) {
            if (!may_use(layer, header_layer[target]))
                violation(target ": lib/" layer " may not use " header_layer[target])
        } else if (folder in below) {
            if (public_header) violation(target ": a public header includes public headers only")
            else if (!may_use(layer, folder)) violation(target ": lib/" layer " may not use " folder)
        } else if (folder == app) {
            violation(target ": the library does not see lib/app")
        } else if (folder == "server" || folder == "trainer" || folder == "lib") {
            violation(target ": the library includes its own headers, by their path below lib/")
        } else if (target ~ /^ra_/) {
            violation(target ": this public header has no layer yet (tests/layers.sh)")
        }
    }
}

function foreign_allowed(i) {
    return part == "tests" || FILENAME ~ foreign_place[i]
}

BEGIN {
    app = ENVIRON["app"]
    read_table(ENVIRON["layers"], below)
    read_table(ENVIRON["headers"], header_layer)
    n = split(ENVIRON["foreign"], lines, "\n")
    for (i = 1; i <= n; i++)
        if (split(lines[i], field, " ") == 4) {
            foreigners++
            foreign_name[foreigners] = field[1]
            foreign_header[foreigners] = "^(" field[2] ")"
            foreign_word[foreigners] = "(" field[3] ")[A-Za-z0-9_]*"
            foreign_place[foreigners] = "^(" field[4] ")/"
            gsub(/[|]/, " and ", field[4])
            foreign_rule[foreigners] = field[1] " only in " field[4]
        }
    banned = words_pattern(ENVIRON["banned"])
    programs_only = words_pattern(ENVIRON["programs_only"])
    makefile_layers = " " ENVIRON["makefile_layers"] " "
}

FNR == 1 {
    files++
    in_comment = 0
    split(FILENAME, path, "/")
    part = path[1] == "lib" && path[2] == app && path[3] != "" ? app : path[1]
    public_header = part == "lib" && path[3] == ""
    layer = public_header ? header_layer[path[2]] : path[2]
    if (public_header && layer == "")
        violation("this public header has no layer yet (tests/layers.sh)")
    if (part == "lib" && !public_header) {
        if (!(layer in below))
            violation("lib/" layer " is no layer yet (tests/layers.sh)")
        else if (FILENAME ~ /[.]c$/ && !index(makefile_layers, " " layer " "))
            violation("lib/" layer " is not in LAYERS of the Makefile")
    }
}

{
    kept_comment = in_comment
    code = code_of($0, 0)
    if (code ~ /^[ \t]*#[ \t]*include/) {
        in_comment = kept_comment
        target = code_of($0, 1)
        quoted = target ~ /"/
        sub(/^[^"<]*["<]/, "", target)
        sub(/[">].*$/, "", target)
        check_include(target, quoted)
        next
    }
    for (i = 1; i <= foreigners; i++)
        if (has_word(code, foreign_word[i]) && !foreign_allowed(i)) violation(foreign_rule[i])
    if (has_word(code, banned, 1)) violation("strcpy, strcat, sprintf, atoi, atof, gets, strtok are banned")
    if (part == "lib") {
        if (has_word(code, programs_only, 1))
            violation("the library never prints, exits or reads the environment")
        if (has_word(code, "stdout|stderr")) violation("the library never prints: no stdout, no stderr")
    }
}

END {
    if (violations) {
        printf "layers: %d files, rules broken: %d\n", files, violations
        exit 1
    }
    printf "layers: %d files, all rules kept\n", files
}
' $sources
