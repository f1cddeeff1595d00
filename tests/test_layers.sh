#!/bin/sh
# test_layers.sh - proves that tests/layers.sh sees what it is there for: plants one violation at a time in a
# small copy of the tree and expects it to be reported at its line, and nothing else; and plants what only
# looks like one, or is allowed, and expects nothing.
set -eu

cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM

mkdir -p "$copy/lib/base" "$copy/server" "$copy/trainer" "$copy/tests/unit"
cp Makefile "$copy"
cp lib/ra_*.h "$copy/lib"
echo '#include "ra_memory.h"' >"$copy/lib/base/clean.c"

passed=0
failed=0

report() { # ok 0 or 1, what
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n%s\n' "$2" "$output"
    fi
}

check() { # sets output and status
    status=0
    output=$(sh tests/layers.sh "$copy" 2>&1) || status=$?
}

plant() { # file, its second line
    mkdir -p "$copy/$(dirname "$1")"
    printf '#include <stddef.h>\n%s\nint after;\n' "$2" >"$copy/$1"
}

caught() { # file, its second line, a piece of the rule
    plant "$1" "$2"
    check
    rm "$copy/$1"
    wanted=1
    if [ "$status" -eq 1 ]; then
        case $output in *"$1:$4: "*"$3"*"rules broken: 1") wanted=0 ;; esac
    fi
    report "$wanted" "$1 with '$2' is reported at line $4 with '$3'"
}

at_line() { caught "$1" "$2" "$3" 2; }
at_top() { caught "$1" 'int here;' "$2" 1; }

allowed() { # file, its second line
    plant "$1" "$2"
    check
    rm "$copy/$1"
    report "$status" "$1 with '$2' is accepted"
}

check
report "$status" "the copy without a violation is accepted"
case $output in "layers: "*" files, all rules kept") clean=0 ;; *) clean=1 ;; esac
report "$clean" "a line says that all rules are kept"

# ---- layers
at_line lib/base/a.c '#include "ra_tensor.h"' 'lib/base may not use lib/tensor'
at_line lib/tensor/a.c '#include "ra_io.h"' 'lib/tensor may not use lib/io'
at_line lib/io/a.c '#include "backend/blas.h"' 'lib/io may not use lib/backend'
at_line lib/backend/a.c '#  include "io/json.h"' 'lib/backend may not use lib/io'
at_line lib/backend/cuda/a.cu '#include "ra_sae.h"' 'lib/backend may not use lib/sae'
at_line lib/dictionary/a.c '#include "sae/encoder.h"' 'lib/dictionary may not use lib/sae'
at_line lib/sae/a.h '#include "ra_train.h"' 'lib/sae may not use lib/train'
at_line lib/model/a.c '#include "ra_train.h"' 'lib/model may not use lib/train'
at_line lib/train/a.c '#include "model/model.h"' 'lib/train may not use lib/model'
at_line lib/train/a.c '#include "ra_metrics.h"' 'lib/train may not use lib/metrics'
at_line lib/metrics/a.c '#include "train/adam.h"' 'lib/metrics may not use lib/train'
at_line lib/sae/a.c '#include "ra.h"' 'lib/sae may not use all'
at_line lib/ra_io.h '#include "ra_model.h"' 'lib/io may not use lib/model'
at_line lib/ra_io.h '#include "base/pool.h"' 'public headers only'
cp lib/ra_io.h "$copy/lib"
at_line lib/io/a.c '#include "ra_unheard_of.h"' 'no layer yet'
at_top lib/ra_unheard_of.h 'no layer yet'
at_line lib/io/a.c '#include "server/codec/text.h"' 'its own headers'
at_line lib/io/a.c '#include "../base/pool.h"' 'no include path goes up'
at_line lib/io/a.c '#include <ra_tensor.h>' 'with quotes'
allowed lib/metrics/a.c '#include "model/model.h"'
allowed lib/train/a.c '#include "sae/encoder.h"'
allowed lib/io/a.c '#include "base/pool.h" /* ra_pool_run() */'
allowed lib/io/a.c '#include "extent.h"'
allowed lib/ra.h '#include "ra_metrics.h"'

