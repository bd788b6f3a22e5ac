# Makefile - everything is built from here; adding a source file needs no edit.
#
#   make run        set up, build, and open a shell on ./data (another one: DIR=...)
#   make check      set up, build, and run all tests (one suite: T=model, a seed: SEED=n)
#   make            build/loam, build/libloam.a, build/libloam.so
#   make test       the tests without the set-up      make install    DESTDIR= PREFIX=
#   make lint       format, layers, analyzers         make format     rewrites
#   make asan tsan  the tests under sanitizers        make fuzz       SECONDS= for each target
#   make bench      loam beside other engines: N= ROUNDS= ENGINES= BENCH="--workloads ycsb-*"
#   make flame      where the processor's time of a workload goes, drawn: W= N=
#   make amalgam    build/loam.c and its headers, the library as one file
#   make coverage   lines that the tests reach        make mutants    M= break rules, and see who notices
#   make soak       SECONDS= of fresh seeds of it all  make clean
#
# Override CC, CFLAGS, LDFLAGS; BUILD keeps variants apart; V=1 shows the commands.

VERSION   := $(shell sed -n 's/^.define LOAM_VERSION "\(.*\)"/\1/p' include/loam.h)
SOVERSION := 0
PREFIX    ?= /usr/local
BUILD     ?= build
CFLAGS    ?= -O2 -g
DIR       ?= data
T         ?= *
SECONDS   ?= 10
N         ?= 1000000
ROUNDS    ?= 3
W         ?= readrandom
ENGINES   ?= loam,rocksdb,leveldb,lmdb,wiredtiger,sqlite,bare
BENCH_OUT ?= $(BUILD)/bench/results
JOBS      := $(shell nproc 2>/dev/null || echo 2)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS) --no-print-directory
endif

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wvla \
  -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wcast-align -Wpointer-arith \
  -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Wwrite-strings $(WERROR)
override CPPFLAGS += -Iinclude -Isrc -Itests -D_GNU_SOURCE -MMD -MP
override CFLAGS   += -std=c11 -pthread -fPIC -fvisibility=hidden -fno-strict-aliasing $(WARN) $(SAN)
override LDFLAGS  += -pthread -Wl,--as-needed $(SAN)
LIBS      := -llz4 -lzstd -lxxhash
PROG_LIBS := -ledit -ljansson -lm

