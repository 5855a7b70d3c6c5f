"""Writes the cases listed below from the backend test suite of the PyPI package
onnx 1.23.2 into this folder, laid out as the suite has them.

Run in this folder:  python generate.py
"""

import os
import shutil

import onnx
import onnx.backend.test.case.node as node
from onnx import numpy_helper

NODE = """
test_abs test_adam test_add test_add_bcast test_add_uint8 test_argmax_keepdims_example
test_averagepool_2d_precomputed_pads_count_include_pad test_batchnorm_example
test_batchnorm_example_training_mode test_cast_FLOAT_to_BFLOAT16 test_cast_FLOAT_to_FLOAT8E5M2
test_cast_FLOAT_to_FLOAT4E2M1 test_cast_INT2_to_FLOAT test_cast_INT4_to_FLOAT test_cast_FLOAT_to_UINT4
test_string_concat test_celu_expanded test_concat_3d_axis_1 test_constant test_constant_pad
test_constantofshape_float_ones test_conv_with_strides_padding test_convtranspose_pads test_cumsum_1d
test_dequantizelinear_blocked test_div_uint8 test_equal test_equal_string test_expand_dim_changed
test_flatten_axis1 test_gather_1 test_gemm_default_scalar_bias test_globalaveragepool_precomputed
test_identity_opt test_identity_sequence test_if test_if_opt test_if_seq
test_layer_normalization_2d_axis1_expanded test_loop11 test_loop13_seq test_loop16_seq_none
test_matmul_2d test_maxpool_2d_precomputed_pads test_maxpool_with_argmax_2d_precomputed_pads
test_mod_int64_fmod test_momentum test_optional_get_element_sequence test_pow_types_int32_int32
test_quantizelinear test_range_int32_type_negative_delta test_range_float_type_positive_delta_expanded
test_reduce_mean_keepdims_example test_reduce_sum_keepdims_example test_reshape_allowzero_reordered
test_reshape_negative_dim test_resize_upsample_scales_nearest test_scan9_sum test_scan_sum test_scatternd
test_sequence_insert_at_back test_sequence_map_add_1_sequence_1_tensor test_shape
test_shape_start_1_end_2 test_slice test_slice_neg_steps test_softmax_axis_1 test_split_equal_parts_1d_opset18
test_squeeze test_tile_precomputed test_top_k test_transpose_default test_training_dropout
test_unsqueeze_two_axes test_where_example test_where_long_example
test_ai_onnx_ml_label_encoder_string_int test_ai_onnx_ml_tree_ensemble_single_tree
""".split()

SUITE = """
light/light_shufflenet.onnx
pytorch-converted/test_BatchNorm2d_eval pytorch-converted/test_Conv2d_padding
pytorch-operator/test_operator_addmm pytorch-operator/test_operator_non_float_params
pytorch-operator/test_operator_repeat_dim_overflow pytorch-operator/test_operator_symbolic_override_nested
simple/test_expand_shape_model1 simple/test_gradient_of_add simple/test_sequence_model4
simple/test_single_relu_model simple/test_strnorm_model_monday_empty_output
""".split()


def to_proto(x, info):
    if isinstance(x, onnx.TensorProto):
        return x
    for kind, convert in (
        ("map_type", numpy_helper.from_dict),
        ("sequence_type", numpy_helper.from_list),
        ("optional_type", numpy_helper.from_optional),
    ):
        if info.type.HasField(kind):
            return convert(x, info.name)
    return numpy_helper.from_array(x, info.name)


def write(path, proto):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(proto.SerializeToString(deterministic=True))


cases = {c.name: c for c in node.collect_testcases(None)}
for name in NODE:
    case = cases[name]
    shutil.rmtree(os.path.join("node", name), ignore_errors=True)
    write(os.path.join("node", name, "model.onnx"), case.model)
    for i, (inputs, outputs) in enumerate(case.data_sets):
        folder = os.path.join("node", name, f"test_data_set_{i}")
        for kind, values, infos in (
            ("input", inputs, case.model.graph.input),
            ("output", outputs, case.model.graph.output),
        ):
            for j, x in enumerate(values):
                write(os.path.join(folder, f"{kind}_{j}.pb"), to_proto(x, infos[j]))

data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
for name in SUITE:
    src = os.path.join(data, name)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    if os.path.isdir(src):
        shutil.rmtree(name, ignore_errors=True)
        shutil.copytree(src, name)
    else:
        shutil.copy(src, name)
