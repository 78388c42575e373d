package commands

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"pulse-control-plane/config"
	"pulse-control-plane/utils/arguments"
)

// run executes one sub-command and returns its exit code and what it wrote.
func run(t *testing.T, environ []string, args ...string) (code int, written string) {
	t.Helper()
	var out bytes.Buffer
	p := Process{Environ: environ, Stdout: &out, Stderr: &out, Version: "test"}
	root := &cli.Command{Name: "pulse", Commands: p.Stored(), Writer: &out, ErrWriter: &out, OnUsageError: arguments.Wrong,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	err := root.Run(t.Context(), append([]string{"pulse"}, args...))
	if err == nil {
		return 0, out.String()
	}
	exit, ok := err.(cli.ExitCoder)
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode(), out.String() + err.Error()
}

func TestCommandsOnTheStoredDatabaseEndWithTheCodeOfWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"DATA_DIR=" + dir, "BCRYPT_COST=4"}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{64, "at most one FILE", []string{"check", "a", "b"}},
		{64, "expected FILE", []string{"restore"}},
		{66, "cannot be read", []string{"check", filepath.Join(dir, "none")}},
		{66, "cannot be read", []string{"restore", filepath.Join(dir, "none")}},
		{66, "cannot be read", []string{"restore", dir}},
		{66, "cannot be read", []string{"backup", dir}},
		{64, "exclude each other", []string{"migrate", "--accept-secrets", "--to", "sqlite://" + filepath.Join(dir, "x.db")}},
		{64, "MIGRATE_TO is not set", []string{"migrate", "--to", "MIGRATE_TO"}},
		{78, "There is no database", []string{"check"}},
		{78, "There is no database", []string{"compact"}},
		{0, "", []string{"migrate"}},
		{0, "ok\n", []string{"check"}},
		{0, "keep these secrets", []string{"backup", filepath.Join(dir, "b.tar")}},
		{0, "ok\n", []string{"check", filepath.Join(dir, "b.tar")}},
		{1, "There is a database", []string{"restore", filepath.Join(dir, "b.tar")}},
		{0, "given back", []string{"compact"}},
	} {
		if code, written := run(t, environ, c.args...); code != c.code || !strings.Contains(written, c.says) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, written)
		}
	}
	if code, written := run(t, []string{"DATA_DIR=" + dir, "MONGO_URI=mongodb://db"}, "backup", "f"); code != 78 || !strings.Contains(written, "mongodump") {
		t.Errorf("on MongoDB: exit code %d:\n%s", code, written)
	}
}

func TestTheVariableOfATargetMovesNothingUnlessTheFlagNamesIt(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target.db")
	environ := []string{"DATA_DIR=" + dir, "BCRYPT_COST=4", "MIGRATE_TO=sqlite://" + target}
	if code, written := run(t, environ, "migrate"); code != 0 {
		t.Fatal(written)
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Fatalf("a plain migrate made the target: %v", err)
	}
	if code, written := run(t, environ, "migrate", "--to", "MIGRATE_TO"); code != 0 || !strings.Contains(written, "the target is complete") {
		t.Errorf("exit code %d: %s", code, written)
	}
}

func TestACheckThatFindsAFaultEndsWithCode1(t *testing.T) {
	dir := t.TempDir()
	if code, written := run(t, []string{"DATA_DIR=" + dir}, "migrate"); code != 0 {
		t.Fatal(written)
	}
	code, written := run(t, []string{"DATA_DIR=" + dir, "API_KEY_PEPPER=another"}, "check")
	if code != 1 || !strings.Contains(written, "secrets: API_KEY_PEPPER") {
		t.Errorf("exit code %d:\n%s", code, written)
	}
}

func TestAConfigurationWithoutAScheduleMakesNoBackups(t *testing.T) {
	for _, schedule := range []string{"", "@daily"} {
		cfg, err := config.LoadOffline([]string{"DATA_DIR=" + t.TempDir(), "BACKUP_SCHEDULE=" + schedule}, "")
		if err != nil {
			t.Fatal(err)
		}
		if made := Backups(cfg, "test"); (made != nil) != (schedule != "") {
			t.Errorf("%q: %+v", schedule, made)
		}
	}
}
