//go:build !linux

package harness

import "syscall"

// dieWithParent has no equivalent here; a test binary that is killed leaves its children behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
