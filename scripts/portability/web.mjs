// worker.py for onnxruntime-web in Node: node web.mjs MODEL.onnx…, with the
// clip in MODEL.x.bin and the right answer in MODEL.y.bin (float32, little-endian)
// and the clip's shape in MODEL.shape.json.
import fs from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

const floats = (path) => new Float32Array(new Uint8Array(fs.readFileSync(path)).buffer);

async function cell(path) {
  const base = path.slice(0, -".onnx".length);
  const shape = JSON.parse(fs.readFileSync(base + ".shape.json", "utf8"));
  const want = floats(base + ".y.bin");
  const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(path)), { executionProviders: ["wasm"] });
  const clip = new ort.Tensor("float32", floats(base + ".x.bin"), shape);
  const got = (await session.run({ [session.inputNames[0]]: clip }))[session.outputNames[0]].data;
  await session.release();
  if (got.length !== want.length) return { failure: `wrong shape: ${got.length} numbers, not ${want.length}` };
  let error = 0, largest = 0;
  for (let i = 0; i < want.length; i++) {
    error = Math.max(error, Math.abs(got[i] - want[i]));
    largest = Math.max(largest, Math.abs(want[i]));
  }
  return { error: error / largest };
}

for (const path of process.argv.slice(2)) {
  console.log("START " + path);
  let result;
  try {
    result = await cell(path);
  } catch (e) {
    result = { failure: String(e) };
  }
  console.log("RESULT " + JSON.stringify(result));
}
