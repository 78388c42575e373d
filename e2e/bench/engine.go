package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// engineFigures runs the benchmarks of the embedded engine in the product's module and gives what each reports a second,
// by its name without "Benchmark" and the number of processors: "PointRead/10000_documents".
func engineFigures(ctx context.Context, root string, progress func(string)) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "./database", "-run", "^$",
		"-bench", "^(BenchmarkPointRead|BenchmarkDurableInsert32Writers)$", "-benchtime", "3s", "-timeout", "30m")
	cmd.Dir, cmd.Stderr = root, os.Stderr
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
		return nil, fmt.Errorf("go test: %w", err)
	}
	return figures, nil
}
