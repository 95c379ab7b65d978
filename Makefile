# make            builds build/remote-arrow-server (installs what is missing)
# make serve      builds and runs the server on localhost:5005
# make test       builds and runs all tests of a normal run; make test-long the rest
# make demo       the whole story on bundled data
# make soak       100,000 operations of all kinds: right answers, and nothing grows
# make bench      measurements against their peers
# make docs-site  the documentation as a site in build/site
# make install    copies what was built below DESTDIR/PREFIX (/usr/local)
# make help       every target

SHELL := /bin/bash
.DEFAULT_GOAL := build
BUILD ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python

MODULES := base arrow compute store query sql wire flight server
# What each module may include and link: one way only (tools/check-includes checks the includes).
DEPS_base := base
DEPS_arrow := base arrow
DEPS_compute := base arrow compute
DEPS_store := base arrow store
DEPS_query := base arrow compute store query
DEPS_sql := base arrow compute store query sql
DEPS_wire := base wire
DEPS_flight := base arrow compute store query sql wire flight
DEPS_server := $(MODULES)

# SAN=address,undefined or SAN=thread builds with sanitizers into a folder of its own.
SAN ?=
OPT ?= -O2
comma := ,
ifneq ($(SAN),)
OUT := $(BUILD)/$(subst $(comma),-,$(SAN))
SAN_FLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
OPT := -O1
else
OUT := $(BUILD)/$(notdir $(CC))
SAN_FLAGS :=
endif
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror
CFLAGS := -std=gnu11 -D_GNU_SOURCE -Isrc $(WARNINGS) $(OPT) -g -pthread $(SAN_FLAGS) $(EXTRA_CFLAGS)
LDFLAGS := -pthread $(SAN_FLAGS) $(EXTRA_LDFLAGS)
LIBS := -lnghttp2 -lsqlite3 -llz4 -lzstd -lxxhash -ljansson -lutf8proc -lmicrohttpd -lm

