package passes

import (
	"github.com/afc-project/afc/afblock/compiled"
)

// Pipeline says which of the tool's jobs runs a pass.
type Pipeline int

// The pipelines. A pass may belong to several.
const (
	// ToCanonical is what stands before recognition: the model in the one
	// spelling that the rest understands, batch normalisation kept apart from
	// convolutions so that weights can go back out for training.
	ToCanonical Pipeline = 1 << iota
	// ToOptimize makes the model itself faster.
	ToOptimize
	// The ways to convert, by what there is.
	fromSource  // a recognised model
	fromAFNet   // a model that afc wrote, to be lowered anew
	fromWeights // a checkpoint alone
	fromNetwork // a network that the caller has
	toKeep      // to optimise a model that afc wrote: it is as fast as afc knows to make it

	// ToConvert makes an AFNet, in the way that fits the input.
	ToConvert = fromSource | fromAFNet | fromWeights | fromNetwork
)

// ways says in words what the pipelines do.
var ways = map[Pipeline]string{
	ToCanonical: "make a model canonical", ToOptimize: "optimize a model", toKeep: "optimize an AFNet that afc wrote",
	fromSource: "convert a source model", fromAFNet: "convert an AFNet that afc wrote",
	fromWeights: "convert weights alone", fromNetwork: "write a network",
}

// of is the pipeline that an input takes.
func (p Pipeline) of(in Input) Pipeline {
	switch {
	case p == ToConvert:
		return in.way()
	case p == ToOptimize && compiled.Is(in.Model):
		return toKeep
	}
	return p
}

// Pass is one step of the pipelines.
type Pass struct {
	Name string
	Doc  string // one line
	In   Pipeline
	Run  func(*State) error

	Requires []Fact // hold before the pass
	Ensures  []Fact // hold after it, and after all later passes

	// Loop names a run of neighbouring passes that feed each other; the run is
	// repeated until a whole round changes nothing.
	Loop string
}

// Fact is something that is true of a model between passes.
type Fact struct {
	Name  string
	holds func(*State) bool
}

// The facts that passes require and ensure.
var (
	noFunctions = Fact{"no model-local function is called", func(s *State) bool {
		for n := range nodes(s.Model) {
			if callee(s.Model, n) != nil {
				return false
			}
		}
		return true
	}}
	constantsAreInitializers = Fact{"no tensor sits in a Constant node, save as a graph output", func(s *State) bool {
		for n := range nodes(s.Model) {
			if n.Is("Constant") && n.Output(0).Const() != nil && !n.Output(0).IsOutput() {
				return false
			}
		}
		return true
	}}
	weightsAreConstant = Fact{"no initializer is a graph input", func(s *State) bool {
		for _, v := range s.Model.Graph.Initializers() {
			if v.IsInput() {
				return false
			}
		}
		return true
	}}
	recognized = Fact{"the network is recognised", func(s *State) bool {
		return s.Network != nil
	}}
	currentOpset = Fact{"the ONNX opset is 13 or later", func(s *State) bool {
		return s.Model.Opset("") >= newOpset
	}}
)

// every pipeline on a model that afc did not write makes it canonical first.
const every = ToCanonical | fromSource | ToOptimize

