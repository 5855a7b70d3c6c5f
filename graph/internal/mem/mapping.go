package mem

import (
	"os"
	"slices"
	"sync"
	"unsafe"
)

// mapping is a file in memory.
type mapping struct {
	data []byte
	path string
}

var (
	mappingsMu sync.Mutex
	mappings   []mapping
)

// Map returns the first size bytes of a file, read-only, and remembers where they
// lie. They are to be given back with Unmap.
func Map(f *os.File, size int) ([]byte, error) {
	data, err := mapFile(f, size)
	if err != nil {
		return nil, err
	}
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	mappings = append(mappings, mapping{data, f.Name()})
	return data, nil
}

// Unmap gives back what Map returned.
func Unmap(data []byte) error {
	mappingsMu.Lock()
	mappings = slices.DeleteFunc(mappings, func(m mapping) bool { return unsafe.SliceData(m.data) == unsafe.SliceData(data) })
	mappingsMu.Unlock()
	return unmap(data)
}

// FileAt returns the path of the file that is mapped to an address.
func FileAt(address uintptr) (path string, ok bool) {
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	for _, m := range mappings {
		first := uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))
		if address >= first && address-first < uintptr(len(m.data)) {
			return m.path, true
		}
	}
	return "", false
}

// releaseThreshold is the size from which bytes are worth a call to give their
// memory back.
const releaseThreshold = 1 << 18

// Release says that bytes will not be needed for a while: where they lie in a
// mapped file, the memory they take is given back. They can be used as before.
func Release(raw []byte) {
	if len(raw) < releaseThreshold {
		return
	}
	address := uintptr(unsafe.Pointer(unsafe.SliceData(raw)))
	if _, ok := FileAt(address); !ok {
		return
	}
	// Pages that other bytes share stay.
	page := uintptr(os.Getpagesize())
	from := (page - address%page) % page
	to := uintptr(len(raw)) - (address+uintptr(len(raw)))%page
	if from < to {
		dropPages(raw[from:to])
	}
}
