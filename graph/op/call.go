package op

import (
	"errors"
	"fmt"

	"github.com/afc-project/afc/graph"
)

// opCall is a node in the frame it is read in: its opset, and inside a
// function the caller's attributes.
type opCall struct {
	n     *graph.Node
	opset int64
	bind  map[string]*graph.Attribute
	err   error // the first attribute that was not of the expected type
}

// check finds the node's operator and sees to what holds for every operator.
func (c *opCall) check(inputs int) (*operator, error) {
	op := operators[c.n.OpType]
	if op == nil || graph.CanonicalDomain(c.n.Domain) != "" {
		return nil, errors.New("afc does not know this operator")
	}
	if c.opset == 0 {
		return nil, errors.New("the opset of its model is not known")
	}
	if c.opset < op.since {
		return nil, fmt.Errorf("opset %d: afc knows this operator from opset %d", c.opset, op.since)
	}
	if inputs < op.minIn {
		return nil, fmt.Errorf("has %d inputs, expected %d or more", inputs, op.minIn)
	}
	if op.maxIn >= 0 && inputs > op.maxIn {
		return nil, fmt.Errorf("has %d inputs, expected at most %d", inputs, op.maxIn)
	}
	return op, nil
}

// attr returns the attribute of that name and type, nil if there is none. In a
// function body a reference stands for the caller's attribute.
func (c *opCall) attr(name string, typ graph.AttrType) *graph.Attribute {
	a := c.n.Attr(name)
	if a != nil && a.RefName != "" {
		a = c.bind[a.RefName]
	}
	if a == nil {
		return nil
	}
	if a.Type != typ || typ == graph.AttrTensor && a.Tensor == nil || typ == graph.AttrGraph && a.Graph == nil {
		if c.err == nil {
			c.err = fmt.Errorf("attribute %q is not of the expected type", name)
		}
		return nil
	}
	return a
}

func (c *opCall) int(name string, def int64) int64 {
	if a := c.attr(name, graph.AttrInt); a != nil {
		return a.I
	}
	return def
}

func (c *opCall) float(name string, def float32) float32 {
	if a := c.attr(name, graph.AttrFloat); a != nil {
		return a.F
	}
	return def
}

func (c *opCall) str(name, def string) string {
	if a := c.attr(name, graph.AttrString); a != nil {
		return string(a.S)
	}
	return def
}

// ints returns a list attribute, nil if absent.
func (c *opCall) ints(name string) []int64 {
	if a := c.attr(name, graph.AttrInts); a != nil {
		if a.Ints == nil {
			return []int64{}
		}
		return a.Ints
	}
	return nil
}

// axis resolves a possibly negative axis of a tensor of that rank.
func axis(a int64, rank int) (int, error) {
	if a < -int64(rank) || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d is outside a tensor of rank %d", a, rank)
	}
	if a < 0 {
		a += int64(rank)
	}
	return int(a), nil
}

// axisSet resolves a list of axes, which must be distinct.
func axisSet(axes []int64, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range axes {
		i, err := axis(a, rank)
		if err != nil {
			return nil, err
		}
		if set[i] {
			return nil, fmt.Errorf("axis %d is listed twice", a)
		}
		set[i] = true
	}
	return set, nil
}
