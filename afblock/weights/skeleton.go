package weights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
)

// Skeleton is a network without its tensors: what neither the operators nor the
// shapes of tensors tell. It is read off the keys of a checkpoint (KeysOf), off
// a network (Of) or off what a file says of itself (Parse); Bind makes the
// network of it.
type Skeleton struct {
	structure

	// shiftDiv is the share of channels that every block shifts either way, one
	// in so many, where the blocks do not say; 0: none.
	shiftDiv  int
	pastFirst bool // of those shifts
	// anyBias lets every bias be absent.
	anyBias bool
}

// format is the version of the JSON under names.NetworkKey. A reader refuses newer
// ones.
const format = 1

// structure is a skeleton as the files that afc writes carry it. Numbers that
// are mostly the same are left out where they are.
type structure struct {
	Format     int             `json:"format"`
	File       json.RawMessage `json:"file,omitempty"` // what is said of the file (compiled.FileInfo)
	Frames     int             `json:"frames"`         // 0: navigation has weights for each
	Size       afblock.Size    `json:"size"`
	Unselected string          `json:"unselected"`
	FineTune   bool            `json:"needs_fine_tuning"`
	Fit        *afblock.Fitted `json:"fit,omitempty"`
	Tune       *afblock.Tuned  `json:"tune,omitempty"`
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
	grouped bool    // its shape says how many groups
	Bias    bool    `json:"bias,omitempty"` // it must be there; else it may
	BN      string  `json:"bn,omitempty"`   // its key
	Eps     float32 `json:"eps,omitempty"`
	Batches *int64  `json:"num_batches_tracked,omitempty"`
}

