package replicas_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cpuPeriod is how often a process gets its CPU time anew: often, so that it waits for less than the database does.
const cpuPeriod = 20 * time.Millisecond

// limitCPU gives a process the CPU time of so many cores at most, as a container's limit does, until the test ends. An error
// says that this machine cannot: it needs root and a cgroup hierarchy with the cpu controller.
// https://docs.kernel.org/scheduler/sched-bwc.html
func limitCPU(t *testing.T, pid int, cores float64) error {
	t.Helper()
	quota := strconv.FormatInt(int64(cores*float64(cpuPeriod.Microseconds())), 10)
	period := strconv.FormatInt(cpuPeriod.Microseconds(), 10)
	root, settings := "/sys/fs/cgroup/cpu", [][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}} // version 1
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil && strings.Contains(string(controllers), "cpu") {
		root, settings = "/sys/fs/cgroup", [][2]string{{"cpu.max", quota + " " + period}}
	}
	group := filepath.Join(root, fmt.Sprintf("pulse-test-%d", pid))
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := errors.Join(moveTo(root, pid), os.Remove(group)); err != nil {
			t.Error(err)
		}
	})
	for _, setting := range settings {
		if err := os.WriteFile(filepath.Join(group, setting[0]), []byte(setting[1]), 0); err != nil {
			return err
		}
	}
	return moveTo(group, pid)
}

// moveTo puts a process into a control group.
func moveTo(group string, pid int) error {
	return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}
