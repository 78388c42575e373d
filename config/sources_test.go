package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheEnvironmentOverridesTheDotenvFile(t *testing.T) {
	dotenv := write(t, ".env", "PORT=9001\nLOG_LEVEL=warn\nMONGO_DB_NAME=\"from file\" # comment\n")
	got := problems(t, development(t), dotenv)
	if !slices.Equal(got, []string{"MONGO_DB_NAME"}) {
		t.Fatalf("the .env is not read: problems %v", got)
	}
	c, err := Load(development(t, "PORT=9002", "MONGO_DB_NAME=mine"), dotenv)
	if err != nil || c.Port != 9002 || c.LogLevel != "warn" || c.Database.Name != "mine" {
		t.Fatalf("got %v, %v", c, err)
	}
}

func TestTheDotenvFileDoesNotChangeTheEnvironmentOfTheProcess(t *testing.T) {
	dotenv := write(t, ".env", "PORT=9001\nPULSE_TEST_EXPORTED=1\n")
	if _, err := Load(development(t), dotenv); err != nil {
		t.Fatal(err)
	}
	if _, exported := os.LookupEnv("PULSE_TEST_EXPORTED"); exported {
		t.Fatal("a variable of .env is in the environment")
	}
}

func TestAnEmptyValueIsTheSameAsAnUnsetVariable(t *testing.T) {
	c, err := Load(development(t, "PORT=", "LOG_LEVEL=", "JWT_SECRET="), write(t, ".env", "PORT=9001\n"))
	if err != nil || c.Port != 8081 || c.LogLevel != "info" || len(c.JWTSecrets) != 1 {
		t.Fatalf("got %v, %v", c, err)
	}
}

func TestEveryVariableCanBeReadFromAFile(t *testing.T) {
	for _, v := range Variables() {
		missing := filepath.Join(t.TempDir(), "missing")
		// Without the entry itself; only the _FILE form remains.
		environ := slices.DeleteFunc(production(), func(e string) bool { return strings.HasPrefix(e, v.Name+"=") })
		if got := problems(t, append(environ, v.Name+"_FILE="+missing), noDotenv(t)); !slices.Contains(got, v.Name) {
			t.Errorf("%s_FILE is not read: %v", v.Name, got)
		}
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		c := load(t, development(t, "API_KEY_PEPPER_FILE="+write(t, "pepper", " a pepper "+end), "PORT_FILE="+write(t, "port", "9001"+end)))
		if c.APIKeyPeppers[0].Reveal() != " a pepper " || c.Port != 9001 {
			t.Errorf("after %q: %q, %d", end, c.APIKeyPeppers[0].Reveal(), c.Port)
		}
	}
	if c := load(t, development(t, "API_KEY_PEPPER_FILE="+write(t, "pepper", "p\n\n"))); c.APIKeyPeppers[0].Reveal() != "p\n" {
		t.Error("more than the final line break is cut off")
	}
}

func TestAnEmptyFileOfTheDatabasesURINeverLeadsToAnotherDatabase(t *testing.T) {
	for _, empty := range []string{"", "\n", " \r\n"} {
		if got := problems(t, development(t, "MONGO_URI_FILE="+write(t, "uri", empty)), noDotenv(t)); !slices.Equal(got, []string{"MONGO_URI"}) {
			t.Errorf("%q: problems of %v", empty, got)
		}
	}
	load(t, development(t, "SMTP_URL_FILE="+write(t, "smtp", ""))) // optional: none
}

func TestAVariableSetInBothFormsIsRefused(t *testing.T) {
	file := write(t, "port", "9001")
	if got := problems(t, development(t, "PORT=9002", "PORT_FILE="+file), noDotenv(t)); !slices.Equal(got, []string{"PORT"}) {
		t.Errorf("in the environment: %v", got)
	}
	if got := problems(t, development(t), write(t, ".env", "PORT=9002\nPORT_FILE="+file+"\n")); !slices.Equal(got, []string{"PORT"}) {
		t.Errorf("in .env: %v", got)
	}
	c, err := Load(development(t, "PORT_FILE="+file), write(t, ".env", "PORT=9002\n"))
	if err != nil || c.Port != 9001 {
		t.Errorf("the environment's form does not win: %v, %v", c.Port, err)
	}
}

func TestAFileThatIsMissingOrTooLargeIsRefused(t *testing.T) {
	for name, path := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "x"), "a folder": t.TempDir(), "too large": write(t, "x", strings.Repeat("x", maxFile+1)),
	} {
		if got := problems(t, development(t, "API_KEY_PEPPER_FILE="+path), noDotenv(t)); !slices.Equal(got, []string{"API_KEY_PEPPER"}) {
			t.Errorf("%s: problems %v", name, got)
		}
	}
}
