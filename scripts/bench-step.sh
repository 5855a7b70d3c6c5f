#!/bin/sh
# Times a training step beside PyTorch's (bench-step.py) of a small AFNet and of one of ResNet-50's layer sizes.
# PYTHON has torch, onnxruntime, numpy and safetensors; ROUNDS of each (7); SMALL: the small one alone. Networks go to build/bench-step.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=build/bench-step
mkdir -p "$out"
go build -o "$out/afc" ./cmd/afc
step() { # NAME CLIPS FRAMES SIZE, then flags of testmodel
	name=$1 clips=$2 frames=$3 size=$4
	shift 4
	go run ./cmd/testmodel -o "$out/$name.onnx" -frames "$frames" -size "$size" -classes 10 -shift concat -bn "$@"
	"$out/afc" convert "$out/$name.onnx" -o "$out/$name.af.onnx" >/dev/null 2>&1
	"$python" -c "
import numpy as np, sys
n, t, s = map(int, sys.argv[2:])
np.savez(sys.argv[1], clips=np.random.default_rng(0).standard_normal((n, 3 * t, s, s)).astype(np.float32), labels=np.arange(n) % 10)
" "$out/$name.npz" "$clips" "$frames" "$size"
	rm -rf "$out/$name.pytorch" "$out/$name.tuned.tune.safetensors"
	"$out/afc" export "$out/$name.af.onnx" --format pytorch -o "$out/$name.pytorch" >/dev/null
	"$out/afc" tune "$out/$name.af.onnx" -o "$out/$name.tuned.onnx" --input "$out/$name.npz" --label-weight 1 --rt 0.5 --dropout 0 \
		--batch "$clips" --epochs 1 --threads 1 --dump-step "$out/$name.step.onnx" >/dev/null 2>&1
	echo "== $name: $clips clips of $frames frames, $size²"
	"$python" scripts/bench-step.py "$out/$name.step.onnx" "$out/$name.pytorch" "$out/$name.npz" --rounds "${ROUNDS:-7}"
}
step small 8 8 64 -depth 50 -width 16
[ -n "${SMALL:-}" ] || step r50 2 8 224 -depth 50 -width 64
