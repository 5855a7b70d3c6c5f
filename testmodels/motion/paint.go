package motion

import "math"

type colour [3]float64

func (c colour) far(d colour) float64 {
	return math.Sqrt((c[0]-d[0])*(c[0]-d[0]) + (c[1]-d[1])*(c[1]-d[1]) + (c[2]-d[2])*(c[2]-d[2]))
}

// image is square.
type image struct {
	side int
	v    []colour
}

func newImage(side int) *image { return &image{side, make([]colour, side*side)} }

func (m *image) at(y, x int) *colour { return &m.v[y*m.side+x] }

// crop returns a frame's part of a canvas.
func (m *image) crop(y, x int) *image {
	out := newImage(Side)
	for r := range Side {
		copy(out.v[r*Side:(r+1)*Side], m.v[(y+r)*m.side+x:])
	}
	return out
}

// bilinear enlarges an n×n grid to the canvas.
func bilinear(grid []colour, n, y, x int) (out colour) {
	u, v := float64(y)*(float64(n)-1.001)/(canvas-1), float64(x)*(float64(n)-1.001)/(canvas-1)
	i, j := int(u), int(v)
	f, g := u-float64(i), v-float64(j)
	for c := range 3 {
		out[c] = (grid[i*n+j][c]*(1-f)+grid[(i+1)*n+j][c]*f)*(1-g) + (grid[i*n+j+1][c]*(1-f)+grid[(i+1)*n+j+1][c]*f)*g
	}
	return out
}

// shape is a thing: which, its middle, radius and angle, and a colour for each
// half, which tells how it is turned.
type shape struct {
	kind           int
	x, y, r, angle float64
	colours        [2]colour
}

// paint lays a shape over the image, its edge a pixel soft; cover, where given,
// notes how much of each pixel is covered.
func (m *image) paint(s shape, alpha float64, cover []float64) {
	if alpha <= 0 {
		return
	}
	reach := int(math.Ceil(1.15*s.r)) + 2
	sin, cos := math.Sincos(s.angle)
	for py := max(0, int(s.y)-reach); py < min(m.side, int(s.y)+reach+1); py++ {
		for px := max(0, int(s.x)-reach); px < min(m.side, int(s.x)+reach+1); px++ {
			dx, dy := float64(px)-s.x, float64(py)-s.y
			x, y := cos*dx+sin*dy, cos*dy-sin*dx
			a := min(max(0.5-distance(s.kind, x, y, s.r), 0), 1) * alpha
			first := min(max(0.5+x, 0), 1)
			p := m.at(py, px)
			for c := range 3 {
				p[c] += a * (s.colours[0][c]*first + s.colours[1][c]*(1-first) - p[c])
			}
			if cover != nil {
				k := py*m.side + px
				cover[k] += a * (1 - cover[k])
			}
		}
	}
}

// distance is how far a point lies outside a shape: circle, square, triangle,
// cross or star.
func distance(kind int, x, y, r float64) float64 {
	switch kind {
	case 0:
		return math.Hypot(x, y) - 0.9*r
	case 1:
		return max(math.Abs(x), math.Abs(y)) - 0.8*r
	case 2:
		a := 0.8660254 * x
		return max(max(y, a-0.5*y), -a-0.5*y) - 0.58*r
	case 3:
		ax, ay := math.Abs(x), math.Abs(y)
		return min(max(ax-r, ay-0.36*r), max(ax-0.36*r, ay-r))
	}
	turn := math.Atan2(y, x) * 5 / (2 * math.Pi)
	arm := 2 * math.Abs(turn-math.RoundToEven(turn)) // 0 on an arm of the star, 1 between two
	return 0.7 * (math.Hypot(x, y) - r*(1.08-0.62*arm))
}
