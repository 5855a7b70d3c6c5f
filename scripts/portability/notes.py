"""What docs/PORTABILITY.md says around its tables, and the limits of runtimes
that are known: columns, what the runtime says, the reason."""
import re

HEAD = """# Portability

What other runtimes and tools make of the files that afc writes. `make portability` makes this page, and fails where it no
longer holds: every cell is run, on a ResNet-50 of 16 channels, 8 frames of 64², batch normalisation kept, with random weights;
in the AFNets navigation chooses by what it sees. `source` is the export itself, which afc does not touch.

ok: the file loads and its answer is within {tolerance} of the largest one of ONNX Runtime with its optimisations off, on the source
or, for an AFNet, on the `mask` lowering (which `make test` holds to a network computed in float64); a file of half precision (fp16,
inputs and outputs float32) within {half}. `fixed` takes one clip;
`open` any number, here two. An answer that is wrong on purpose is told in every column.

{versions}
"""

VERSIONS = """| column | what |
|---|---|
| ort-oldest, ort | ONNX Runtime {oldest}, the oldest that afc's files are held to, and {onnxruntime}, CPU provider |
| openvino | OpenVINO {openvino}, CPU, float32 |
| ort-web | onnxruntime-web {web}, WebAssembly, in Node |
| tract | tract {tract} |
| opencv, opencv-classic | OpenCV {opencv_python_headless}: its new engine where that takes the file, and the old importer |
| checker | onnx {onnx}, `check_model` with `full_check` |
| reference | onnx's ReferenceEvaluator |
| onnxslim, onnxsim | onnxslim {onnxslim}, onnxsim {onnxsim}; what they write runs on ONNX Runtime |
| quantize | ONNX Runtime's `quantize_dynamic` to uint8, by its own defaults; within 0.5, for it rounds activations too |

Not in the table: onnx2torch 1.5.15 is right on what `optimize` writes, on `mask` and on `topk`, wrong by a few hundredths on `gather`, and knows no Scan.

What to take: `--target openvino` and `--target tract` write what was fastest there of what runs; `--target portable` (`mask`) runs in all of them
but OpenCV's old importer, and skips nothing."""

# In order: the first that fits is a cell's.
NOTES = [
    (
        {"reference"},
        re.compile("wrong by"),
        "reference: below opset 14 the evaluator takes batch normalisation for training unless its momentum is 1. "
        "What afc writes says so; the source does not.",
    ),
    (
        {"opencv", "opencv-classic"},
        re.compile("'Graph' is not supported"),
        "opencv: OpenCV has no Scan.",
    ),
    (
        {"opencv-classic"},
        re.compile("wrong by|count of elements in function 'reshape'|parse error"),
        "opencv-classic: the old importer fixes shapes when it loads and takes comparisons and Where for arithmetic; the new engine reads the file.",
    ),
    (
        {"tract"},
        re.compile("Duplicate node name: If"),
        "tract: names each If of a graph `If` and so takes only one; `branch` has several in a Scan's body. Use `--target tract`.",
    ),
    (
        {"quantize"},
        re.compile(r"Expected layer\d+\.0\.add\.kernel to be an initializer"),
        "quantize: where the frames of a clip share small maps, two kernels are joined when the file is loaded (the CPU's `branch`); "
        "stored beside the two, those of a ResNet-50's stage 4 would add a seventh to the file. Use another target, or docs/QUANTIZE.md.",
    ),
    (
        {"openvino"},
        re.compile("num_scan_outputs can't be negative|number of Scan node inputs|Number of Scan node inputs"),
        "openvino: a Scan's body reads no map from outside it that is made when the model runs, and the CPU's `branch` gathers a "
        "shift's channels so. Use `--target openvino`.",
    ),
    (
        {"opencv"},
        re.compile("parse error"),
        "opencv: it has no Scan, nor all that `branch` computes for one at run time.",
    ),
    (
        {"ort-oldest"},
        re.compile("Unsupported model IR version: 1[0-9], max supported IR version: 9"),
        "ort-oldest: it is older than opset 24, and reads up to 19: `--opset`.",
    ),
    (
        {"tract"},
        re.compile("Gemm ToTypedTranslator"),
        "tract: it gives float32 out of a Gemm of half precision, where its own check wants half.",
    ),
    (
        {"opencv-classic"},
        re.compile("CV_16FC1"),
        "opencv-classic: the old importer knows no half precision; the new engine reads the file.",
    ),
    (
        {"quantize"},
        re.compile(r"tensor\(float16\)"),
        "quantize: the quantiser takes float32. Quantise the file that `--precision` did not touch.",
    ),
]