LIB_SRC  := $(wildcard $(patsubst %,src/%/*.c,base os record wal memtable sstable tree db))
PROG_SRC := $(wildcard src/shell/*.c src/bench/*.c)
HELP_SRC := $(wildcard tests/lib/*.c)
TEST_SRC := $(wildcard tests/$(T)/test_*.c)
FUZZ_SRC := $(if $(filter * fuzz,$(T)),$(wildcard fuzz/fuzz_*.c))
C_FILES  := $(wildcard include/*.h src/*/*.[ch] tests/*/*.[ch] fuzz/*.[ch] bench/*.[ch] examples/*.c)

SO       := libloam.so.$(VERSION)
LIBRARY  := $(BUILD)/libloam.a $(BUILD)/$(SO)
PROGRAM  := $(if $(wildcard src/shell/shell_main.c),$(BUILD)/loam)
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
SCRIPTS  := $(shell find /dev/null $(filter-out tests/lib $(if $(SAN),tests/build tests/bench) $(if $(findstring thread,$(SAN)),tests/cli tests/kill tests/machine),$(wildcard tests/$(T))) -maxdepth 1 -type f -perm -u+x | sort)
FUZZERS  := $(FUZZ_SRC:%.c=$(BUILD)/%)
obj       = $(patsubst %.c,$(BUILD)/%.o,$(1))
silent   := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
say       = $(if $(V),,@$(if $(silent),,printf '  %-5s %s\n' $(1) $@;))
# A file that changes only when the given text does: what depends on it is made again then.
remember  = @mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || echo '$(1)' > $@

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all run check check-built test tests fuzzers lint lint-quick format asan tsan clang fuzz \
  coverage mutants soak amalgam bench bench-built flame install clean FORCE
all: $(LIBRARY) $(PROGRAM)

# ---- objects and what is linked from them ------------------------------------------------------

$(BUILD)/flags: FORCE
	$(call remember,$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) $(LDFLAGS))
$(BUILD)/sources: FORCE
	$(call remember,$(LIB_SRC) $(PROG_SRC) $(HELP_SRC))
$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/src/shell/inspect_page.o: src/shell/inspect_page.html

# One object, in which everything but loam_* is local: nothing of ours meets a user's names.
$(BUILD)/libloam.a: $(call obj,$(LIB_SRC)) $(BUILD)/sources
	$(call say,AR)$(LD) -r -o $(BUILD)/loam-all.o $(filter %.o,$^) && \
	  objcopy --localize-hidden $(BUILD)/loam-all.o && rm -f $@ && $(AR) rcs $@ $(BUILD)/loam-all.o
$(BUILD)/libloam.map:
	@mkdir -p $(@D); echo 'LOAM_$(SOVERSION) { global: loam_*; local: *; };' > $@
$(BUILD)/$(SO): $(call obj,$(LIB_SRC)) $(BUILD)/sources $(BUILD)/libloam.map
	$(call say,LINK)$(CC) -shared -Wl,-soname,libloam.so.$(SOVERSION) $(if $(SAN),,-Wl,-z,defs) \
	  -Wl,--version-script=$(BUILD)/libloam.map $(LDFLAGS) $(filter %.o,$^) $(LIBS) -o $@
	@ln -sf $(SO) $(BUILD)/libloam.so.$(SOVERSION) && ln -sf $(SO) $(BUILD)/libloam.so

# What programs, tests and fuzzers are linked from: every object that has no main.
$(BUILD)/parts.a: $(call obj,$(LIB_SRC) $(filter-out %_main.c,$(PROG_SRC))) $(BUILD)/sources
	@rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
$(BUILD)/helpers.a: $(call obj,$(HELP_SRC)) $(BUILD)/sources
	@rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
$(BUILD)/loam: $(BUILD)/src/shell/shell_main.o $(BUILD)/parts.a
	$(call say,LINK)$(CC) $(LDFLAGS) $^ $(PROG_LIBS) $(LIBS) -o $@
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/helpers.a $(BUILD)/parts.a
	$(call say,LINK)$(CC) $(LDFLAGS) $^ -lcmocka $(if $(PROGRAM),$(PROG_LIBS)) $(LIBS) -o $@
$(BUILD)/fuzz/%: $(BUILD)/fuzz/%.o $(BUILD)/helpers.a $(BUILD)/parts.a
	$(call say,LINK)$(CC) $(LDFLAGS) -fsanitize=fuzzer $^ -lcmocka $(if $(PROGRAM),$(PROG_LIBS)) $(LIBS) -o $@

# The benchmark. An adapter whose engine is not there is empty; here is what those that are there link with.
HEADERS  := rocksdb/c.h:rocksdb leveldb/c.h:leveldb lmdb.h:lmdb wiredtiger.h:wiredtiger sqlite3.h:sqlite3
has       = echo '\#include <$(firstword $(subst :, ,$(1)))>' | $(CC) -E -x c - >/dev/null 2>&1
PEERS     = $(foreach peer,$(HEADERS),$(shell $(call has,$(peer)) && echo -l$(lastword $(subst :, ,$(peer)))))
BENCH_OBJ = $(call obj,$(wildcard bench/*.c))
$(BUILD)/bench/peers: FORCE
	$(call remember,$(PEERS))
$(BENCH_OBJ): $(BUILD)/bench/peers
$(BUILD)/bench/engine_rocksdb.o: override CPPFLAGS += \
  -DROCKSDB_VERSION='"$(or $(shell pkg-config --modversion rocksdb 2>/dev/null),unknown)"'
$(BUILD)/bench/loam_bench: $(BENCH_OBJ) $(call obj,$(wildcard src/bench/*.c)) $(BUILD)/libloam.a
	$(call say,LINK)$(CC) $(LDFLAGS) $^ $$(cat $(BUILD)/bench/peers) -ljansson $(LIBS) -lm -o $@

# ---- run, check, test ----------------------------------------------------------------------------

# Set-up and build speak on stderr and read nothing: standard input and output are the shell's.
run:
	@scripts/setup run </dev/null >&2
	+@$(MAKE) $(BUILD)/loam </dev/null >&2
	@exec $(BUILD)/loam "$(DIR)"

check:
	@scripts/setup check </dev/null >&2
	+@$(MAKE) check-built
check-built: $(if $(filter *,$(T)),lint-quick)
	+@$(MAKE) test

FUZZ_FLAGS := BUILD=build/fuzz CC=clang CFLAGS="-O1 -g" SECONDS=$(SECONDS) \
  SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"
HAVE_FUZZ := $(if $(SAN),,$(if $(FUZZ_SRC),$(shell command -v clang)))
PROVE = LOAM=$(abspath $(BUILD))/loam BUILD=$(BUILD) SLOWDOWN=$(or $(SLOWDOWN),1) \
  FUZZ_SECONDS=$(SECONDS) CMOCKA_MESSAGE_OUTPUT=TAP prove -j$(JOBS) --failures --comments -e scripts/run-test

# The longest suites first and the fuzzers, each of the same length, last: no processor is idle at the end.
LONG   := $(foreach suite,crash bench kill model machine rot cli scale fault, \
  $(filter $(BUILD)/tests/$(suite)/% tests/$(suite)/%,$(SCRIPTS) $(TESTS)))
RUNS    = $(LONG) $(filter-out $(LONG),$(SCRIPTS) $(TESTS)) $(if $(HAVE_FUZZ),$(FUZZ_SRC:%.c=build/fuzz/%))
SUITES  = $(filter-out lib mutants,$(notdir $(patsubst %/,%,$(wildcard tests/*/)))) fuzz

