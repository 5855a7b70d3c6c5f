package afblock

// Clone returns a copy of which all may be changed; tensors are shared.
func (net *Network) Clone() *Network {
	out := *net
	out.Stem.Conv, out.Head.FC = *net.Stem.Conv.copy(), net.Head.FC
	if h := &out.Head; h.Last != nil {
		h.Last = h.Last.copy()
	}
	if h := &out.Head; h.Hidden != nil {
		hidden := *h.Hidden
		h.Hidden = &hidden
	}
	if p := net.Stem.Pool; p != nil {
		pool := *p
		out.Stem.Pool = &pool
	}
	out.Stages = nil
	var of, s *Stage // a stage and its copy
	for _, u := range net.Units() {
		if u.Stage == nil {
			continue
		}
		if u.Stage != of {
			of, s = u.Stage, u.Stage.empty()
			out.Stages = append(out.Stages, s)
		}
		s.add(u)
	}
	return &out
}

// empty is a copy of a stage without its blocks and navigation.
func (s *Stage) empty() *Stage {
	out := &Stage{Name: s.Name}
	if s.AF != nil {
		m := *s.AF
		m.Ample, m.Focal, m.Navigation = nil, nil, nil
		if m.Transform != nil {
			m.Transform = m.Transform.copy()
		}
		out.AF = &m
	}
	return out
}

// add adds a copy of a unit to a stage.
func (s *Stage) add(u Unit) {
	switch m := s.AF; u.Part {
	case PartPlain:
		s.Blocks = append(s.Blocks, u.Block.clone())
	case PartAmple:
		m.Ample = append(m.Ample, u.Block.clone())
	case PartFocal:
		m.Focal = append(m.Focal, u.Block.clone())
	case PartFusion:
		m.Fusion = u.Block.clone()
	case PartNavigation:
		n := *u.Navigation
		n.Look, n.Choice = *n.Look.copy(), *n.Choice.copy()
		if n.Cells != nil {
			c := *n.Cells
			c.Look, c.Choice = *c.Look.copy(), *c.Choice.copy()
			n.Cells = &c
		}
		m.Navigation = append(m.Navigation, &n)
	}
}

func (b *Block) clone() *Block {
	out := *b
	out.Main = nil
	for _, l := range b.Main {
		out.Main = append(out.Main, l.clone())
	}
	if p := b.Residual.Pool; p != nil {
		pool := *p
		out.Residual.Pool = &pool
	}
	if c := b.Residual.Conv; c != nil {
		out.Residual.Conv = c.copy()
	}
	if b.Shift != nil {
		shift := *b.Shift
		out.Shift = &shift
	}
	return &out
}

func (c *Conv) copy() *Conv {
	out := *c
	if c.BN != nil {
		bn := *c.BN
		out.BN = &bn
	}
	return &out
}

func (c *Conv) clone() Layer { return c.copy() }

func (l *Linear) clone() Layer {
	out := *l
	return &out
}

func (a Act) clone() Layer         { return a }
func (p MaxPool) clone() Layer     { return p }
func (p AveragePool) clone() Layer { return p }
