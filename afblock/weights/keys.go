package weights

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
)

// checkpointKeys is what a skeleton asks of a checkpoint: which keys there are
// behind a prefix.
type checkpointKeys struct {
	prefix string
	nodes  map[string]bool // every key and every parent of one
	lists  map[string]int  // by parent "list": how many distinct numbers N in "list.N"
}

func newCheckpointKeys(prefix string, names []string) checkpointKeys {
	c := checkpointKeys{prefix, map[string]bool{}, map[string]int{}}
	for _, n := range names {
		for end := len(n); end > 0 && !c.nodes[n[:end]]; end = strings.LastIndexByte(n[:end], '.') {
			c.nodes[n[:end]] = true
			if dot := strings.LastIndexByte(n[:end], '.'); dot > 0 && strings.Trim(n[dot+1:end], "0123456789") == "" {
				c.lists[n[:dot]]++
			}
		}
	}
	return c
}

func (c checkpointKeys) has(key string) bool { return c.nodes[c.prefix+key] }

func (c checkpointKeys) children(list string) int { return c.lists[c.prefix+list] }

// stemKey is the stem's weight behind any prefix: wrappers add "module." and
// "base_model.".
var stemKey = regexp.MustCompile(`^((?:[A-Za-z_]\w*\.)*)conv1\.weight$`)

// backbonePrefix returns what stands before the backbone's keys, and whether
// there are any. Blocks have a conv1, too; their keys hold a number ("layer4.0.").
func backbonePrefix(names []string) (prefix string, ok bool) {
	if prefix, ok = mobilePrefix(names); ok {
		return prefix, true
	}
	for _, n := range names {
		if m := stemKey.FindStringSubmatch(n); m != nil {
			return m[1], true
		}
	}
	return "", false
}

// mobilePrefix is the prefix of an AF-MobileNetV3's keys, by the one that its
// first blocks have.
func mobilePrefix(names []string) (prefix string, ok bool) {
	for _, n := range names {
		if prefix, _, ok := strings.Cut(n, mobileKey); ok {
			return prefix, true
		}
	}
	return "", false
}

const mobileKey = "features_head.0."

// mobileFromKeys makes the skeleton of the authors' AF-MobileNetV3, which is one
// network: its tensors shall have the channels and windows that it has.
func mobileFromKeys(sd *checkpoint.StateDict, prefix string, opt Options) (*Skeleton, error) {
	if opt.StrideAt != afblock.StrideFusion {
		return nil, &checkpoint.Error{File: sd.File, Reason: "an AF-MobileNetV3 halves in its fusion blocks; its strides cannot be moved"}
	}
	net, err := afblock.Architecture("af-mobilenetv3", 1, 1)
	if err != nil {
		return nil, err
	}
	net.Frames, net.Size, net.Unselected = opt.Frames, opt.Size, opt.Unselected
	net.Keys = afblock.KeyStyle{Prefix: prefix, FC: prefix + net.Head.FC.Key}
	sk := outline{widths: true}.of(net)
	sk.kind = "an AF-MobileNetV3"
	if opt.ShiftDiv > 0 { // else that of the architecture
		sk.shiftDiv, sk.pastFirst = opt.ShiftDiv, opt.PastFirst
	}
	return sk, nil
}

// fromKeys makes the skeleton of an AFNet, from the keys.
func fromKeys(sd *checkpoint.StateDict, opt Options) (*Skeleton, error) {
	if prefix, ok := mobilePrefix(sd.Names()); ok {
		return mobileFromKeys(sd, prefix, opt)
	}
	prefix, ok := backbonePrefix(sd.Names())
	ck := newCheckpointKeys(prefix, sd.Names())
	if !ok || !ck.has("layer1") {
		return nil, notAFNet(sd)
	}
	fc := ck.fc()
	sk := &Skeleton{shiftDiv: opt.ShiftDiv, pastFirst: opt.PastFirst, structure: structure{
		Frames: opt.Frames, Size: opt.Size, Unselected: opt.Unselected.String(), Prefix: ck.prefix, FC: fc,
		Stem: ck.conv("conv1", 7, 2), Pool: [3]int{3, 2, 1},
		Head: headJSON{Key: fc[strings.LastIndexByte(fc, '.')+1:], Consensus: consensusNames[afblock.MeanAfterFC]},
	}}
	var af []bool
	var entry []int
	for s := 1; ck.has(fmt.Sprintf("layer%d", s)); s++ {
		name := fmt.Sprintf("layer%d", s)
		af = append(af, ck.has(name+".refine_module") || ck.has(name+".base_module") || ck.has(name+".list_gen"))
		entry = append(entry, min(s, 2))
	}
	first, last := afblock.StrideLayout(af, entry, opt.StrideAt)
	told := &grids{list: opt.Grid}
	for i := range af {
		name := fmt.Sprintf("layer%d", i+1)
		if af[i] {
			sk.Stages = append(sk.Stages, ck.afModule(name, first[i], last[i], told.next()))
		} else {
			sk.Stages = append(sk.Stages, stageJSON{Name: name, Blocks: ck.blocks(name, first[i], false)})
		}
	}
	if sk.hasCells() {
		if err := told.check(); err != nil {
			return nil, &checkpoint.Error{File: sd.File, Reason: err.Error()}
		}
	}
	return sk, nil
}

