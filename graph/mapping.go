package graph

import (
	"errors"
	"runtime/debug"
	"unsafe"

	"github.com/afc-project/afc/graph/internal/mem"
)

// Release says that the tensor's elements will not be needed for a while: where
// they alias a mapped file, the memory they take is given back. They can be
// used as before.
func (t *Tensor) Release() {
	raw := t.raw
	if t.external != nil {
		raw, _ = t.Bytes() // what cannot be read takes no memory
	}
	mem.Release(raw)
}

// gone is the error for an address that a file is mapped to but no longer has
// bytes for, nil for any other address.
func gone(address uintptr) error {
	path, ok := mem.FileAt(address)
	if !ok {
		return nil
	}
	return &Error{File: path, Reason: "was cut short while it was in use, or its disk cannot be read: its bytes are gone"}
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
	if !mem.IsFault(err) || len(elements) == 0 {
		return err
	}
	return errors.Join(gone(uintptr(unsafe.Pointer(&elements[0]))), err)
}
