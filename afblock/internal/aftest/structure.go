package aftest

import (
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
)

// Structure writes a network's structure, one convolution a line.
func Structure(net *afblock.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "frames %d, unselected %s, prefix %q, fc %q\n", net.Frames, net.Unselected, net.Keys.Prefix, net.Keys.FC)
	conv := func(indent string, c *afblock.Conv) {
		fmt.Fprintf(&b, "%s%s %v /%d pad %d groups %d", indent, c.Key, c.Weight.Dims, c.Stride, c.Pad, c.Groups)
		if c.Bias != nil {
			b.WriteString(" bias")
		}
		if c.BN != nil {
			fmt.Fprintf(&b, " %s", c.BN.Key)
		}
		b.WriteByte('\n')
	}
	block := func(name string, x *afblock.Block) {
		fmt.Fprintf(&b, "  %s %s relu %v", name, x.Key, x.Act == afblock.ReLU)
		if x.Shift != nil {
			fmt.Fprintf(&b, " shift %d residual %v", x.Shift.Fold, x.Shift.Residual)
		}
		if x.Schedule != nil {
			fmt.Fprintf(&b, " schedule %s of block %d", x.Schedule.Pattern, x.Schedule.Nth)
		}
		b.WriteByte('\n')
		for _, c := range x.Convs() {
			conv("    ", c)
		}
		if p := x.Residual.Pool; p != nil {
			fmt.Fprintf(&b, "    pool %+v\n", *p)
		}
		if c := x.Residual.Conv; c != nil {
			conv("    ", c)
		}
	}
	conv("", &net.Stem.Conv)
	for _, s := range net.Stages {
		fmt.Fprintf(&b, "%s\n", s.Name)
		for _, x := range s.Blocks {
			block("plain", x)
		}
		if m := s.AF; m != nil {
			fmt.Fprintf(&b, "  alpha %d groups %d\n", m.Alpha, m.Groups)
			for _, n := range m.Navigation {
				conv("  ", &n.Look)
				fmt.Fprintf(&b, "  %s %v dense %v", n.Choice.Key, n.Choice.Weight.Dims, n.Dense())
				if n.Fixed != nil {
					fmt.Fprintf(&b, " fixed %s", n.Fixed)
				}
				b.WriteByte('\n')
				if c := n.Cells; c != nil && c.Fixed != nil {
					fmt.Fprintf(&b, "  cells %d fixed %s\n", c.Grid, c.Fixed)
				} else if c != nil {
					fmt.Fprintf(&b, "  cells %d\n", c.Grid)
					conv("  ", &c.Look)
					conv("  ", &c.Choice)
				}
			}
			for _, x := range m.Ample {
				block("ample", x)
			}
			for _, x := range m.Focal {
				block("focal", x)
			}
			conv("  ", m.Transform)
			fmt.Fprintf(&b, "  %s %v, %s %v\n", m.Gate.Squeeze.Key, m.Gate.Squeeze.Weight.Dims, m.Gate.Excite.Key, m.Gate.Excite.Weight.Dims)
			block("fusion", m.Fusion)
		}
	}
	fmt.Fprintf(&b, "%s %v\n", net.Head.FC.Key, net.Head.FC.Weight.Dims)
	return b.String()
}
