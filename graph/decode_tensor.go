package graph

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/afc-project/afc/graph/internal/onnxpb"
)

// tensor converts a TensorProto. Elements in raw_data, float_data or
// double_data alias the file; packed varints are unpacked.
func (d *decoder) tensor(p *onnxpb.TensorProto) (*Tensor, error) {
	t := &Tensor{
		Name: p.GetName(), Doc: p.GetDocString(), DType: DataType(p.GetDataType()), Dims: p.GetDims(),
		metadata: properties(p.GetMetadataProps()),
		opaque:   carry(p, nil),
	}
	if p.Segment != nil {
		t.opaque = carry(p, &onnxpb.TensorProto{Segment: p.Segment})
	}
	n, err := t.NumElements()
	if err != nil {
		return nil, d.tensorError(t, err)
	}
	e := d.split.of(p.GetRawData())
	switch {
	case p.GetDataLocation() == onnxpb.TensorProto_EXTERNAL:
		t.external, err = external(p.GetExternalData())
	case t.DType == String:
		t.strs = p.GetStringData()
		if int64(len(t.strs)) != n {
			err = fmt.Errorf("dimensions %v ask for %d strings, string_data has %d", t.Dims, n, len(t.strs))
		}
	case t.DType.Bits() == 0:
		t.raw = e.raw // of a type that onnx.proto did not define yet
		if len(e.typed) > 0 {
			err = fmt.Errorf("elements of unknown %s", t.DType)
		}
	case len(e.raw) > 0 || len(e.typed) == 0:
		t.raw = e.raw
		err = t.checkSize(int64(len(e.raw)), "raw_data")
	default:
		t.raw, err = e.unpack(t, n)
	}
	if err != nil {
		return nil, d.tensorError(t, err)
	}
	return t, nil
}

func (d *decoder) tensorError(t *Tensor, err error) error {
	where := d.where()
	if t.Name != "" {
		where = fmt.Sprintf("tensor %q", t.Name)
	}
	return errorf(where, "%v", err)
}

// checkSize compares the bytes that a tensor has with those it must have.
func (t *Tensor) checkSize(have int64, where string) error {
	need, err := t.NumBytes()
	if err != nil {
		return err
	}
	if have != need {
		return fmt.Errorf("%s%v takes %d bytes, %s has %d", t.DType, t.Dims, need, where, have)
	}
	return nil
}

// typedField returns the field of TensorProto that holds elements of a type
// when raw_data does not, with its name.
func typedField(t DataType) (protowire.Number, string) {
	switch t {
	case Float32, Complex64:
		return floatData, "float_data"
	case Float64, Complex128:
		return doubleData, "double_data"
	case Int64:
		return int64Data, "int64_data"
	case Uint32, Uint64:
		return uint64Data, "uint64_data"
	}
	return int32Data, "int32_data"
}

// unpack returns the elements of a typed field as raw_data would have them.
func (e *elements) unpack(t *Tensor, n int64) ([]byte, error) {
	field, name := typedField(t.DType)
	var have int64 // bytes, or varints
	var chunks [][]byte
	for _, c := range e.typed {
		if c.field != field {
			return nil, fmt.Errorf("%s elements belong in raw_data or %s, found in field %d of TensorProto", t.DType, name, c.field)
		}
		chunks = append(chunks, c.data)
		if field == floatData || field == doubleData {
			have += int64(len(c.data))
		} else {
			have += int64(countVarints(c.data))
		}
	}
	if field == floatData || field == doubleData { // little-endian bytes on the wire already
		if err := t.checkSize(have, name); err != nil || len(chunks) == 1 {
			return chunks[0], err
		}
		return slices.Concat(chunks...), nil
	}

	width, need := max(t.DType.Size(), 1), n
	sixBits := t.DType.Bits() == 6 // one to an entry, though packed in raw_data
	if t.DType.Size() == 0 && !sixBits {
		need, _ = t.NumBytes() // 2- and 4-bit elements: one byte to an entry
	}
	if have != need {
		return nil, fmt.Errorf("%s%v takes %d entries, %s has %d", t.DType, t.Dims, need, name, have)
	}
	raw := make([]byte, 0, need*int64(width))
	for _, b := range chunks {
		for len(b) > 0 {
			v, k := protowire.ConsumeVarint(b)
			if k < 0 {
				return nil, fmt.Errorf("%s: %s", name, parseFault(k))
			}
			var le [8]byte
			binary.LittleEndian.PutUint64(le[:], v)
			raw = append(raw, le[:width]...)
			b = b[k:]
		}
	}
	if sixBits {
		raw = packSixBits(raw)
	}
	return raw, nil
}

// packSixBits packs 6-bit values, one to a byte, into a contiguous bit stream,
// least significant bits first.
func packSixBits(codes []byte) []byte {
	packed := make([]byte, (len(codes)*6+7)/8)
	for i, c := range codes {
		bit := i * 6
		v := uint16(c&0x3f) << (bit % 8)
		packed[bit/8] |= byte(v)
		if v > 0xff {
			packed[bit/8+1] |= byte(v >> 8)
		}
	}
	return packed
}

// external converts the key-value pairs of external_data.
func external(entries []*onnxpb.StringStringEntryProto) (*External, error) {
	e := &External{Length: -1}
	for _, p := range entries {
		var err error
		switch v := p.GetValue(); p.GetKey() {
		case "location":
			e.Location = v
		case "offset":
			e.Offset, err = strconv.ParseInt(v, 10, 64)
		case "length":
			e.Length, err = strconv.ParseInt(v, 10, 64)
		case "checksum":
			e.Checksum = v
		default:
			e.extra = append(e.extra, Property{p.GetKey(), v})
		}
		if err != nil || e.Offset < 0 || e.Length < -1 {
			return nil, fmt.Errorf("external data: %s is %q, not a number of bytes", p.GetKey(), p.GetValue())
		}
	}
	if e.Location == "" {
		return nil, fmt.Errorf("external data without a location")
	}
	return e, nil
}
