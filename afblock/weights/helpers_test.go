package weights

import (
	"testing"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// readFixture reads one of the authors' checkpoints.
func readFixture(t testing.TB, name string) *checkpoint.StateDict {
	t.Helper()
	sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "afnet", name+".pth.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// vector makes a vector of n times v.
func vector(n int, v float32) *graph.Tensor {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return graph.Float32s([]int64{int64(n)}, x...)
}
