package afblock

import "fmt"

// Bounds on what a file may say of a network, far beyond any that is real.
const (
	maxFrames = 1 << 16 // of a clip
	maxSide   = 1 << 16 // of a frame, in pixels
	maxWindow = 64      // of a convolution or pool, its stride and its padding
)

// UsualSide is the size of a frame at which a network that takes any is looked
// at.
const UsualSide = 224

// Size is height and width of a map; 0 where they are known only at run time.
type Size [2]int

// Known reports whether both are known.
func (s Size) Known() bool { return s[0] > 0 && s[1] > 0 }

func (s Size) String() string { return fmt.Sprintf("%d×%d", s[0], s[1]) }

// Window is what a convolution or pool sees at once, square and symmetric.
type Window struct{ Kernel, Stride, Pad int }

// Through is the size behind a window that fits; what is not known stays so.
func (s Size) Through(w Window) Size {
	for i, n := range s {
		if n > 0 {
			s[i] = (n+2*w.Pad-w.Kernel)/w.Stride + 1
		}
	}
	return s
}

// through is Through for windows that a file states: it refuses those beyond
// all that is real, and those larger than the map.
func (s Size) through(key string, w Window) (Size, error) {
	if w.Kernel < 1 || w.Kernel > maxWindow || w.Stride < 1 || w.Stride > maxWindow || w.Pad < 0 || w.Pad >= max(w.Kernel, 2) {
		return s, fmt.Errorf("%s: a window of %d with stride %d and padding %d", key, w.Kernel, w.Stride, w.Pad)
	}
	for _, n := range s {
		if n > 0 && n+2*w.Pad < w.Kernel {
			return s, fmt.Errorf("%s: a window of %d on maps of %s", key, w.Kernel, s)
		}
	}
	return s.Through(w), nil
}

// Map is the size of a feature map with its channels.
type Map struct {
	C int
	Size
}

// Elements returns the map's elements.
func (m Map) Elements() float64 { return float64(m.C) * float64(m.Size[0]) * float64(m.Size[1]) }

// through is the map behind some layers.
func (m Map) through(layers []Layer) (Map, error) {
	for _, l := range layers {
		var err error
		if m, err = l.Through(m); err != nil {
			return m, err
		}
	}
	return m, nil
}

// FrameSize is the size of the network's frames, UsualSide where it takes any.
func (net *Network) FrameSize() Size {
	size := net.Size
	for i := range size {
		if size[i] == 0 {
			size[i] = UsualSide
		}
	}
	return size
}

// Sizes returns the size of what each stage reads, and of what the last one
// makes.
func (net *Network) Sizes() ([]Size, error) {
	var sizes []Size
	var last Unit
	for u, err := range net.Walk(net.Size) {
		if err != nil {
			return nil, err
		}
		if u.Stage != last.Stage {
			sizes = append(sizes, u.In.Size)
		}
		last = u
	}
	return sizes, nil
}

// Check follows the maps through the network: none may vanish, and the two
// paths of a block must end in the same map. What it guards against is structure
// that a file states.
func (net *Network) Check() error {
	size := net.Size
	if net.Frames < 1 || net.Frames > maxFrames || min(size[0], size[1]) < 0 || max(size[0], size[1]) > maxSide {
		return fmt.Errorf("clips of %d frames of %s", net.Frames, size)
	}
	for _, err := range net.Walk(net.FrameSize()) {
		if err != nil {
			return err
		}
	}
	return nil
}
