package weights

import (
	"regexp"
	"strings"

	"github.com/afc-project/afc/afblock/checkpoint"
)

// spellings turn the keys of other training code into those of the authors'.
var spellings = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\b(conv\d)\.net\.`), "$1."},                               // MIT TSM wraps a shifted convolution
	{regexp.MustCompile(`\b(conv\d)\.conv\.(?:net\.)?`), "$1."},                    // mmaction2's ConvModule, shifted or not
	{regexp.MustCompile(`\bconv(\d)\.bn\.`), "bn$1."},                              // its normalisation
	{regexp.MustCompile(`\bdownsample\.conv\.`), "downsample.0."},                  //
	{regexp.MustCompile(`\bdownsample\.bn\.`), "downsample.1."},                    //
	{regexp.MustCompile(`^((?:module\.)?)cls_head\.fc_cls\.`), "${1}backbone.fc."}, // and its head
}

// respelled returns a checkpoint with its keys as the authors spell them; sd
// itself where they are so already. What only normalises pixels is left out.
func respelled(sd *checkpoint.StateDict) *checkpoint.StateDict {
	out, changed := checkpoint.New(), false
	out.File, out.Skeleton = sd.File, sd.Skeleton
	for name, t := range sd.All() {
		key := name
		for _, s := range spellings {
			key = s.from.ReplaceAllString(key, s.to)
		}
		changed = changed || key != name
		if strings.HasPrefix(name, "data_preprocessor.") {
			changed = true
			continue
		}
		if out.Tensor(key) != nil {
			return sd // two keys of one meaning: a network of its own
		}
		out.Set(key, t)
	}
	if !changed {
		return sd
	}
	return out
}
