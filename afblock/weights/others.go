package weights

import (
	"fmt"
	"regexp"

	"github.com/afc-project/afc/afblock/checkpoint"
)

// others are networks that afc does not read, by a key that each has.
var others = []struct {
	key  *regexp.Regexp
	what string
}{
	{regexp.MustCompile(`(^|\.)(list_gen\d*|refine_module|base_module|features_stage\d_(base|refine|fuse))\.\d`), "looks like an AFNet, but its stem is not there"},
	{regexp.MustCompile(`(^|\.)features\.\d+\.conv\.\d`), "a MobileNetV2"},
	{regexp.MustCompile(`(^|\.)features\.\d+(\.\d+)?\.block\.\d`), "a MobileNetV3 or an EfficientNet"},
	{regexp.MustCompile(`(^|\.)(conv_stem|blocks\.\d+\.\d+\.conv_dw)\.`), "a MobileNet or an EfficientNet"},
	{regexp.MustCompile(`(^|\.)(cls_token|blocks\.\d+\.attn\.)`), "a transformer"},
	{regexp.MustCompile(`(^|\.)(conv1_7x7_s2|inception_3a_1x1|Mixed_5b)\.?`), "an Inception network"},
	{regexp.MustCompile(`(^|\.)(slow_path|fast_path|s1\.pathway0_stem)\.`), "a SlowFast network"},
	{regexp.MustCompile(`(^|\.)features\.denseblock1\.`), "a DenseNet"},
}

// notAFNet is what is said of a checkpoint that is none.
func notAFNet(sd *checkpoint.StateDict) error {
	reason := "not an AFNet: expected the keys conv1.weight and layer1.… of an AF-ResNet, or conv.weight and features_head.… of an AF-MobileNetV3, behind some prefix, " + found(sd.Names())
	for _, o := range others {
		for _, n := range sd.Names() {
			if o.key.MatchString(n) {
				return &checkpoint.Error{File: sd.File, Reason: fmt.Sprintf("%s: it has the key %s; afc reads AF-ResNets, AF-MobileNetV3 and plain ResNets", o.what, n)}
			}
		}
	}
	return &checkpoint.Error{File: sd.File, Reason: reason}
}
