package logging_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pulse-control-plane/utils/logging"
)

func TestAnErrorLineIsOnTheStreamWithAllBeforeIt(t *testing.T) {
	var out bytes.Buffer
	log, flush, err := logging.New(&out, logging.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug().Msg("below the level")
	log.Info().Msg("first")
	if out.Len() != 0 {
		t.Fatalf("an info line is written at once: %s", &out)
	}
	log.Error().Msg("second")
	if said := messages(t, out.String()); said != "first second" {
		t.Fatalf("on the stream: %s", said)
	}
	log.Warn().Msg("third")
	flush()
	if said := messages(t, out.String()); said != "first second third" {
		t.Errorf("after flush: %s", said)
	}
}

func messages(t *testing.T, lines string) string {
	t.Helper()
	var said []string
	for line := range strings.Lines(lines) {
		var read struct{ Level, Time, Message string }
		if err := json.Unmarshal([]byte(line), &read); err != nil || read.Level == "" || read.Time == "" {
			t.Fatalf("%q: %v", line, err)
		}
		said = append(said, read.Message)
	}
	return strings.Join(said, " ")
}

func TestConsoleLinesBeginWithTheLeadingFieldsAndHaveNoColoursInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log, flush, err := logging.New(file, logging.Config{Format: logging.Console, Level: "debug", Leading: []string{"status", "method", "path"}})
	if err != nil {
		t.Fatal(err)
	}
	log.Info().Str("ip", "192.0.2.1").Int("status", 201).Str("method", "POST").Str("path", "/v1/projects").Msg("request")
	log.Debug().Str("engine", "embedded").Msg("serving")
	flush()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `^\d\d:\d\d:\d\d INF 201 POST /v1/projects request ip=192\.0\.2\.1\n\d\d:\d\d:\d\d DBG serving engine=embedded\n$`
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("got:\n%s", text)
	}
}

func TestAnUnknownFormatOrLevelIsAnError(t *testing.T) {
	for _, c := range []logging.Config{{Format: "xml"}, {Level: "loud"}} {
		if _, _, err := logging.New(&bytes.Buffer{}, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
