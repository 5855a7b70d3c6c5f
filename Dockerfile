# afc with ONNX Runtime. Build: docker build -t afc .
# Run, on the models of this folder, as who owns them:
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" afc convert model.onnx
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=docker
RUN go build -trimpath -ldflags "-s -w -X github.com/afc-project/afc.Version=${VERSION}" -o /out/afc ./cmd/afc \
 && XDG_CACHE_HOME=/out/cache /out/afc setup

FROM debian:bookworm-slim
COPY --from=build /out/afc /usr/local/bin/afc
COPY --from=build /out/cache/afc/ /tmp/ort/
RUN mv /tmp/ort/onnxruntime-*/libonnxruntime* /usr/local/lib/ && rm -r /tmp/ort && ldconfig \
 && useradd --create-home --uid 10001 afc
USER 10001
WORKDIR /work
ENTRYPOINT ["afc"]
