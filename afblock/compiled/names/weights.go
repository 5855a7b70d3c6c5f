package names

import (
	"fmt"
	"strconv"
	"strings"
)

// Initializers of a compiled model carry the key of the state dict that their
// weights belong to, so that the weights can be read back. A lowering that
// needs only part of a tensor says so behind the key:
//
//	layer1.fusion.0.conv1.weight            the tensor
//	layer1.fusion.0.conv1.weight[0:16]@1    channels 0 to 15 of axis 1
//	….weight[0:16]@1[4:8]@0                 of these, rows 4 to 7
//	….weight[16:64]@1+16                    channels 16 to 63, stored behind 16 of zeros
//
// Constants derived from weights ("afc.…") are not read back.

// Slice is the name of elements lo to hi−1 along an axis of the tensor
// called name, which may be a slice itself.
func Slice(name string, lo, hi, axis int) string {
	return fmt.Sprintf("%s[%d:%d]@%d", name, lo, hi, axis)
}

// Padded is the name of a slice that is stored behind as many elements of
// zero along its axis.
func Padded(slice string, zeros int) string { return fmt.Sprintf("%s+%d", slice, zeros) }

// Weight is an initializer's name taken apart.
type Weight struct {
	Key    string  // of the state dict, without prefix
	Slices []Piece // each of what the one before leaves
	Zeros  int     // stored in front of the last slice, along its axis
}

// Piece is the elements Lo to Hi−1 along an axis.
type Piece struct{ Lo, Hi, Axis int }

// Parse takes an initializer's name apart. It fails on a malformed suffix.
func Parse(name string) (Weight, error) {
	end := strings.IndexByte(name, '[')
	if end < 0 {
		return Weight{Key: name}, nil
	}
	out := Weight{Key: name[:end]}
	bad := fmt.Errorf("initializer name %q: expected KEY[lo:hi]@axis, and +zeros behind the last", name)
	for rest := name[end:]; rest != ""; {
		span, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]@")
		lo, hi, ok2 := strings.Cut(span, ":")
		if rest[0] != '[' || !ok || !ok2 {
			return Weight{}, bad
		}
		end := strings.IndexByte(after, '[')
		if end < 0 {
			end = len(after)
		}
		var part Piece
		axis, zeros, padded := strings.Cut(after[:end], "+")
		switch {
		case !padded:
			zeros = "0"
		case end < len(after):
			return Weight{}, bad
		}
		for _, f := range []struct {
			text string
			to   *int
		}{{lo, &part.Lo}, {hi, &part.Hi}, {axis, &part.Axis}, {zeros, &out.Zeros}} {
			n, err := strconv.ParseUint(f.text, 10, 31)
			if err != nil {
				return Weight{}, bad
			}
			*f.to = int(n)
		}
		if part.Lo >= part.Hi {
			return Weight{}, bad
		}
		out.Slices = append(out.Slices, part)
		rest = after[end:]
	}
	return out, nil
}

// PieceOf reports whether an initializer is the weight of that name or a piece
// of it.
func PieceOf(initializer, weight string) bool {
	rest, ok := strings.CutPrefix(initializer, weight)
	return ok && (rest == "" || rest[0] == '[')
}