// Table is every pass in the order in which they run.
var Table = []Pass{
	{
		Name: "inline-functions", Doc: "replace calls of model-local functions by their bodies",
		In: every, Run: inlineFunctions,
		Ensures: []Fact{noFunctions},
	},
	{
		Name: "strip-initializer-inputs", Doc: "take weights off the graph's inputs, so that they are constants",
		In: every, Run: stripInitializerInputs,
		Ensures: []Fact{weightsAreConstant},
	},
	{
		Name: "constants-to-initializers", Doc: "turn Constant nodes into initializers",
		In: every, Run: constantsToInitializers,
		Requires: []Fact{noFunctions},
		Ensures:  []Fact{constantsAreInitializers},
	},
	{
		Name: "upgrade-opset", Doc: "rewrite operators of opsets 9 to 12 as opset 13 has them",
		In: every, Run: upgradeOpset,
		Requires: []Fact{noFunctions, weightsAreConstant, constantsAreInitializers},
		Ensures:  []Fact{currentOpset},
	},
	{
		Name: "normalize-training", Doc: "turn batch normalisation and dropout exported in training mode into inference",
		In: every, Run: normalizeTraining,
		Requires: []Fact{noFunctions},
	},
	{
		Name: "widen-float16", Doc: "compute half-precision networks in float32",
		In: every, Run: widenFloat16,
		Requires: []Fact{noFunctions, constantsAreInitializers},
	},
	{
		Name: "expand-sequences", Doc: "replace sequences of tensors (split, chunk) by slices and concatenations",
		In: every, Run: expandSequences, Loop: "fold",
		Requires: []Fact{currentOpset},
	},
	{
		Name: "fold-shapes", Doc: "infer shapes, and make constants of shape arithmetic that always comes to the same",
		In: every, Run: foldShapes, Loop: "fold",
		Requires: []Fact{currentOpset, constantsAreInitializers},
	},
	{
		Name: "resolve-castlike", Doc: "turn CastLike into Cast where the type is known",
		In: every, Run: resolveCastLike, Loop: "fold",
	},
	{
		Name: "fold-constants", Doc: "compute what depends on constants alone, unless the result is large",
		In: every, Run: foldConstants, Loop: "fold",
		Requires: []Fact{weightsAreConstant},
	},
	{
		Name: "eliminate-noops", Doc: "bypass Identity, Dropout and casts, reshapes, slices that change nothing",
		In: every, Run: eliminateNoops, Loop: "fold",
		Requires: []Fact{currentOpset, noFunctions},
	},
	{
		Name: "common-subexpressions", Doc: "compute once what several nodes compute alike",
		In: every, Run: commonSubexpressions, Loop: "fold",
	},
	{
		Name: "dead-code", Doc: "remove nodes, initializers and functions that no output needs",
		In: every, Run: deadCode, Loop: "fold",
	},
	{
		Name: "dedupe-initializers", Doc: "keep one of several equal initializers",
		In: every, Run: dedupeInitializers,
		Requires: []Fact{weightsAreConstant},
	},
	{
		Name: "normalize-affine", Doc: "make batch normalisation of products and sums by channel behind a convolution (frozen BN, Caffe's scale)",
		In: every, Run: normalizeAffine,
		Requires: []Fact{constantsAreInitializers},
	},
	{
		Name: "drop-affine", Doc: "remove the factors and summands from before",
		In: every, Run: deadCode,
	},
	{
		Name: "fold-batchnorm", Doc: "fold batch normalisation into the convolution before it",
		In: ToOptimize, Run: foldBatchNorm,
		Requires: []Fact{constantsAreInitializers},
	},
	{
		Name: "drop-folded", Doc: "remove the weights from before folding",
		In: ToOptimize, Run: deadCode,
	},
	{
		Name: "recognize", Doc: "read stem, stages of blocks, temporal shift and head off the graph",
		In: fromSource, Run: recognizeNet,
		Requires: []Fact{noFunctions, weightsAreConstant, constantsAreInitializers, currentOpset},
		Ensures:  []Fact{recognized},
	},
	{
		Name: "recognize-shift", Doc: "the same, for a model that may be something else",
		In: ToOptimize, Run: recognizeIfAny,
		Requires: []Fact{noFunctions, weightsAreConstant, constantsAreInitializers, currentOpset},
	},
	{
		Name: "read-back", Doc: "read the network back from an AFNet that afc wrote",
		In: fromAFNet, Run: readBack,
		Ensures: []Fact{recognized},
	},
	{
		Name: "load-weights", Doc: "put trained weights, if there are any, in the place of the network's",
		In: fromSource | fromAFNet | fromWeights, Run: loadWeights,
		Ensures: []Fact{recognized},
	},
	{
		Name: "rewrite-af", Doc: "turn stages into AF modules: ample and focal branch, navigation, fusion",
		In: fromSource | fromWeights, Run: rewriteAF,
		Requires: []Fact{recognized},
	},
	{
		Name: "fix-cells", Doc: "choose the same cells inside all frames, where it is asked for",
		In: fromSource | fromAFNet | fromWeights, Run: fixCells,
		Requires: []Fact{recognized},
	},
	{
		Name: "fit", Doc: "regress the AFNet's weights onto the source's activations, where clips are given",
		In: fromSource, Run: fitWeights,
		Requires: []Fact{recognized},
	},
	{
		Name: "relower", Doc: "change the frames and the answer of skipped ones; keep inputs and outputs unless told",
		In: fromAFNet, Run: relower,
		Requires: []Fact{recognized},
	},
	{
		Name: "round-weights", Doc: "round weights to half precision, where that is asked for; not navigation's",
		In: ToConvert, Run: roundWeights,
		Requires: []Fact{recognized},
	},
	{
		Name: "lower", Doc: "write the network as standard ONNX, the focal branch as the target runs it best",
		In: ToConvert, Run: lower,
		Requires: []Fact{recognized},
	},
	{
		Name: "split-stream", Doc: "write the temporal shift on a stream of its own, which ONNX Runtime runs fastest",
		In: ToOptimize, Run: splitStream,
	},
	{
		Name: "reshift", Doc: "write the temporal shifts of any other trunk in few operators",
		In: ToOptimize, Run: reshift,
		Requires: []Fact{noFunctions, weightsAreConstant, constantsAreInitializers, currentOpset},
	},
	{
		Name: "clean-up", Doc: "remove what a lowering made and did not need",
		In: ToConvert | ToOptimize, Run: deadCode,
	},
	{
		Name: "set-opset", Doc: "write the model in the opset asked for, if one is",
		In: ToConvert | ToOptimize, Run: setOpset,
	},
	{
		Name: "narrow-float16", Doc: "compute in half precision, where that is asked for, but for what decides",
		In: ToConvert | ToOptimize, Run: narrowFloat16,
	},
}

