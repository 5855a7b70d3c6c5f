package weights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/key"
	"github.com/afc-project/afc/graph"
)

// structureFormat is the version of the JSON under key.Network. A reader
// refuses newer ones.
const structureFormat = 1

// structure is a Network without its tensors, as the files that afc writes
// carry it: what neither the graph's operators nor the tensors' shapes tell.
// Numbers that are mostly the same are left out where they are.
type structure struct {
	Format     int             `json:"format"`
	File       json.RawMessage `json:"file,omitempty"` // what is said of the file (compiled.FileInfo)
	Frames     int             `json:"frames"`
	Size       [2]int          `json:"size"`
	Unselected string          `json:"unselected"`
	FineTune   bool            `json:"needs_fine_tuning"`
	Prefix     string          `json:"key_prefix"`
	FC         string          `json:"fc"`
	Stem       convJSON        `json:"stem"`
	Pool       [3]int          `json:"max_pool"` // kernel, stride, pad
	Stages     []stageJSON     `json:"stages"`
	Head       headJSON        `json:"head"`
}

type convJSON struct {
	Key     string  `json:"key"`
	Stride  int     `json:"stride,omitempty"` // 0: 1
	Pad     int     `json:"pad,omitempty"`
	Groups  int     `json:"groups,omitempty"` // 0: 1
	Bias    bool    `json:"bias,omitempty"`
	BN      string  `json:"bn,omitempty"` // its key
	Eps     float32 `json:"eps,omitempty"`
	Batches *int64  `json:"num_batches_tracked,omitempty"`
}

type blockJSON struct {
	Key           string     `json:"key"`
	Convs         []convJSON `json:"convs"`
	Pool          *[3]int    `json:"residual_pool,omitempty"`
	Conv          *convJSON  `json:"residual_conv,omitempty"`
	Fold          int        `json:"shift,omitempty"` // channels either way
	ShiftResidual bool       `json:"shift_residual,omitempty"`
	NoReLU        bool       `json:"no_relu,omitempty"`
}

type stageJSON struct {
	Name       string           `json:"name"`
	Blocks     []blockJSON      `json:"blocks,omitempty"`
	Alpha      int              `json:"alpha,omitempty"`
	Groups     int              `json:"focal_groups,omitempty"`
	Ample      []blockJSON      `json:"ample,omitempty"`
	Focal      []blockJSON      `json:"focal,omitempty"`
	Fusion     *blockJSON       `json:"fusion,omitempty"`
	Navigation []navigationJSON `json:"navigation,omitempty"`
	Transform  *convJSON        `json:"transform,omitempty"`
	Gate       *gateJSON        `json:"gate,omitempty"`
}

type navigationJSON struct {
	Key   string    `json:"key"`
	Key2  string    `json:"key2"`
	Pool  *convJSON `json:"pool"`
	Fixed string    `json:"fixed,omitempty"` // a Pattern
}

type gateJSON struct {
	Key1 string  `json:"key1"`
	Key2 string  `json:"key2"`
	Bias [2]bool `json:"bias"`
}

type headJSON struct {
	Key       string `json:"key"`
	Bias      bool   `json:"bias"`
	Consensus string `json:"consensus"`
	Softmax   bool   `json:"softmax,omitempty"`
}

var consensusNames = []string{afblock.MeanAfterFC: "mean-after-fc", afblock.MeanBeforeFC: "mean-before-fc", afblock.PerFrame: "per-frame"}