type blockJSON struct {
	Key           string     `json:"key"`
	Convs         []convJSON `json:"convs"`
	Pool          *[3]int    `json:"residual_pool,omitempty"`
	Conv          *convJSON  `json:"residual_conv,omitempty"`
	Fold          int        `json:"shift,omitempty"` // channels either way
	PastFirst     bool       `json:"shift_past_first,omitempty"`
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

// JSON writes the skeleton, and what is said of the file, as JSON, if that is
// not nil. Equal networks give equal text.
func (sk *Skeleton) JSON(file json.RawMessage) string {
	s := sk.structure
	s.Format, s.File = format, file
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// Parse reads what JSON wrote, and returns what is said of the file.
func Parse(text string) (*Skeleton, json.RawMessage, error) {
	sk := &Skeleton{}
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&sk.structure); err != nil {
		return nil, nil, fmt.Errorf("metadata %s: %w", names.NetworkKey, err)
	}
	if sk.Format < 1 || sk.Format > format {
		return nil, nil, fmt.Errorf("metadata %s: format %d; this afc reads up to %d", names.NetworkKey, sk.Format, format)
	}
	if err := sk.check(); err != nil {
		return nil, nil, fmt.Errorf("metadata %s: %w", names.NetworkKey, err)
	}
	return sk, sk.File, nil
}

// check refuses what no network can be.
func (s *structure) check() error {
	bad := func(field, found string) error { return fmt.Errorf("%s %q is unknown", field, found) }
	switch {
	case s.Fit != nil && s.Fit.Check() != nil:
		return bad("fit", s.Fit.For+" "+s.Fit.Masks)
	case s.Tune != nil && s.Tune.Check() != nil:
		return bad("tune", s.Tune.Masks+" "+s.Tune.Pattern)
	case s.Unselected != afblock.UnselectedBias.String() && s.Unselected != afblock.UnselectedZero.String():
		return bad("unselected", s.Unselected)
	case !validPool(s.Pool):
		return bad("max_pool", fmt.Sprint(s.Pool))
	case !slices.Contains(consensusNames, s.Head.Consensus):
		return bad("consensus", s.Head.Consensus)
	}
	for _, stage := range s.Stages {
		if err := stage.check(); err != nil {
			return err
		}
	}
	return nil
}

func (j *stageJSON) check() error {
	incomplete := fmt.Errorf("stage %q is incomplete", j.Name)
	for _, b := range slices.Concat(j.Blocks, j.Ample, j.Focal) {
		if !b.valid() {
			return incomplete
		}
	}
	if j.Fusion == nil {
		if len(j.Blocks) == 0 {
			return incomplete
		}
		return nil
	}
	n := len(j.Focal)
	if j.Transform == nil || j.Gate == nil || n == 0 || len(j.Ample) != n || len(j.Navigation) != n || !j.Fusion.valid() {
		return incomplete
	}
	for _, nav := range j.Navigation {
		if nav.Pool == nil {
			return incomplete
		}
		if nav.Fixed != "" {
			if _, err := afblock.ParsePattern(nav.Fixed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *blockJSON) valid() bool {
	return (len(j.Convs) == 2 || len(j.Convs) == 3) && (j.Pool == nil || validPool(*j.Pool))
}

func validPool(p [3]int) bool { return p[0] > 0 && p[1] > 0 && p[2] >= 0 && p[2] < p[0] }

// Of returns the skeleton of a network.
func Of(net *afblock.Network) *Skeleton { return outline{}.of(net) }

// outline draws skeletons: of networks as they are, or as Export writes them,
// with batch normalisation behind every convolution.
type outline struct{ exported bool }

func (o outline) of(net *afblock.Network) *Skeleton {
	sk := &Skeleton{structure: structure{
		Frames: net.Frames, Size: net.Size,
		Unselected: net.Unselected.String(), FineTune: net.FineTune, Fit: net.Fit, Tune: net.Tune, Prefix: net.Keys.Prefix, FC: net.Keys.FC,
		Head: headJSON{net.Head.FC.Key, net.Head.FC.Bias != nil, consensusNames[net.Head.Consensus], net.Head.Softmax},
	}}
	var last *afblock.Stage
	for _, u := range net.Units() {
		if u.Part == afblock.PartStem {
			sk.Stem, sk.Pool = *o.conv(&net.Stem.Conv), *toPool(net.Stem.Pool)
		}
		if u.Stage == nil {
			continue
		}
		if u.Stage != last {
			last = u.Stage
			sk.Stages = append(sk.Stages, stageJSON{Name: u.Stage.Name})
		}
		sk.Stages[len(sk.Stages)-1].add(o, u)
	}
	return sk
}

// add notes a unit of the stage.
func (j *stageJSON) add(o outline, u afblock.Unit) {
	switch u.Part {
	case afblock.PartPlain:
		j.Blocks = append(j.Blocks, *o.block(u.Block))
	case afblock.PartNavigation:
		n := u.Navigation
		nav := navigationJSON{Key: n.Key, Key2: n.Choice.Key, Pool: o.conv(&n.Look)}
		if n.Fixed != nil {
			nav.Fixed = n.Fixed.String()
		}
		j.Navigation = append(j.Navigation, nav)
	case afblock.PartAmple:
		j.Ample = append(j.Ample, *o.block(u.Block))
	case afblock.PartFocal:
		j.Focal = append(j.Focal, *o.block(u.Block))
	case afblock.PartMix:
		m := u.Stage.AF
		j.Alpha, j.Groups, j.Transform = m.Alpha, m.Groups, o.conv(&m.Transform)
		j.Gate = &gateJSON{m.Gate.Squeeze.Key, m.Gate.Excite.Key, [2]bool{m.Gate.Squeeze.Bias != nil, m.Gate.Excite.Bias != nil}}
	case afblock.PartFusion:
		j.Fusion = o.block(u.Block)
	}
}

func (o outline) conv(c *afblock.Conv) *convJSON {
	if o.exported {
		c = Normalised(c)
	}
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

func toPool(p *afblock.Window) *[3]int { return &[3]int{p.Kernel, p.Stride, p.Pad} }

func (o outline) block(b *afblock.Block) *blockJSON {
	j := &blockJSON{Key: b.Key, NoReLU: b.Act != afblock.ReLU}
	for _, c := range b.Convs() {
		j.Convs = append(j.Convs, *o.conv(c))
	}
	if p := b.Residual.Pool; p != nil {
		j.Pool = toPool(p)
	}
	if c := b.Residual.Conv; c != nil {
		j.Conv = o.conv(c)
	}
	if b.Shift != nil {
		j.Fold, j.PastFirst, j.ShiftResidual = b.Shift.Fold, b.Shift.PastFirst, b.Shift.Residual
	}
	return j
}
