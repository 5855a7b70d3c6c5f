package checkpoint

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
)

// decodeTorchZip reads what torch.save writes since PyTorch 1.6: data.pkl with
// the objects, data/KEY with the bytes of each storage.
func decodeTorchZip(z *zip.Reader, prefix, key string, mem *limits.Allowance) (*StateDict, error) {
	entries := make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		entries[f.Name] = f
	}
	if f := entries[prefix+"byteorder"]; f != nil {
		order, err := limits.Unpack(f, mem)
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, fmt.Errorf("its numbers are %s-endian; save it on a little-endian machine", order)
		}
	}
	program, err := limits.Unpack(entries[prefix+"data.pkl"], mem)
	if err != nil {
		return nil, err
	}
	top, _, err := unpickle(program, mem, persistentStorage)
	if err != nil {
		return nil, err
	}
	loaded := map[string][]byte{}
	return collectTensors(top, key, mem, func(s *storageRef) ([]byte, error) {
		if raw, ok := loaded[s.key]; ok {
			return raw, nil
		}
		f := entries[prefix+"data/"+s.key]
		if f == nil {
			return nil, fmt.Errorf("storage %q is missing", s.key)
		}
		raw, err := limits.Unpack(f, mem)
		if err != nil {
			return nil, err
		}
		loaded[s.key] = raw
		return raw, nil
	})
}

// persistentStorage makes a storageRef of torch's persistent id
// ("storage", type, key, location, count[, view]).
func persistentStorage(id any) (any, error) {
	t, ok := id.(*types.Tuple)
	if !ok || t.Len() < 5 || t.Get(0) != "storage" {
		return foreign{}, nil
	}
	if t.Len() > 5 && t.Get(5) != nil {
		return nil, errors.New("a storage is a view of another one, as PyTorch before 0.4 wrote them: save it again with a newer version")
	}
	dtype, ok := t.Get(1).(storageType)
	key, ok2 := t.Get(2).(string)
	count, ok3 := t.Get(4).(int)
	if !ok || !ok2 || !ok3 || count < 0 {
		return nil, fmt.Errorf("storage %v has an unknown type", t.Get(2))
	}
	return &storageRef{key, graph.DataType(dtype), int64(count)}, nil
}

// legacyMagic opens what torch.save wrote before PyTorch 1.6.
var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

// decodeTorchLegacy reads PyTorch's older format: pickles of a magic number,
// protocol version, system information, the objects and the storage keys, then
// each storage as a count and bytes.
func decodeTorchLegacy(r io.ReaderAt, size int64, key string, mem *limits.Allowance) (*StateDict, error) {
	if err := mem.Take(size); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := r.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	magic, data, err := unpickle(data, mem, nil)
	if err != nil {
		return nil, err
	}
	if n, ok := magic.(*big.Int); !ok || n.Cmp(legacyMagic) != 0 {
		return nil, errors.New("a pickle, but not one that torch.save wrote")
	}
	version, data, err := unpickle(data, mem, nil)
	if err != nil {
		return nil, err
	}
	if version != 1001 {
		return nil, fmt.Errorf("PyTorch file version %v; 1001 is supported", version)
	}
	system, data, err := unpickle(data, mem, nil)
	if err != nil {
		return nil, err
	}
	if d, ok := system.(*types.Dict); ok {
		if little, ok := d.Get("little_endian"); ok && little != true {
			return nil, errors.New("its numbers are big-endian; save it on a little-endian machine")
		}
	}
	storages := map[string]*storageRef{}
	top, data, err := unpickle(data, mem, func(id any) (any, error) {
		s, err := persistentStorage(id)
		if ref, ok := s.(*storageRef); ok {
			storages[ref.key] = ref
		}
		return s, err
	})
	if err != nil {
		return nil, err
	}
	keys, data, err := unpickle(data, mem, nil)
	if err != nil {
		return nil, err
	}
	list, ok := keys.(*types.List)
	if !ok {
		return nil, errors.New("storage keys are missing")
	}
	loaded := map[string][]byte{}
	for _, k := range *list {
		id, _ := k.(string)
		ref := storages[id]
		if ref == nil || len(data) < 8 {
			return nil, fmt.Errorf("storage %v is unknown or missing", k)
		}
		count := binary.LittleEndian.Uint64(data)
		data = data[8:]
		if count > uint64(len(data)/ref.dtype.Size()) {
			return nil, fmt.Errorf("storage %q claims %d elements, %d bytes are left", id, count, len(data))
		}
		n := int(count) * ref.dtype.Size()
		loaded[id], data = data[:n], data[n:]
	}
	return collectTensors(top, key, mem, func(s *storageRef) ([]byte, error) {
		raw, ok := loaded[s.key]
		if !ok {
			return nil, fmt.Errorf("storage %q is missing", s.key)
		}
		return raw, nil
	})
}

