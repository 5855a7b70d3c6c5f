package names

import "testing"

func TestStageOf(t *testing.T) {
	stages := []string{"layer1", "layer2", "layer10", "features_stage2"}
	for node, want := range map[string]string{
		"layer1.0.conv1": "layer1", "layer10.0.conv1": "layer10", "/base/layer2/layer2.0/Conv": "layer2", "layer3.0": "",
		"fused_layer10.0_layer1.1": "layer1", "features_stage2_refine.0.conv2_nchwc": "features_stage2", "layer1": "layer1", "layer12": "", "": "",
	} {
		if got := StageOf(node, stages); got != want {
			t.Errorf("%q is of stage %q, want %q", node, got, want)
		}
	}
}

func TestBlockOf(t *testing.T) {
	for name, want := range map[string]string{
		"layer1.refine_module.0.conv1.weight": "layer1.refine_module.0", "layer10.0.bn2.running_mean": "layer10.0", "conv1.weight": "conv1",
		"layer1.fusion.0.conv1.weight[0:16]@1": "layer1.fusion.0", "afc.layer1.refine_module.0.zero": "layer1.refine_module.0",
		"afc.frames_shape": "constants", "new_fc.bias": "new_fc",
	} {
		if got := BlockOf(name); got != want {
			t.Errorf("%q is of block %q, want %q", name, got, want)
		}
	}
}

func TestPieceOf(t *testing.T) {
	for name, want := range map[string]bool{"a.weight": true, "a.weight[0:2]@0": true, "a.weights": false, "a": false, "b.a.weight": false} {
		if got := PieceOf(name, "a.weight"); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestInWords(t *testing.T) {
	for key, want := range map[string]string{
		"layer1.refine_module.0": "layer1 focal 1", "layer10.base_module.11": "layer10 ample 12", "layer4.0": "layer4 block 1", "": "", "stem": "stem", "new_fc": "head", "layer1.list_gen.1": "layer1 navigation 2",
		"layer1.refine_module.0.conv2": "layer1 focal 1 conv2", "layer2.fusion.0": "layer2 fusion", "layer2.fusion.0.conv1": "layer2 fusion conv1",
		"layer2.base_transform.0": "layer2 base transform", "layer2.base_transform.1": "layer2.base_transform.1", "layer4.0.conv1": "layer4.0.conv1",
		"layer1.refine_module.99999999999999999999": "layer1.refine_module.99999999999999999999",
	} {
		if got := InWords(key); got != want {
			t.Errorf("%q in words: %q, want %q", key, got, want)
		}
	}
}
