# Purser's build. `make` alone lists the targets.
#
# Written for GNU Make 3.81 and later, so that macOS's own make works.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:

GO      ?= go
NPM     ?= npm
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STEP    := sh scripts/step.sh
LINT    := $(GO) tool -modfile=tools/go.mod golangci-lint

# One set of flags for every go command, so that build, test and lint share one
# cache: no C compiler, no paths of this machine in the binary. The version comes
# in by -ldflags and not by asking git. What `go env` holds already stays.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(filter-out -trimpath -buildvcs=%,$(shell $(GO) env GOFLAGS 2>/dev/null)) -trimpath -buildvcs=false)

# No step may bring a browser of its own; scripts/chromium.sh finds Debian's.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1
export PUPPETEER_SKIP_DOWNLOAD          := 1
export npm_config_update_notifier       := false

# Files that stand for a finished step.
ROOT_PACKAGES := node_modules/.package-lock.json
WEB_PACKAGES  := web/node_modules/.package-lock.json
SOLVER        := optimizer/highs/wasm/highs.wasm
PAGE          := web/dist/index.html
WEB_SOURCES   := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/dist/*' \
                   -not -name '*.go' -not -name '*.md' -not -path '*/test-results/*' 2>/dev/null)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: require
require:
	@sh scripts/require.sh

.PHONY: build
build: require $(SOLVER) $(PAGE) ## Build bin/purser with the solver and the page inside
	@sh scripts/assets.sh
	@$(STEP) "go build (minutes the first time, seconds after that)" \
	  $(GO) build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/purser ./cmd/purser

# purser replaces the shell, so Ctrl-C reaches it once and make waits for its end.
.PHONY: run
run: build ## Build, rehearse examples/first-run.yaml and stay until Ctrl-C
	@exec bin/purser serve --first-run examples/first-run.yaml $(ARGS)

.PHONY: test
test: build ## Run every test: Go with Postgres, web, and the page flow in Chromium
	@$(STEP) "web tests" $(NPM) --prefix web --silent test
	@$(STEP) "go test" $(GO) test -p 2 -timeout 9m $(TESTFLAGS) ./...
	@$(STEP) "page flow" sh scripts/page-flow.sh

.PHONY: lint
lint: require $(WEB_PACKAGES) ## Check style and layers of Go, shell, web and Docker files
	@$(STEP) "golangci-lint (two minutes the first time)" $(LINT) run ./...
	@$(STEP) "house rules" $(GO) test ./internal/archtest
	@$(STEP) "shell" sh scripts/lint-shell.sh
	@$(STEP) "web lint and types" $(NPM) --prefix web --silent run lint

.PHONY: bench
bench: build ## Run the benchmark ladder, the price market and every Go benchmark once
	@$(STEP) "benchmark ladder" bin/purser bench ladder
	@$(STEP) "price market" bin/purser bench market --points 2000000
	@$(STEP) "go benchmarks, once each" $(GO) test -run '^$$' -bench . -benchtime 1x ./...

.PHONY: verify
verify: build ## Write all generated files anew and fail where they differ
	@sh scripts/verify.sh

.PHONY: clean
clean: ## Remove everything that make has built or brought into this folder
	rm -rf bin node_modules web/node_modules web/test-results
	rm -f optimizer/highs/wasm/highs.wasm optimizer/highs/wasm/LICENSE*
	find web/dist -mindepth 1 ! -name README.md -delete 2>/dev/null || true

$(ROOT_PACKAGES): package.json package-lock.json | require
	@$(STEP) "npm packages (solver, Postgres binaries)" $(NPM) ci --no-progress
	@touch $@

$(WEB_PACKAGES): web/package.json web/package-lock.json | require
	@$(STEP) "npm packages of the page" sh -c 'cd web && $(NPM) ci --no-progress'
	@touch $@

$(SOLVER): $(ROOT_PACKAGES)
	@$(STEP) "solver" $(GO) generate ./optimizer/highs
	@touch $@

$(PAGE): $(WEB_PACKAGES) $(WEB_SOURCES)
	@$(STEP) "page" $(NPM) --prefix web --silent run build
	@touch $@
