package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/joho/godotenv"
)

// examplePath is .env.example at the repository's root.
const examplePath = "../.env.example"

// shown is what .env.example gives a variable.
func shown(v Variable) string {
	switch {
	case v.DevelopmentDefault != "":
		return v.DevelopmentDefault
	case v.Default != "":
		return v.Default
	default:
		return v.Example
	}
}

// example writes .env.example out of the table.
func example() string {
	var out strings.Builder
	out.WriteString(`# Pulse Control Plane: every setting, with its default.
#
# Copy to .env and take the "# " off what you change; the environment wins over
# .env. Each variable may also be given as NAME_FILE, the path of a file that
# holds it. An empty value is the same as none. Development (the default) needs
# none of this; staging and production refuse the examples of secrets below.
`)
	group := ""
	for _, v := range Variables() {
		if v.Group != group {
			group = v.Group
			out.WriteString("\n# ---- " + group + "\n")
		}
		out.WriteString("\n")
		line := "#"
		for word := range strings.FieldsSeq(v.Description) {
			if len(line)+1+len(word) > 80 {
				out.WriteString(line + "\n")
				line = "#"
			}
			line += " " + word
		}
		out.WriteString(line + "\n# " + v.Name + "=" + shown(v) + "\n")
	}
	return out.String()
}

var update = flag.Bool("update", false, "write .env.example anew")

func TestTheExampleFileDocumentsEveryVariableWithItsDefault(t *testing.T) {
	if *update {
		if err := os.WriteFile(examplePath, []byte(example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != example() {
		t.Error(".env.example is not in step with the table; run: go test ./config -update")
	}
}

func TestTheExampleFileStartsDevelopmentUnchangedAndWithEveryLineUncommented(t *testing.T) {
	text, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if _, err := Load(nil, write(t, ".env", string(text))); err != nil {
		t.Errorf("as it stands: %v", err)
	}
	taken := uncommented(t, string(text))
	if _, err := Load(nil, write(t, ".env", taken)); err != nil {
		t.Errorf("with every line in force: %v", err)
	}
	// The same lines in production: each example of a secret is recognised.
	got := strings.Join(problems(t, []string{"ENVIRONMENT=production"}, write(t, ".env", taken)), " ")
	if want := "LIVEKIT_API_KEY LIVEKIT_API_SECRET JWT_SECRET API_KEY_PEPPER DATA_KEY PULSE_ADMIN_TOKEN METRICS_TOKEN"; got != want {
		t.Errorf("in production: problems with %s", got)
	}
}

// uncommented puts every variable of .env.example in force.
func uncommented(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	for _, v := range Variables() {
		line := "\n# " + v.Name + "="
		_, after, found := strings.Cut(text, line)
		if !found {
			t.Fatalf("%s is not in .env.example", v.Name)
		}
		value, _, _ := strings.Cut(after, "\n")
		out.WriteString(v.Name + "=" + value + "\n")
	}
	if read, err := godotenv.Unmarshal(out.String()); err != nil || len(read) != len(Variables()) {
		t.Fatalf("%d variables are read, %v", len(read), err)
	}
	return out.String()
}

func TestNoVariableIsDeclaredTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Variables() {
		// A variable called NAME_FILE must not be the file of another one's value.
		if seen[v.Name] || seen[strings.TrimSuffix(v.Name, "_FILE")] || v.Name == "" || v.Description == "" || v.Group == "" {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
	}
	for name := range strings.FieldsSeq(`PORT GIN_MODE ENVIRONMENT MONGO_URI MONGO_DB_NAME LIVEKIT_HOST LIVEKIT_API_KEY LIVEKIT_API_SECRET
		JWT_SECRET API_KEY_PEPPER CORS_ORIGINS HOST DATA_DIR DATA_KEY LOG_LEVEL LOG_FORMAT TRUSTED_PROXIES RATE_LIMIT_IP_PER_MINUTE
		RATE_LIMIT_CLIENT_IP_PER_MINUTE RATE_LIMIT_PROJECT_PER_MINUTE SIGNUP_ENABLED PULSE_ADMIN_TOKEN METRICS_TOKEN SHUTDOWN_TIMEOUT`) {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// settingsPath is the page whose table of settings is generated from the table
// of variables too.
const settingsPath = "../docs/SETTINGS.md"

func settingsTable() string {
	var out strings.Builder
	out.WriteString("<!-- settings -->\n| variable | default | |\n|---|---|---|\n")
	for _, v := range Variables() {
		shown := v.Default
		if v.DevelopmentDefault != "" {
			shown = v.DevelopmentDefault
		}
		if shown != "" {
			shown = "`" + shown + "`"
		}
		if v.DevelopmentDefault != "" {
			shown += " in development"
		}
		out.WriteString("| `" + v.Name + "` | " + shown + " | " + strings.ReplaceAll(v.Description, "|", `\|`) + " |\n")
	}
	return out.String() + "<!-- /settings -->"
}

func TestTheSettingsPageListsEveryVariableWithItsDefault(t *testing.T) {
	text, err := os.ReadFile(settingsPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(text), "<!-- settings -->")
	table, after, closed := strings.Cut(rest, "<!-- /settings -->")
	if !opened || !closed {
		t.Fatal("docs/SETTINGS.md lacks the markers of the table")
	}
	if *update {
		if err := os.WriteFile(settingsPath, []byte(before+settingsTable()+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if "<!-- settings -->"+table+"<!-- /settings -->" != settingsTable() {
		t.Error("docs/SETTINGS.md does not match the table; run: go test ./config -update")
	}
}
