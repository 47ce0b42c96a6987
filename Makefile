# `make` lists the targets. Each sets itself up: it needs Python >= 3.11 with pip, and make.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/
LOCKED := $(RUN)pip install --quiet --no-deps --require-hashes --requirement
IS_CPU := 'import importlib.metadata as m; import sys; sys.exit("+cpu" not in m.version("torch"))'

.PHONY: help audit consortium galassi-table kills setup check format test test-slow fuzz fuzz-sites federation demo crosscheck bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## install everything the project needs into .venv

$(READY): requirements.lock requirements-cpu.lock requirements-cuda.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "want Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@$(LOCKED) requirements-cpu.lock || echo "no CPU build of torch to be had here: another one is taken"
	$(LOCKED) requirements.lock
	@$(RUN)python -c $(IS_CPU) || $(LOCKED) requirements-cuda.lock
	$(RUN)pip install --quiet --no-deps --editable .
	@touch $@

demo: $(READY) ## the main job: train over 4 phantom sites, test on an unseen one (about 5 minutes)
	@test -d demo/phantoms || $(RUN)lesionfed phantom --out demo/phantoms --sites 6 --subjects 6 --seed 0
	$(RUN)lesionfed simulate --recipe default \
	  --site site-1=demo/phantoms/site-1 --site site-2=demo/phantoms/site-2 \
	  --site site-3=demo/phantoms/site-3 --site site-4=demo/phantoms/site-4 \
	  --validation site-5=demo/phantoms/site-5 --held-out site-6=demo/phantoms/site-6 \
	  --out demo/run-$(shell date +%Y%m%d-%H%M%S)

galassi-table: $(READY) ## the four-row table of Galassi 2019 on phantoms, 3 seeds (half an hour; called again, it continues)
	@test -d build/galassi/phantoms || $(RUN)lesionfed phantom --recipe galassi2019 --out build/galassi/phantoms --sites 4 --subjects 4 --spacing 2.5 --seed 0
	$(RUN)lesionfed study --recipe galassi2019 --scale small --seeds 0,1,2 --rounds 3 \
	  --set sampling.batch_size=64 --set optimizer.steps=80 --set compute.threads=1 \
	  --set inference.min_lesion_voxels=2 \
	  --site site-1=build/galassi/phantoms/site-1 --site site-2=build/galassi/phantoms/site-2 \
	  --held-out site-3=build/galassi/phantoms/site-3 --held-out site-4=build/galassi/phantoms/site-4 \
	  --out build/galassi/study

CONSORTIUM ?= build/consortium
SUBJECTS ?= 6
OTHER_SITES = $(foreach n,2 3 4 5 6,--site train-$(n)=$(CONSORTIUM)/phantoms/train-$(n)) \
  --validation validation-1=$(CONSORTIUM)/phantoms/validation-1 \
  $(foreach n,1 2,--held-out unseen-$(n)=$(CONSORTIUM)/phantoms/unseen-$(n))
MAIN_ROWS = plain two-step fed_confusion combined
OTHER_ROWS = z-score nyul two-step-smooth pearson random uniform fedharmony moment_align weight-equal \
  weight-lesion-volume weight-validation fedprox fedavgm fedadam scaffold local-norms moving-average \
  hard-negatives transplant optional-t1w full-resolution flips scanner scanner-z-score scanner-turned \
  scanner-fed_confusion

# PHANTOMS: such as "--anatomies MAPS --lesion-masks MASKS --without-masks 07"
consortium: $(READY) ## which ingredients help at unseen sites: every row, seeds 0, 1, 2 (hours; called again, it continues)
	@test -d $(CONSORTIUM)/phantoms || $(RUN)lesionfed phantom --consortium --out $(CONSORTIUM)/phantoms --subjects $(SUBJECTS) --seed 0 $(PHANTOMS)
	$(RUN)lesionfed study --recipe consortium --seeds 0,1,2 \
	  --site train-1=$(CONSORTIUM)/phantoms/train-1 $(OTHER_SITES) \
	  $(foreach row,$(MAIN_ROWS) $(OTHER_ROWS),--variant $(row)) $(foreach row,$(OTHER_ROWS),--once $(row)) \
	  --pooled combined --alone combined --out $(CONSORTIUM)/study
	@test -d $(CONSORTIUM)/flair-alone || { rm -rf $(CONSORTIUM)/.part && \
	  cp -r $(CONSORTIUM)/phantoms/train-1 $(CONSORTIUM)/.part && \
	  find $(CONSORTIUM)/.part -name '*_T1w.*' -delete && mv $(CONSORTIUM)/.part $(CONSORTIUM)/flair-alone; }
	$(RUN)lesionfed study --recipe consortium --seeds 0 --variant optional-t1w \
	  --site train-1=$(CONSORTIUM)/flair-alone $(OTHER_SITES) --out $(CONSORTIUM)/study-flair-alone

test: $(READY) ## the tests (under 10 minutes on 2 cores, no network, no GPU)
	OMP_NUM_THREADS=1 $(RUN)pytest --numprocesses 2 --dist loadfile -m "not slow and not federation and not gpu"

test-slow: $(READY) ## the tests that take longer, with 20 kills in a consortium of five hosts (hours)
	$(RUN)pytest -m "slow and not gpu"

fuzz: $(READY) ## 100,000 spoilt inputs for every reader of what comes from elsewhere (under 10 minutes on 1 core)
	LESIONFED_FUZZ_INPUTS=100000 OMP_NUM_THREADS=1 $(RUN)pytest tests/fuzz

fuzz-sites: $(READY) ## `lesionfed-site check` on 5,000 sites with spoilt files (20 minutes on 2 cores)
	LESIONFED_FUZZ_SITES=5000 OMP_NUM_THREADS=1 $(RUN)pytest --numprocesses 2 \
	  tests/client/cli/test_check_never_ends_by_an_exception.py

federation: $(READY) ## real Flower processes: TLS, node keys, sites on loopback and on separate hosts
	$(RUN)pytest -m "federation and not slow"

kills: $(READY) ## two of the 20 kills (as root, with nginx and nftables)
	LESIONFED_KILL_SEEDS=0,1 $(RUN)pytest tests/hosts/test_kills.py

check: $(READY) ## format, lint and types
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy

format: $(READY) ## rewrite the code in the project's format
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

crosscheck: $(READY) .venv-crosscheck/.ready ## our metrics beside MONAI's and panoptica's
	mkdir -p build/crosscheck
	$(RUN)python -m benchmarks.crosscheck.pairs build/crosscheck/pairs.npz
	.venv-crosscheck/bin/python benchmarks/crosscheck/panoptica_figures.py build/crosscheck/pairs.npz build/crosscheck/panoptica.json
	$(RUN)python -m benchmarks.crosscheck.compare build/crosscheck/pairs.npz build/crosscheck/panoptica.json

# panoptica wants older packages than ours, so it has an environment of its own
.venv-crosscheck/.ready: benchmarks/crosscheck/requirements.txt
	$(PYTHON) -m venv .venv-crosscheck
	.venv-crosscheck/bin/pip install --quiet --no-deps --requirement $<
	@touch $@

# pip-audit asks a service on the network, so it is none of our dependencies and no test
audit: .venv-audit/.ready ## known weaknesses in the packages of requirements.lock, where the service can be reached
	.venv-audit/bin/python deploy/audit.py requirements.lock

.venv-audit/.ready:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit
	@touch $@

bench: $(READY) ## measure the time of what users wait for
	$(RUN)python -m benchmarks.steps
	$(RUN)python -m benchmarks.scoring

clean: ## remove caches and built files; runs and the environment stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
