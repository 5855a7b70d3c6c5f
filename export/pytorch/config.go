package pytorch

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/weights"
)

// format is the version of config.json; afnet.py refuses another.
const format = 1

// config is what afnet.py builds a network from. Every convolution says all of
// its sizes, so that the Python has no rules of its own.
type config struct {
	Format     int     `json:"format"`
	AFC        string  `json:"afc"`  // version of afc
	Kind       string  `json:"kind"` // "afnet" or "source"
	Frames     int     `json:"frames"`
	Size       [2]int  `json:"size"` // 0: any
	Input      input   `json:"input"`
	Unselected string  `json:"unselected"`
	Stem       stem    `json:"stem"`
	Stages     []stage `json:"stages"`
	Head       head    `json:"head"`
	// Renames is the checkpoint's names by those of afnet.py, where they differ.
	Renames map[string]string `json:"renames"`
}

type input struct {
	Channels int `json:"channels"`
}

type stem struct {
	Conv       *conv  `json:"conv"`
	Activation string `json:"activation"`
	Pool       *pool  `json:"pool"`
}

type pool struct {
	Kernel int `json:"kernel"`
	Stride int `json:"stride"`
	Pad    int `json:"pad"`
}

type conv struct {
	In     int     `json:"in"`
	Out    int     `json:"out"`
	Kernel int     `json:"kernel"`
	Stride int     `json:"stride"`
	Pad    int     `json:"pad"`
	Groups int     `json:"groups"`
	Bias   bool    `json:"bias"`
	BN     bool    `json:"bn"`
	Eps    float32 `json:"eps"`
}

type block struct {
	Convs       []*conv  `json:"convs"`
	Activations []string `json:"activations"` // behind each convolution
	Squeeze     *squeeze `json:"squeeze"`
	Residual    residual `json:"residual"`
	Shift       *shift   `json:"shift"`
	Final       string   `json:"final"` // activation behind the sum
}

type squeeze struct {
	Behind int `json:"behind"` // number of the convolution
	Hidden int `json:"hidden"`
}

type residual struct {
	Kind string `json:"kind"` // "identity", "none" or "path"
	Key  string `json:"key"`
	Pool *pool  `json:"pool"`
	Conv *conv  `json:"conv"`
}

type shift struct {
	Fold     int  `json:"fold"`
	Residual bool `json:"residual"` // the residual path reads the shifted tensor, too
	Swapped  bool `json:"swapped"`  // the first channels come from the frame before
}

type stage struct {
	Name   string    `json:"name"`
	Blocks []*block  `json:"blocks"`
	AF     *afModule `json:"af"`
}

type afModule struct {
	Navigation []*navigation `json:"navigation"`
	Ample      []*block      `json:"ample"`
	Focal      []*block      `json:"focal"`
	Transform  *conv         `json:"transform"`
	Gate       gate          `json:"gate"`
	Mixed      string        `json:"mixed"` // activation behind the mix
	Fusion     *block        `json:"fusion"`
}

type navigation struct {
	Look  *conv  `json:"look"`
	Dense bool   `json:"dense"`
	Cells *cells `json:"cells"`
}

// cells are looked for, or fixed.
type cells struct {
	Grid  int     `json:"grid"`
	Look  *conv   `json:"look"`
	Fixed [][]int `json:"fixed"` // 0 or 1, row by row
}

type gate struct {
	Channels int     `json:"channels"`
	Hidden   int     `json:"hidden"`
	Bias     [2]bool `json:"bias"`
}

type head struct {
	Features   int    `json:"features"`
	Classes    int    `json:"classes"`
	Bias       bool   `json:"bias"`
	Consensus  string `json:"consensus"`
	Softmax    bool   `json:"softmax"`
	Conv       *conv  `json:"conv"`
	Hidden     int    `json:"hidden"`
	Activation string `json:"activation"`
}

var consensus = map[afblock.Consensus]string{
	afblock.MeanAfterFC: "mean-after-fc", afblock.MeanBeforeFC: "mean-before-fc", afblock.PerFrame: "per-frame",
}

// configOf describes a network with the weights that weights.Export gives it.
func configOf(net *afblock.Network, version string) *config {
	c := &config{
		Format: format, AFC: version, Kind: "source", Frames: net.Frames, Size: net.Size,
		Input: input{net.Stem.Conv.In()}, Unselected: net.Unselected.String(),
		Stem: stem{convOf(&net.Stem.Conv), activation(net.Stem.Act), poolOf(net.Stem.Pool)},
		Head: head{
			Features: int(net.Head.Features()), Classes: net.Head.FC.Out(), Bias: net.Head.FC.Bias != nil,
			Consensus: consensus[net.Head.Consensus], Softmax: net.Head.Softmax, Activation: activation(net.Head.Act),
		},
		Renames: map[string]string{},
	}
	if l := net.Head.Last; l != nil {
		c.Head.Conv = convOf(l)
	}
	if h := net.Head.Hidden; h != nil {
		c.Head.Hidden = h.Out()
		c.rename("new_fc.0", h.Key)
		c.rename("new_fc.3", net.Head.FC.Key)
	}
	c.rename("conv1", net.Stem.Conv.Key)
	c.rename("bn1", weights.Normalised(&net.Stem.Conv).BN.Key)
	blocks := 0 // focal ones
	for _, s := range net.Stages {
		out := stage{Name: s.Name, Blocks: blocksOf(s.Blocks)}
		if s.AF != nil {
			c.Kind = "afnet"
			out.AF = moduleOf(s.AF, blocks)
			blocks += len(s.AF.Focal)
			c.renameModule(s)
		}
		c.Stages = append(c.Stages, out)
	}
	return c
}

