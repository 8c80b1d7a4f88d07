# Everything here works on a fresh machine with Python >= 3.10 and a C++ compiler: the first target that needs it makes
# .venv, installs the pinned requirements and builds the extension. Stamp files make the second call quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)"
PYTEST_ARGS ?=

CUDA_CHOICE := $(if $(BAYESOPS_CUDA),$(BAYESOPS_CUDA),auto)
BUILT := build/stamp-built-cuda-$(CUDA_CHOICE)
NATIVE := $(shell find csrc cmake -type f) CMakeLists.txt setup.py pyproject.toml tools/build_choices.py tools/torch_location.py

.PHONY: help venv build demo test bench lint docs pictures studies wheel asan cuda-compile cuda-on-host cuda-pretended \
  cuda-sanitize clean

help:
	@echo "make demo           train, predict with uncertainty, and show what the sampling costs"
	@echo "make test           build and run every test"
	@echo "make bench          run the benchmarks, compare with the committed results, write docs/benchmarks.md"
	@echo "make bench DEVICE=cuda  the same on a GPU"
	@echo "make lint           ruff, clang-format and mypy, as in pre-commit"
	@echo "make docs           build the pages into build/docs"
	@echo "make pictures       train small networks and draw the pictures of docs/pictures.md"
	@echo "make studies        run the five studies on real data (BAYESOPS_DATA), an hour or two; into results/"
	@echo "make wheel          build dist/*.whl and the source archive, in isolation"
	@echo "make asan           run the tests of operators and of CUDA's functors under the address and undefined-behaviour sanitizers"
	@echo "make cuda-compile   compile and link the CUDA library (needs nvcc, but no GPU)"
	@echo "make cuda-on-host   run the tests of operators with what CUDA runs, on the host (needs no nvcc, no GPU)"
	@echo "make cuda-pretended run the CUDA tests on a device that is only pretended (no GPU)"
	@echo "make cuda-sanitize  run the CUDA tests under compute-sanitizer (needs a GPU)"
	@echo "make clean          remove what was built, but not .venv"

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "bayesops needs Python >= 3.10; say which with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/stamp-requirements: requirements-dev.txt | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

venv: $(VENV)/stamp-requirements

$(BUILT): $(VENV)/stamp-requirements $(NATIVE)
	$(RUN) python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@mkdir -p build && rm -f build/stamp-built-* && touch $@

build: $(BUILT)

# Other libraries of the field, which some tests and benchmarks compare with; those do without where they cannot be had.
# Without their dependencies, which would change torch.
$(VENV)/stamp-peers: benchmarks/requirements.txt $(VENV)/stamp-requirements
	-$(BIN)/python -m pip install --quiet --retries 1 --no-deps -r benchmarks/requirements.txt && touch $@

demo: build
	$(RUN) bayesops demo

test: build $(VENV)/stamp-peers
	$(RUN) pytest $(PYTEST_ARGS)

# glibc keeps what is freed: otherwise both sides mostly measure how fast the kernel hands out fresh pages.
KEEP_PAGES := MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296

# cpu, or cuda. A part of the suite (PYTEST_ARGS="-k ...") is shown, not stored: the report puts parts together.
DEVICE ?= cpu
BENCH_JSON := build/benchmarks$(if $(filter-out cpu,$(DEVICE)),-$(DEVICE)).json

bench: build $(VENV)/stamp-peers
	@rm -f $(BENCH_JSON)
	status=0; $(RUN) $(KEEP_PAGES) pytest benchmarks --device $(DEVICE) --benchmark-only --benchmark-quiet \
	  --benchmark-json=$(BENCH_JSON) $(PYTEST_ARGS) || status=$$?; \
	if test -s $(BENCH_JSON); then $(RUN) python -m benchmarks.report $(BENCH_JSON) || status=$$?; fi; exit $$status

lint: venv
	$(RUN) pre-commit run --all-files --show-diff-on-failure

docs: venv
	$(RUN) mkdocs build --strict

