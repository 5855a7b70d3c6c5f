package describe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
)

// Description is what afc sees in a model, for people and for scripts.
type Description struct {
	File     string `json:"file,omitempty"`
	Exporter string `json:"exporter,omitempty"` // "pytorch 2.15.0"
	Opset    int64  `json:"opset,omitempty"`
	IR       int64  `json:"ir_version,omitempty"`

	Input    *PortDescription  `json:"input,omitempty"`
	Output   *PortDescription  `json:"output,omitempty"`
	Method   string            `json:"method"`   // "TSN", "TSM", "AFNet-TSN", "AFNet-TSM"; "scheduled TSN", "scheduled TSM" without ample branches
	Backbone string            `json:"backbone"` // "ResNet-50"
	Frames   int               `json:"frames"`
	Size     []int             `json:"size,omitempty"` // height, width; absent where any goes
	Weights  string            `json:"weights"`        // their element type
	BN       string            `json:"batch_norm"`     // "folded", "kept", "mixed"
	Channels int               `json:"input_channels"`
	Params   int64             `json:"parameters"`
	MACs     float64           `json:"macs_per_clip,omitempty"` // every frame selected; 0 where the size is open
	StemMACs float64           `json:"stem_macs_per_clip,omitempty"`
	Stages   []StageDescriptor `json:"stages"`
	Head     HeadDescription   `json:"head"`
	AF       *AFDescription    `json:"af,omitempty"`
}

// PortDescription is an input or output of the model.
type PortDescription struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Shape  string `json:"shape"`
	Layout string `json:"layout,omitempty"` // of an input of clips
	Crops  int    `json:"crops,omitempty"`  // clips of one sample, where there are several
}

// StageDescriptor is one stage of the trunk; of an AF module, Blocks counts its
// focal blocks and the fusion block.
type StageDescriptor struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"` // "basic", "bottleneck", "inverted residual"
	Blocks   int               `json:"blocks"`
	In       int               `json:"in_channels"`
	Out      int               `json:"out_channels"`
	Stride   int               `json:"stride"`
	StrideAt string            `json:"stride_at,omitempty"` // "3×3", "first 1×1", "depthwise", "last block", "several blocks"
	Shift    *ShiftDescription `json:"shift,omitempty"`
	Params   int64             `json:"parameters"`
	MACs     float64           `json:"macs_per_clip,omitempty"` // likewise
	Map      []int             `json:"map,omitempty"`           // height, width of what it makes; absent where any goes
	AF       *ModuleDescriptor `json:"af,omitempty"`
	// Schedule is the pattern of frames that all blocks but the last compute, of
	// Groups groups, where there is no ample branch.
	Schedule string `json:"schedule,omitempty"`
	Groups   int    `json:"groups,omitempty"`
}

// ShiftDescription is a stage's temporal shift.
type ShiftDescription struct {
	Fold      string `json:"fold"`                 // part of the channels each way: "1/8"
	Placement string `json:"placement"`            // "blockres", "block"
	PastFirst bool   `json:"past_first,omitempty"` // the first channels come from the frame before
	Blocks    []int  `json:"blocks"`               // those that shift
}

// ModuleDescriptor is what an AF module adds to a stage.
type ModuleDescriptor struct {
	Alpha      int    `json:"alpha"`
	Groups     int    `json:"groups"`
	Navigation string `json:"navigation"` // "trained", or the fixed pattern
	Dense      bool   `json:"dense,omitempty"`
	// Of a clip, every frame selected; 0 where the size is open. Fusion is the
	// last block; Rest are navigation and the mix of the branches.
	AmpleMACs  float64 `json:"ample_macs_per_clip,omitempty"`
	FocalMACs  float64 `json:"focal_macs_per_clip,omitempty"`
	FusionMACs float64 `json:"fusion_macs_per_clip,omitempty"`
	RestMACs   float64 `json:"rest_macs_per_clip,omitempty"`
	// Cells is how cells inside the frames are chosen, "trained" or a pattern, and
	// Grid how many a side there are; absent where whole frames are.
	Cells string `json:"cells,omitempty"`
	Grid  int    `json:"grid,omitempty"`
}

