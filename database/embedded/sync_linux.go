package embedded

import (
	"os"
	"syscall"
)

// syncData puts a file's data on disk, without times that nobody reads.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