# SLOWDOWN tells tests with a budget of work how much slower than a plain build this variant is.
test: all tests
	$(if $(strip $(RUNS)),,$(error no suite is called $(T); there are: $(SUITES)))
	$(if $(HAVE_FUZZ),+@$(MAKE) fuzzers $(FUZZ_FLAGS))
	@$(PROVE) $(RUNS)
tests: $(TESTS) $(if $(filter tests/bench/%,$(SCRIPTS)),$(BUILD)/bench/loam_bench)
fuzzers: $(FUZZERS)
fuzz:
	+@$(MAKE) fuzzers $(FUZZ_FLAGS)
	@$(PROVE) $(FUZZ_SRC:%.c=build/fuzz/%)

soak:
	@scripts/setup check </dev/null >&2
	+@$(MAKE) all tests >&2
	+@$(MAKE) fuzzers $(FUZZ_FLAGS) >&2
	@BUILD=$(BUILD) JOBS=$(JOBS) scripts/soak $(SECONDS)

asan:
	+@$(MAKE) test BUILD=build/asan SLOWDOWN=32 CFLAGS="-O1 -g" \
	  SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -static-libubsan"
tsan: # Where one thread does everything there is no race: the least of it will do.
	+@HISTORIES=1 OPS=10000 FILES=500 $(MAKE) test BUILD=build/tsan SLOWDOWN=32 SAN="-fsanitize=thread"
clang:
	+@$(MAKE) all tests BUILD=build/clang CC=clang WERROR="-Werror -Wthread-safety"
coverage:
	@rm -rf build/coverage
	+@$(MAKE) test BUILD=build/coverage CFLAGS="-O0 -g" SAN=--coverage SLOWDOWN=16
	@scripts/coverage build/coverage
mutants: all tests
	+@BUILD=$(BUILD) JOBS=$(JOBS) scripts/mutants $(M)

# ---- the state of the house ------------------------------------------------------------------

lint-quick:
	@scripts/check-layers && scripts/check-size && scripts/check-words