// stateKeys are the names that training code saves a model's state dict under,
// the authors' first.
var stateKeys = []string{"state_dict", "model_state_dict", "state_dict_ema", "model", "net"}

// collectTensors makes the state dict of an unpickled checkpoint: the tensors
// under key, or if it is "" under the first of stateKeys that there is, or those
// at the top.
func collectTensors(top any, key string, mem *limits.Allowance, bytesOf func(*storageRef) ([]byte, error)) (*StateDict, error) {
	entries, ok := dictEntries(top)
	if !ok {
		return nil, errors.New("holds no dictionary: save {'state_dict': model.state_dict()} or model.state_dict()")
	}
	sd := New()
	if entries, sd.Key, sd.OtherKeys = stateEntries(entries, key); key != "" && sd.Key == "" {
		return nil, &KeyError{Key: key, Has: sd.OtherKeys}
	}
	for _, e := range entries {
		name, ok := e.Key.(string)
		ref, ok2 := e.Value.(*tensorRef)
		if !ok || !ok2 {
			continue
		}
		raw, err := bytesOf(ref.storage)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		size := int64(ref.storage.dtype.Size())
		if ref.storage.count > int64(len(raw))/size {
			return nil, fmt.Errorf("%s: its storage holds %d elements of the %d claimed", name, int64(len(raw))/size, ref.storage.count)
		}
		raw = raw[:ref.storage.count*size]
		if ref.offset > ref.storage.count {
			return nil, fmt.Errorf("%s: starts at element %d of a storage of %d", name, ref.offset, ref.storage.count)
		}
		t, err := arrange(ref.storage.dtype, ref.dims, ref.strides, raw[ref.offset*size:], mem)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sd.Set(name, t)
	}
	if sd.Len() == 0 && len(sd.OtherKeys) > 0 {
		return nil, &KeyError{Key: stateKeys[0], Has: sd.OtherKeys}
	}
	if sd.Len() == 0 {
		var found []string
		for _, e := range entries[:min(len(entries), 8)] {
			if key, ok := e.Key.(string); ok {
				found = append(found, fmt.Sprintf("%.40q", key))
			}
		}
		return nil, fmt.Errorf("holds no tensors; found the keys [%s]", strings.Join(found, " "))
	}
	return sd, nil
}

// stateEntries are the entries of the dictionary under key, or if it is "" under
// the first of stateKeys that there is, with that key, and the other keys that
// tensors stand under. Where there is none they are top itself, with no key.
func stateEntries(top []types.DictEntry, key string) (entries []types.DictEntry, taken string, others []string) {
	wanted := stateKeys
	if key != "" {
		wanted = []string{key}
	}
	for _, want := range wanted {
		for _, e := range top {
			if inner, ok := dictEntries(e.Value); ok && e.Key == want && taken == "" && (key == "" || holdsTensors(inner)) {
				entries, taken = inner, want
			}
		}
	}
	for _, e := range top {
		if name, ok := e.Key.(string); ok && name != taken {
			if inner, ok := dictEntries(e.Value); ok && holdsTensors(inner) {
				others = append(others, name)
			}
		}
	}
	if taken == "" {
		entries = top
	}
	return entries, taken, others
}

func holdsTensors(entries []types.DictEntry) bool {
	return slices.ContainsFunc(entries, func(e types.DictEntry) bool {
		_, ok := e.Value.(*tensorRef)
		return ok
	})
}

func dictEntries(v any) ([]types.DictEntry, bool) {
	switch d := v.(type) {
	case *types.Dict:
		return *d, true
	case *types.OrderedDict:
		var out []types.DictEntry
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			out = append(out, types.DictEntry{Key: entry.Key, Value: entry.Value})
		}
		return out, true
	}
	return nil, false
}
