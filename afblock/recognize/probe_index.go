package recognize

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

func moveGather(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d := p.dims(n.Input(0))
	idx, ok := p.ints(n.Input(1))
	axis := n.AttrInt("axis", 0)
	if axis < 0 {
		axis += int64(len(d))
	}
	if d == nil || !ok || axis < 0 || axis >= int64(len(d)) {
		return false
	}
	inner, picks := strides(d)[axis], int64(len(idx))
	if elements(p.dims(v)) != elements(d[:axis])*picks*inner {
		return false
	}
	from := make([]int64, len(at))
	for i, a := range at {
		k := idx[a/inner%picks]
		if k < 0 {
			k += d[axis]
		}
		if k < 0 || k >= d[axis] {
			return false
		}
		from[i] = (a/(inner*picks)*d[axis]+k)*inner + a%inner
	}
	p.traceInto(n.Input(0), from, out)
	return true
}

// moveGatherElements follows indices of the result's own shape, one for each
// of its elements.
func moveGatherElements(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, od := p.dims(n.Input(0)), p.dims(v)
	axis := n.AttrInt("axis", 0)
	if axis < 0 {
		axis += int64(len(d))
	}
	if d == nil || len(od) != len(d) || axis < 0 || axis >= int64(len(d)) || !slices.Equal(p.dims(n.Input(1)), od) {
		return false
	}
	picks := p.trace(n.Input(1), at)
	st, ost := strides(d), strides(od)
	from := make([]int64, len(at))
	for i, a := range at {
		pick := int64(picks[i].val)
		if pick < 0 {
			pick += d[axis]
		}
		if picks[i].base != nil || pick < 0 || pick >= d[axis] {
			return false
		}
		for k, s := range ost {
			c := a / s
			a %= s
			if int64(k) == axis {
				c = pick
			}
			from[i] += c * st[k]
		}
	}
	p.traceInto(n.Input(0), from, out)
	return true
}

// moveGatherND follows tuples of indices, each of which picks a slice
// (torch.export's indexing by a list).
func moveGatherND(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, id := p.dims(n.Input(0)), p.dims(n.Input(1))
	idx, ok := p.ints(n.Input(1))
	if d == nil || !ok || len(id) == 0 || n.AttrInt("batch_dims", 0) != 0 {
		return false
	}
	depth := int(id[len(id)-1])
	if depth <= 0 || depth > len(d) {
		return false
	}
	inner := elements(d[depth:])
	if elements(p.dims(v)) != int64(len(idx)/depth)*inner {
		return false
	}
	from := make([]int64, len(at))
	for i, a := range at {
		tuple := idx[a/inner*int64(depth):][:depth]
		slice, ok := tupleIndex(tuple, d)
		if !ok {
			return false
		}
		from[i] = slice*inner + a%inner
	}
	p.traceInto(n.Input(0), from, out)
	return true
}

// tupleIndex is the row-major index of a tuple of coordinates, negative ones
// from the end, in the first dimensions of d.
func tupleIndex(tuple, d []int64) (index int64, ok bool) {
	for k, i := range tuple {
		if i < 0 {
			i += d[k]
		}
		if i < 0 || i >= d[k] {
			return 0, false
		}
		index = index*d[k] + i
	}
	return index, true
}

func moveScatterND(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, id := p.dims(n.Input(0)), p.dims(n.Input(1))
	idx, ok := p.ints(n.Input(1))
	if d == nil || !ok || len(id) == 0 || n.AttrString("reduction", "none") != "none" {
		return false
	}
	depth := int(id[len(id)-1])
	if depth == 0 || depth > len(d) {
		return false
	}
	inner := elements(d[depth:])
	rows, ok := p.scattered(n, d[:depth], idx)
	if !ok {
		return false
	}
	written := make([]int64, len(at))
	for i, a := range at {
		written[i] = -1
		if r, ok := rows[a/inner]; ok {
			written[i] = r*inner + a%inner
		}
	}
	if p.dims(n.Input(2)) == nil {
		return false
	}
	moveChosen(p, n.Input(0), n.Input(2), at, written, out)
	return true
}

// scattered maps the slices of a ScatterND's data, of dimensions d in front,
// to the rows of updates written over them, the last one where there are more.
func (p *probe) scattered(n *graph.Node, d, idx []int64) (map[int64]int64, bool) {
	if rows, ok := p.rows[n]; ok {
		return rows, true
	}
	rows := make(map[int64]int64, len(idx)/len(d))
	for r := range len(idx) / len(d) {
		key, ok := tupleIndex(idx[r*len(d):][:len(d)], d)
		if !ok {
			return nil, false
		}
		rows[key] = int64(r)
	}
	p.rows[n] = rows
	return rows, true
}

// maxScattered bounds the updates along ScatterElements' axis, each of which is
// looked at for each element followed.
const maxScattered = 64

// moveScatterElements follows updates written along one axis (select_scatter
// of torch.export).
func moveScatterElements(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, id := p.dims(v), p.dims(n.Input(1))
	axis := n.AttrInt("axis", 0)
	if axis < 0 {
		axis += int64(len(d))
	}
	if len(id) != len(d) || axis < 0 || axis >= int64(len(d)) || id[axis] > maxScattered ||
		n.AttrString("reduction", "none") != "none" || !slices.Equal(p.dims(n.Input(2)), id) {
		return false
	}
	st, ist := strides(d), strides(id)
	written := make([]int64, len(at)) // the update that each element takes, −1: the data's
	for i := range written {
		written[i] = -1
	}
	for j := range id[axis] {
		var which []int
		var from []int64
		for i, a := range at {
			f, inside := int64(0), true
			for k, s := range st {
				c := a / s
				a %= s
				if int64(k) == axis {
					c = j
				}
				inside = inside && c < id[k]
				f += c * ist[k]
			}
			if inside {
				which, from = append(which, i), append(from, f)
			}
		}
		for k, pick := range p.trace(n.Input(1), from) {
			i := which[k]
			to := int64(pick.val)
			if to < 0 {
				to += d[axis]
			}
			if pick.base != nil {
				return false
			}
			if at[i]/st[axis]%d[axis] == to {
				written[i] = from[k]
			}
		}
	}
	moveChosen(p, n.Input(0), n.Input(2), at, written, out)
	return true
}

// moveChosen follows each element to update[written], or to data[at] where
// written is negative.
func moveChosen(p *probe, data, update *graph.Value, at, written []int64, out []cell) {
	var which [2][]int
	var from [2][]int64
	for i, w := range written {
		k, f := 0, at[i]
		if w >= 0 {
			k, f = 1, w
		}
		which[k] = append(which[k], i)
		from[k] = append(from[k], f)
	}
	for k, in := range []*graph.Value{data, update} {
		for i, c := range p.trace(in, from[k]) {
			out[which[k][i]] = c
		}
	}
}
