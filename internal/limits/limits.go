package limits

import (
	"archive/zip"
	"fmt"
	"io"
)

// Memory is what may be allocated, in bytes and all in all, to read a file of
// size bytes.
func Memory(size int64) int64 { return 64<<20 + 8*size }

// Allowance is what is left of a file's memory for what its contents ask for. The
// zero value refuses everything.
type Allowance struct{ left int64 }

// reserved is the part of Memory that readers spend on themselves.
const reserved = 16 << 20

// NewAllowance returns the allowance of a file of size bytes.
func NewAllowance(size int64) *Allowance { return &Allowance{Memory(size) - reserved} }

// Take spends n bytes, or says that they are not there.
func (b *Allowance) Take(n int64) error {
	if n < 0 || n > b.left {
		return fmt.Errorf("asks for %d bytes, far more than its size can hold", n)
	}
	b.left -= n
	return nil
}

// entryCost is what opening an archive's entry allocates, however small it is.
const entryCost = 1024

// Unpack returns the contents of an archive's entry, whose length and checksum
// must be what the archive says.
func Unpack(f *zip.File, mem *Allowance) ([]byte, error) {
	if f.UncompressedSize64 > 1<<62 {
		return nil, fmt.Errorf("%s: impossible size %d", f.Name, f.UncompressedSize64)
	}
	if err := mem.Take(int64(f.UncompressedSize64) + entryCost); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	rc, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	defer rc.Close()
	b := make([]byte, f.UncompressedSize64)
	if _, err := io.ReadFull(rc, b); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	// One more read makes the archive reader check length and checksum.
	if n, err := rc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("%s: damaged: %v", f.Name, err)
	}
	return b, nil
}