# ---- the storey between the library and the programs
at_line lib/metrics/a.c '#include "app/settings.h"' 'lib/metrics may not use lib/app'
at_line lib/ra_io.h '#include "app/settings.h"' 'public headers only'
cp lib/ra_io.h "$copy/lib"
at_line lib/app/a.h '#include "base/pool.h"' 'lib/app includes public headers and its own only'
sed 's/^LAYERS.*/LAYERS := base tensor/' Makefile >"$copy/Makefile"
allowed lib/app/a.c '#include "ra_train.h"'
cp Makefile "$copy/Makefile"
allowed lib/app/a.c '#include "ra.h"'
allowed lib/app/a.c '#include "app/settings.h"'
allowed lib/app/a.c 'void f(void) { fprintf(stderr, "%s", getenv("HOME")); exit(2); }'
allowed server/codec/a.c '#include "app/json.h"'
allowed trainer/a.c '#include "app/json.h"'

# ---- programs
echo 'int here;' | tee "$copy/server/routes.h" >"$copy/trainer/train.h"
at_line server/api/a.c '#include "model/model.h"' 'public headers of lib and those of lib/app only'
at_line server/api/a.c '#include "trainer/command.h"' 'never include each other'
at_line trainer/a.c '#include "server/settings/settings.h"' 'never include each other'
at_line trainer/a.c '#include "base/pool.h"' 'public headers of lib and those of lib/app only'
at_line trainer/a.c '#include "../lib/base/pool.h"' 'no include path goes up'
allowed server/api/a.c '#include "codec/text.h"'
allowed server/api/a.c '#include "ra_model.h"'
allowed trainer/a.c '#include "ra_train.h"'
at_line server/codec/a.h '#include "http/http.h"' 'server/codec may not use server/http'
at_line server/codec/a.c '#include "codec/json/scan.h"' 'server/codec may not use server/codec/json'
at_line server/codec/json/a.c '#include "codec/oip/reply.h"' 'server/codec/json may not use server/codec/oip'
at_line server/codec/oip/a.c '#include "telemetry/log.h"' 'server/codec/oip may not use server/telemetry'
at_line server/codec/binary/a.c '#include "codec/oip/reply.h"' 'server/codec/binary may not use server/codec/oip'
at_line server/http/a.c '#include "codec/json/replies.h"' 'server/http may not use server/codec/json'
at_line server/http/a.c '#include "telemetry/log.h"' 'server/http may not use server/telemetry'
at_line server/telemetry/a.c '#include "serving/registry/registry.h"' 'server/telemetry may not use server/serving'
at_line server/serving/registry/a.c '#include "settings/settings.h"' 'server/serving may not use server/settings'
at_line server/settings/a.c '#include "api/api.h"' 'server/settings may not use server/api'
at_line server/api/a.c '#include "routes.h"' 'server/api may not use server'
at_line trainer/report/a.c '#include "training/training.h"' 'trainer/report may not use trainer/training'
at_line trainer/eval/a.c '#include "report/html.h"' 'trainer/eval may not use trainer/report'
at_line trainer/training/a.c '#include "train.h"' 'trainer/training may not use trainer'
allowed server/http/a.c '#include "codec/gzip.h"'
allowed server/codec/oip/a.c '#include "codec/json/scan.h"'
allowed server/serving/registry/a.c '#include "telemetry/statistics.h"'
allowed server/a.c '#include "http/cors.h"'
allowed trainer/training/a.c '#include "report/report.h"'
allowed trainer/a.c '#include "eval/eval.h"'
at_top server/novel/a.c 'server/novel is no layer yet'
at_top trainer/novel/a.c 'trainer/novel is no layer yet'
rm "$copy/server/routes.h" "$copy/trainer/train.h"

# ---- circles: x.c and x.h are one module, and what a module includes must not lead back to it
for folder in lib/sae server/http trainer/training; do
    mkdir -p "$copy/$folder"
    echo '#include "c.h"' >"$copy/$folder/b.h"
    echo '#include "a.h"' >"$copy/$folder/c.h"
    at_line $folder/a.h '#include "b.h"' "circle: $folder/a -> $folder/b -> $folder/c -> $folder/a"
    echo 'int here;' >"$copy/$folder/a.h"
    at_line $folder/a.c '#include "b.h"' "circle: $folder/a -> $folder/b -> $folder/c -> $folder/a"
    at_line $folder/a.cu '#include "b.h"' "circle: $folder/a -> $folder/b -> $folder/c -> $folder/a"
    allowed $folder/a.c '#include "a.h"'
    allowed $folder/d.c '#include "b.h"'
    rm "$copy/$folder/a.h" "$copy/$folder/b.h" "$copy/$folder/c.h"