// Order is a constraint on Table: Before runs ahead of After, for the reason
// given.
type Order struct{ Before, After, Reason string }

// Orders are the constraints that the table keeps. A test holds it to them.
var Orders = []Order{
	{"inline-functions", "constants-to-initializers", "functions hold Constant nodes too"},
	{"inline-functions", "upgrade-opset", "operators of a function body are upgraded where they were inlined"},
	{"inline-functions", "expand-sequences", "a sequence may be made in one function and read in another"},
	{"strip-initializer-inputs", "dedupe-initializers", "an input's default value may differ at run time from its equal"},
	{"constants-to-initializers", "upgrade-opset", "Resize of opset 10 is upgraded by its scales, which must be known"},
	{"constants-to-initializers", "common-subexpressions", "nodes are compared by their inputs, equal constants included"},
	{"upgrade-opset", "eliminate-noops", "rules are written for one form of each operator"},
	{"upgrade-opset", "fold-shapes", "a Reshape target is written as later opsets read it"},
	{"fold-shapes", "eliminate-noops", "whether a Reshape or Slice changes anything is told by the shapes inferred"},
	{"fold-shapes", "resolve-castlike", "inference tells the types"},
	{"resolve-castlike", "fold-constants", "a constant cast like a tensor of the run is constant once the type is spelled out"},
	{"normalize-training", "eliminate-noops", "a Dropout is bypassed only once it no longer trains"},
	{"normalize-training", "fold-batchnorm", "statistics that a run updates cannot be folded"},
	{"widen-float16", "fold-batchnorm", "folding is computed on float32 weights"},
	{"common-subexpressions", "dead-code", "merged nodes are left behind without readers"},
	{"eliminate-noops", "dead-code", "bypassed nodes are left behind without readers"},
	{"dead-code", "dedupe-initializers", "tensors that nobody reads are not worth comparing"},
	{"dead-code", "fold-batchnorm", "a dead reader of a convolution would keep its normalisation from being folded"},
	{"normalize-training", "normalize-affine", "statistics that a run updates take no factor in"},
	{"widen-float16", "normalize-affine", "factors are multiplied in float32"},
	{"fold-constants", "normalize-affine", "a factor is often computed from constants, γ/√(σ²+ε)"},
	{"normalize-affine", "drop-affine", "the constants from before are left behind without readers"},
	{"normalize-affine", "fold-batchnorm", "it makes what is folded"},
	{"normalize-affine", "recognize", "a block's normalisation is read from one node"},
	{"fold-batchnorm", "drop-folded", "the weights from before are left behind without readers"},
	{"fold-batchnorm", "recognize-shift", "a convolution split by channels cannot carry its normalisation along"},
	{"fold-constants", "recognize", "a shift is recognised by its data movement, which needs constant indices"},
	{"recognize", "rewrite-af", "the rewrite works on blocks, not on nodes"},
	{"recognize", "load-weights", "trained weights take the place of the recognised network's"},
	{"read-back", "load-weights", "fine-tuned weights take the place of the file's"},
	{"load-weights", "rewrite-af", "weights of a plain network are rewritten as the model's own would be"},
	{"load-weights", "relower", "trained weights say T; it is theirs that changes"},
	{"rewrite-af", "fix-cells", "it is focal blocks that compute cells"},
	{"load-weights", "fix-cells", "trained cells stay"},
	{"fix-cells", "lower", "lowering writes what computes cells"},
	{"rewrite-af", "fit", "it is the AFNet's layers that are fitted"},
	{"fit", "lower", "the weights written are the fitted ones"},
	{"relower", "lower", "lowering writes T and the answer of skipped frames"},
	{"rewrite-af", "lower", "lowering writes AF modules"},
	{"recognize-shift", "split-stream", "the split follows the blocks and their shift"},
	{"lower", "clean-up", "a lowering prepares values that not every block reads"},
	{"split-stream", "reshift", "a trunk on a split stream has no shift left to write"},
	{"fold-batchnorm", "reshift", "a convolution split by channels cannot carry its normalisation along"},
	{"split-stream", "clean-up", "the same"},
	{"reshift", "clean-up", "the nodes that spelled a shift are left behind without readers"},
	{"fit", "round-weights", "weights are regressed in float32"},
	{"relower", "round-weights", "the patterns that give navigation weights for another T are not rounded"},
	{"round-weights", "lower", "F(0) is computed of the weights that the file holds"},
	{"clean-up", "set-opset", "what nobody reads need not be translated"},
	{"set-opset", "narrow-float16", "which operators take half precision depends on the opset"},
	{"clean-up", "narrow-float16", "what nobody reads would count as deciding nothing"},
	{"fold-batchnorm", "narrow-float16", "folding is computed on float32 weights"},
}

// find returns the pass of that name, nil if there is none.
func find(name string) *Pass {
	for i := range Table {
		if Table[i].Name == name {
			return &Table[i]
		}
	}
	return nil
}
