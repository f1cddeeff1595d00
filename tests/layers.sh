#!/bin/sh
# layers.sh [TOP] - the rules of the architecture, as a check: who may include whom, who may call what, and
# that no includes run in a circle.
#
# Prints every violation as `file:line: rule` and exits 1, or one line when there is none. TOP is a source
# tree, by default this one; tests/test_layers.sh plants violations in a copy and expects each to be found.
#
# The tables come first, the rules below them. To add a public header or a layer, add a line to its table;
# a layer of lib/ also needs its name in LAYERS of the Makefile.
set -eu

cd "${1:-$(dirname "$0")/..}"

# Each layer and the layers directly below it: it may use them and all that they may use. A file belongs to
# the deepest folder above it that is a layer. `server` and `trainer` are the files directly in these folders.
layers='
    lib/base:
    lib/tensor:          lib/base
    lib/io:              lib/tensor
    lib/backend:         lib/tensor
    lib/data:            lib/io lib/backend
    lib/dictionary:      lib/io lib/backend
    lib/sae:             lib/dictionary
    lib/points:          lib/data lib/sae
    lib/model:           lib/points
    lib/train:           lib/points
    lib/metrics:         lib/model
    lib/app:             lib/train lib/metrics

    server/codec:        lib/app
    server/codec/json:   server/codec
    server/codec/oip:    server/codec/json
    server/codec/binary: server/codec/json
    server/confine:      lib/app
    server/http:         server/codec
    server/telemetry:    server/http
    server/state:        server/telemetry
    server/serving:      server/state
    server/settings:     server/serving
    server/api:          server/settings server/codec/oip server/codec/binary
    server:              server/api server/confine

    trainer/common:      lib/app
    trainer/report:      trainer/common
    trainer/training:    trainer/report
    trainer/eval:        trainer/common
    trainer/compare:     trainer/common
    trainer/inspect:     trainer/common
    trainer/export:      trainer/common
    trainer:             trainer/training trainer/eval trainer/compare trainer/inspect trainer/export
'

# The layer of each file whose folder does not tell it, first the public headers. `all` is above every layer
# of the library.
files='
    lib/ra_status.h:     lib/base
    lib/ra_memory.h:     lib/base
    lib/ra_text.h:       lib/base
    lib/ra_digest.h:     lib/base
    lib/ra_waiting.h:    lib/base
    lib/ra_group.h:      lib/base
    lib/ra_settings.h:   lib/base
    lib/ra_tensor.h:     lib/tensor
    lib/ra_io.h:         lib/io
    lib/ra_backend.h:    lib/backend
    lib/ra_backend_operations.h: lib/backend
    lib/ra_dictionary.h: lib/dictionary
    lib/ra_sae.h:        lib/sae
    lib/ra_latent_statistics.h: lib/model
    lib/ra_model.h:      lib/model
    lib/ra_weights.h:    lib/model
    lib/ra_data.h:       lib/data
    lib/ra_points.h:     lib/points
    lib/ra_trace.h:      lib/points
    lib/ra_agreement.h:  lib/model
    lib/ra_contrast.h:   lib/model
    lib/ra_train.h:      lib/train
    lib/ra_metrics.h:    lib/metrics
    lib/ra_layout.h:     lib/metrics
    lib/ra_consensus.h:  lib/metrics
    lib/ra.h:            all
'

# Each foreign library: what its headers begin with, what its names begin with (both extended regular
# expressions), and the folders that alone may use it.
foreign='
    cJSON          cjson/|cJSON        cJSON                 lib/io
    libmicrohttpd  microhttpd          MHD_                  server/http
    GnuTLS         gnutls              gnutls_               server/http
    BLAS           cblas|openblas      cblas_|openblas_      lib/backend
    LAPACK         lapack              (dsyev|dstebz)_       lib/backend/cpu
    CUDA           cuda|cublas|nvrtc   cuda[A-Z]|cublas|nvrtc lib/backend/cuda
    xxHash         xxhash              XXH                   lib/base
    SQLite         sqlite3             sqlite3_              server/state
    zlib           zlib                z_stream|inflateInit|deflateInit lib/io|server/codec
'

# Functions that nobody calls, and those that the programs and lib/app may call but the library proper may
# not. The library proper does not touch stdout and stderr either, whatever the function.
banned='strcpy strcat sprintf vsprintf atoi atof gets strtok pthread_timedjoin_np'
programs_only='printf vprintf puts putchar perror exit _exit _Exit abort getenv secure_getenv setenv putenv'

# The Makefile's list of the folders of lib/, which has to name them all.
makefile_layers=$(sed -n 's/^LAYERS[[:space:]]*:*=//p' Makefile)

sources=$(find lib server trainer tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort)
if [ -z "$sources" ]; then
    echo "layers: no sources in $(pwd)" >&2
    exit 1
fi

export layers files foreign banned programs_only makefile_layers
# shellcheck disable=SC2086 # one word per file
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

# True when `layer` may use `lower`, directly or through the layers between them.
function is_above(layer, lower, names, n, i) {
    n = split(below[layer], names, " ")
    for (i = 1; i <= n; i++)
        if (names[i] == lower || is_above(names[i], lower)) return 1
    return 0
}

# True when a file of layer `user` may see what belongs to layer `used`.
function may_use(user, used) {
    if (!((user, used) in known_use))
        known_use[user, used] = used == user || (used == "all" ? user !~ /^lib/ || user == "lib/app" \
                                                               : user == "all" || is_above(user, used))
    return known_use[user, used]
}