done

# ---- foreign libraries, by header and by name
at_line server/api/a.c '#include <cjson/cJSON.h>' 'cJSON only in'
at_line server/serving/a.h 'typedef struct cJSON cJSON;' 'cJSON only in'
at_line lib/sae/a.c '#include <cjson/cJSON.h>' 'cJSON only in'
at_line server/codec/json/a.c '#include <cjson/cJSON.h>' 'cJSON only in'
at_line trainer/json.c '#include <cjson/cJSON.h>' 'cJSON only in'
at_line server/api/a.c '#include <microhttpd.h>' 'libmicrohttpd only in'
at_line server/serving/a.c 'struct MHD_Connection *connection;' 'libmicrohttpd only in'
at_line lib/sae/a.c '#include <cblas.h>' 'BLAS only in'
at_line trainer/a.c 'void f(void) { openblas_set_num_threads(1); }' 'BLAS only in'
at_line lib/backend/a.c '#include <cuda_runtime.h>' 'CUDA only in'
at_line lib/backend/a.c 'void f(void) { cudaMalloc(0, 1); }' 'CUDA only in'
at_line lib/model/a.c '#include <xxhash.h>' 'xxHash only in'
at_line server/api/a.c 'XXH128_hash_t hash;' 'xxHash only in'
at_line server/http/a.c '#include <zlib.h>' 'zlib only in'
at_line server/http/a.c 'z_stream stream;' 'zlib only in'
allowed lib/base/a.c '#include <xxhash.h>'
allowed server/codec/a.c '#include <zlib.h>'
allowed lib/io/a.c '#include <zlib.h>'
allowed lib/io/a.c '#include <cjson/cJSON.h>'
allowed server/http/a.c '#include <microhttpd.h>'
allowed lib/backend/a.c '#include <cblas.h>'
allowed lib/backend/cuda/a.cu '#include <cuda_runtime.h>'

# ---- functions
for call in 'printf("x")' 'puts("x")' 'perror("x")' 'exit(1)' 'abort()' 'getenv("HOME")' \
    'fprintf(stderr, "x")' 'fflush(stdout)'; do
    at_line lib/sae/a.c "void f(void) { $call; }" 'the library never prints'
    allowed trainer/a.c "void f(void) { $call; }"
done
for name in strcpy strcat sprintf vsprintf atoi atof gets strtok pthread_timedjoin_np; do
    at_line lib/sae/a.c "void f(void) { $name (x); }" 'banned'
    at_line server/api/a.c "int y = $name(x);" 'banned'
    at_line trainer/a.c "int y = !$name(x);" 'banned'
    at_line tests/unit/a.c "int y = /* a */ $name(x); // b" 'banned'
done
allowed lib/sae/a.c '/* atoi(x) would abort() */ int x; // strcpy(a, b), printf("x")'
allowed lib/sae/a.c "char s[] = \"a \\\" printf(x) strcpy(y) // /*\", c = '\"', d = '\\''; int x;"
allowed lib/sae/a.c 'void f(int, const char *, ...) __attribute__((format(printf, 2, 3)));'
allowed lib/sae/a.c 'void f(void) { snprintf(a, 1, b); fprintf(file, b); strtok_r(a, b, c); }'
allowed lib/sae/a.c 'void f(void) { x->exit(1); y.abort(); reprintf(z); }'
allowed lib/sae/a.c "$(printf '/* a comment\n * of several lines: exit(1)\n */')"
at_line lib/sae/a.c '/* a comment */ char c = "/* none"[0]; void f(void) { exit(1); }' 'never prints'

# ---- folders
at_top lib/novel/a.c 'lib/novel is no layer yet'
rmdir "$copy/lib/novel"
sed 's/^LAYERS.*/LAYERS := base tensor io/' Makefile >"$copy/Makefile"
at_top lib/sae/a.c 'lib/sae is not in LAYERS of the Makefile'

printf 'test_layers: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
