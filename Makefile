# afc: build, test, check. Everything a target fetches is pinned and stays in
# git-ignored folders of the project.

GO ?= go
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOSEC       = $(GO) run github.com/securego/gosec/v2/cmd/gosec@v2.30.0
GOVULNCHECK = $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
CYCLONEDX   = $(GO) run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0

.PHONY: build release ort demo test pytorch-test big-test gpu-test cuda-test portability bench-openvino bench-quantize short check bench bench-fit bench-fit-sources bench-tune bench-step proto corpus fuzz mutants clean

build: ## bin/afc
	$(GO) build -trimpath -o bin/afc ./cmd/afc

release: ## archives for every platform, checksums and what is in them into build/release
	CYCLONEDX="$(CYCLONEDX)" scripts/release.sh

ort: ## ONNX Runtime's library into .ort/
	scripts/fetch-ort.sh

demo: ort build ## convert, verify and count a test model
	scripts/demo.sh

test: ort ## the whole test suite
	$(GO) test -timeout 20m ./...

gpu-test: ort ## the tests of GPU providers, on SwiftShader where there is no GPU
	scripts/gpu-test.sh

pytorch-test: ort ## the exported PyTorch code against ONNX and the authors' numbers, in an environment of its own
	scripts/pytorch-test.sh

cuda-test: ## CUDA and TensorRT with every lowering; skipped where there is no NVIDIA GPU
	scripts/cuda-test.sh

portability: ## afc's files in other runtimes, held to docs/PORTABILITY.md; UPDATE=--update writes it anew
	scripts/portability.sh $(UPDATE)

bench-openvino: ## the speed of --target openvino and of every lowering in OpenVINO, with profiles
	scripts/portability.sh --speed --forms --profile

bench-quantize: ## what int8 makes of an AFNet that was fitted: the table of docs/QUANTIZE.md
	scripts/portability.sh --quantize

big-test: ort ## memory and ONNX Runtime on a model over 2 GB: 12 GB of disk, 20 GB of memory, 10 minutes
	$(GO) test ./cmd/afc -run TestMemory -big -v -timeout 60m

short: ## the tests that need seconds
	$(GO) test -short -timeout 5m ./...

check: ## format, vet, staticcheck, modules, known vulnerabilities, unsafe habits, list of components, Dockerfile
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); \
	  [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod verify
	$(GO) mod tidy -diff
	scripts/check-security.sh "$(GOSEC)" "$(GOVULNCHECK)"
	scripts/check-sbom.sh "$(CYCLONEDX)"
	scripts/lint-dockerfile.sh
	@dirty=$$(git status --porcelain); [ -z "$$dirty" ] || { echo "uncommitted changes:"; echo "$$dirty"; exit 1; }

bench: ort ## the speed bars and what each step is worth, as Markdown and JSON in build/
	mkdir -p build
	$(GO) run ./cmd/speed -md build/bars.md -json build/bars.json
	$(GO) run ./cmd/speed -steps -md build/steps.md -json build/steps.json
	$(GO) test ./passes -run '^$$' -bench . -benchtime 1x -timeout 20m > build/optimize.txt
	@cat build/bars.md build/steps.md build/optimize.txt

bench-fit: ort ## what fitting reaches on clips of motions: the table of docs/BENCHMARKS.md
	$(GO) test ./fit -run '^$$' -bench Motion -benchtime 1x -timeout 60m -v

bench-fit-sources: ort ## the same from other sources, a basic-block TSM and a TSN, which it trains first in the environment of pytorch-test
	scripts/fit-sources.sh

bench-tune: ort ## what training adds to a fit on clips of motions
	$(GO) test ./train -run '^$$' -bench Motion -benchtime 1x -timeout 120m -v

bench-step: ## a training step's time and memory beside PyTorch's; PYTHON has torch, onnxruntime, numpy, safetensors
	scripts/bench-step.sh

FUZZTIME ?= 20m

fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)

MUTANTSTIME ?= 30m

mutants: ort ## one-line edits of codegen for MUTANTSTIME, each of which verification must find
	$(GO) test ./internal/mutants -run TestEdits -mutants $(MUTANTSTIME) -v -timeout 24h

corpus: ## the ONNX backend tests into .corpus/
	scripts/fetch-corpus.sh

proto: ## protobuf bindings from the official onnx.proto
	$(GO) generate ./graph/internal/onnxpb

clean:
	rm -rf bin build
