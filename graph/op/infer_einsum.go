package op

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// einsum is an Einsum equation with the dimension of every letter. An ellipsis
// stands for letters of its own.
type einsum struct {
	out   []string
	sizes map[string]graph.Dim
	order []string // letters in order of their first use
}

// parseEinsum reads an equation for operands of the given shapes.
func parseEinsum(equation string, shapes []graph.Shape) (*einsum, error) {
	equation = strings.ReplaceAll(equation, " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(shapes) {
		return nil, fmt.Errorf("equation %q has %d operands, the node %d", equation, len(terms), len(shapes))
	}
	e := &einsum{sizes: map[string]graph.Dim{}}
	uses, dots := map[string]int{}, 0
	split := func(term string, rank int) ([]string, error) {
		before, after, ellipsis := strings.Cut(term, "...")
		letters := strings.Split(before, "")
		if before == "" {
			letters = nil
		}
		if ellipsis {
			n := rank - len(before) - len(after)
			if n < 0 {
				return nil, fmt.Errorf("equation %q does not fit the operands' ranks", equation)
			}
			for i := range n { // aligned at the end, as broadcasting is
				letters = append(letters, fmt.Sprintf("...%d", n-i))
			}
			dots = max(dots, n)
			if after != "" {
				letters = append(letters, strings.Split(after, "")...)
			}
		}
		return letters, nil
	}
	for i, term := range terms {
		letters, err := split(term, len(shapes[i]))
		if err != nil {
			return nil, err
		}
		if len(letters) != len(shapes[i]) {
			return nil, fmt.Errorf("term %q does not fit shape %s", term, shapes[i])
		}
		for k, l := range letters {
			d := shapes[i][k]
			if old, seen := e.sizes[l]; seen {
				if d, err = broadcastDim(old, d); err != nil {
					return nil, fmt.Errorf("letter %q: %w", l, err)
				}
			} else {
				e.order = append(e.order, l)
			}
			e.sizes[l] = d
			uses[l]++
		}
	}
	if explicit {
		var err error
		e.out, err = split(right, len(strings.ReplaceAll(right, "...", ""))+dots)
		if err != nil {
			return nil, err
		}
	} else {
		for i := dots; i > 0; i-- {
			e.out = append(e.out, fmt.Sprintf("...%d", i))
		}
		for _, l := range slices.Sorted(slices.Values(e.order)) {
			if uses[l] == 1 && !strings.HasPrefix(l, "...") {
				e.out = append(e.out, l)
			}
		}
	}
	for _, l := range e.out {
		if _, seen := e.sizes[l]; !seen {
			return nil, fmt.Errorf("equation %q makes %q of nothing", equation, l)
		}
	}
	return e, nil
}

func inferEinsum(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	var shapes []graph.Shape
	for i := range c.in {
		s := c.shape(i)
		if c.err != nil {
			return c.err
		}
		shapes = append(shapes, s)
	}
	e, err := parseEinsum(c.str("equation", ""), shapes)
	if err != nil {
		return err
	}
	out := graph.Shape{}
	for _, l := range e.out {
		out = append(out, e.sizes[l])
	}
	c.set(0, c.elem(0), out)
	return nil
}
