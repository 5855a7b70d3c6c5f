package afblock

// Schedule is which frames of a clip a plain block computes, whatever it sees:
// for the others its main path answers as a focal block's does for a frame that
// is not selected (Network.Unselected). Blocks with a schedule are what is left
// of focal blocks without ample branch and navigation. Networks of them are no
// AFNets: nothing in them looks at a frame before it is skipped.
type Schedule struct {
	Pattern Pattern // selects some frames
	Nth     int     // of the network's blocks with a schedule: the pattern is staggered by it
}

// Select says which frames of a clip the block computes.
func (s *Schedule) Select(frames int) []bool { return s.Pattern.Select(frames, s.Nth) }

// Schedule returns the pattern by which the network's blocks skip frames, nil
// where none has a schedule.
func (net *Network) Schedule() *Pattern {
	for b := range net.Blocks() {
		if b.Schedule != nil {
			return &b.Schedule.Pattern
		}
	}
	return nil
}