// EncodeStructure writes a network's structure, and what is said of the file, as
// JSON, if that is not nil. Equal networks give equal text.
func EncodeStructure(net *afblock.Network, file json.RawMessage) string {
	s := structure{
		Format: structureFormat, File: file, Frames: net.Frames, Size: net.Size,
		Unselected: net.Unselected.String(), FineTune: net.FineTune, Prefix: net.Keys.Prefix, FC: net.Keys.FC,
		Stem: *toConvJSON(&net.Stem.Conv), Pool: [3]int{net.Stem.Pool.Kernel, net.Stem.Pool.Stride, net.Stem.Pool.Pad},
		Head: headJSON{net.Head.Key, net.Head.Bias != nil, consensusNames[net.Head.Consensus], net.Head.Softmax},
	}
	for _, stage := range net.Stages {
		j := stageJSON{Name: stage.Name, Blocks: toBlocksJSON(stage.Blocks)}
		if m := stage.AF; m != nil {
			j.Alpha, j.Groups = m.Alpha, m.Groups
			j.Ample, j.Focal, j.Fusion = toBlocksJSON(m.Ample), toBlocksJSON(m.Focal), toBlockJSON(m.Fusion)
			for _, n := range m.Navigation {
				nj := navigationJSON{Key: n.Key, Key2: n.Key2, Pool: toConvJSON(&n.Pool)}
				if n.Fixed != nil {
					nj.Fixed = n.Fixed.String()
				}
				j.Navigation = append(j.Navigation, nj)
			}
			j.Transform = toConvJSON(&m.Transform)
			j.Gate = &gateJSON{m.Gate.Key1, m.Gate.Key2, [2]bool{m.Gate.B1 != nil, m.Gate.B2 != nil}}
		}
		s.Stages = append(s.Stages, j)
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

func toConvJSON(c *afblock.Conv) *convJSON {
	j := &convJSON{Key: c.Key, Stride: c.Stride, Pad: c.Pad, Groups: c.Groups, Bias: c.Bias != nil}
	if j.Stride == 1 {
		j.Stride = 0
	}
	if j.Groups == 1 {
		j.Groups = 0
	}
	if c.BN != nil {
		j.BN, j.Eps = c.BN.Key, c.BN.Eps
		if c.BN.Batches != nil {
			if v, err := c.BN.Batches.Int64s(); err == nil && len(v) == 1 {
				j.Batches = &v[0]
			}
		}
	}
	return j
}

func toBlockJSON(b *afblock.Block) *blockJSON {
	j := &blockJSON{Key: b.Key, NoReLU: !b.FinalReLU}
	for _, c := range b.Convs {
		j.Convs = append(j.Convs, *toConvJSON(c))
	}
	if p := b.Downsample.Pool; p != nil {
		j.Pool = &[3]int{p.Kernel, p.Stride, p.Pad}
	}
	if c := b.Downsample.Conv; c != nil {
		j.Conv = toConvJSON(c)
	}
	if b.Shift != nil {
		j.Fold, j.ShiftResidual = b.Shift.Fold, b.Shift.Residual
	}
	return j
}

func toBlocksJSON(blocks []*afblock.Block) []blockJSON {
	var out []blockJSON
	for _, b := range blocks {
		out = append(out, *toBlockJSON(b))
	}
	return out
}

// pending stands in a planned network for a tensor that must be there.
var pending = graph.Int64s(nil, 0)

func pendingIf(there bool) *graph.Tensor {
	if there {
		return pending
	}
	return nil
}

// DecodeStructure makes the planned network of a structure, ready for bind, and
// returns what is said of the file.
func DecodeStructure(text string) (*afblock.Network, json.RawMessage, error) {
	var s structure
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := dec.Decode(&s); err != nil {
		return nil, nil, fmt.Errorf("metadata %s: %w", key.Network, err)
	}
	if s.Format < 1 || s.Format > structureFormat {
		return nil, nil, fmt.Errorf("metadata %s: format %d; this afc reads up to %d", key.Network, s.Format, structureFormat)
	}
	net := &afblock.Network{
		Frames: s.Frames, Size: s.Size, Shell: afblock.StandardShell{}, FineTune: s.FineTune, Keys: afblock.KeyStyle{Prefix: s.Prefix, FC: s.FC},
		Stem: afblock.Stem{Conv: *s.Stem.conv(), Pool: afblock.Pool{Kernel: s.Pool[0], Stride: s.Pool[1], Pad: s.Pool[2]}},
		Head: afblock.Head{Key: s.Head.Key, Bias: pendingIf(s.Head.Bias), Softmax: s.Head.Softmax},
	}
	bad := func(field, found string) error {
		return fmt.Errorf("metadata %s: %s %q is unknown", key.Network, field, found)
	}
	switch s.Unselected {
	case afblock.UnselectedBias.String():
	case afblock.UnselectedZero.String():
		net.Unselected = afblock.UnselectedZero
	default:
		return nil, nil, bad("unselected", s.Unselected)
	}
	if !validPool(s.Pool) {
		return nil, nil, bad("max_pool", fmt.Sprint(s.Pool))
	}
	consensus := -1
	for i, name := range consensusNames {
		if name == s.Head.Consensus {
			consensus = i
		}
	}
	if consensus < 0 {
		return nil, nil, bad("consensus", s.Head.Consensus)
	}
	net.Head.Consensus = afblock.Consensus(consensus)
	for _, j := range s.Stages {
		stage, err := j.stage()
		if err != nil {
			return nil, nil, err
		}
		net.Stages = append(net.Stages, stage)
	}
	return net, s.File, nil
}

func (j *stageJSON) stage() (*afblock.Stage, error) {
	stage := &afblock.Stage{Name: j.Name, Blocks: fromBlocksJSON(j.Blocks)}
	incomplete := fmt.Errorf("metadata %s: stage %q is incomplete", key.Network, j.Name)
	for _, b := range slices.Concat(j.Blocks, j.Ample, j.Focal) {
		if !b.valid() {
			return nil, incomplete
		}
	}
	if j.Fusion == nil {
		if len(j.Blocks) == 0 {
			return nil, incomplete
		}
		return stage, nil
	}
	n := len(j.Focal)
	if j.Transform == nil || j.Gate == nil || n == 0 || len(j.Ample) != n || len(j.Navigation) != n || !j.Fusion.valid() {
		return nil, incomplete
	}
	m := &afblock.AFModule{
		Alpha: j.Alpha, Groups: j.Groups,
		Ample: fromBlocksJSON(j.Ample), Focal: fromBlocksJSON(j.Focal), Fusion: j.Fusion.block(),
		Transform: *j.Transform.conv(),
		Gate:      afblock.Gate{Key1: j.Gate.Key1, Key2: j.Gate.Key2, B1: pendingIf(j.Gate.Bias[0]), B2: pendingIf(j.Gate.Bias[1])},
	}
	for _, nj := range j.Navigation {
		if nj.Pool == nil {
			return nil, incomplete
		}
		nav := &afblock.Navigation{Key: nj.Key, Key2: nj.Key2, Pool: *nj.Pool.conv()}
		if nj.Fixed != "" {
			p, err := afblock.ParsePattern(nj.Fixed)
			if err != nil {
				return nil, fmt.Errorf("metadata %s: %w", key.Network, err)
			}
			nav.Fixed = &p
		}
		m.Navigation = append(m.Navigation, nav)
	}
	stage.AF = m
	return stage, nil
}

func (j *convJSON) conv() *afblock.Conv {
	c := &afblock.Conv{Key: j.Key, Stride: max(j.Stride, 1), Pad: max(j.Pad, 0), Groups: max(j.Groups, 1), Bias: pendingIf(j.Bias)}
	if j.BN != "" {
		c.BN = &afblock.BatchNorm{Key: j.BN, Eps: j.Eps}
		if j.Batches != nil {
			c.BN.Batches = graph.Int64s([]int64{}, *j.Batches)
		}
	}
	return c
}

func (j *blockJSON) valid() bool {
	return (len(j.Convs) == 2 || len(j.Convs) == 3) && (j.Pool == nil || validPool(*j.Pool))
}

func validPool(p [3]int) bool { return p[0] > 0 && p[1] > 0 && p[2] >= 0 && p[2] < p[0] }

func (j *blockJSON) block() *afblock.Block {
	b := &afblock.Block{Key: j.Key, FinalReLU: !j.NoReLU}
	for _, c := range j.Convs {
		b.Convs = append(b.Convs, c.conv())
	}
	if p := j.Pool; p != nil {
		b.Downsample.Pool = &afblock.Pool{Kernel: p[0], Stride: p[1], Pad: p[2]}
	}
	if j.Conv != nil {
		b.Downsample.Conv = j.Conv.conv()
	}
	if j.Fold > 0 {
		b.Shift = &afblock.Shift{Fold: j.Fold, Residual: j.ShiftResidual}
	}
	return b
}

func fromBlocksJSON(list []blockJSON) []*afblock.Block {
	var out []*afblock.Block
	for _, j := range list {
		out = append(out, j.block())
	}
	return out
}
