package names

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	key := "layer1.fusion.0.conv1.weight"
	nested := Slice(Slice(key, 0, 16, 1), 4, 8, 0)
	for _, tc := range []struct {
		name string
		want Weight
	}{
		{key, Weight{Key: key}},
		{nested, Weight{Key: key, Slices: []Piece{{0, 16, 1}, {4, 8, 0}}}},
		{Padded(Slice(key, 16, 64, 1), 16), Weight{Key: key, Slices: []Piece{{16, 64, 1}}, Zeros: 16}},
	} {
		got, err := Parse(tc.name)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", tc.name, d)
		}
	}
	for _, bad := range []string{"k[", "k[1:2]", "k[1:2]@", "k[2:1]@0", "k[1:1]@0", "k[-1:1]@0", "k[a:b]@0", "k[0:99999999999]@0", "k[0:1]@0+", "k[0:1]@0+-1", "k[0:1]@0+1[0:1]@0"} {
		if got, err := Parse(bad); err == nil {
			t.Errorf("%s: read as %+v", bad, got)
		}
	}
}
