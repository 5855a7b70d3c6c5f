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
	// kind is what the network is, "an AF-MobileNetV3"; "": an AF-ResNet.
	kind string
}

// Versions of the JSON under names.NetworkKey. A reader refuses newer ones; what
// an older one can spell is written in that.
const (
	format       = 1
	formatLayers = 2 // other layers, and networks without some that ResNets have
	formatCells  = 3 // cells inside the frames
	formatPlan   = 4 // blocks with a schedule
)

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
	Exporter   string          `json:"exporter,omitempty"`
	Prefix     string          `json:"key_prefix"`
	FC         string          `json:"fc"`
	Stem       convJSON        `json:"stem"`
	StemAct    string          `json:"stem_act,omitempty"` // "": relu
	Pool       [3]int          `json:"max_pool"`           // kernel, stride, pad; zeros: none
	Stages     []stageJSON     `json:"stages"`
	Head       headJSON        `json:"head"`
}

type convJSON struct {
	Key     string  `json:"key"`
	Stride  int     `json:"stride,omitempty"` // 0: 1
	Pad     int     `json:"pad,omitempty"`
	Groups  int     `json:"groups,omitempty"` // 0: 1
	grouped bool    // its shape says how many groups
	Kernel  int     `json:"kernel,omitempty"` // 0: as its place has it
	out     int     // its output channels; 0: any
	Bias    bool    `json:"bias,omitempty"` // it must be there; else it may
	BN      string  `json:"bn,omitempty"`   // its key
	Eps     float32 `json:"eps,omitempty"`
	Batches *int64  `json:"num_batches_tracked,omitempty"`
}

type blockJSON struct {
	Key           string      `json:"key"`
	Convs         []convJSON  `json:"convs"`            // with ReLU between them, or
	Layers        []layerJSON `json:"layers,omitempty"` // the main path, layer by layer
	Pool          *[3]int     `json:"residual_pool,omitempty"`
	Conv          *convJSON   `json:"residual_conv,omitempty"`
	NoResidual    bool        `json:"no_residual,omitempty"`
	Fold          int         `json:"shift,omitempty"` // channels either way
	PastFirst     bool        `json:"shift_past_first,omitempty"`
	ShiftResidual bool        `json:"shift_residual,omitempty"`
	NoReLU        bool        `json:"no_relu,omitempty"`
	Schedule      string      `json:"schedule,omitempty"` // a Pattern
	Nth           int         `json:"schedule_nth,omitempty"`
}

// layerJSON is one of its fields.
type layerJSON struct {
	Conv   *convJSON   `json:"conv,omitempty"`
	Act    string      `json:"act,omitempty"`
	Excite *exciteJSON `json:"squeeze_excite,omitempty"`
}

type exciteJSON struct {
	Squeeze linearJSON `json:"squeeze"`
	Excite  linearJSON `json:"excite"`
}

type linearJSON struct {
	Key  string `json:"key"`
	Bias bool   `json:"bias,omitempty"`
	out  int    // its outputs; 0: any
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
	NoReLU     bool             `json:"no_relu,omitempty"` // behind the mix
}

type navigationJSON struct {
	Key   string     `json:"key"`
	Key2  string     `json:"key2"`
	Pool  *convJSON  `json:"pool"`
	Fixed string     `json:"fixed,omitempty"` // a Pattern
	Cells *cellsJSON `json:"cells,omitempty"`
}

// cellsJSON has a pattern, or convolutions that choose.
type cellsJSON struct {
	Grid  int       `json:"grid"`
	Fixed string    `json:"fixed,omitempty"` // a CellPattern
	Look  *convJSON `json:"look,omitempty"`
	Key2  string    `json:"key2,omitempty"`
}

type gateJSON struct {
	Key1 string  `json:"key1"`
	Key2 string  `json:"key2"`
	Bias [2]bool `json:"bias"`
}

