package op

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// How operators that gather and scatter move elements.

func moveGather(c *moveCall) Movement {
	d := c.dims(0)
	idx, _, ok := c.list(1, "")
	if d == nil || !ok {
		return nil
	}
	k, ok := c.axis(len(d))
	if !ok {
		return nil
	}
	for i := range idx {
		var err error
		if idx[i], err = wrapIndex(idx[i], d[k]); err != nil {
			return nil
		}
	}
	inner, picks := graph.Strides(d)[k], int64(len(idx))
	if !sameCount(c.out, slices.Concat(d[:k], []int64{picks}, d[k+1:])) {
		return nil
	}
	return func(at []int64) ([]Piece, bool) {
		from := make([]int64, len(at))
		for i, a := range at {
			from[i] = (a/(inner*picks)*d[k]+idx[a/inner%picks])*inner + a%inner
		}
		return []Piece{{Input: 0, At: from}}, true
	}
}

// moveGatherElements follows indices of the result's own shape, one for each
// of its elements.
func moveGatherElements(c *moveCall) Movement {
	d := c.dims(0)
	k, ok := c.axis(len(d))
	if d == nil || !ok || len(c.out) != len(d) || !slices.Equal(c.dims(1), c.out) {
		return nil
	}
	for a := range d {
		if a != k && c.out[a] > d[a] {
			return nil
		}
	}
	st, ost := graph.Strides(d), graph.Strides(c.out)
	return func(at []int64) ([]Piece, bool) {
		picks, ok := c.known.Elements(c.n.Input(1), at)
		if !ok {
			return nil, false
		}
		from, x := make([]int64, len(at)), make([]int64, len(d))
		for i, a := range at {
			coordinates(a, ost, x)
			j, err := wrapIndex(int64(picks[i]), d[k])
			if err != nil {
				return nil, false
			}
			x[k] = j
			for a, s := range st {
				from[i] += x[a] * s
			}
		}
		return []Piece{{Input: 0, At: from}}, true
	}
}

// tuples returns the offset in the data of each tuple of constant indices, and
// how many elements lie behind each.
func (c *moveCall) tuples(batch int64) (offsets []int64, run int64, ok bool) {
	d, t := c.dims(0), c.known.Constant(c.n.Input(1))
	if d == nil || t == nil {
		return nil, 0, false
	}
	idx, err := newArr(t)
	if err != nil {
		return nil, 0, false
	}
	data := &arr{dims: d}
	if _, err := graph.NumElements(d); err != nil {
		return nil, 0, false
	}
	offsets, run, err = tupleOffsets(data, idx, int(min(batch, maxRank)))
	return offsets, run, err == nil
}

// moveGatherND follows tuples of indices, each of which picks a slice
// (torch.export's indexing by a list).
func moveGatherND(c *moveCall) Movement {
	offsets, run, ok := c.tuples(c.int("batch_dims", 0))
	if !ok || !sameCount(c.out, []int64{int64(len(offsets)), run}) {
		return nil
	}
	return func(at []int64) ([]Piece, bool) {
		from := make([]int64, len(at))
		for i, a := range at {
			from[i] = offsets[a/run] + a%run
		}
		return []Piece{{Input: 0, At: from}}, true
	}
}

// moveScatterND follows slices written over the data, the last one where
// several are.
func moveScatterND(c *moveCall) Movement {
	offsets, run, ok := c.tuples(0)
	if !ok || run == 0 || !slices.Equal(c.dims(0), c.out) || c.str("reduction", "none") != "none" ||
		!sameCount(c.dims(2), []int64{int64(len(offsets)), run}) {
		return nil
	}
	rows := make(map[int64]int64, len(offsets)) // by slice of the data: which of the updates
	for r, o := range offsets {
		rows[o/run] = int64(r)
	}
	return func(at []int64) ([]Piece, bool) {
		return chosen(at, func(_ int, a int64) int64 {
			if r, ok := rows[a/run]; ok {
				return r*run + a%run
			}
			return -1
		}), true
	}
}

// maxScattered bounds the updates along ScatterElements' axis, each of which is
// looked at for each element followed.
const maxScattered = 64

// moveScatterElements follows updates written along one axis (select_scatter
// of torch.export), the last one where several are.
func moveScatterElements(c *moveCall) Movement {
	id := c.dims(1)
	k, ok := c.axis(len(c.out))
	if !ok || len(id) != len(c.out) || id[k] > maxScattered || c.str("reduction", "none") != "none" ||
		!slices.Equal(c.dims(2), id) || !slices.Equal(c.dims(0), c.out) {
		return nil
	}
	st, ist := graph.Strides(c.out), graph.Strides(id)
	return func(at []int64) ([]Piece, bool) {
		written := slices.Repeat([]int64{-1}, len(at)) // the update that each element takes, −1: the data's
		x := make([]int64, len(st))
		for j := range id[k] {
			var which []int
			var from []int64
			for i, a := range at {
				coordinates(a, st, x)
				x[k] = j
				f, inside := int64(0), true
				for a, s := range ist {
					inside = inside && x[a] < id[a]
					f += x[a] * s
				}
				if inside {
					which, from = append(which, i), append(from, f)
				}
			}
			picks, ok := c.known.Elements(c.n.Input(1), from)
			if !ok {
				return nil, false
			}
			for p, pick := range picks {
				i := which[p]
				to, err := wrapIndex(int64(pick), c.out[k])
				if err != nil {
					return nil, false
				}
				if at[i]/st[k]%c.out[k] == to {
					written[i] = from[p]
				}
			}
		}
		return chosen(at, func(i int, _ int64) int64 { return written[i] }), true
	}
}

// chosen follows each element to the update that written names, or to the
// data's at the same place where that is negative.
func chosen(at []int64, written func(i int, a int64) int64) []Piece {
	parts := [2]Piece{{Input: 0}, {Input: 2}}
	for i, a := range at {
		p, f := &parts[0], a
		if w := written(i, a); w >= 0 {
			p, f = &parts[1], w
		}
		p.Which, p.At = append(p.Which, i), append(p.At, f)
	}
	return pieces(parts[:]...)
}
