package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// This file cuts an encoded model into its graphs, byte by byte and without
// afc's decoder, which is what is to be checked.

// piece is a graph of a file as a model of its own.
type piece struct {
	name  string // "the outer graph", "then_branch of If choose"
	model []byte
	empty bool // it has no nodes
}

// The numbers of onnx.proto's fields that are looked at.
const (
	modelGraph = 7

	graphNode, graphInitializer, graphInput, graphSparse = 1, 5, 11, 15

	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttribute = 1, 2, 3, 4, 5

	attributeName, attributeGraph, attributeGraphs = 1, 6, 11

	tensorName   = 8
	sparseValues = 1
	valueName    = 1
)

// cutGraphs returns the graph of an encoded model without the bodies of its
// nodes, followed by the bodies, each where its node stands, depth first. What
// a body reads of the graphs around it becomes an input of it; what none of
// them has is an error.
func cutGraphs(data []byte) ([]piece, error) {
	fields, err := fieldsOf(data)
	if err != nil {
		return nil, fmt.Errorf("the file is not protobuf: %w", err)
	}
	c := &cutter{}
	var body []byte
	for _, f := range fields {
		if f.number == modelGraph {
			body = f.content
		} else {
			c.model = append(c.model, f.raw...)
		}
	}
	if err := c.cut("the outer graph", body, nil); err != nil {
		return nil, err
	}
	return c.pieces, nil
}

type cutter struct {
	model  []byte // the model's own fields, without its graph
	pieces []piece
}

// names of values, of a graph and those around it.
type scope struct {
	defined map[string]bool
	around  *scope
}

func (s *scope) has(name string) bool {
	return s != nil && (s.defined[name] || s.around.has(name))
}

// cut appends a graph and its bodies to the pieces.
func (c *cutter) cut(name string, body []byte, around *scope) error {
	own := len(c.pieces)
	c.pieces = append(c.pieces, piece{name: name, empty: true})
	fields, err := fieldsOf(body)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s := &scope{map[string]bool{}, around}
	for _, f := range fields { // they come in any order
		if err := s.define(f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var out []byte
	inputs := map[string]bool{}
	for _, f := range fields {
		if f.number != graphNode {
			out = append(out, f.raw...)
			continue
		}
		c.pieces[own].empty = false
		n, err := cutNode(f.content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = appendField(out, graphNode, n.rest)
		for _, in := range n.inputs {
			switch {
			case in == "" || s.defined[in] || inputs[in]:
			case !around.has(in):
				return fmt.Errorf("%s: node %s reads %q, which neither it nor a graph around it has", name, n.label, in)
			default:
				inputs[in] = true
				out = appendField(out, graphInput, appendField(nil, valueName, []byte(in)))
			}
		}
		for _, b := range n.bodies {
			if err := c.cut(b.attribute+" of "+n.label, b.graph, s); err != nil {
				return err
			}
		}
	}
	c.pieces[own].model = appendField(append([]byte(nil), c.model...), modelGraph, out)
	return nil
}

// define adds the names that a field of a graph gives values.
func (s *scope) define(f field) error {
	switch f.number {
	case graphInput:
		return s.names(f.content, valueName)
	case graphInitializer:
		return s.names(f.content, tensorName)
	case graphNode:
		return s.names(f.content, nodeOutput)
	case graphSparse:
		fields, err := fieldsOf(f.content)
		if err != nil {
			return err
		}
		for _, f := range fields {
			if f.number == sparseValues {
				return s.names(f.content, tensorName)
			}
		}
	}
	return nil
}

// names adds the names that stand in the fields of a message with a number.
func (s *scope) names(message []byte, number int) error {
	fields, err := fieldsOf(message)
	for _, f := range fields {
		if f.number == number {
			s.defined[string(f.content)] = true
		}
	}
	return err
}

// cutOut is an encoded node without its bodies.
type cutOut struct {
	label  string // "If choose"
	inputs []string
	rest   []byte
	bodies []namedBody
}

type namedBody struct {
	attribute string
	graph     []byte
}

func cutNode(node []byte) (n cutOut, err error) {
	fields, err := fieldsOf(node)
	if err != nil {
		return n, err
	}
	var name, op string
	for _, f := range fields {
		switch f.number {
		case nodeName:
			name = string(f.content)
		case nodeOp:
			op = string(f.content)
		case nodeInput:
			n.inputs = append(n.inputs, string(f.content))
		case nodeAttribute:
			bodies, err := bodiesOf(f.content)
			if err != nil {
				return n, err
			}
			if len(bodies) > 0 {
				n.bodies = append(n.bodies, bodies...)
				continue
			}
		}
		n.rest = append(n.rest, f.raw...)
	}
	n.label = op + " " + name
	return n, nil
}

// bodiesOf returns the graphs an encoded attribute holds.
func bodiesOf(attribute []byte) ([]namedBody, error) {
	fields, err := fieldsOf(attribute)
	if err != nil {
		return nil, err
	}
	var name string
	var bodies []namedBody
	for _, f := range fields {
		switch f.number {
		case attributeName:
			name = string(f.content)
		case attributeGraph, attributeGraphs:
			bodies = append(bodies, namedBody{graph: f.content})
		}
	}
	for i := range bodies {
		bodies[i].attribute = name
	}
	return bodies, nil
}

// field is a field of an encoded protobuf message.
type field struct {
	number  int
	content []byte // of a length-delimited field
	raw     []byte // all of it, with its tag
}

var errCutShort = errors.New("a field is cut short")

// Wire types of protobuf.
const (
	wireVarint, wire64, wireBytes, wire32 = 0, 1, 2, 5
)

// fieldsOf splits an encoded protobuf message.
func fieldsOf(message []byte) ([]field, error) {
	var fields []field
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
			return nil, errCutShort
		}
		f := field{number: int(tag >> 3)}
		end := uint64(n)
		switch tag & 7 {
		case wireVarint:
			_, k := binary.Uvarint(message[n:])
			if k <= 0 {
				return nil, errCutShort
			}
			end += uint64(k)
		case wire64:
			end += 8
		case wire32:
			end += 4
		case wireBytes:
			size, k := binary.Uvarint(message[n:])
			if k <= 0 || size > uint64(len(message)-n-k) {
				return nil, errCutShort
			}
			end += uint64(k) + size
			f.content = message[n+k : end]
		default:
			return nil, fmt.Errorf("wire type %d is not one of protobuf", tag&7)
		}
		if end > uint64(len(message)) {
			return nil, errCutShort
		}
		f.raw, message = message[:end], message[end:]
		fields = append(fields, f)
	}
	return fields, nil
}

// appendField appends a length-delimited field.
func appendField(message []byte, number int, content []byte) []byte {
	message = binary.AppendUvarint(message, uint64(number)<<3|wireBytes)
	message = binary.AppendUvarint(message, uint64(len(content)))
	return append(message, content...)
}