// grids hands out the grids of a checkpoint's cells, one a module.
type grids struct {
	list    []int
	modules int
}

// next is the next module's grid, 0 if it is not told.
func (g *grids) next() int {
	g.modules++
	if len(g.list) == 0 {
		return 0
	}
	return g.list[min(g.modules, len(g.list))-1]
}

// check refuses grids that do not fit the modules.
func (g *grids) check() error {
	if len(g.list) == 0 {
		return fmt.Errorf("it chooses cells inside the frames, and no tensor tells how many: give the cells a side with --spatial, one number a module or one for all")
	}
	if len(g.list) != 1 && len(g.list) != g.modules {
		return fmt.Errorf("%d grids of cells for %d modules: give one a module, or one for all", len(g.list), g.modules)
	}
	for _, n := range g.list {
		if n < 1 || n > afblock.MaxGrid {
			return fmt.Errorf("a grid of %d cells a side: expected 1 to %d", n, afblock.MaxGrid)
		}
	}
	return nil
}

// fc finds the linear layer: the video head's own, or the backbone's.
func (c checkpointKeys) fc() string {
	outer := strings.TrimSuffix(c.prefix, "base_model.")
	for _, key := range []string{outer + "new_fc", c.prefix + "new_fc", c.prefix + "fc", outer + "fc"} {
		if c.nodes[key] {
			return key
		}
	}
	return outer + "new_fc"
}

// conv is a convolution of a k×k window that keeps the size but for its stride,
// with batch normalisation unless the checkpoint has it folded.
func (c checkpointKeys) conv(key string, k, stride int) convJSON {
	conv := convJSON{Key: key, Stride: stride, Pad: k / 2}
	if bn := afblock.BatchNormKey(key); c.has(bn) || !c.has(key+".bias") {
		conv.BN, conv.Eps = bn, afblock.BatchNormEps
	}
	return conv
}

// block is a residual block.
func (c checkpointKeys) block(key string, stride int, relu bool) blockJSON {
	b := blockJSON{Key: key, NoReLU: !relu}
	kernels, strided := []int{3, 3}, 0
	if c.has(key+".conv3") || c.has(key+".bn3") {
		kernels, strided = []int{1, 3, 1}, 1
	}
	for i, k := range kernels {
		s := 1
		if i == strided {
			s = stride
		}
		b.Convs = append(b.Convs, c.conv(fmt.Sprintf("%s.conv%d", key, i+1), k, s))
	}
	// The pool is entry 0 of the residual path where it is there, so the
	// convolution's number tells; without convolution a stride needs the pool.
	switch {
	case c.has(key + ".downsample.0"):
		conv := c.conv(key+".downsample.0", 1, stride)
		b.Conv = &conv
	case c.has(key + ".downsample.1"):
		conv := c.conv(key+".downsample.1", 1, 1)
		b.Pool, b.Conv = toPool(afblock.ResidualPool(stride)), &conv
	case stride > 1:
		b.Pool = toPool(afblock.ResidualPool(stride))
	}
	return b
}

// blocks is a chain of blocks; a branch of an AF module leaves the last ReLU
// out, unless it is the only one.
func (c checkpointKeys) blocks(list string, stride int, branch bool) []blockJSON {
	n := c.children(list)
	blocks := make([]blockJSON, n)
	for i := range blocks {
		relu := !branch || i < n-1 || n == 1
		blocks[i] = c.block(fmt.Sprintf("%s.%d", list, i), stride, relu)
		stride = 1
	}
	return blocks
}

// afModule is an AF module; grid is that of its cells, 0 if it is not told.
func (c checkpointKeys) afModule(name string, first, last, grid int) stageJSON {
	transform, fusion := c.conv(name+".base_transform.0", 1, 1), c.block(name+".fusion.0", last, true)
	j := stageJSON{
		Name:      name,
		Ample:     c.blocks(name+".base_module", afblock.AmpleStride, true),
		Focal:     c.blocks(name+".refine_module", first, true),
		Transform: &transform,
		Gate:      &gateJSON{Key1: name + ".att_gen.fc.0", Key2: name + ".att_gen.fc.2"},
		Fusion:    &fusion,
	}
	for _, b := range j.Focal {
		for i := range b.Convs {
			b.Convs[i].grouped = true
		}
	}
	for i := range c.children(name + ".list_gen") {
		key := fmt.Sprintf("%s.list_gen.%d", name, i)
		look := c.conv(key+".conv_pool", 1, 1)
		n := navigationJSON{Key: key, Key2: key + ".conv_gs", Pool: &look}
		if c.has(key + ".conv_spatial") {
			see := c.conv(key+".conv_spatial", 3, 1)
			n.Cells = &cellsJSON{Grid: grid, Look: &see, Key2: key + ".conv_sgs"}
		}
		j.Navigation = append(j.Navigation, n)
	}
	return j
}

// found shows the first keys of a checkpoint that is not what was expected.
func found(names []string) string {
	if len(names) == 0 {
		return "found no tensors"
	}
	shown := names[:min(len(names), 4)]
	more := ""
	if len(names) > len(shown) {
		more = fmt.Sprintf(" and %d more", len(names)-len(shown))
	}
	return fmt.Sprintf("found %s%s", strings.Join(shown, ", "), more)
}
