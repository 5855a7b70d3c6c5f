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
	grad         *gradient                       // its derivative
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
		cost costKind, move *movement, grad *gradient, names ...string) {
		for _, n := range names {
			if t[n] != nil {
				panic("BUG: operator " + n + " has two rows")
			}
			t[n] = &operator{since, minIn, maxIn, eval, infer, cost, move, grad}
		}
	}
	// moves is the last column of an operator that moves its data inputs'
	// elements, one by one as follow says.
	moves := func(follow func(*moveCall) Movement, data ...int) *movement { return &movement{data, follow} }

	by := func(rule func(*gradCall)) *gradient { return &gradient{rule} }

	// Making tensors and shapes.
	add(1, 0, 0, evalConstant, inferConstant, costView, nil, stops, "Constant")
	add(9, 1, 1, evalConstantOfShape, inferConstantOfShape, costFree, moves(moveFill), stops, "ConstantOfShape")
	add(1, 1, 1, evalShape, inferShape, costFree, nil, stops, "Shape")
	add(1, 1, 1, evalSize, inferSize, costFree, nil, stops, "Size")
	add(11, 3, 3, evalRange, inferRange, costFree, nil, nil, "Range")
	add(9, 1, 1, evalEyeLike, inferEyeLike, costFree, nil, stops, "EyeLike")
	add(9, 3, 3, evalOneHot, inferOneHot, costFree, nil, nil, "OneHot")
	add(9, 1, 1, evalNonZero, inferNonZero, costFree, nil, stops, "NonZero")

	// Moving elements.
	add(1, 1, 1, evalIdentity, inferSame, costView, moves(moveSame, 0), by(gradReshaped), "Identity")
	add(1, 1, 2, evalReshape, inferReshape, costView, moves(moveSame, 0), by(gradReshaped), "Reshape")
	add(1, 1, 1, evalFlatten, inferFlatten, costView, moves(moveSame, 0), by(gradReshaped), "Flatten")
	add(1, 1, 2, evalSqueeze, inferSqueeze, costView, moves(moveSame, 0), by(gradReshaped), "Squeeze")
	add(1, 1, 2, evalUnsqueeze, inferUnsqueeze, costView, moves(moveSame, 0), by(gradReshaped), "Unsqueeze")
	add(1, 1, 1, evalTranspose, inferTranspose, costFree, moves(moveTranspose, 0), by(gradTranspose), "Transpose")
	add(1, 1, -1, evalConcat, inferConcat, costFree, moves(moveConcat, everyInput...), by(gradConcat), "Concat")
	add(1, 1, 2, evalSplit, inferSplit, costFree, moves(moveSplit, 0), by(gradSplit), "Split")
	add(1, 1, 5, evalSlice, inferSlice, costFree, moves(moveSlice, 0), by(gradSlice), "Slice")
	add(8, 2, 2, evalExpand, inferExpand, costFree, moves(moveExpand, 0), by(gradExpand), "Expand")
	add(6, 2, 2, evalTile, inferTile, costFree, moves(moveTile, 0), nil, "Tile")
	add(1, 1, 4, evalPad, inferPad, costFree, moves(movePad, 0, 2), by(gradPad), "Pad")
	add(1, 2, 2, evalGather, inferGather, costFree, moves(moveGather, 0), by(gradGather), "Gather")
	add(11, 2, 2, evalGatherElements, inferGatherElements, costFree, moves(moveGatherElements, 0), nil, "GatherElements")
	add(11, 2, 2, evalGatherND, inferGatherND, costFree, moves(moveGatherND, 0), nil, "GatherND")
	add(11, 3, 3, evalScatterND, inferSame, costFree, moves(moveScatterND, 0, 2), nil, "ScatterND")
	add(9, 3, 3, evalScatterElements, inferSame, costFree, moves(moveScatterElements, 0, 2), nil, "Scatter", "ScatterElements")
	add(9, 3, 3, evalWhere, inferWhere, costFree, moves(moveWhere, 1, 2), by(gradWhere), "Where")
	add(14, 1, 2, evalTrilu, inferSame, costFree, moves(nil, 0), nil, "Trilu")

	// Arithmetic on elements.
	add(1, 2, 2, evalArithmetic, inferArithmetic, costPoint, nil, by(gradArithmetic), "Add", "Sub", "Mul", "Div")
	add(8, 1, -1, evalArithmetic, inferArithmetic, costPoint, nil, nil, "Sum", "Min", "Max")
	add(10, 2, 2, evalMod, inferArithmetic, costPoint, nil, nil, "Mod")
	add(1, 2, 2, evalPow, inferArithmetic, costPoint, nil, nil, "Pow")
	add(8, 1, -1, evalMean, inferArithmetic, costPoint, nil, nil, "Mean")
	add(1, 2, 2, evalCompare, inferCompare, costPoint, nil, stops, "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
	add(1, 2, 2, evalLogic, inferCompare, costPoint, nil, stops, "And", "Or", "Xor")
	add(18, 2, 2, evalLogic, inferBitwise, costPoint, nil, stops, "BitwiseAnd", "BitwiseOr", "BitwiseXor")
	add(1, 1, 1, evalNot, inferPredicate, costPoint, nil, stops, "Not")
	add(1, 1, 1, nil, inferPredicate, costPoint, nil, stops, "IsNaN", "IsInf")
	add(1, 1, 1, evalUnary, inferNeg, costPoint, nil, by(gradUnary), "Neg")
	add(1, 1, 1, evalUnary, inferSame, costPoint, nil, by(gradUnary), "Abs", "Relu", "Sqrt", "Reciprocal", "Exp", "Log",
		"Sigmoid", "Tanh")
	add(1, 1, 1, evalUnary, inferSame, costPoint, nil, stops, "Sign", "Floor", "Ceil", "Round")
	add(1, 1, 1, evalUnary, inferSame, costPoint, nil, nil, "Erf", "Sin", "Cos")
	add(6, 1, 3, evalClip, inferSame, costPoint, nil, by(gradClip), "Clip")
	add(6, 1, 1, evalCast, inferCast, costFree, moves(moveCast), by(gradCast), "Cast")
	add(15, 2, 2, evalCastLike, inferCast, costFree, moves(moveCast), nil, "CastLike")

	// Along axes.
	add(1, 1, 2, evalReduce, inferReduce, costFold, nil, by(gradReduce), "ReduceSum", "ReduceMean")
	add(1, 1, 2, evalReduce, inferReduce, costFold, nil, nil, "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare",
		"ReduceL1", "ReduceL2")
	add(1, 1, 2, nil, inferReduce, costFold, nil, nil, "ReduceLogSum", "ReduceLogSumExp")
	add(1, 1, 1, evalArgExtreme, inferArgExtreme, costFold, nil, stops, "ArgMax", "ArgMin")
	add(1, 1, 2, evalTopK, inferTopK, costFold, nil, nil, "TopK")
	add(11, 2, 2, evalCumSum, inferSame, costFold, nil, nil, "CumSum")
	add(1, 1, 1, evalSoftmax, inferAxisWise, costSoft, nil, by(gradSoftmax), "Softmax", "LogSoftmax")
	add(1, 1, 1, nil, inferAxisWise, costFold, nil, nil, "Hardmax")

	// Neural networks.
	add(1, 2, 3, evalConv, inferConv, costProduct, moves(moveConv), by(gradConv), "Conv")
	add(1, 2, 3, nil, inferConvTranspose, costProduct, nil, nil, "ConvTranspose")
	add(1, 1, 1, evalMaxPool, inferPool, costWindow, nil, by(gradMaxPool), "MaxPool")
	add(1, 1, 1, evalAveragePool, inferPool, costWindow, nil, by(gradAveragePool), "AveragePool")
	add(1, 1, 1, nil, inferPool, costWindow, nil, nil, "LpPool")
	add(1, 1, 1, evalGlobalPool, inferGlobalPool, costFold, nil, by(gradGlobalAveragePool), "GlobalAveragePool")
	add(1, 1, 1, evalGlobalPool, inferGlobalPool, costFold, nil, nil, "GlobalMaxPool")
	add(7, 5, 5, evalBatchNorm, inferBatchNorm, costNorm, nil, by(gradBatchNorm), "BatchNormalization")
	add(17, 2, 3, nil, inferLayerNorm, costNorm, nil, nil, "LayerNormalization")
	add(6, 3, 3, nil, inferSame, costNorm, nil, nil, "InstanceNormalization")
	add(18, 3, 3, nil, inferSame, costNorm, nil, nil, "GroupNormalization")
	add(23, 2, 2, nil, inferSame, costNorm, nil, nil, "RMSNormalization")
	add(1, 1, 2, nil, inferSame, costNorm, nil, nil, "LRN", "MeanVarianceNormalization", "LpNormalization")
	add(1, 1, 3, nil, inferDropout, costFree, nil, nil, "Dropout")
	add(7, 2, 3, evalGemm, inferGemm, costProduct, nil, by(gradGemm), "Gemm")
	add(1, 2, 2, evalMatMul, inferMatMul, costProduct, nil, by(gradMatMul), "MatMul")
	add(10, 1, 4, nil, inferResize, costFree, moves(moveResize), by(gradResize), "Resize")
	add(7, 1, 2, nil, inferResize, costFree, moves(moveResize), nil, "Upsample")
	add(1, 1, 1, evalHardSigmoid, inferSame, costPoint, nil, nil, "HardSigmoid")
	add(1, 1, 2, nil, inferSame, costPoint, nil, nil, "LeakyRelu", "Elu", "Selu", "Celu", "HardSwish",
		"Softplus", "Softsign", "ThresholdedRelu", "PRelu", "Gelu", "Mish", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh",
		"Asinh", "Acosh", "Atanh", "Shrink")
	add(24, 1, 1, nil, inferSame, costPoint, nil, nil, "Swish")

	// Quantised and seldom ones.
	add(10, 2, 3, nil, inferQuantize, costPoint, nil, nil, "QuantizeLinear")
	add(10, 2, 3, nil, inferDequantize, costPoint, nil, nil, "DequantizeLinear")
	add(11, 1, 1, nil, inferDynamicQuantize, costPoint, nil, nil, "DynamicQuantizeLinear")
	add(10, 2, 4, nil, inferQuantizedProduct, costProduct, nil, nil, "ConvInteger", "MatMulInteger")
	add(10, 8, 9, nil, inferQuantizedProduct, costProduct, nil, nil, "QLinearConv", "QLinearMatMul")
	add(12, 1, -1, nil, inferEinsum, costProduct, nil, nil, "Einsum")
	add(1, 1, 1, nil, inferDepthToSpace, costFree, nil, nil, "DepthToSpace", "SpaceToDepth")
	add(10, 2, 2, nil, inferSame, costFree, nil, nil, "ReverseSequence")
	add(9, 2, 2, nil, inferCompress, costFree, nil, nil, "Compress")
	add(1, 0, 1, nil, inferRandom, costPoint, nil, nil, "RandomNormal", "RandomUniform", "RandomNormalLike",
		"RandomUniformLike", "Bernoulli")
	add(11, 2, 2, nil, inferBitwise, costPoint, nil, nil, "BitShift")
	add(18, 1, 1, nil, inferSame, costPoint, nil, nil, "BitwiseNot")

	// Sequences.
	add(11, 1, 2, nil, inferSplitToSequence, costSequence, nil, nil, "SplitToSequence")
	add(11, 1, -1, nil, inferSequenceConstruct, costSequence, nil, nil, "SequenceConstruct")
	add(11, 2, 2, nil, inferSequenceAt, costFree, nil, nil, "SequenceAt")
	add(11, 1, 1, nil, inferSequenceLength, costFree, nil, nil, "SequenceLength")
	add(11, 1, 1, nil, inferConcatFromSequence, costFree, nil, nil, "ConcatFromSequence")

	// Control flow.
	add(1, 1, 1, nil, inferIf, costBody, nil, nil, "If")
	add(1, 0, -1, nil, inferLoop, costBody, nil, nil, "Loop") // both of its first inputs may be left out
	add(9, 1, -1, nil, inferScan, costBody, nil, nil, "Scan")
	operators = t
}