type headJSON struct {
	Key       string      `json:"key"`
	Bias      bool        `json:"bias"`
	Consensus string      `json:"consensus"`
	Softmax   bool        `json:"softmax,omitempty"`
	Last      *convJSON   `json:"last,omitempty"`   // before the pool
	Hidden    *linearJSON `json:"hidden,omitempty"` // behind it
	Act       string      `json:"act,omitempty"`    // behind both; "": none
}

var consensusNames = []string{afblock.MeanAfterFC: "mean-after-fc", afblock.MeanBeforeFC: "mean-before-fc", afblock.PerFrame: "per-frame"}

// JSON writes the skeleton, and what is said of the file, as JSON, if that is
// not nil. Equal networks give equal text.
func (sk *Skeleton) JSON(file json.RawMessage) string {
	s := sk.structure
	s.Format, s.File = max(s.Format, format), file
	if s.hasCells() {
		s.Format = formatCells
	}
	if s.hasSchedule() {
		s.Format = formatPlan
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

func (s *structure) hasCells() bool {
	return slices.ContainsFunc(s.Stages, func(st stageJSON) bool {
		return slices.ContainsFunc(st.Navigation, func(n navigationJSON) bool { return n.Cells != nil })
	})
}

func (s *structure) hasSchedule() bool {
	return slices.ContainsFunc(s.Stages, func(st stageJSON) bool {
		return slices.ContainsFunc(st.Blocks, func(b blockJSON) bool { return b.Schedule != "" })
	})
}

// Parse reads what JSON wrote, and returns what is said of the file.
func Parse(text string) (*Skeleton, json.RawMessage, error) {
	sk := &Skeleton{}
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&sk.structure); err != nil {
		return nil, nil, fmt.Errorf("metadata %s: %w", names.NetworkKey, err)
	}
	if sk.Format < 1 || sk.Format > formatPlan {
		return nil, nil, fmt.Errorf("metadata %s: format %d; this afc reads up to %d", names.NetworkKey, sk.Format, formatPlan)
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
	case s.Exporter != "" && !slices.Contains(afblock.Exporters, s.Exporter):
		return bad("exporter", s.Exporter)
	case s.Fit != nil && s.Fit.Check() != nil:
		return bad("fit", s.Fit.For+" "+s.Fit.Masks)
	case s.Tune != nil && s.Tune.Check() != nil:
		return bad("tune", s.Tune.Masks+" "+s.Tune.Pattern)
	case s.Unselected != afblock.UnselectedBias.String() && s.Unselected != afblock.UnselectedZero.String():
		return bad("unselected", s.Unselected)
	case !validPool(s.Pool) && s.Pool != [3]int{}:
		return bad("max_pool", fmt.Sprint(s.Pool))
	case !validAct(s.StemAct):
		return bad("stem_act", s.StemAct)
	case !validAct(s.Head.Act):
		return bad("act", s.Head.Act)
	case !slices.Contains(consensusNames, s.Head.Consensus):
		return bad("consensus", s.Head.Consensus)
	}
	if len(s.Stages) == 0 {
		return fmt.Errorf("a network without stages")
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
	for _, b := range slices.Concat(j.Ample, j.Focal) {
		if b.Schedule != "" {
			return fmt.Errorf("%s: a schedule in an AF module, whose navigation chooses the frames", b.Key)
		}
	}
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
	if j.Gate == nil || n == 0 || len(j.Ample) != n || len(j.Navigation) != n || !j.Fusion.valid() {
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
		if err := nav.Cells.check(); err != nil {
			return fmt.Errorf("%s: %w", nav.Key, err)
		}
	}
	return nil
}

func (j *cellsJSON) check() error {
	switch {
	case j == nil:
		return nil
	case j.Grid < 1 || j.Grid > afblock.MaxGrid:
		return fmt.Errorf("a grid of %d cells a side: expected 1 to %d", j.Grid, afblock.MaxGrid)
	case j.Fixed != "":
		_, err := afblock.ParseCellPattern(j.Fixed)
		return err
	case j.Look == nil || j.Key2 == "":
		return fmt.Errorf("its cells are incomplete")
	}
	return nil
}

func (j *blockJSON) valid() bool {
	if j.Pool != nil && !validPool(*j.Pool) || j.NoResidual && (j.Pool != nil || j.Conv != nil) {
		return false
	}
	if p, err := afblock.ParsePattern(j.Schedule); j.Schedule != "" && (err != nil || p.Ratio <= 0) || j.Nth < 0 || j.Nth > maxNth {
		return false
	}
	if len(j.Layers) == 0 {
		return len(j.Convs) == 2 || len(j.Convs) == 3
	}
	return len(j.Convs) == 0 && j.Layers[0].Conv != nil && j.Layers[len(j.Layers)-1].Conv != nil &&
		!slices.ContainsFunc(j.Layers, func(l layerJSON) bool { return !l.valid() })
}

// maxNth bounds the number of a block in a schedule; no network has so many.
const maxNth = 1 << 16

func (j *layerJSON) valid() bool {
	switch {
	case j.Conv != nil:
		return j.Act == "" && j.Excite == nil
	case j.Excite != nil:
		return j.Act == ""
	}
	return j.Act != "" && validAct(j.Act)
}

// validAct reports whether an activation can stand in a network: none, or one
// that there is.
func validAct(s string) bool {
	a, err := afblock.ParseAct(s)
	return s == "" || err == nil && a != afblock.HSigmoid // only within squeeze-and-excitation
}

func validPool(p [3]int) bool { return p[0] > 0 && p[1] > 0 && p[2] >= 0 && p[2] < p[0] }

// Of returns the skeleton of a network.
func Of(net *afblock.Network) *Skeleton { return outline{}.of(net) }

// outline draws skeletons: of networks as they are, or as Export writes them,
// with batch normalisation behind every convolution.
type outline struct {
	exported bool
	widths   bool // with the channels that tensors shall have
}

func (o outline) of(net *afblock.Network) *Skeleton {
	sk := &Skeleton{structure: structure{
		Frames: net.Frames, Size: net.Size,
		Unselected: net.Unselected.String(), FineTune: net.FineTune, Fit: net.Fit, Tune: net.Tune, Exporter: net.Exporter, Prefix: net.Keys.Prefix, FC: net.Keys.FC,
		Head: o.head(&net.Head),
	}}
	if extended(net) {
		sk.Format = formatLayers
	}
	var last *afblock.Stage
	for _, u := range net.Units() {
		if u.Part == afblock.PartStem {
			sk.stem(o, &net.Stem)
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

// extended reports whether a network has what the first format does not know.
func extended(net *afblock.Network) bool {
	h := &net.Head
	if net.Stem.Act != afblock.ReLU || net.Stem.Pool == nil || h.Last != nil || h.Hidden != nil {
		return true
	}
	for b := range net.Blocks() {
		if b.Residual.None || !chained(b) {
			return true
		}
	}
	return slices.ContainsFunc(net.Stages, func(s *afblock.Stage) bool {
		return s.AF != nil && (s.AF.Transform == nil || s.AF.Act != afblock.ReLU)
	})
}

// kernels are those of the convolutions of a ResNet's block.
func kernels(convs int) []int64 {
	if convs == 3 {
		return []int64{1, 3, 1}
	}
	return []int64{3, 3}
}

// chained reports whether a block's main path is that of a ResNet's, as far as
// the first format tells: convolutions with ReLU between them.
func chained(b *afblock.Block) bool {
	convs := b.Convs()
	if len(convs) != 2 && len(convs) != 3 || len(b.Main) != 2*len(convs)-1 {
		return false
	}
	for i, l := range b.Main {
		if c, ok := l.(*afblock.Conv); ok != (i%2 == 0) || ok && int64(c.Kernel()) != kernels(len(convs))[i/2] || !ok && l != afblock.ReLU {
			return false
		}
	}
	return true
}

func (sk *Skeleton) stem(o outline, s *afblock.Stem) {
	sk.Stem, sk.Pool = *o.conv(&s.Conv), [3]int{}
	if s.Pool != nil {
		sk.Pool = *toPool(s.Pool)
	}
	if s.Act != afblock.ReLU {
		sk.StemAct = s.Act.String()
	}
	if k := s.Conv.Kernel(); k != stemKernel {
		sk.Stem.Kernel = k
	}
}

// stemKernel is that of a ResNet's stem.
const stemKernel = 7

func (o outline) head(h *afblock.Head) headJSON {
	j := headJSON{Key: h.FC.Key, Bias: h.FC.Bias != nil, Consensus: consensusNames[h.Consensus], Softmax: h.Softmax}
	if h.Last != nil {
		j.Last = o.conv(h.Last)
	}
	if h.Hidden != nil {
		hidden := o.linear(h.Hidden)
		j.Hidden = &hidden
	}
	if h.Act != afblock.Identity {
		j.Act = h.Act.String()
	}
	return j
}

func (o outline) linear(l *afblock.Linear) linearJSON {
	j := linearJSON{Key: l.Key, Bias: l.Bias != nil}
	if o.widths {
		j.out = l.Out()
	}
	return j
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
		nav.Cells = o.cells(n.Cells)
		j.Navigation = append(j.Navigation, nav)
	case afblock.PartAmple:
		j.Ample = append(j.Ample, *o.block(u.Block))
	case afblock.PartFocal:
		j.Focal = append(j.Focal, *o.block(u.Block))
	case afblock.PartMix:
		m := u.Stage.AF
		j.Alpha, j.Groups, j.NoReLU = m.Alpha, m.Groups, m.Act != afblock.ReLU
		if m.Transform != nil {
			j.Transform = o.conv(m.Transform)
		}
		j.Gate = &gateJSON{m.Gate.Squeeze.Key, m.Gate.Excite.Key, [2]bool{m.Gate.Squeeze.Bias != nil, m.Gate.Excite.Bias != nil}}
	case afblock.PartFusion:
		j.Fusion = o.block(u.Block)
	}
}

func (o outline) cells(c *afblock.Cells) *cellsJSON {
	switch {
	case c == nil:
		return nil
	case c.Fixed != nil:
		return &cellsJSON{Grid: c.Grid, Fixed: c.Fixed.String()}
	}
	return &cellsJSON{Grid: c.Grid, Look: o.conv(&c.Look), Key2: c.Choice.Key}
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
	if o.widths {
		j.out = c.Out()
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
	j := &blockJSON{Key: b.Key, NoReLU: b.Act != afblock.ReLU, NoResidual: b.Residual.None}
	if chained(b) {
		for _, c := range b.Convs() {
			j.Convs = append(j.Convs, *o.conv(c))
		}
	} else {
		for _, l := range b.Main {
			j.Layers = append(j.Layers, o.layer(l))
		}
	}
	if p := b.Residual.Pool; p != nil {
		j.Pool = toPool(p)
	}
	if c := b.Residual.Conv; c != nil {
		j.Conv = o.conv(c)
	}
	if b.Schedule != nil {
		j.Schedule, j.Nth = b.Schedule.Pattern.String(), b.Schedule.Nth
	}
	if b.Shift != nil {
		j.Fold, j.PastFirst, j.ShiftResidual = b.Shift.Fold, b.Shift.PastFirst, b.Shift.Residual
	}
	return j
}

func (o outline) layer(l afblock.Layer) layerJSON {
	switch l := l.(type) {
	case *afblock.Conv:
		c := o.conv(l)
		c.Kernel = l.Kernel()
		return layerJSON{Conv: c}
	case afblock.Act:
		return layerJSON{Act: l.String()}
	case *afblock.SqueezeExcite:
		return layerJSON{Excite: &exciteJSON{o.linear(&l.Squeeze), o.linear(&l.Excite)}}
	}
	panic(fmt.Sprintf("BUG: %T on a main path", l))
}
