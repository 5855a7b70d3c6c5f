package mem

import "syscall"

// dropPages gives back the memory of mapped pages; they are read again when
// they are used again. It is advice: failing changes nothing.
func dropPages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }
