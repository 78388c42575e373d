package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// engineFigures runs the benchmarks of the embedded engine in the product's module and returns each one's operations per
// second, by its name without "Benchmark" and the number of processors: "PointRead/10000_documents". The test binary is
// built in dir and run directly: an interrupted `go test` would leave it running.
func engineFigures(ctx context.Context, root, dir string, progress func(string)) (map[string]float64, error) {
	binary := filepath.Join(dir, "database.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./database/embedded")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c: %w\n%s", err, text)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.timeout", "60m",
		"-test.bench", "^(BenchmarkPointRead|BenchmarkDurableInsert32Writers)$", "-test.benchtime", "3s")
	cmd.Dir, cmd.Stderr = filepath.Join(root, "database", "embedded"), os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // what it leaves behind goes with the rest
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	figures := map[string]float64{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(words[0], "Benchmark")
		name = name[:max(strings.LastIndexByte(name, '-'), 0)]
		for i, unit := range words {
			if unit != "reads/s" && unit != "inserts/s" {
				continue
			}
			if figures[name], err = strconv.ParseFloat(words[i-1], 64); err != nil {
				return nil, err
			}
			progress(fmt.Sprintf("%s: %.0f %s", name, figures[name], unit))
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("the engine's benchmarks: %w", err)
	}
	if len(figures) == 0 {
		return nil, errors.New("the engine's benchmarks printed no figure")
	}
	return figures, nil
}
