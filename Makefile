# Needs Go, make and a C compiler; Go downloads the rest.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BINARY  := pulse-control-plane
# gin reads and writes msgpack unless told otherwise; Pulse speaks JSON only.
TAGS    := nomsgpack

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Prints each package when it ends and, last, every failed or skipped test with
# its reason. Many tests run processes against the clock, and a machine that stands
# still for seconds fails them: up to three failures are run once more, and listed.
# A data race is never run again.
GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0 --format pkgname --rerun-fails=1 \
	--rerun-fails-max-failures=3 --rerun-fails-abort-on-data-race --packages ./... --

.PHONY: run build check lint test bench soak soak-kills fuzz screenshots

run: ## serve on :8081 with the embedded database
	go run .

build: ## one static, stripped binary
	CGO_ENABLED=0 go build -tags $(TAGS) -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) .

check: ## the quick tests: format, vet, unit and journey tests
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted with gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go test ./...

lint: node_modules ## vet and staticcheck over every module, and the dashboard's types
	npx --no-install tsc -p .
	go vet ./... && $(STATICCHECK) ./...
	cd e2e && go vet ./... && $(STATICCHECK) ./...
	cd e2e/bench && go vet ./... && $(STATICCHECK) ./...
	cd e2e/deploy && go vet ./... && $(STATICCHECK) ./...
	cd e2e/caddy && go vet ./... && $(STATICCHECK) ./...

test: ## everything; the first run builds livekit-server, which takes minutes
	cd e2e && go run ./cmd/livekit-build
	$(GOTESTSUM) -race -timeout 30m
	cd e2e && $(GOTESTSUM) -count=1 -timeout 45m
	cd e2e/bench && $(GOTESTSUM)
	cd e2e/deploy && $(GOTESTSUM) -count=1
	cd e2e/caddy && $(GOTESTSUM) -count=1

bench: ## next to a bare handler; needs wrk, takes 20 minutes; writes a temporary file, with BENCH_WRITE=1 docs/BENCHMARKS.md; then known keys while the database hangs
	cd e2e/bench && go run .
	cd e2e && PULSE_SOAK=1 go test -count=1 -v -run TestKnownKeysAreServedAsFastWhileTheDatabaseHangs ./replicas

soak: ## the full proofs: metering (20 participants for a minute with every fault), 20,000 events to a receiver that fails, replicas, moves, rekey and kills
	cd e2e && go run ./cmd/livekit-build
	cd e2e && PULSE_SOAK=1 go test -count=1 -timeout 40m -v -run 'TestMeter|TestEachEventArrives' .
	cd e2e && PULSE_SOAK=1 go test -count=1 -timeout 30m -v ./replicas
	cd e2e && PULSE_SOAK=1 go test -count=1 -timeout 30m -v -run 'Move|Rekey' ./commands
	$(MAKE) soak-kills

soak-kills: ## kills the server 100 times under load (SOAK_KILLS=1000 for more); part of soak
	cd e2e && PULSE_SOAK=1 go test -count=1 -timeout 3h -v -run 'TestKilled' ./data

fuzz: ## each fuzz test for 60 s
	@set -e; for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep ^Fuzz || true); do \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime 60s $$package; \
	  done; \
	done

node_modules: package-lock.json
	npm ci --no-audit --no-fund --silent
	@touch node_modules

screenshots: node_modules ## the pictures of README, into docs/
	cd e2e && go run ./cmd/livekit-build
	cd e2e && PULSE_SCREENSHOTS=1 go test -count=1 -v -run TestScreenshots ./dashboard
