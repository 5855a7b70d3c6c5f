package afblock

import "fmt"

// Bounds on what a file may say of a network, far beyond any that is real.
const (
	maxFrames = 1 << 16 // of a clip
	maxSide   = 1 << 16 // of a frame, in pixels
	maxWindow = 64      // of a convolution or pool, its stride and its padding
)

// usualSide is the size of a frame at which a network that takes any is looked
// at.
const usualSide = 224

// mapSize is height and width of a map.
type mapSize [2]int

// through is the size behind a window.
func (s mapSize) through(key string, window, stride, pad int) (mapSize, error) {
	if window < 1 || window > maxWindow || stride < 1 || stride > maxWindow || pad < 0 || pad >= max(window, 2) {
		return s, fmt.Errorf("%s: a window of %d with stride %d and padding %d", key, window, stride, pad)
	}
	var out mapSize
	for i, n := range s {
		if n+2*pad < window {
			return s, fmt.Errorf("%s: a window of %d on maps of %d×%d", key, window, s[0], s[1])
		}
		out[i] = (n+2*pad-window)/stride + 1
	}
	return out, nil
}

func (s mapSize) conv(c *Conv) (mapSize, error) {
	return s.through(c.Key, c.Kernel(), c.Stride, c.Pad)
}

func (s mapSize) pool(key string, p Pool) (mapSize, error) {
	return s.through(key, p.Kernel, p.Stride, p.Pad)
}

// Check follows the maps through a network with all its tensors: none may
// vanish, and the two paths of a block must end in the same size. What it
// guards against is structure that a file states; planned structure is right.
func (net *Network) Check() error {
	x := mapSize(net.Size)
	if net.Frames < 1 || net.Frames > maxFrames || min(x[0], x[1]) < 0 || max(x[0], x[1]) > maxSide {
		return fmt.Errorf("clips of %d frames of %d×%d", net.Frames, x[0], x[1])
	}
	for i := range x {
		if x[i] == 0 {
			x[i] = usualSide
		}
	}
	x, err := x.conv(&net.Stem.Conv)
	if err != nil {
		return err
	}
	if x, err = x.pool("the stem's pool", net.Stem.Pool); err != nil {
		return err
	}
	for _, s := range net.Stages {
		if s.AF != nil {
			if _, err := x.blocks(s.AF.Ample); err != nil {
				return err
			}
		}
		if x, err = x.blocks(s.MainLine()); err != nil {
			return err
		}
	}
	return nil
}

func (s mapSize) blocks(blocks []*Block) (mapSize, error) {
	for _, b := range blocks {
		main, residual := s, s
		var err error
		for _, c := range b.Convs {
			if main, err = main.conv(c); err != nil {
				return s, err
			}
		}
		if p := b.Downsample.Pool; p != nil {
			if residual, err = residual.pool(b.Key, *p); err != nil {
				return s, err
			}
		}
		if c := b.Downsample.Conv; c != nil {
			if residual, err = residual.conv(c); err != nil {
				return s, err
			}
		}
		if main != residual {
			return s, fmt.Errorf("%s: maps of %d×%d meet a residual path's of %d×%d", b.Key, main[0], main[1], residual[0], residual[1])
		}
		s = main
	}
	return s, nil
}
