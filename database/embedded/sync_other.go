//go:build !linux

package embedded

import "os"

// syncData puts a file's data on disk.
func syncData(f *os.File) error { return f.Sync() }
