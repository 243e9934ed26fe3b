# Each target sets itself up on a fresh machine: a virtual environment with the exact versions of constraints.txt.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
ENGINES := .venv-engines
# What engines are known to do otherwise: a run is green where nothing else, and nothing less, is found.
EXPECTED := $(wildcard properties/findings/expected.toml)
# What comes with the suite, and torch; and the engines that make test looks at as well, for a short time.
OURS     := $(addprefix --impl=,loops im2col im2col-tiled winograd fft separable auto torch-cpu)
RUNTIMES := onnxruntime jax openvino opencv
# Engines are seen on the same cases each time: what `make engines` may yet find in them is no fault of a commit.
# Rows of the race, by name and pattern.
ROWS   ?= *
# A worker on each core: more threads would only wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1
# The tests' cases are those of the files at hand: others in each commit, and the same wherever it is tested.
SEED   ?= $(shell printf %d 0x$$(git rev-parse --short=7 HEAD^{tree}) 2>/dev/null)

.PHONY: verify test mutants bench race speed tightness report engines clean

verify: $(VENV)/ready  ## every property on what comes with the suite and on torch, the matrix, and a page
	$(ONE_THREAD) $(BIN)/python -m pytest properties/ -n $(JOBS) --dist=worksteal --budget=600 $(OURS); status=$$?; \
	$(BIN)/python -m reports --out report/index.html && exit $$status

test: $(VENV)/ready  ## all that the project has: linters, types, imports, its own tests, every property
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist=worksteal impls reports properties/test_claims.py \
		properties/selfcheck bench/test_of_*.py --hypothesis-seed=$(SEED) --durations=25
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist=worksteal properties $(OURS) \
		--hypothesis-profile=quick --budget=600 --hypothesis-seed=$(SEED)
	$(if $(EXPECTED),$(ONE_THREAD) $(BIN)/python -m properties engines $(RUNTIMES) --plain --jobs=$(JOBS) --budget=20 \
		--hypothesis-seed=99 --expected=$(EXPECTED))

mutants: $(VENV)/ready  ## every planted fault before every property: what kills what, after how many examples
	$(ONE_THREAD) $(BIN)/python -m properties.mutants --jobs $(JOBS)

bench: $(VENV)/ready  ## how fast every layer is in every implementation; one thread, unless OMP_NUM_THREADS says more
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest bench/ --too-slow=0.12 --benchmark-save=bench

race: $(VENV)/ready  ## ours against torch in turns, goal by goal; ROWS='vgg16*,7x7' chooses
	$(ONE_THREAD) $(BIN)/python -m bench.race --rows='$(ROWS)'

speed: $(VENV)/ready  ## how fast the suite itself is, in CPU time
	$(ONE_THREAD) $(BIN)/python -m pytest properties/selfcheck/test_speed.py --benchmark-only \
		--benchmark-timer=time.process_time
	$(ONE_THREAD) $(BIN)/python -m pytest properties/selfcheck/test_isolation_speed.py --benchmark-only

tightness: $(VENV)/ready  ## how near to the bounds correct arithmetic comes, and how soon TF32 is caught
	$(ONE_THREAD) $(BIN)/python -m properties.selfcheck.test_tightness

report: $(VENV)/ready  ## the page again, from the results of the last run and the benchmarks saved last
	$(BIN)/python -m reports --out report/index.html

engines: $(ENGINES)/ready  ## every property on every engine and variant, and whether they do what they are known to do
	$(ONE_THREAD) $(ENGINES)/bin/python -m properties engines --jobs=$(JOBS) --budget=45 $(EXPECTED:%=--expected=%)

clean:
	rm -rf $(VENV) $(ENGINES) build *.egg-info report

$(ENGINES)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --disable-pip-version-check --constraint constraints.txt ".[all,engines]"
	touch $@

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt ".[all]"
	touch $@