# "" when no line of the tables says it.
function layer_of(path, folder) {
    if (path in file_layer) return file_layer[path]
    folder = path
    while (sub("/[^/]*$", "", folder))
        if (folder in below) return folder ~ /\// || folder "/" name_of(path) == path ? folder : ""
    return ""
}

function name_of(path) {
    sub(".*/", "", path)
    return path
}

function folder_of(path) {
    sub("/[^/]*$", "", path)
    return path
}

# x.c, x.h and x.cu are one module, x.
function module_of(path) {
    sub("[.][a-z]*$", "", path)
    return path
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

# The path of the file that `target` leads to. One that does not exist gets the path that it would have.
function resolved(target, first) {
    if ((folder_of(FILENAME) "/" target) in exists) return folder_of(FILENAME) "/" target
    if (("lib/" target) in exists) return "lib/" target
    if ((part "/" target) in exists) return part "/" target
    if (target ~ /^ra[_.][^\/]*$/) return "lib/" target
    if (target !~ /\//) return folder_of(FILENAME) "/" target
    first = substr(target, 1, index(target, "/") - 1)
    if (first == "lib" || first == "server" || first == "trainer") return target
    return (("lib/" first) in below ? "lib/" : part "/") target
}

# `target` is what an #include names, without quotes or brackets; `quoted` tells our own from the system.
function check_include(target, quoted, path, used_part, public, used, rule, i) {
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
    if (part == "tests") return

    path = resolved(target)
    used_part = substr(path, 1, index(path, "/") - 1)
    public = path ~ /^lib\/[^\/]*$/
    used = layer_of(path)
    if (part == "lib" && (used_part != "lib" || target ~ /^lib\//))
        rule = "the library includes its own headers, by their path below lib/"
    else if (part != "lib" && used_part != "lib" && used_part != part)
        rule = "server and trainer never include each other"
    else if (public && used == "")
        rule = "this public header has no layer yet (tests/layers.sh)"
    else if (public_header && !public)
        rule = "a public header includes public headers only"
    else if (part != "lib" && used_part == "lib" && !public && used != "lib/app")
        rule = "programs include public headers of lib and those of lib/app only"
    else if (layer == "lib/app" && !public && used != "lib/app")
        rule = "lib/app includes public headers and its own only"
    else if (used != "" && layer != "" && !may_use(layer, used))
        rule = layer " may not use " used

    if (rule == "") edge(path)
    else violation(target ": " rule)
}

# Remembers that this module includes the one of `path`.
function edge(path, from, to) {
    from = module_of(FILENAME)
    to = module_of(path)
    if (from == to || !(path in exists) || (from, to) in place) return
    place[from, to] = FILENAME ":" FNR
    uses[from] = uses[from] " " to
    if (!(from in seen_module)) {
        seen_module[from] = 1
        modules[++module_count] = from
    }
}

# Depth first. `trail` is the way here; a module that stands on it closes a circle, which begins with it.
function visit(module, trail, names, n, i, circle, around) {
    state[module] = "on the trail"
    n = split(uses[module], names, " ")
    for (i = 1; i <= n; i++)
        if (state[names[i]] == "on the trail") {
            circle = trail " " module " "
            circle = substr(circle, index(circle, " " names[i] " ") + 1) names[i]
            split(circle, around, " ")
            gsub(/ /, " -> ", circle)
            printf "%s: these modules include each other in a circle: %s\n", \
                place[around[1], around[2]], circle
            violations++
        } else if (state[names[i]] == "")
            visit(names[i], trail " " module)
    state[module] = "done"
}

function foreign_allowed(i) {
    return part == "tests" || FILENAME ~ foreign_place[i]
}

BEGIN {
    read_table(ENVIRON["layers"], below)
    read_table(ENVIRON["files"], file_layer)
    for (i = 1; i < ARGC; i++) exists[ARGV[i]] = 1
    n = split(ENVIRON["foreign"], lines, "\n")
    for (i = 1; i <= n; i++)
        if (split(lines[i], field, " ") == 4) {
            foreigners++
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
    total++
    in_comment = 0
    split(FILENAME, path, "/")
    part = path[1]
    public_header = part == "lib" && path[3] == ""
    layer = layer_of(FILENAME)
    library_proper = part == "lib" && layer != "lib/app"
    if (public_header && layer == "")
        violation("this public header has no layer yet (tests/layers.sh)")
    else if (part != "tests" && layer == "")
        violation(folder_of(FILENAME) " is no layer yet (tests/layers.sh)")
    else if (library_proper && !public_header && FILENAME ~ /[.]c$/ && !index(makefile_layers, " " path[2] " "))
        violation(layer " is not in LAYERS of the Makefile")
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
    if (has_word(code, banned, 1)) violation("strcpy, strcat, sprintf, atoi, atof, gets, strtok, pthread_timedjoin_np (a clock that may be set) are banned")
    if (library_proper) {
        if (has_word(code, programs_only, 1))
            violation("the library never prints, exits or reads the environment")
        if (has_word(code, "stdout|stderr")) violation("the library never prints: no stdout, no stderr")
    }
}

END {
    for (i = 1; i <= module_count; i++)
        if (state[modules[i]] == "") visit(modules[i], "")
    if (violations) {
        printf "layers: %d files, rules broken: %d\n", total, violations
        exit 1
    }
    printf "layers: %d files, all rules kept\n", total
}
' $sources