lint: lint-quick
	clang-format --dry-run --Werror $(C_FILES)
	cppcheck -q -j$(JOBS) --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  --suppress=missingIncludeSystem --std=c11 -D_GNU_SOURCE -Iinclude -Isrc src
	printf '%s\n' $(LIB_SRC) $(PROG_SRC) | xargs -P$(JOBS) -I{} \
	  gcc -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -O2 -fanalyzer -Werror -c {} -o /dev/null
	printf '%s\n' $(LIB_SRC) $(PROG_SRC) | xargs -P$(JOBS) -I{} \
	  clang-tidy --quiet {} -- -std=c11 -D_GNU_SOURCE -Iinclude -Isrc
format:
	clang-format -i $(C_FILES)

# ---- deliveries ------------------------------------------------------------------------------

amalgam:
	@mkdir -p $(BUILD)
	scripts/amalgamate > $(BUILD)/loam.c && cp include/*.h $(BUILD)/
	for cc in gcc clang; do $$cc -std=c11 -O2 -Wall -Wextra -Werror -fno-strict-aliasing \
	  -I$(BUILD) -c $(BUILD)/loam.c -o $(BUILD)/loam-amalgam-$$cc.o || exit 1; done

bench:
	@scripts/setup run bench </dev/null >&2
	+@$(MAKE) bench-built
bench-built: $(BUILD)/bench/loam_bench
	@mkdir -p $(dir $(BENCH_OUT))
	@set -f; BENCH_COMMIT=$$(git describe --always --dirty 2>/dev/null) $(BUILD)/bench/loam_bench --entries $(N) \
	  --rounds $(ROUNDS) --engines $(ENGINES) --dir $(BUILD)/bench/data --json $(BENCH_OUT).json $(BENCH)
	@if bench/plot $(BENCH_OUT).json > $(BENCH_OUT).svg; then echo "wrote $(BENCH_OUT).json and .svg"; \
	  else rm -f $(BENCH_OUT).svg; echo "wrote $(BENCH_OUT).json"; fi

flame: # Frame pointers, so that who called whom can be told.
	@case '$(W)' in *[!a-z0-9-]* | openkilled | '') echo "make flame: W is one workload that loam_bench --list names, not openkilled"; \
	  exit 64 ;; esac
	@scripts/setup run bench flame </dev/null >&2
	+@$(MAKE) BUILD=build/flame CFLAGS="-O2 -g -fno-omit-frame-pointer" build/flame/bench/loam_bench
	@rm -f build/flame/$(W).svg; cd build/flame && trap 'rm -f perf.data perf.txt' EXIT && \
	  perf record -q -F 1999 -g -o perf.data bench/loam_bench --engines loam --rounds 1 \
	    --entries $(N) --workloads $(W) --dir data >/dev/null && \
	  perf script --no-inline -F comm,pid,tid,time,ip,sym,dso -i perf.data > perf.txt && \
	  ../../bench/flame "$(W), $(N) entries, $$(git describe --always --dirty)" < perf.txt > $(W).new && mv $(W).new $(W).svg
	@echo "wrote build/flame/$(W).svg"

install: all
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	  $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 include/*.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libloam.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/$(SO) $(DESTDIR)$(PREFIX)/lib/
	ln -sf $(SO) $(DESTDIR)$(PREFIX)/lib/libloam.so.$(SOVERSION)
	ln -sf $(SO) $(DESTDIR)$(PREFIX)/lib/libloam.so
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' loam.pc.in \
	  > $(DESTDIR)$(PREFIX)/lib/pkgconfig/loam.pc
ifneq ($(PROGRAM),)
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/
	$(PROGRAM) help --man > $(BUILD)/loam.1
	install -m 644 $(BUILD)/loam.1 $(DESTDIR)$(PREFIX)/share/man/man1/
endif

clean:
	rm -rf build
-include $(shell find $(BUILD)/src $(BUILD)/tests $(BUILD)/fuzz $(BUILD)/bench -name '*.d' 2>/dev/null)
