package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// looksLikeLimit matches misspelt names of limits; ofService matches what
// Kubernetes sets for a service of such a name
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
var (
	looksLikeLimit = regexp.MustCompile(`(?i)^(QUOTAS?(_.*)?|RATE_LIMITS?_.*)$`)
	ofService      = regexp.MustCompile(`_SERVICE_(HOST|PORT)|_PORT(_|$)`)
)

// maxFile bounds the file of one value, in bytes.
const maxFile = 64 << 10

// sources are where texts come from; the first that has a name wins.
type sources struct {
	environment, dotenv map[string]string
}

func readSources(environ []string, dotenvPath string, problems *Error) *sources {
	s := &sources{environment: map[string]string{}}
	for _, entry := range environ {
		if name, text, ok := strings.Cut(entry, "="); ok {
			s.environment[name] = text
		}
	}
	var err error
	s.dotenv, err = godotenv.Read(dotenvPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The library's text quotes the line, which may hold a secret.
		message := "is not a well-formed list of NAME=value lines"
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			message = "cannot be read: " + reason(err).Error()
		}
		problems.add(dotenvPath, message)
	}
	return s
}

// refuseUnknown reports names that look like limits but are no settings: a
// misspelt limit would limit nothing.
func (s *sources) refuseUnknown(problems *Error) {
	known := map[string]bool{}
	for _, v := range variables() {
		known[v.Name], known[v.Name+"_FILE"] = true, true
	}
	wrong := map[string]bool{}
	for _, source := range []map[string]string{s.environment, s.dotenv} {
		for name := range source {
			if !known[name] && looksLikeLimit.MatchString(name) && !ofService.MatchString(name) {
				wrong[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		problems.add(name, "unknown setting; .env.example lists all settings")
	}
}

// databaseVariable says where the data is; without it they are in DATA_DIR.
const databaseVariable = "MONGO_URI"

// has reports whether a variable is set, in either form.
func (s *sources) has(name string) bool {
	text, err := s.lookup(name)
	return err != nil || text != ""
}

// lookup returns the text of a variable, "" if it is unset. A source that has
// the name in either form hides the other source.
func (s *sources) lookup(name string) (string, error) {
	for _, source := range []map[string]string{s.environment, s.dotenv} {
		text, direct := source[name]
		path, inFile := source[name+"_FILE"]
		switch {
		case text != "" && path != "":
			return "", fmt.Errorf("is set twice, also as %s_FILE", name)
		case path != "":
			text, err := readValue(path)
			if err == nil && strings.TrimSpace(text) == "" && name == databaseVariable {
				// A secret that is not written yet must not lead to another database.
				err = errors.New("its file is empty")
			}
			return text, err
		case direct || inFile:
			return text, nil
		}
	}
	return "", nil
}

// readValue returns a file's content without its final line break, as in
// Docker's and Kubernetes' secrets.
func readValue(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("its file cannot be read: %w", reason(err))
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return "", errors.New("its file cannot be read")
	case len(text) > maxFile:
		return "", fmt.Errorf("its file is larger than %d KiB", maxFile>>10)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}
