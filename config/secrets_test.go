package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestDevelopmentSecretsAreGeneratedOnceAndKept(t *testing.T) {
	environ := development(t)
	first, second := load(t, environ), load(t, environ)
	if !first.DataKeys[0].Equal(second.DataKeys[0]) || !first.APIKeyPeppers[0].Equal(second.APIKeyPeppers[0]) || !first.JWTSecrets[0].Equal(second.JWTSecrets[0]) {
		t.Fatal("a second start has other secrets")
	}
	elsewhere := load(t, development(t))
	if first.DataKeys[0].Equal(elsewhere.DataKeys[0]) || first.APIKeyPeppers[0].Equal(elsewhere.APIKeyPeppers[0]) || first.APIKeyPeppers[0].Equal(first.JWTSecrets[0]) {
		t.Fatal("secrets are not random")
	}
}

func TestSecretsFileIsReadableByItsOwnerOnlyAndNoTemporaryFileIsLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	load(t, []string{"DATA_DIR=" + dir})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != secretsFile {
		t.Fatalf("the folder holds %v, %v", entries, err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, secretsFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestProcessesThatStartTogetherAgreeOnTheSecrets(t *testing.T) {
	environ, dotenv := development(t), noDotenv(t)
	made := make([]Config, 16)
	var wait sync.WaitGroup
	for i := range made {
		wait.Go(func() {
			var err error
			if made[i], err = Load(environ, dotenv); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, c := range made {
		if !c.DataKeys[0].Equal(made[0].DataKeys[0]) || !c.APIKeyPeppers[0].Equal(made[0].APIKeyPeppers[0]) {
			t.Fatal("two processes have different secrets")
		}
	}
}

func TestSecretsOfTheEnvironmentOverrideKeptOnes(t *testing.T) {
	environ := development(t)
	kept := load(t, environ)
	c := load(t, append(environ, "JWT_SECRET=mine"))
	if c.JWTSecrets[0].Reveal() != "mine" || !c.DataKeys[0].Equal(kept.DataKeys[0]) {
		t.Fatal("the environment does not win, or another secret changed with it")
	}
}

func TestSecretsThatANewerVersionNeedsAreAdded(t *testing.T) {
	environ := development(t)
	path := filepath.Join(strings.TrimPrefix(environ[0], "DATA_DIR="), secretsFile)
	if err := os.WriteFile(path, []byte(`{"API_KEY_PEPPER":"old pepper","LATER":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := load(t, environ), load(t, environ)
	if first.APIKeyPeppers[0].Reveal() != "old pepper" || !first.DataKeys[0].Equal(second.DataKeys[0]) {
		t.Fatal("a kept secret changed")
	}
	var kept map[string]string
	text, _ := os.ReadFile(path)
	if err := json.Unmarshal(text, &kept); err != nil || kept["LATER"] != "x" || len(kept) != 4 {
		t.Fatalf("the file holds %d names, %v", len(kept), err)
	}
}

func TestADamagedSecretsFileIsReportedAndNotReplaced(t *testing.T) {
	for _, text := range []string{"", "{", "null", "[]", `{"DATA_KEY":1}`, `{"JWT_SECRET":"a","API_KEY_PEPPER":"b","DATA_KEY":"c"}`} {
		environ := development(t)
		path := filepath.Join(strings.TrimPrefix(environ[0], "DATA_DIR="), secretsFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := problems(t, environ, noDotenv(t)); !slices.Equal(got, []string{"DATA_DIR"}) && !slices.Equal(got, []string{"DATA_KEY"}) {
			t.Errorf("%q: problems %v", text, got)
		}
		if now, _ := os.ReadFile(path); string(now) != text {
			t.Errorf("%q was replaced", text)
		}
	}
}

func TestADataDirThatCannotBeCreatedIsReported(t *testing.T) {
	file := write(t, "file", "")
	if got := problems(t, []string{"DATA_DIR=" + filepath.Join(file, "data")}, noDotenv(t)); !slices.Equal(got, []string{"DATA_DIR"}) {
		t.Fatalf("problems %v", got)
	}
}

func TestAnInvalidConfigurationGeneratesNoSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	problems(t, []string{"DATA_DIR=" + dir, "PORT=x"}, noDotenv(t))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("the folder was made: %v", err)
	}
}
