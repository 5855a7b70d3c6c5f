"""What runs or rewrites the files of the matrix: one function a column.

Each takes the path of a model and returns a function from its input to its
first output. It raises what the runtime raises.
"""
import contextlib
import os
import tempfile


def ort_session(path, optimised=True):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(path):
    import openvino as ov

    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    compiled = core.compile_model(core.read_model(path), "CPU")
    return lambda x: compiled({0: x})[compiled.output(0)].copy()


def tract(path):
    import tract

    def run(x):
        # tract fixes shapes before it plans; the clip says them.
        model = tract.onnx().load(path)
        model.set_input_fact(0, ",".join(map(str, x.shape)) + ",f32")
        return model.into_model().into_runnable().run([x])[0].to_numpy()

    return run


def opencv(path, engine="ENGINE_AUTO"):
    import cv2

    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromONNX(path, engine=getattr(cv2.dnn, engine))

    def run(x):
        net.setInput(x)
        return net.forward().copy()

    return run


def checker(path):
    import onnx

    onnx.checker.check_model(path, full_check=True)
    return None  # nothing to run


def reference(path):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(path)
    name = evaluator.input_names[0]
    return lambda x: evaluator.run(None, {name: x})[0]


def rewritten(rewrite):
    """The column of a tool that makes another ONNX file, which ONNX Runtime runs."""

    def load(path):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "rewritten.onnx")
            with contextlib.redirect_stdout(open(os.devnull, "w")):
                rewrite(path, out)
            return ort_session(out)

    return load


def slim(path, out):
    import onnx
    import onnxslim

    onnx.save(onnxslim.slim(path), out)


def simplify(path, out):
    import onnx
    import onnxsim

    model, ok = onnxsim.simplify(onnx.load(path))
    if not ok:
        raise RuntimeError("onnxsim: its own check of the result fails")
    onnx.save(model, out)


def quantize(path, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, out, weight_type=QuantType.QUInt8)


COLUMNS = {
    "ort-oldest": ort_session,
    "ort": ort_session,
    "openvino": openvino,
    "ort-web": None,  # web.mjs
    "tract": tract,
    "opencv": opencv,
    "opencv-classic": lambda path: opencv(path, "ENGINE_CLASSIC"),
    "checker": checker,
    "reference": reference,
    "onnxslim": rewritten(slim),
    "onnxsim": rewritten(simplify),
    "quantize": rewritten(quantize),
}
