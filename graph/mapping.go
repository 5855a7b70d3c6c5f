package graph

import (
	"errors"
	"os"
	"runtime/debug"
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

func remember(data []byte, path string) {
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	mappings = append(mappings, mapping{data, path})
}

// forget unmaps what remember was told of.
func forget(data []byte) error {
	mappingsMu.Lock()
	mappings = slices.DeleteFunc(mappings, func(m mapping) bool { return unsafe.SliceData(m.data) == unsafe.SliceData(data) })
	mappingsMu.Unlock()
	return unmap(data)
}

// mapped returns the mapping that an address lies in.
func mapped(address uintptr) (mapping, bool) {
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	for _, m := range mappings {
		first := uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))
		if address >= first && address-first < uintptr(len(m.data)) {
			return m, true
		}
	}
	return mapping{}, false
}

// releaseThreshold is the size from which elements are worth a call to give
// their memory back.
const releaseThreshold = 1 << 18

// Release says that the tensor's elements will not be needed for a while: where
// they alias a mapped file, the memory they take is given back. They can be
// used as before.
func (t *Tensor) Release() {
	raw := t.raw
	if t.external != nil {
		raw, _ = t.Bytes() // what cannot be read takes no memory
	}
	release(raw)
}

func release(raw []byte) {
	if len(raw) < releaseThreshold {
		return
	}
	address := uintptr(unsafe.Pointer(unsafe.SliceData(raw)))
	if _, ok := mapped(address); !ok {
		return
	}
	// Pages that other elements share stay.
	page := uintptr(os.Getpagesize())
	from := (page - address%page) % page
	to := uintptr(len(raw)) - (address+uintptr(len(raw)))%page
	if from < to {
		dropPages(raw[from:to])
	}
}

// gone is the error for an address that a file is mapped to but no longer has
// bytes for, nil for any other address.
func gone(address uintptr) error {
	m, ok := mapped(address)
	if !ok {
		return nil
	}
	return &Error{File: m.path, Reason: "was cut short while it was in use, or its disk cannot be read: its bytes are gone"}
}

// Guard runs f, which reads models. A file that is mapped (see ReadFile) and
// cut short meanwhile faults where its bytes were: Guard makes an *Error of
// that, which names the file, where the program would die. It covers the
// goroutine that calls it and no others.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if fault, ok := p.(interface{ Addr() uintptr }); ok {
			if err = gone(fault.Addr()); err != nil {
				return
			}
		}
		panic(p)
	}()
	return f()
}

// writeFailed explains an error of writing elements: the system says of bytes
// that are gone that their address is bad.
func writeFailed(elements []byte, err error) error {
	if !isFault(err) || len(elements) == 0 {
		return err
	}
	return errors.Join(gone(uintptr(unsafe.Pointer(&elements[0]))), err)
}