// HeadDescription is the linear layer and the consensus.
type HeadDescription struct {
	Classes   int64  `json:"classes"`
	Features  int64  `json:"features"`
	Consensus string `json:"consensus"`
	Softmax   bool   `json:"softmax,omitempty"`

	MACs float64 `json:"macs_per_clip,omitempty"` // likewise
}

// AFDescription is what a file that afc wrote says of itself.
type AFDescription struct {
	compiled.FileInfo
	Unselected string `json:"unselected"`
	FineTune   bool   `json:"fine_tune,omitempty"` // weights transplanted, not trained
	Origin     string `json:"origin"`              // of the weights: transplanted, fitted, tuned or trained, and whose export they were read from
	Fit        string `json:"fit,omitempty"`       // how they were fitted
	Tune       string `json:"tune,omitempty"`      // how they were tuned
}

// Network says what is in a network, and in the model it was recognised in.
func Network(net *afblock.Network) *Description {
	d := &Description{
		Method: "TSN", Backbone: net.Backbone(), Frames: net.Frames,
		Weights: net.Stem.Conv.Weight.DType.String(), BN: batchNorms(net), Channels: net.Stem.Conv.In(),
		Head: HeadDescription{
			Classes: net.Head.FC.Weight.Dims[0], Features: net.Head.Features(),
			Consensus: net.Head.Consensus.String(), Softmax: net.Head.Softmax,
		},
	}
	if net.Size.Known() {
		d.Size = net.Size[:]
	}
	if m := net.Shell.Model(); m != nil {
		d.describeSource(m, net)
	}
	for b := range net.Blocks() {
		if b.Shift != nil {
			d.Method = "TSM"
		}
	}
	cost := costOf(net)
	d.Params = cost.Params()
	for _, s := range net.Stages {
		sd := describeStage(s)
		if sd.AF != nil || sd.Schedule != "" {
			d.AF = &AFDescription{Unselected: net.Unselected.String(), FineTune: net.FineTune, Origin: net.Origin()}
			if net.Fit != nil {
				d.AF.Fit = net.Fit.String()
			}
			if net.Tune != nil {
				d.AF.Tune = net.Tune.String()
			}
		}
		for _, item := range cost.Items {
			if item.Stage == s.Name {
				sd.Params += item.Params
			}
		}
		d.Stages = append(d.Stages, sd)
	}
	switch {
	case net.Schedule() != nil:
		d.Method = "scheduled " + d.Method
	case d.AF != nil:
		d.Method = "AFNet-" + d.Method
	}
	if net.Size.Known() {
		d.MACs = cost.Total().MACs
		sizes, err := net.Sizes()
		if err != nil {
			panic("BUG: a network that does not hold together: " + err.Error())
		}
		for i := range d.Stages {
			d.Stages[i].count(cost)
			d.Stages[i].Map = sizes[i+1][:]
		}
		of := func(name string) float64 {
			return cost.Sum(func(c afblock.CostItem) bool { return c.Stage == name }).MACs
		}
		d.StemMACs, d.Head.MACs = of("stem"), of("head")
	}
	return d
}

// count fills in what a stage and its parts cost.
func (d *StageDescriptor) count(cost *afblock.CostTable) {
	of := func(parts ...afblock.Part) float64 {
		return cost.Sum(func(c afblock.CostItem) bool {
			return c.Stage == d.Name && (parts == nil || slices.Contains(parts, c.Part))
		}).MACs
	}
	d.MACs = of()
	if d.AF != nil {
		d.AF.AmpleMACs, d.AF.FocalMACs = of(afblock.PartAmple), of(afblock.PartFocal, afblock.PartResidual)
		d.AF.FusionMACs, d.AF.RestMACs = of(afblock.PartFusion), of(afblock.PartNavigation, afblock.PartMix)
	}
}

// costOf counts a clip; where the network takes any size of frame, the count is
// of a usual one and only the parameters mean something.
func costOf(net *afblock.Network) *afblock.CostTable {
	cost, err := net.Cost(afblock.CostOptions{Size: net.FrameSize()})
	if err != nil {
		panic("BUG: a network that does not hold together: " + err.Error())
	}
	return cost
}

