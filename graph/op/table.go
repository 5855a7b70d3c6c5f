package op

// operators is what afc knows of each ai.onnx operator. Every operator listed
// is claimed: the ONNX backend node tests hold it to its definition, at every
// opset from "since" on, in whichever of evaluation and inference it has.
var operators map[string]*operator

// The table is set up at start because rules of operators with subgraphs look
// operators up themselves.
func init() {
	t := map[string]*operator{}
	add := func(since int64, minIn, maxIn int, eval func(*evalCall) ([]*arr, error), infer func(*inferCall) error, names ...string) *operator {
		op := &operator{since: since, minIn: minIn, maxIn: maxIn, eval: eval, infer: infer}
		for _, n := range names {
			t[n] = op
		}
		return op
	}
	moves := func(op *operator, inputs ...int) { op.moves = inputs }

	// Making tensors and shapes.
	add(1, 0, 0, evalConstant, inferConstant, "Constant")
	add(9, 1, 1, evalConstantOfShape, inferConstantOfShape, "ConstantOfShape")
	add(1, 1, 1, evalShape, inferShape, "Shape")
	add(1, 1, 1, evalSize, inferSize, "Size")
	add(11, 3, 3, evalRange, inferRange, "Range")
	add(9, 1, 1, evalEyeLike, inferEyeLike, "EyeLike")
	add(9, 3, 3, evalOneHot, inferOneHot, "OneHot")
	add(9, 1, 1, evalNonZero, inferNonZero, "NonZero")

	// Moving elements.
	moves(add(1, 1, 1, evalIdentity, inferSame, "Identity"), 0)
	moves(add(1, 1, 2, evalReshape, inferReshape, "Reshape"), 0)
	moves(add(1, 1, 1, evalFlatten, inferFlatten, "Flatten"), 0)
	moves(add(1, 1, 2, evalSqueeze, inferSqueeze, "Squeeze"), 0)
	moves(add(1, 1, 2, evalUnsqueeze, inferUnsqueeze, "Unsqueeze"), 0)
	moves(add(1, 1, 1, evalTranspose, inferTranspose, "Transpose"), 0)
	moves(add(1, 1, -1, evalConcat, inferConcat, "Concat"), everyInput...)
	moves(add(1, 1, 2, evalSplit, inferSplit, "Split"), 0)
	moves(add(1, 1, 5, evalSlice, inferSlice, "Slice"), 0)
	moves(add(8, 2, 2, evalExpand, inferExpand, "Expand"), 0)
	moves(add(6, 2, 2, evalTile, inferTile, "Tile"), 0)
	moves(add(1, 1, 4, evalPad, inferPad, "Pad"), 0, 2)
	moves(add(1, 2, 2, evalGather, inferGather, "Gather"), 0)
	moves(add(11, 2, 2, evalGatherElements, inferGatherElements, "GatherElements"), 0)
	moves(add(11, 2, 2, evalGatherND, inferGatherND, "GatherND"), 0)
	moves(add(11, 3, 3, evalScatterND, inferSame, "ScatterND"), 0, 2)
	moves(add(9, 3, 3, evalScatterElements, inferSame, "Scatter", "ScatterElements"), 0, 2)
	moves(add(9, 3, 3, evalWhere, inferWhere, "Where"), 1, 2)
	moves(add(14, 1, 2, evalTrilu, inferSame, "Trilu"), 0)

	// Arithmetic on elements.
	add(1, 2, 2, evalArithmetic, inferArithmetic, "Add", "Sub", "Mul", "Div")
	add(8, 1, -1, evalArithmetic, inferArithmetic, "Sum", "Min", "Max")
	add(10, 2, 2, evalMod, inferArithmetic, "Mod")
	add(1, 2, 2, evalPow, inferArithmetic, "Pow")
	add(8, 1, -1, evalMean, inferArithmetic, "Mean")
	add(1, 2, 2, evalCompare, inferCompare, "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
	add(1, 2, 2, evalLogic, inferCompare, "And", "Or", "Xor")
	add(18, 2, 2, evalLogic, inferBitwise, "BitwiseAnd", "BitwiseOr", "BitwiseXor")
	add(1, 1, 1, evalNot, inferPredicate, "Not")
	add(1, 1, 1, nil, inferPredicate, "IsNaN", "IsInf")
	add(1, 1, 1, evalUnary, inferNeg, "Neg")
	add(1, 1, 1, evalUnary, inferSame, "Abs", "Relu", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal", "Exp", "Log",
		"Sigmoid", "Tanh", "Erf", "Sin", "Cos")
	add(6, 1, 3, evalClip, inferSame, "Clip")
	add(6, 1, 1, evalCast, inferCast, "Cast")
	add(15, 2, 2, evalCastLike, inferCast, "CastLike")

	// Along axes.
	add(1, 1, 2, evalReduce, inferReduce, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare",
		"ReduceL1", "ReduceL2")
	add(1, 1, 2, nil, inferReduce, "ReduceLogSum", "ReduceLogSumExp")
	add(1, 1, 1, evalArgExtreme, inferArgExtreme, "ArgMax", "ArgMin")
	add(1, 1, 2, evalTopK, inferTopK, "TopK")
	add(11, 2, 2, evalCumSum, inferSame, "CumSum")
	add(1, 1, 1, evalSoftmax, inferAxisWise, "Softmax", "LogSoftmax")
	add(1, 1, 1, nil, inferAxisWise, "Hardmax")

	// Neural networks.
	add(1, 2, 3, evalConv, inferConv, "Conv")
	add(1, 2, 3, nil, inferConvTranspose, "ConvTranspose")
	add(1, 1, 1, evalMaxPool, inferPool, "MaxPool")
	add(1, 1, 1, evalAveragePool, inferPool, "AveragePool")
	add(1, 1, 1, nil, inferPool, "LpPool")
	add(1, 1, 1, evalGlobalPool, inferGlobalPool, "GlobalAveragePool", "GlobalMaxPool")
	add(7, 5, 5, evalBatchNorm, inferBatchNorm, "BatchNormalization")
	add(17, 2, 3, nil, inferLayerNorm, "LayerNormalization")
	add(6, 3, 3, nil, inferSame, "InstanceNormalization")
	add(18, 3, 3, nil, inferSame, "GroupNormalization")
	add(1, 1, 3, nil, inferDropout, "Dropout")
	add(7, 2, 3, evalGemm, inferGemm, "Gemm")
	add(1, 2, 2, evalMatMul, inferMatMul, "MatMul")
	add(10, 1, 4, nil, inferResize, "Resize")
	add(7, 1, 2, nil, inferResize, "Upsample")
	add(1, 1, 2, nil, inferSame, "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus", "Softsign",
		"ThresholdedRelu", "PRelu", "Gelu", "Mish", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh",
		"LRN", "MeanVarianceNormalization", "LpNormalization", "Shrink")

	// Quantised and seldom ones.
	add(10, 2, 3, nil, inferQuantize, "QuantizeLinear")
	add(10, 2, 3, nil, inferDequantize, "DequantizeLinear")
	add(11, 1, 1, nil, inferDynamicQuantize, "DynamicQuantizeLinear")
	add(10, 2, 4, nil, inferQuantizedProduct, "ConvInteger", "MatMulInteger")
	add(10, 8, 9, nil, inferQuantizedProduct, "QLinearConv", "QLinearMatMul")
	add(12, 1, -1, nil, inferEinsum, "Einsum")
	add(1, 1, 1, nil, inferDepthToSpace, "DepthToSpace", "SpaceToDepth")
	add(10, 2, 2, nil, inferSame, "ReverseSequence")
	add(9, 2, 2, nil, inferCompress, "Compress")
	add(1, 0, 1, nil, inferRandom, "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli")
	add(23, 2, 2, nil, inferSame, "RMSNormalization")
	add(24, 1, 1, nil, inferSame, "Swish")
	add(11, 2, 2, nil, inferBitwise, "BitShift")
	add(18, 1, 1, nil, inferSame, "BitwiseNot")

	// Sequences.
	add(11, 1, 2, nil, inferSplitToSequence, "SplitToSequence")
	add(11, 1, -1, nil, inferSequenceConstruct, "SequenceConstruct")
	add(11, 2, 2, nil, inferSequenceAt, "SequenceAt")
	add(11, 1, 1, nil, inferSequenceLength, "SequenceLength")
	add(11, 1, 1, nil, inferConcatFromSequence, "ConcatFromSequence")

	// Control flow.
	add(1, 1, 1, nil, inferIf, "If")
	add(1, 0, -1, nil, inferLoop, "Loop") // both of its first inputs may be left out
	add(9, 1, -1, nil, inferScan, "Scan")
	operators = t
}
