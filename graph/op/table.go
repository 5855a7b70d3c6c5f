package op

// operator is what afc knows of an ai.onnx operator: a row of the table. In
// each column, nil says that afc does not do that with the operator.
type operator struct {
	since        int64                           // first opset whose form of the operator is understood
	minIn, maxIn int                             // number of inputs; maxIn -1: any
	eval         func(*evalCall) ([]*arr, error) // computes it
	infer        func(*inferCall) error          // gives its outputs types
	cost         costKind                        // what it takes
	move         *movement                       // how it moves elements; nil: it computes them
}

// operators is the table. Every operator listed is claimed: the ONNX backend
// node tests hold it to its definition, at every opset from "since" on, in
// whichever of evaluation and inference it has; package dataflow's tests hold
// movement to evaluation.
var operators map[string]*operator

// The table is set up at start because rules of operators with subgraphs look
// operators up themselves.
func init() {
	t := map[string]*operator{}
	// A row has every column, so that none is forgotten.
	add := func(since int64, minIn, maxIn int, eval func(*evalCall) ([]*arr, error), infer func(*inferCall) error,
		cost costKind, move *movement, names ...string) {
		for _, n := range names {
			if t[n] != nil {
				panic("BUG: operator " + n + " has two rows")
			}
			t[n] = &operator{since, minIn, maxIn, eval, infer, cost, move}
		}
	}
	// moves is the last column of an operator that moves its data inputs'
	// elements, one by one as follow says.
	moves := func(follow func(*moveCall) Movement, data ...int) *movement { return &movement{data, follow} }

	// Making tensors and shapes.
	add(1, 0, 0, evalConstant, inferConstant, costView, nil, "Constant")
	add(9, 1, 1, evalConstantOfShape, inferConstantOfShape, costFree, moves(moveFill), "ConstantOfShape")
	add(1, 1, 1, evalShape, inferShape, costFree, nil, "Shape")
	add(1, 1, 1, evalSize, inferSize, costFree, nil, "Size")
	add(11, 3, 3, evalRange, inferRange, costFree, nil, "Range")
	add(9, 1, 1, evalEyeLike, inferEyeLike, costFree, nil, "EyeLike")
	add(9, 3, 3, evalOneHot, inferOneHot, costFree, nil, "OneHot")
	add(9, 1, 1, evalNonZero, inferNonZero, costFree, nil, "NonZero")

	// Moving elements.
	add(1, 1, 1, evalIdentity, inferSame, costView, moves(moveSame, 0), "Identity")
	add(1, 1, 2, evalReshape, inferReshape, costView, moves(moveSame, 0), "Reshape")
	add(1, 1, 1, evalFlatten, inferFlatten, costView, moves(moveSame, 0), "Flatten")
	add(1, 1, 2, evalSqueeze, inferSqueeze, costView, moves(moveSame, 0), "Squeeze")
	add(1, 1, 2, evalUnsqueeze, inferUnsqueeze, costView, moves(moveSame, 0), "Unsqueeze")
	add(1, 1, 1, evalTranspose, inferTranspose, costFree, moves(moveTranspose, 0), "Transpose")
	add(1, 1, -1, evalConcat, inferConcat, costFree, moves(moveConcat, everyInput...), "Concat")
	add(1, 1, 2, evalSplit, inferSplit, costFree, moves(moveSplit, 0), "Split")
	add(1, 1, 5, evalSlice, inferSlice, costFree, moves(moveSlice, 0), "Slice")
	add(8, 2, 2, evalExpand, inferExpand, costFree, moves(moveExpand, 0), "Expand")
	add(6, 2, 2, evalTile, inferTile, costFree, moves(moveTile, 0), "Tile")
	add(1, 1, 4, evalPad, inferPad, costFree, moves(movePad, 0, 2), "Pad")
	add(1, 2, 2, evalGather, inferGather, costFree, moves(moveGather, 0), "Gather")
	add(11, 2, 2, evalGatherElements, inferGatherElements, costFree, moves(moveGatherElements, 0), "GatherElements")
	add(11, 2, 2, evalGatherND, inferGatherND, costFree, moves(moveGatherND, 0), "GatherND")
	add(11, 3, 3, evalScatterND, inferSame, costFree, moves(moveScatterND, 0, 2), "ScatterND")
	add(9, 3, 3, evalScatterElements, inferSame, costFree, moves(moveScatterElements, 0, 2), "Scatter", "ScatterElements")
	add(9, 3, 3, evalWhere, inferWhere, costFree, moves(moveWhere, 1, 2), "Where")
	add(14, 1, 2, evalTrilu, inferSame, costFree, moves(nil, 0), "Trilu")

	// Arithmetic on elements.
	add(1, 2, 2, evalArithmetic, inferArithmetic, costPoint, nil, "Add", "Sub", "Mul", "Div")
	add(8, 1, -1, evalArithmetic, inferArithmetic, costPoint, nil, "Sum", "Min", "Max")
	add(10, 2, 2, evalMod, inferArithmetic, costPoint, nil, "Mod")
	add(1, 2, 2, evalPow, inferArithmetic, costPoint, nil, "Pow")
	add(8, 1, -1, evalMean, inferArithmetic, costPoint, nil, "Mean")
	add(1, 2, 2, evalCompare, inferCompare, costPoint, nil, "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
	add(1, 2, 2, evalLogic, inferCompare, costPoint, nil, "And", "Or", "Xor")
	add(18, 2, 2, evalLogic, inferBitwise, costPoint, nil, "BitwiseAnd", "BitwiseOr", "BitwiseXor")
	add(1, 1, 1, evalNot, inferPredicate, costPoint, nil, "Not")
	add(1, 1, 1, nil, inferPredicate, costPoint, nil, "IsNaN", "IsInf")
	add(1, 1, 1, evalUnary, inferNeg, costPoint, nil, "Neg")
	add(1, 1, 1, evalUnary, inferSame, costPoint, nil, "Abs", "Relu", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal",
		"Exp", "Log", "Sigmoid", "Tanh", "Erf", "Sin", "Cos")
	add(6, 1, 3, evalClip, inferSame, costPoint, nil, "Clip")
	add(6, 1, 1, evalCast, inferCast, costFree, moves(moveCast), "Cast")
	add(15, 2, 2, evalCastLike, inferCast, costFree, moves(moveCast), "CastLike")

	// Along axes.
	add(1, 1, 2, evalReduce, inferReduce, costFold, nil, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd",
		"ReduceSumSquare", "ReduceL1", "ReduceL2")
	add(1, 1, 2, nil, inferReduce, costFold, nil, "ReduceLogSum", "ReduceLogSumExp")
	add(1, 1, 1, evalArgExtreme, inferArgExtreme, costFold, nil, "ArgMax", "ArgMin")
	add(1, 1, 2, evalTopK, inferTopK, costFold, nil, "TopK")
	add(11, 2, 2, evalCumSum, inferSame, costFold, nil, "CumSum")
	add(1, 1, 1, evalSoftmax, inferAxisWise, costSoft, nil, "Softmax", "LogSoftmax")
	add(1, 1, 1, nil, inferAxisWise, costFold, nil, "Hardmax")

	// Neural networks.
	add(1, 2, 3, evalConv, inferConv, costProduct, moves(moveConv), "Conv")
	add(1, 2, 3, nil, inferConvTranspose, costProduct, nil, "ConvTranspose")
	add(1, 1, 1, evalMaxPool, inferPool, costWindow, nil, "MaxPool")
	add(1, 1, 1, evalAveragePool, inferPool, costWindow, nil, "AveragePool")
	add(1, 1, 1, nil, inferPool, costWindow, nil, "LpPool")
	add(1, 1, 1, evalGlobalPool, inferGlobalPool, costFold, nil, "GlobalAveragePool", "GlobalMaxPool")
	add(7, 5, 5, evalBatchNorm, inferBatchNorm, costNorm, nil, "BatchNormalization")
	add(17, 2, 3, nil, inferLayerNorm, costNorm, nil, "LayerNormalization")
	add(6, 3, 3, nil, inferSame, costNorm, nil, "InstanceNormalization")
	add(18, 3, 3, nil, inferSame, costNorm, nil, "GroupNormalization")
	add(23, 2, 2, nil, inferSame, costNorm, nil, "RMSNormalization")
	add(1, 1, 2, nil, inferSame, costNorm, nil, "LRN", "MeanVarianceNormalization", "LpNormalization")
	add(1, 1, 3, nil, inferDropout, costFree, nil, "Dropout")
	add(7, 2, 3, evalGemm, inferGemm, costProduct, nil, "Gemm")
	add(1, 2, 2, evalMatMul, inferMatMul, costProduct, nil, "MatMul")
	add(10, 1, 4, nil, inferResize, costFree, nil, "Resize")
	add(7, 1, 2, nil, inferResize, costFree, nil, "Upsample")
	add(1, 1, 2, nil, inferSame, costPoint, nil, "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus",
		"Softsign", "ThresholdedRelu", "PRelu", "Gelu", "Mish", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh",
		"Acosh", "Atanh", "Shrink")
	add(24, 1, 1, nil, inferSame, costPoint, nil, "Swish")

	// Quantised and seldom ones.
	add(10, 2, 3, nil, inferQuantize, costPoint, nil, "QuantizeLinear")
	add(10, 2, 3, nil, inferDequantize, costPoint, nil, "DequantizeLinear")
	add(11, 1, 1, nil, inferDynamicQuantize, costPoint, nil, "DynamicQuantizeLinear")
	add(10, 2, 4, nil, inferQuantizedProduct, costProduct, nil, "ConvInteger", "MatMulInteger")
	add(10, 8, 9, nil, inferQuantizedProduct, costProduct, nil, "QLinearConv", "QLinearMatMul")
	add(12, 1, -1, nil, inferEinsum, costProduct, nil, "Einsum")
	add(1, 1, 1, nil, inferDepthToSpace, costFree, nil, "DepthToSpace", "SpaceToDepth")
	add(10, 2, 2, nil, inferSame, costFree, nil, "ReverseSequence")
	add(9, 2, 2, nil, inferCompress, costFree, nil, "Compress")
	add(1, 0, 1, nil, inferRandom, costPoint, nil, "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli")
	add(11, 2, 2, nil, inferBitwise, costPoint, nil, "BitShift")
	add(18, 1, 1, nil, inferSame, costPoint, nil, "BitwiseNot")

	// Sequences.
	add(11, 1, 2, nil, inferSplitToSequence, costSequence, nil, "SplitToSequence")
	add(11, 1, -1, nil, inferSequenceConstruct, costSequence, nil, "SequenceConstruct")
	add(11, 2, 2, nil, inferSequenceAt, costFree, nil, "SequenceAt")
	add(11, 1, 1, nil, inferSequenceLength, costFree, nil, "SequenceLength")
	add(11, 1, 1, nil, inferConcatFromSequence, costFree, nil, "ConcatFromSequence")

	// Control flow.
	add(1, 1, 1, nil, inferIf, costBody, nil, "If")
	add(1, 0, -1, nil, inferLoop, costBody, nil, "Loop") // both of its first inputs may be left out
	add(9, 1, -1, nil, inferScan, costBody, nil, "Scan")
	operators = t
}
