package compiled_test

import (
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil/bounds"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
)

// smallAFNet is the state dict of an AFNet, and its bytes.
func smallAFNet() (*checkpoint.StateDict, int) {
	sd, size := checkpoint.New(), 0
	for _, e := range (testmodels.AFSpec{Blocks: []int{2, 2}, Basic: true, Width: 4, Frames: 2, Classes: 3}).Checkpoint() {
		sd.Set(e.Key, e.Tensor)
		raw, err := e.Tensor.Bytes()
		if err != nil {
			panic(err)
		}
		size += len(raw)
	}
	return sd, size
}

// holdNetwork: a network that was accepted can be written in every form, or
// there is a reason against it.
func holdNetwork(t *testing.T, net *afblock.Network) {
	if _, err := weights.Export(net); err != nil {
		t.Error(err)
	}
	for _, opt := range []codegen.Options{{Lowering: codegen.Mask}, {Lowering: codegen.Gather}, {Lowering: codegen.Branch, MasksOutput: true}, {Lowering: codegen.TopK, Budget: []int{1}}} {
		m, err := passes.Lower(net, opt)
		if err != nil {
			continue
		}
		if err := graph.Check(m); err != nil {
			t.Errorf("lowering %s: %v", opt.Lowering, err)
		}
	}
}

// FuzzReadModel: whatever the metadata, an error or a network.
func FuzzReadModel(f *testing.F) {
	sd, size := smallAFNet()
	net, err := weights.FromStateDict(sd, weights.Options{Size: [2]int{32, 32}})
	if err != nil {
		f.Fatal(err)
	}
	m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Meta("afc.network"))
	f.Fuzz(func(t *testing.T, meta string) {
		m.SetMeta("afc.network", meta)
		bounds.Hold(t, size+len(meta), func() {
			if net, _, err := compiled.ReadModel(m); err == nil {
				holdNetwork(t, net)
			}
		})
	})
}

// FuzzStateDict: whatever the tensors and the structure beside them, an error
// or a network. Each four bytes change a tensor.
func FuzzStateDict(f *testing.F) {
	original, size := smallAFNet()
	net, err := weights.FromStateDict(original, weights.Options{})
	if err != nil {
		f.Fatal(err)
	}
	exported, err := weights.Export(net)
	if err != nil {
		f.Fatal(err)
	}
	keys := original.Names()
	for i := range 40 {
		f.Add("", []byte{byte(3 * i), byte(i), byte(i), byte(i), byte(5 * i), byte(i + 1), byte(i), byte(7 * i)}, int8(i%5), int8(i%9))
	}
	f.Add(exported.Skeleton, []byte{}, int8(0), int8(8))
	f.Fuzz(func(t *testing.T, structure string, changes []byte, frames, shiftDiv int8) {
		sd := checkpoint.New()
		tensors := map[string]*graph.Tensor{}
		for name, x := range original.All() {
			tensors[name] = x
		}
		order := slices.Clone(keys)
		for ; len(changes) >= 4; changes = changes[4:] {
			at := int(changes[0]) % len(order)
			name, other := order[at], keys[int(changes[2])%len(keys)]
			switch changes[1] % 6 {
			case 0: // gone
				delete(tensors, name)
			case 1: // under another's name
				tensors[other] = tensors[name]
			case 2: // of another layer
				tensors[name] = original.Tensor(other)
			case 3: // of other dimensions
				if x := tensors[name]; x != nil {
					dims := slices.Clone(x.Dims)
					if len(dims) > 0 {
						dims[int(changes[2])%len(dims)] = int64(int8(changes[3]))
					}
					tensors[name] = zeros(x.DType, dims)
				}
			case 4: // of another type
				if x := tensors[name]; x != nil {
					tensors[name] = zeros(graph.DataType(changes[3]%24), x.Dims)
				}
			case 5: // beside its name
				order = append(order, name+string(rune(changes[2])))
				tensors[order[len(order)-1]] = tensors[name]
			}
		}
		for _, name := range order {
			if x := tensors[name]; x != nil {
				sd.Set(name, x)
			}
		}
		sd.Skeleton = structure
		bounds.Hold(t, size+len(structure), func() {
			net, err := weights.FromStateDict(sd, weights.Options{Frames: int(frames), ShiftDiv: int(shiftDiv)})
			if err == nil {
				holdNetwork(t, net)
			}
		})
	})
}

// zeros makes a tensor, nil if there is none of that type and size.
func zeros(dtype graph.DataType, dims []int64) *graph.Tensor {
	x := &graph.Tensor{DType: dtype, Dims: dims}
	n, err := x.NumBytes()
	if err != nil || n > 1<<20 {
		return nil
	}
	if x, err = graph.NewTensor(dtype, dims, make([]byte, n)); err != nil {
		return nil
	}
	return x
}