// rename notes that what afnet.py calls ours bears another name in the checkpoint.
func (c *config) rename(ours, theirs string) {
	if ours != theirs {
		c.Renames[ours] = theirs
	}
}

// renameModule notes the checkpoint's names of a module's parts, of which the
// first of each list tells.
func (c *config) renameModule(s *afblock.Stage) {
	m := s.AF
	for _, part := range []struct{ ours, key, last string }{
		{".list_gen", m.Navigation[0].Key, ".0"}, {".base_module", m.Ample[0].Key, ".0"}, {".refine_module", m.Focal[0].Key, ".0"},
		{".fusion", m.Fusion.Key, ".0"}, {".att_gen", m.Gate.Squeeze.Key, ".fc.0"},
	} {
		c.rename(s.Name+part.ours, strings.TrimSuffix(part.key, part.last))
	}
}

// moduleOf describes a module behind so many focal blocks.
func moduleOf(m *afblock.AFModule, blocks int) *afModule {
	out := &afModule{
		Ample: blocksOf(m.Ample), Focal: blocksOf(m.Focal), Fusion: blockOf(m.Fusion),
		Mixed: activation(m.Act),
		Gate:  gate{m.Gate.Excite.Out(), m.Gate.Squeeze.Out(), [2]bool{m.Gate.Squeeze.Bias != nil, m.Gate.Excite.Bias != nil}},
	}
	if m.Transform != nil {
		out.Transform = convOf(m.Transform)
	}
	for i, n := range m.Navigation {
		out.Navigation = append(out.Navigation, &navigation{Look: convOf(&n.Look), Dense: n.Dense(), Cells: cellsOf(n.Cells, blocks+i)})
	}
	return out
}

// cellsOf describes what the block-th focal block chooses inside the frames.
func cellsOf(c *afblock.Cells, block int) *cells {
	switch {
	case c == nil:
		return nil
	case c.Fixed == nil:
		return &cells{Grid: c.Grid, Look: convOf(&c.Look)}
	}
	out := &cells{Grid: c.Grid, Fixed: make([][]int, c.Grid)}
	for i, on := range c.Fixed.Select(c.Grid, block) {
		bit := 0
		if on {
			bit = 1
		}
		out.Fixed[i/c.Grid] = append(out.Fixed[i/c.Grid], bit)
	}
	return out
}

func blocksOf(blocks []*afblock.Block) []*block {
	var out []*block
	for _, b := range blocks {
		out = append(out, blockOf(b))
	}
	return out
}

func blockOf(b *afblock.Block) *block {
	out := &block{Final: activation(b.Act), Residual: residual{Kind: "identity", Key: "downsample"}}
	for _, layer := range b.Main {
		switch l := layer.(type) {
		case *afblock.Conv:
			out.Convs = append(out.Convs, convOf(l))
			out.Activations = append(out.Activations, activation(afblock.Identity))
		case afblock.Act:
			out.Activations[len(out.Activations)-1] = activation(l)
		case *afblock.SqueezeExcite:
			out.Squeeze = &squeeze{len(out.Convs) - 1, l.Squeeze.Out()}
		default:
			panic(fmt.Sprintf("BUG: afnet.py has no %T in a block", l))
		}
	}
	switch r := b.Residual; {
	case r.None:
		out.Residual.Kind = "none"
	case r.Pool != nil || r.Conv != nil:
		out.Residual.Kind, out.Residual.Pool = "path", poolOf(r.Pool)
		if r.Conv != nil {
			out.Residual.Conv = convOf(r.Conv)
			if key := strings.TrimPrefix(r.Conv.Key, b.Key+"."); key != r.Conv.Key { // "downsample.1", "res_connect.0"
				out.Residual.Key, _, _ = strings.Cut(key, ".")
			}
		}
	}
	if b.Shift != nil {
		out.Shift = &shift{Fold: b.Shift.Fold, Residual: b.Shift.Residual, Swapped: b.Shift.PastFirst}
	}
	return out
}

// activation is afnet.py's name of an activation.
func activation(a afblock.Act) string {
	switch a {
	case afblock.ReLU:
		return "relu"
	case afblock.HSwish:
		return "hswish"
	}
	return "none"
}

// convOf describes a convolution as weights.Export writes it: with batch
// normalisation.
func convOf(c *afblock.Conv) *conv {
	c = weights.Normalised(c)
	return &conv{
		In: c.In(), Out: c.Out(), Kernel: c.Kernel(), Stride: c.Stride, Pad: c.Pad, Groups: c.Groups,
		Bias: c.Bias != nil, BN: true, Eps: c.BN.Eps,
	}
}

func poolOf(p *afblock.Window) *pool {
	if p == nil {
		return nil
	}
	return &pool{p.Kernel, p.Stride, p.Pad}
}

func (c *config) json() []byte {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return append(b, '\n')
}
