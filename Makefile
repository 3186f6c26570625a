# Every target sets up what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# native/matmul is a folder, not to be linked from native/matmul.cpp.
MAKEFLAGS += --no-builtin-rules

.PHONY: demo test test-long lint sanitize bench explorer clean

# torch first and alone: every other package would otherwise be free to choose its version.
$(READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/* native/*/*)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt scikit-build-core cmake ninja
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[train,keras,tensorboard,bench,images,cluster,dev]'
	touch $@

demo: $(READY)
	$(BIN)/downup demo --output demo

# Tests run side by side, one process for each of up to four cores.
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: $(READY) lint
	$(PYTEST)

test-long: $(READY)
	$(PYTEST) --long

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

sanitize: $(READY)
	$(BIN)/python scripts/sanitize.py

bench: $(READY)
	$(BIN)/python benchmarks/operators.py --output docs/benchmarks.md

# The page of `downup explore`, which is in git as it is built; needs node.
explorer: $(READY)
	$(BIN)/python explorer/build.py

clean:
	rm -rf .venv build demo explorer/node_modules