pictures: build
	$(RUN) python examples/pictures

# In full; what a study has trained is kept, so that one that was stopped goes on. `python examples/study_*.py --help`.
studies: build
	set -e; for study in examples/study_*.py; do $(RUN) python $$study --out results; done

wheel: venv
	rm -rf dist build/lib.* build/bdist.*
	$(RUN) python -m build

# A second copy of the package, in build/asan, so that the ordinary build stays as it is.
# Tests ask for more memory than there is, and want an error.
SANITIZERS := address,undefined
ASAN_RULES := detect_leaks=0:allocator_may_return_null=1
ASAN_SITE := build/asan/site
asan: venv
	rm -rf build/asan
	$(RUN) BAYESOPS_CUDA=0 BAYESOPS_SANITIZE=$(SANITIZERS) python setup.py --quiet build --build-base build/asan --build-lib $(ASAN_SITE)
	$(RUN) BAYESOPS_SANITIZE=$(SANITIZERS) PYTHONPATH="$(CURDIR)/$(ASAN_SITE)" ASAN_OPTIONS=$(ASAN_RULES) \
	  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	  LD_PRELOAD="$(foreach library,libasan.so libubsan.so libstdc++.so.6,$$($${CXX:-c++} -print-file-name=$(library)))" \
	  pytest -p no:cacheprovider --capture=sys tests/ops $(wildcard tests/cuda/test_*_functors.py) -m "not slow and not cuda" \
	  $(PYTEST_ARGS)

cuda-compile: venv
	$(RUN) BAYESOPS_CUDA=1 python setup.py --quiet build --build-base build/cuda
	$(RUN) python tools/check_stable_abi.py build/cuda/lib.*/bayesops/_C*.so

# In place of the CPU's kernels: those of CUDA as loops, and the composites.
ON_HOST ?= tests/ops tests/nn tests/engine tests/test_random.py tests/test_invariance.py
cuda-on-host: build
	$(RUN) cmake -S tests/cuda/on_host -B build/cuda-on-host -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DBAYESOPS_TORCH_DIR="$$($(BIN)/python -c 'import torch; print(torch.__path__[0])')"
	$(RUN) cmake --build build/cuda-on-host
	$(RUN) BAYESOPS_CUDA_ON_HOST="$(CURDIR)/build/cuda-on-host/_C_cuda_on_host.so" OMP_NUM_THREADS=1 \
	  python -m pytest -p no:cacheprovider -p tests.cuda.on_host.plugin $(ON_HOST) $(PYTEST_ARGS)

# Without tests/ops: tests/cuda has every operator once, and what those add is arithmetic.
PRETENDED ?= tests/cuda tests/nn tests/engine tests/models tests/test_priors.py tests/test_random.py tests/test_invariance.py
cuda-pretended: build
	$(RUN) OMP_NUM_THREADS=1 python -m pytest -p no:cacheprovider -p tests.cuda.pretended.plugin -m cuda $(PRETENDED) \
	  $(PYTEST_ARGS)

# Only our kernels are watched, by a part of their names, and no calls: libraries ask for what may not be there, and what
# fails is raised anyway. Each block of memory has bounds of its own: torch keeps none back. Graphs cannot be captured
# then. The tests of operators that are one kernel of ours, and every operator once.
SANITIZED ?= tests/cuda $(foreach operator,dropout gaussian_noise logit_noise_cross_entropy predictive_moments \
  sample_gaussian,tests/ops/test_$(operator).py)
cuda-sanitize: build
	set -e; for tool in memcheck racecheck; do $(RUN) PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool $$tool \
	  --kernel-name kns=bayesops --report-api-errors no --error-exitcode 1 --target-processes all \
	  python -m pytest -p no:cacheprovider -m "cuda and not slow" --ignore=tests/cuda/test_graphs.py $(SANITIZED) \
	  $(PYTEST_ARGS); done

clean:
	rm -rf build dist *.egg-info bayesops/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
