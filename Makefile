# make            builds build/remote-arrow-server (installs what is missing)
# make serve      builds and runs the server on localhost:5005
# make test       builds and runs all tests of a normal run; make test-long the rest
# make demo       the whole story on bundled data
# make bench      measurements against their peers
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

MODULES := base arrow compute store query wire flight server
# What each module may include and link: one way only (tools/check-includes checks the includes).
DEPS_base := base
DEPS_arrow := base arrow
DEPS_compute := base arrow compute
DEPS_store := base arrow store
DEPS_query := base arrow compute store query
DEPS_wire := base wire
DEPS_flight := base arrow compute store query wire flight
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
LIBS := -lnghttp2 -lsqlite3 -llz4 -lzstd -lxxhash -ljansson -lutf8proc -lm

# Sources of a module without tests and main.
sources = $(filter-out %_test.c src/server/main.c,$(wildcard src/$(1)/*.c))
objects = $(patsubst src/%.c,$(OUT)/%.o,$(foreach m,$(1),$(call sources,$(m))))

SERVER := $(BUILD)/remote-arrow-server
ifneq ($(SAN),)
SERVER := $(OUT)/remote-arrow-server
endif

.PHONY: build
build: $(BUILD)/.deps $(SERVER)

$(SERVER): $(OUT)/server/main.o $(call objects,$(MODULES))
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

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

.PHONY: serve
serve: build
	$(SERVER)

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
