package harness

import "syscall"

// dieWithParent asks the kernel to kill the child when the thread that started it ends. The Go runtime ends threads
// only with the process, unless a goroutine locked to one returns; the tests do not do that.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
