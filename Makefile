# rasae: library, trainer, daemon. `make help` lists the targets.
#
#   make DEVELOPER=1                      warnings are errors
#   make check SANITIZE=address,undefined the whole suite under sanitizers, in a build folder of its own
#   make V=1                              show the commands
#   make MPI=1                            a rasae that trains on several machines under mpirun
#   make BUILD=/somewhere/else            another build folder

CC        ?= gcc
BUILD     ?= build
SANITIZE  ?=
DEVELOPER ?=
V         ?=
MPI       ?=
MPICC     ?= mpicc

comma := ,
OUT   := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))
Q     := $(if $(V),,@)
say    = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

WARNINGS  := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow -Wundef -Wpointer-arith -Wwrite-strings
WARNINGS  += $(if $(DEVELOPER),-Wconversion -Wno-sign-conversion -Werror)
OPTIMIZE  := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DRA_SANITIZE,-O3)
CPPFLAGS  += -D_GNU_SOURCE -Ilib
CFLAGS    += -std=gnu17 -g $(OPTIMIZE) -fno-math-errno -fvisibility=hidden $(WARNINGS) -MMD -MP -pthread
LDFLAGS   += $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -pthread
LIBS      := -lopenblas -lcjson -lxxhash -lz -ldl -lm

