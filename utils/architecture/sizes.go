package architecture

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Sizes say how long files and packages may be, and what a folder may hold. Paths
// are relative to the root of the repository, with slashes.
type Sizes struct {
	// GoFile is how many lines a Go file may have, tests included.
	GoFile int
	// Files gives how many lines the files that match a pattern (path.Match) may have.
	Files map[string]int
	// Packages gives how many lines the Go files, without tests, of each folder that
	// matches a pattern may have together.
	Packages map[string]int
	// Holds gives, for a folder, the patterns of the names of files in it: all that it
	// may have. "" is the root. Its subfolders are not meant.
	Holds map[string][]string
	// Folders are the folders that the root may have; nil allows any.
	Folders []string
	// Requires gives the name of a file that each folder with Go files that matches a
	// pattern must have.
	Requires map[string]string
}

// Lines counts the lines of every file that git knows, or would know if it were
// added, in the repository at dir.
func Lines(ctx context.Context, dir string) (map[string]int, error) {
	command := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	lines := map[string]int{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed
		}
		if err != nil {
			return nil, err
		}
		lines[name] = bytes.Count(content, []byte("\n"))
	}
	return lines, nil
}

// Violations returns one sentence for each file or folder that breaks a rule,
// sorted. lines has the number of lines of each file.
func (s Sizes) Violations(lines map[string]int) []string {
	var found []string
	packages, has, unknown := map[string]int{}, map[string]bool{}, map[string]bool{}
	for name, n := range lines {
		folder, file := path.Split(name)
		folder = strings.TrimSuffix(folder, "/")
		isGo := path.Ext(file) == ".go"
		if isGo && n > s.GoFile {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d", name, n, s.GoFile))
		}
		if most, limited := matching(s.Files, name); limited && n > most {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d", name, n, most))
		}
		if patterns, limited := s.Holds[folder]; limited && !slices.ContainsFunc(patterns, func(p string) bool { return matches(p, file) }) {
			found = append(found, fmt.Sprintf("%s is not among %s", name, strings.Join(patterns, ", ")))
		}
		if top, _, inside := strings.Cut(name, "/"); inside && s.Folders != nil && !slices.Contains(s.Folders, top) {
			unknown[top] = true
		}
		if isGo && !strings.HasSuffix(file, "_test.go") {
			packages[folder] += n
		}
		has[name] = true
	}
	for top := range unknown {
		found = append(found, fmt.Sprintf("the folder %s is not among %s", top, strings.Join(s.Folders, ", ")))
	}
	for folder, n := range packages {
		if most, limited := matching(s.Packages, folder); limited && n > most {
			found = append(found, fmt.Sprintf("%s has %d lines without tests, more than %d", folder, n, most))
		}
		if file, required := matching(s.Requires, folder); required && !has[path.Join(folder, file)] {
			found = append(found, fmt.Sprintf("%s has no %s", folder, file))
		}
	}
	slices.Sort(found)
	return found
}

// matching finds the value of a pattern that a path matches.
func matching[T any](rules map[string]T, name string) (value T, found bool) {
	for _, pattern := range slices.Sorted(maps.Keys(rules)) {
		if matches(pattern, name) {
			return rules[pattern], true
		}
	}
	return value, false
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