// Model says what is in a model: read back if afc wrote it, else
// recognised.
func Model(m *graph.Model, opt recognize.Options) (*Description, error) {
	if !compiled.Is(m) {
		net, err := recognize.Network(m, opt)
		if err != nil {
			return nil, err
		}
		return Network(net), nil
	}
	net, file, err := compiled.ReadModel(m)
	if err != nil {
		return nil, err
	}
	d := Network(net)
	if d.AF != nil {
		d.AF.FileInfo = file
	}
	return d, nil
}

func (d *Description) describeSource(m *graph.Model, net *afblock.Network) {
	clip := net.Shell.Clip()
	d.File, d.Opset, d.IR = m.Path, m.Opset(""), m.IRVersion
	d.Exporter = strings.TrimSpace(m.ProducerName + " " + m.ProducerVersion)
	d.Input = describePort(clip.Input)
	d.Input.Layout = clip.Layout.Spell(net.Stem.Conv.In())
	if clip.Segments > clip.Frames {
		d.Input.Crops = clip.Segments / clip.Frames
	}
	d.Output = describePort(clip.Answer)
}

func describePort(v *graph.Value) *PortDescription {
	return &PortDescription{Name: v.Name(), Type: v.Type.Elem.String(), Shape: v.Type.Shape.String()}
}

func describeStage(s *afblock.Stage) StageDescriptor {
	blocks := s.MainLine()
	d := StageDescriptor{
		Name: s.Name, Kind: "basic", Blocks: len(blocks), In: blocks[0].In(), Out: blocks[len(blocks)-1].Out(),
		Stride: 1, Shift: describeShift(blocks),
	}
	switch {
	case blocks[0].Inverted():
		d.Kind = "inverted residual"
	case blocks[0].Bottleneck():
		d.Kind = "bottleneck"
	}
	for i, b := range blocks {
		if b.Stride() == 1 {
			continue
		}
		d.Stride *= b.Stride()
		switch {
		case i > 0 && d.StrideAt != "":
			d.StrideAt = "several blocks"
		case i > 0:
			d.StrideAt = "last block"
		case b.Inverted():
			d.StrideAt = "depthwise"
		case b.Convs()[0].Stride > 1 && b.Bottleneck():
			d.StrideAt = "first 1×1"
		default:
			d.StrideAt = "3×3"
		}
	}
	if b := blocks[0]; b.Schedule != nil {
		d.Schedule, d.Groups = b.Schedule.Pattern.String(), b.Convs()[0].Groups
	}
	if m := s.AF; m != nil {
		d.AF = &ModuleDescriptor{Alpha: m.Alpha, Groups: m.Groups, Navigation: "trained"}
		for _, n := range m.Navigation {
			d.AF.Dense = d.AF.Dense || n.Dense()
			if n.Fixed != nil {
				d.AF.Navigation = n.Fixed.String()
			}
			if c := n.Cells; c != nil {
				d.AF.Grid, d.AF.Cells = c.Grid, "trained"
				if c.Fixed != nil {
					d.AF.Cells = c.Fixed.String()
				}
			}
		}
	}
	return d
}

func describeShift(blocks []*afblock.Block) *ShiftDescription {
	var d *ShiftDescription
	for i, b := range blocks {
		if b.Shift == nil {
			continue
		}
		if d == nil {
			d = &ShiftDescription{Fold: foldText(b), Placement: "blockres", PastFirst: b.Shift.PastFirst}
			if b.Shift.Residual {
				d.Placement = "block"
			}
		}
		d.Blocks = append(d.Blocks, i)
	}
	return d
}

// foldText spells a block's fold as a part of its channels.
func foldText(b *afblock.Block) string {
	if in := b.In(); in%b.Shift.Fold == 0 {
		return fmt.Sprintf("1/%d", in/b.Shift.Fold)
	}
	return fmt.Sprintf("%d of %d", b.Shift.Fold, b.In())
}

// batchNorms says whether batch normalisation stands apart from convolutions.
func batchNorms(net *afblock.Network) string {
	kept, folded := false, false
	for c := range net.Convs() {
		kept, folded = kept || c.BN != nil, folded || c.BN == nil
	}
	switch {
	case kept && folded:
		return "mixed"
	case kept:
		return "kept"
	}
	return "folded"
}