# Sources of a module without tests and main.
sources = $(filter-out %_test.c src/server/main.c,$(wildcard src/$(1)/*.c))
objects = $(patsubst src/%.c,$(OUT)/%.o,$(foreach m,$(1),$(call sources,$(m))))

SERVER := $(BUILD)/remote-arrow-server
ifneq ($(SAN),)
SERVER := $(OUT)/remote-arrow-server
endif

.PHONY: build
build: $(BUILD)/.deps $(SERVER) $(dir $(SERVER))remote-arrow-sql

$(SERVER): $(OUT)/server/main.o $(call objects,$(MODULES))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The SQL worker is its own program, without sanitizers: DuckDB runs in it. A server with sanitizers
# finds it by a link beside itself.
SQL_WORKER := $(dir $(SERVER))remote-arrow-sql
ifeq ($(SAN),)
$(SQL_WORKER): $(patsubst src/%.c,$(OUT)/%.o,$(filter-out %_test.c,$(wildcard src/sql/worker/*.c))) $(call objects,base arrow)
	$(CC) $(LDFLAGS) -o $@ $^ -ldl -lseccomp $(LIBS)
$(OUT)/sql/worker/%.o: src/sql/worker/%.c $(BUILD)/duckdb/version
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I$(BUILD)/duckdb -MMD -MP -c -o $@ $<
else
.PHONY: plain-sql-worker
plain-sql-worker:
	+$(MAKE) --no-print-directory SAN= OPT=-O2 $(BUILD)/remote-arrow-sql
$(SQL_WORKER): plain-sql-worker
	@mkdir -p $(@D)
	ln -sf ../remote-arrow-sql $@
endif

$(BUILD)/duckdb/version: tools/get-duckdb
	tools/get-duckdb $(BUILD)/duckdb
	@touch $@

$(OUT)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# Unit tests: src/arrow/ipc_test.c -> OUT/arrow/ipc_test, linked with what its module may use.
define module_tests
$(patsubst src/%.c,$(OUT)/%,$(wildcard src/$(1)/*_test.c)): $(OUT)/%: $(OUT)/%.o $(call objects,$(DEPS_$(1)))
	$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LIBS)
.PHONY: unit-$(1)
unit-$(1): $(patsubst src/%.c,$(OUT)/%,$(wildcard src/$(1)/*_test.c))
	@for t in $$^; do echo "== $$$$t"; $$$$t || exit 1; done
endef
$(foreach m,$(MODULES),$(eval $(call module_tests,$(m))))

# Of the worker what needs no DuckDB. The sandbox's limits leave a sanitizer no memory.
unit-sql: $(OUT)/sql/worker/storage_test
$(OUT)/sql/worker/storage_test: $(patsubst %,$(OUT)/sql/worker/%.o,storage_test storage restore null_rows) \
    $(call objects,base arrow)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)
ifeq ($(SAN),)
unit-sql: $(OUT)/sql/worker/sandbox_test
$(OUT)/sql/worker/sandbox_test: $(OUT)/sql/worker/sandbox_test.o $(OUT)/sql/worker/sandbox.o $(call objects,base)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -lseccomp $(LIBS)
endif

.PHONY: unit
unit: $(BUILD)/.deps $(addprefix unit-,$(MODULES))

# Debian packages and the Python environment; both repeat in no time.
$(BUILD)/.deps: tools/install-deps tools/debian-packages.txt
	@mkdir -p $(@D)
	tools/install-deps
	@touch $@

.venv/.done: tools/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tools/requirements.txt
	@touch $@

# The tests of a normal run, in the order in which a failure is cheapest. Each step's minutes are in
# build/test-minutes.txt afterwards.
TEST_STEPS := check build unit test-clang test-asan test-tsan test-wire test-wheel test-interop \
    test-examples test-notebooks fuzz
JOBS := $(shell nproc)
.PHONY: test
test: $(BUILD)/.deps
	@rm -f $(BUILD)/test-minutes.txt
	@for step in $(TEST_STEPS); do \
	    echo "==== $$step"; start=$$(date +%s); \
	    $(MAKE) --no-print-directory --output-sync=target -j$(JOBS) $$step || exit 1; \
	    echo "$$step $$(( ($$(date +%s) - start) )) s" >> $(BUILD)/test-minutes.txt; done
	@cat $(BUILD)/test-minutes.txt

.PHONY: check
check: .venv/.done
	tools/check-includes
	tools/make-docs --check
	.venv/bin/ruff check --quiet --config tools/ruff.toml python tests bench examples tools/check-includes \
	    tools/make-docs tools/make-wheel tools/docs_site.py
	.venv/bin/mypy --config-file tools/mypy.ini python/remote_arrow
	$(DOCS_SITE)

# The documentation as a site, build/site; a page or link that is missing is an error.
# Not --quiet, which hides warnings from --strict.
DOCS_SITE = @mkdir -p $(BUILD); .venv/bin/mkdocs build --strict >$(BUILD)/site.log 2>&1 || \
    { cat $(BUILD)/site.log; exit 1; }
.PHONY: docs-site
docs-site: .venv/.done
	$(DOCS_SITE)

# clang's warnings, then the unit tests with its sanitizers.
.PHONY: test-clang
test-clang: $(BUILD)/.deps
	$(MAKE) --no-print-directory CC=clang-14 $(BUILD)/clang-14/server/main.o objects

.PHONY: objects
objects: $(call objects,$(MODULES))

.PHONY: test-asan
test-asan: $(BUILD)/.deps
	$(MAKE) --no-print-directory SAN=address,undefined unit

.PHONY: test-tsan
test-tsan: $(BUILD)/.deps
	$(MAKE) --no-print-directory SAN=thread unit-base unit-store unit-query unit-wire unit-flight

# Over the wire: the server as it is shipped, then the main story with sanitizers.
PYTEST := $(VENV_PYTHON) -m pytest -q -p no:cacheprovider
.PHONY: test-wire
test-wire: build .venv/.done
	$(PYTEST) tests
	$(PYTEST) python/tests
	$(MAKE) --no-print-directory SAN=address,undefined build
	RA_SERVER=$(BUILD)/address-undefined/remote-arrow-server RA_EXAMPLES=20 \
	    $(PYTEST) tests/test_story.py tests/test_roundtrip.py tests/test_limits.py tests/test_wire_attacks.py \
	    tests/test_import.py

.PHONY: test-interop
test-interop: build .venv/.done
	cd tests/interop/go && go test -count=1 ./...
	tools/interop-json.sh
	tools/h2spec.sh

# The examples of all languages, built and run as a reader would.
.PHONY: test-examples
test-examples: build .venv/.done
	PYTHONPATH=tests $(PYTEST) examples/test_examples.py

.PHONY: test-notebooks
test-notebooks: build .venv/.done
	PYTHONPATH=tests $(PYTEST) examples/test_notebooks.py

FUZZ_SECONDS ?= 10
FUZZERS := $(patsubst fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard fuzz/*_fuzz.c))
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all
.PHONY: fuzz
fuzz: $(BUILD)/.deps
	$(MAKE) --no-print-directory CC=clang-14 OUT=$(BUILD)/fuzz OPT=-O1 \
	    EXTRA_CFLAGS="$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link" fuzzers
	@for f in $(FUZZERS); do \
	    $$f -max_total_time=$(FUZZ_SECONDS) -print_funcs=0 -rss_limit_mb=2048 -timeout=10 \
	        -artifact_prefix=$(BUILD)/fuzz/ >$$f.log 2>&1 || { tail -50 $$f.log; exit 1; }; \
	    echo "$$(basename $$f): $$(tail -n 1 $$f.log)"; done

.PHONY: fuzzers
fuzzers: $(FUZZERS)
$(BUILD)/fuzz/%_fuzz: fuzz/%_fuzz.c $(call objects,$(MODULES))
	clang-14 $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LIBS)

# What takes longer than a normal run may: half an hour and a bit on two cores.
LONG_FUZZ_SECONDS ?= 300
PYTEST_LONG := $(PYTEST) -o faulthandler_timeout=1800
.PHONY: test-long
test-long: build .venv/.done
	RA_EXAMPLES=2500 RA_ROUNDS=100 RA_SECONDS=60 RA_READS=100000 RA_CLIENT_ROUNDS=20 \
	    RA_OPERATIONS=100000 RA_LONG=1 $(PYTEST_LONG) \
	    tests/test_roundtrip.py tests/test_crash.py tests/test_side_by_side.py \
	    tests/test_unpublished.py tests/test_methods.py tests/test_many_processes.py \
	    tests/test_network.py tests/test_soak.py
	$(MAKE) --no-print-directory -j$(JOBS) SAN=address,undefined build
	RA_SERVER=$(BUILD)/address-undefined/remote-arrow-server RA_ROUNDS=20 RA_SECONDS=20 \
	    $(PYTEST_LONG) tests/test_crash.py tests/test_side_by_side.py
	RA_FAULTS_ALL=1 $(MAKE) --no-print-directory -j$(JOBS) unit-server
	$(MAKE) --no-print-directory -j$(JOBS) FUZZ_SECONDS=$(LONG_FUZZ_SECONDS) fuzz

# A wheel with the server inside, for a machine with Python and glibc; then what it promises.
WHEELS := $(BUILD)/wheels
.PHONY: wheel
wheel: build .venv/.done
	$(VENV_PYTHON) tools/make-wheel $(BUILD) $(WHEELS)
	@ls $(WHEELS)/*.whl

.PHONY: test-wheel
test-wheel: wheel
	RA_WHEEL=$(abspath $(WHEELS)) $(PYTEST) python/tests/test_wheel.py

OPERATIONS ?= 100000
.PHONY: soak
soak: build .venv/.done
	$(VENV_PYTHON) tests/soak/soak.py --operations $(OPERATIONS) --samples $(BUILD)/soak.jsonl

.PHONY: demo
demo: build .venv/.done
	$(VENV_PYTHON) examples/demo/demo.py

.PHONY: bench
bench: build .venv/.done
	$(VENV_PYTHON) bench/bench.py

.PHONY: serve
serve: build
	$(SERVER)

PREFIX ?= /usr/local
.PHONY: install
install: build
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" packaging/steps.sh install

.PHONY: format
format:
	clang-format-14 -i $(shell git ls-files 'src/*.c' 'src/*.h')

.PHONY: clean
clean:
	rm -rf $(BUILD) .venv

.PHONY: help
help:
	@sed -n '1,/^$$/s/^# //p' Makefile

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