# ---- sources, by layer: lower layers first; lib/README.md has the rules ------------------------------------------------
LAYERS   := base tensor io backend dictionary sae model train metrics
LIB_SRC  := $(foreach layer,$(LAYERS),$(sort $(wildcard lib/$(layer)/*.c)))
# The processes of `rasae train`: alone, or those of an mpirun (make MPI=1).
RANKS       := $(if $(MPI),mpi,alone)
TRAINER_SRC := $(filter-out trainer/training/ranks_%,$(sort $(wildcard trainer/*.c trainer/*/*.c)))
SERVER_SRC  := $(sort $(wildcard server/*.c server/*/*.c))
UNIT_SRC    := $(sort $(wildcard tests/unit/*.c))

object = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
# Files that the daemon carries in itself (server/api/docs.c): asset_proto_openapi_json .. asset_..._end.
ASSETS      := proto/openapi.json $(sort $(wildcard server/web/*))
ASSET_PARTS := $(patsubst %,$(OUT)/obj/assets/%.o,$(ASSETS))
# Those that the trainer writes into its reports (trainer/report.c).
TRAINER_ASSET_PARTS := $(patsubst %,$(OUT)/obj/assets/%.o,$(sort $(wildcard trainer/report/*.css trainer/report/*.js)))
LIBRASAE := $(OUT)/librasae.a
PROGRAMS := $(OUT)/rasae $(OUT)/rasaed
UNIT     := $(OUT)/tests/unit
# What the unit tests of the server look at: all of it but main().
SERVER_PARTS := $(filter-out $(OUT)/obj/server/main.o,$(call object,$(SERVER_SRC))) $(ASSET_PARTS)
# Stand-ins for an accelerator's plugin, each from tests/plugin/example.c.
PLUGINS  := $(patsubst %,$(OUT)/tests/librasae-%.so,example example-old example-idle)
PLUGIN_FLAGS_example-old  := -DEXAMPLE_VERSION=0
PLUGIN_FLAGS_example-idle := -DEXAMPLE_PROBE='"the example has no device"'

.PHONY: all demo check check-fast asan tsan fuzz bench bench-kmeans bench-train study layers format format-check install-deps clean help
.DEFAULT_GOAL := all

all: $(PROGRAMS) $(LIBRASAE) ## build the library and both programs

$(LIBRASAE): $(call object,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

TRAINER_PARTS := $(call object,$(TRAINER_SRC)) $(TRAINER_ASSET_PARTS) $(LIBRASAE)

# The stamp is another one when MPI is: then the program is linked again.
$(OUT)/rasae: $(call object,trainer/training/ranks_$(RANKS).c) $(TRAINER_PARTS) | $(OUT)/obj/ranks-$(RANKS)
	$(call say,LINK,$@)
	$(Q)$(if $(MPI),$(MPICC),$(CC)) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/obj/ranks-$(RANKS):
	$(Q)mkdir -p $(@D) && rm -f $(OUT)/obj/ranks-* $(OUT)/rasae && touch $@

# For the tests, beside whatever rasae is.
$(OUT)/tests/rasae-mpi: $(call object,trainer/training/ranks_mpi.c) $(TRAINER_PARTS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(MPICC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/obj/trainer/training/ranks_mpi.o: trainer/training/ranks_mpi.c
	$(call say,MPICC,$<)
	$(Q)mkdir -p $(@D) && $(MPICC) $(CPPFLAGS) $(CPPFLAGS_trainer) $(CFLAGS) -c -o $@ $<

$(OUT)/rasaed: $(call object,$(SERVER_SRC)) $(ASSET_PARTS) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd -lgnutls $(LIBS)

$(UNIT): $(call object,$(UNIT_SRC)) $(SERVER_PARTS) $(LIBRASAE) | $(PLUGINS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd -lgnutls $(LIBS) $$(pkg-config --libs check)

$(OUT)/tests/librasae-%.so: tests/plugin/example.c lib/ra_backend.h
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(PLUGIN_FLAGS_$*) $(LDFLAGS) -fPIC -shared -o $@ $<

$(OUT)/obj/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CPPFLAGS_$(firstword $(subst /, ,$<))) $(CFLAGS) -c -o $@ $<

# The bytes of a file between two symbols; a byte of zero behind them.
asset_name = asset_$(subst /,_,$(subst .,_,$(subst -,_,$(1))))
$(OUT)/obj/assets/%.o: %
	$(call say,EMBED,$<)
	$(Q)mkdir -p $(@D) && printf '%s\n' '.section .rodata' '.global $(call asset_name,$<), $(call asset_name,$<)_end' \
	  '$(call asset_name,$<): .incbin "$<"' '$(call asset_name,$<)_end: .byte 0' \
	  '.section .note.GNU-stack,"",%progbits' | $(CC) -c -x assembler -o $@ -

CPPFLAGS_server  := -Iserver
CPPFLAGS_trainer := -Itrainer
CPPFLAGS_tests  := -Iserver -Itests/unit

-include $(patsubst %.o,%.d,$(call object,$(LIB_SRC) $(TRAINER_SRC) $(wildcard trainer/training/ranks_*.c) $(SERVER_SRC) $(UNIT_SRC) $(wildcard tests/bench/*.c)))

# ---- tests -------------------------------------------------------------------------------------------------------------
# One thread in OpenBLAS itself (ours are above it), so that a forked test starts from a single-threaded process.
TEST_ENV := RASAE_BUILD=$(OUT) OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

check: install-deps ## every test; ends with Check's summary
	$(Q)$(MAKE) --no-print-directory check-built

.PHONY: check-built
check-built: all $(UNIT) $(OUT)/tests/rasae-mpi layers
	$(Q)$(TEST_ENV) $(UNIT)

check-fast: $(UNIT) layers ## the unit tests alone
	$(Q)$(TEST_ENV) $(UNIT) --fast

BENCHES := $(patsubst tests/bench/%.c,$(OUT)/tests/%,$(wildcard tests/bench/bench_*.c))

$(OUT)/tests/bench_%: $(OUT)/obj/tests/bench/bench_%.o $(SERVER_PARTS) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd -lgnutls $(LIBS)

bench: install-deps ## time numbers, serving and training beside what the machine can do
	$(Q)$(MAKE) --no-print-directory $(BENCHES)
	$(Q)for bench in $(BENCHES); do $$bench || exit 1; echo; done

# Other programs for the same: in an environment of their own.
BENCH_VENV := $(BUILD)/bench-venv
BENCH_VENV_PACKAGES := numpy==2.4.6 scikit-learn==1.9.1 faiss-cpu==1.15.1

$(BENCH_VENV)/stamp: Makefile
	$(call say,VENV,$(BENCH_VENV))
	$(Q)python3 -m venv $(BENCH_VENV) && $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-input $(BENCH_VENV_PACKAGES) && touch $@

bench-kmeans: $(OUT)/tests/bench_kmeans $(BENCH_VENV)/stamp ## time k-means beside scikit-learn's and faiss's (half an hour)
	$(Q)$(BENCH_VENV)/bin/python tests/bench/kmeans_peers.py $(OUT)/tests/bench_kmeans
bench-train: all ## time a training step beside the reference's on torch (downloads torch)
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench_train.py $(BENCH_TRAIN)

study: all ## train each kind with several seeds on the test data; the table goes into the README
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/study/study.py --readme README.md

asan: ## the whole suite under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory check SANITIZE=address,undefined

tsan: ## the whole suite under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory check SANITIZE=thread

layers: ## the include rules of ARCHITECTURE: who may see whom
	$(Q)sh tests/layers.sh
	$(Q)sh tests/test_layers.sh

format: ## clang-format over every source
	$(Q)clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')

format-check:
	$(Q)if command -v clang-format >/dev/null; then \
	  clang-format --dry-run --Werror $$(git ls-files -co --exclude-standard '*.c' '*.h'); fi

# ---- the rest ----------------------------------------------------------------------------------------------------------
install-deps:
	$(Q)sh deploy/install-deps

demo: install-deps ## train on real word embeddings, serve the result, print three curl lines
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bash deploy/demo $(OUT)

clean: ## remove everything built
	rm -rf $(BUILD)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile
