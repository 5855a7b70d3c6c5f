package motion

import (
	"math"
	"math/rand/v2"
)

// Classes names the events. Each even one is the next played backwards.
var Classes = []string{"move_right", "move_left", "move_down", "move_up", "grow", "shrink",
	"rotate_cw", "rotate_ccw", "appear", "disappear"}

// Shapes are what acts: another question about a clip, which no order of frames
// is needed to answer.
var Shapes = []string{"circle", "square", "triangle", "cross", "star"}

const (
	// Side is the height and width of a frame, Frames the length of the clips that
	// the source was trained on.
	Side, Frames = 64, 8

	// ticks divide a clip's time: clips of another number of frames that divides
	// it see the same video at other moments.
	ticks = 48

	pad    = 8 // of the canvas on each side, for the camera's shaking
	canvas = Side + 2*pad
)

// Clip returns clip i of a seed, [frames][3][64][64] pixels of 0 to 255, and its
// class; frames divide 48. Every ten clips from a multiple of ten on hold each
// class once.
func Clip(seed uint64, i, frames int) (pixels []byte, class int) {
	class = classOf(seed, i)
	return sceneOf(seed, i, true).clip(seed, i, frames), class
}

// sceneOf is what clip i shows, with things that stand still or without.
func sceneOf(seed uint64, i int, clutter bool) *scene {
	return newScene(rand.New(rand.NewPCG(seed, uint64(i)<<1)), classOf(seed, i), clutter)
}

// clip shows the scene.
func (s *scene) clip(seed uint64, i, frames int) (pixels []byte) {
	for t := range frames {
		tick := t * ticks / frames
		noise := rand.New(rand.NewPCG(seed^0x9e3779b97f4a7c15, uint64(i)<<8|uint64(tick)))
		pixels = append(pixels, s.frame(Frames*float64(tick)/ticks, noise)...)
	}
	return pixels
}

func classOf(seed uint64, i int) int {
	return rand.New(rand.NewPCG(seed, uint64(i/10)<<1|1)).Perm(len(Classes))[i%10]
}

// scene is what a clip shows: a canvas with things that stand still, behind the
// actor and in front of it, and the actor's event.
type scene struct {
	*rand.Rand
	event int     // Classes in pairs
	sign  float64 // 1 of a pair's first, −1 of its second

	back, front *image
	cover       []float64 // of front, 0 to 1

	kind                 int
	colours              [2]colour
	start, length        float64 // of the event, in frames
	before, after        bool    // the actor is away before it, or after
	smooth, pop          bool
	size, turn           [2]float64 // at the event's start and end
	place, way           [2]float64
	shake, pitch, phases [2]float64
	noise, flicker       float64
}

func (s *scene) between(low, high float64) float64 { return low + (high-low)*s.Float64() }
func (s *scene) chance(p float64) bool             { return s.Float64() < p }

func (s *scene) pair(low, high float64) [2]float64 {
	return [2]float64{s.between(low, high), s.between(low, high)}
}

func newScene(rng *rand.Rand, class int, clutter bool) *scene {
	s := &scene{Rand: rng, event: class / 2, sign: 1}
	if class%2 == 1 {
		s.sign = -1
	}
	base := s.background()
	if clutter {
		s.clutter(base)
	}
	s.actor(base)
	s.shake, s.pitch, s.phases = s.pair(0, 2.5), s.pair(0.5, 2.5), s.pair(0, 2*math.Pi)
	s.noise, s.flicker = s.between(0.01, 0.055), s.between(0, 0.06)
	return s
}

// background paints a soft texture, half the time with stripes over it.
func (s *scene) background() colour {
	base := colour{s.between(0.15, 0.85), s.between(0.15, 0.85), s.between(0.15, 0.85)}
	contrast := s.between(0.1, 0.45)
	s.back, s.front, s.cover = newImage(canvas), newImage(canvas), make([]float64, canvas*canvas)
	n := 3 + s.IntN(11)
	texture := make([]colour, n*n)
	for i := range texture {
		texture[i] = colour{s.Float64(), s.Float64(), s.Float64()}
	}
	for y := range canvas {
		for x := range canvas {
			soft := bilinear(texture, n, y, x)
			for c := range 3 {
				s.back.at(y, x)[c] = base[c] + contrast*(soft[c]-0.5)
			}
		}
	}
	if s.chance(0.5) {
		angle, frequency, phase := s.between(0, math.Pi), s.between(0.1, 0.8), s.between(0, 2*math.Pi)
		tint := colour{s.between(-0.5, 0.5), s.between(-0.5, 0.5), s.between(-0.5, 0.5)}
		for y := range canvas {
			for x := range canvas {
				wave := math.Sin(frequency*(math.Cos(angle)*float64(x)+math.Sin(angle)*float64(y)) + phase)
				for c := range 3 {
					s.back.at(y, x)[c] += 0.5 * contrast * tint[c] * wave
				}
			}
		}
	}
	return base
}

// clutter puts up to three things that stand still on the canvas, one in five of
// them in front of the actor.
func (s *scene) clutter(base colour) {
	for range s.IntN(4) {
		kind, r, angle := s.IntN(5), s.between(4, 10), s.between(0, 2*math.Pi)
		p := s.pair(pad, canvas-pad)
		colours := s.twoTone(base)
		if s.chance(0.2) {
			s.front.paint(shape{kind, p[0], p[1], min(r, 6), angle, colours}, 1, s.cover)
		} else {
			s.back.paint(shape{kind, p[0], p[1], r, angle, colours}, 1, nil)
		}
	}
}

// twoTone draws two colours that differ from each other and from ref.
func (s *scene) twoTone(ref colour) [2]colour {
	draw := func(good func(c colour) bool) (c colour) {
		for range 20 {
			if c = (colour{s.Float64(), s.Float64(), s.Float64()}); good(c) {
				break
			}
		}
		return c
	}
	a := draw(func(c colour) bool { return c.far(ref) > 0.4 })
	b := draw(func(c colour) bool { return c.far(a) > 0.45 && c.far(ref) > 0.25 })
	return [2]colour{a, b}
}

// actor draws who acts and how.
func (s *scene) actor(base colour) {
	s.kind, s.colours = s.IntN(5), s.twoTone(base)
	s.length = s.between(2.2, 4.2)
	s.start = s.between(0, 7-s.length)
	s.before, s.after, s.smooth = s.chance(0.4), s.chance(0.4), s.chance(0.5)
	r := s.between(6.5, 12.5)
	s.size = [2]float64{r, r}
	s.turn[0] = s.between(0, 2*math.Pi)
	s.turn[1] = s.turn[0] + s.between(-0.17, 0.17)
	s.way = s.pair(-2, 2)
	switch s.event {
	case 0, 1: // moves along one axis
		r := s.between(5.5, 10.5)
		s.size = [2]float64{r, r}
		far := s.between(15, 32)
		s.way[s.event], s.way[1-s.event] = s.sign*far, s.between(-0.25, 0.25)*far
	case 2: // grows
		s.size[0] = s.between(4.5, 7.5)
		s.size[1] = s.size[0] * s.between(1.6, 2.3)
		if s.sign < 0 {
			s.size[0], s.size[1] = s.size[1], s.size[0]
		}
	case 3: // turns; y points down, so that a growing angle is clockwise
		s.turn[1] = s.turn[0] + s.sign*s.between(1.1, 2.5)
		r := s.between(7.5, 13)
		s.size = [2]float64{r, r}
	}
	s.pop = s.chance(0.4)
	margin := 0.75 * max(s.size[0], s.size[1])
	for k := range 2 {
		low, high := margin+max(0, -s.way[k]), Side-1-margin-max(0, s.way[k])
		s.place[k] = low + s.Float64()*max(high-low, 0)
	}
}

// frame shows the scene at a time, in eighths of the clip.
func (s *scene) frame(t float64, noise *rand.Rand) []byte {
	var off [2]int
	for k := range 2 {
		shake := s.shake[k]*math.Sin(2*math.Pi*s.pitch[k]*t/Frames+s.phases[k]) + float64(noise.IntN(3)-1)
		off[k] = int(math.RoundToEven(min(max(shake, -pad), pad)))
	}
	img := s.back.crop(pad+off[1], pad+off[0])
	p := min(max((t-s.start)/s.length, 0), 1)
	if s.smooth {
		p = p * p * (3 - 2*p)
	}
	alpha := 1.0
	switch {
	case s.event == 4:
		if alpha = p; s.sign < 0 {
			alpha = 1 - p
		}
		if s.pop {
			alpha = math.Round(alpha)
		}
	case s.before && t < s.start-0.5 || s.after && t > s.start+s.length+0.5:
		alpha = 0
	}
	img.paint(shape{
		s.kind, s.place[0] + s.way[0]*p - float64(off[0]), s.place[1] + s.way[1]*p - float64(off[1]),
		s.size[0] + (s.size[1]-s.size[0])*p, s.turn[0] + (s.turn[1]-s.turn[0])*p, s.colours,
	}, alpha, nil)
	light := 1 + s.flicker*(2*noise.Float64()-1)
	out := make([]byte, 3*Side*Side)
	for y := range Side {
		for x := range Side {
			at := (pad+off[1]+y)*canvas + pad + off[0] + x
			for c := range 3 {
				v := img.at(y, x)[c]*(1-s.cover[at]) + s.front.v[at][c]
				v = v*light + s.noise*noise.NormFloat64()
				out[(c*Side+y)*Side+x] = byte(min(max(v, 0), 1)*255 + 0.5)
			}
		}
	}
	return out
}
