package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads deploy/compose.yaml as Docker Compose does.
func compose(t *testing.T, environment ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../deploy/compose.yaml"}, cli.WithEnv(environment))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func installation(t *testing.T) *types.Project {
	t.Helper()
	project, err := compose(t, "NODE_IP=192.0.2.1", "LIVEKIT_HOST=wss://livekit.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeAsksForTheAddressesThatClientsNeed(t *testing.T) {
	for missing, set := range map[string]string{"NODE_IP": "LIVEKIT_HOST=wss://x", "LIVEKIT_HOST": "NODE_IP=192.0.2.1"} {
		if _, err := compose(t, set); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

func TestEveryContainerRestartsAndRotatesItsLog(t *testing.T) {
	all, jobs := installation(t).Services, map[string]bool{}
	for _, service := range all {
		for name, needed := range service.DependsOn {
			jobs[name] = jobs[name] || needed.Condition == types.ServiceConditionCompletedSuccessfully
		}
	}
	for name, service := range all {
		restart := "unless-stopped"
		if jobs[name] {
			restart = "no" // others wait until it has ended
		}
		if service.Restart != restart || service.Logging == nil || service.Logging.Options["max-size"] == "" || service.Logging.Options["max-file"] == "" {
			t.Errorf("%s: restart %q, logging %+v", name, service.Restart, service.Logging)
		}
	}
}

func TestClientsOnOtherMachinesReachPulseLiveKitAndIngressAndNothingElse(t *testing.T) {
	published := map[string][]string{}
	for name, service := range installation(t).Services {
		for _, port := range service.Ports {
			if port.HostIP != "" && port.HostIP != "0.0.0.0" {
				t.Errorf("%s listens on %s only", name, port.HostIP)
			}
			published[name] = append(published[name], port.Published)
		}
	}
	if !slices.Contains(published["pulse"], "8081") || !slices.Contains(published["livekit"], "7880") || !slices.Contains(published["livekit"], "50000") ||
		!slices.Contains(published["ingress"], "1935") || !slices.Contains(published["ingress"], "8080") || len(published) != 3 {
		t.Errorf("published: %v", published)
	}
}

// madeSecrets runs make-secrets.sh in a folder of its own.
func madeSecrets(t *testing.T) (folder string, again func()) {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("../../deploy/make-secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "make-secrets.sh")
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	again = func() {
		if out, err := exec.Command("sh", path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	again()
	return filepath.Join(dir, "secrets"), again
}

func TestNoSecretIsInTheEnvironmentOfAContainerAndEachIsMade(t *testing.T) {
	folder, _ := madeSecrets(t)
	project := installation(t)
	for name, service := range project.Services {
		for variable, value := range service.Environment {
			if value == nil || *value == "" || !strings.HasSuffix(variable, "_FILE") {
				continue
			}
			if !strings.HasPrefix(*value, "/run/secrets/") {
				if !slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == *value }) {
					t.Errorf("%s: %s is %s, which is not mounted", name, variable, *value)
				}
				continue
			}
			secret := filepath.Base(*value)
			if !slices.ContainsFunc(service.Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == secret }) {
				t.Errorf("%s: %s is %s, which the container does not get", name, variable, *value)
			}
		}
		for _, s := range service.Secrets {
			if _, err := os.Stat(filepath.Join(folder, filepath.Base(project.Secrets[s.Source].File))); err != nil {
				t.Errorf("%s: make-secrets.sh does not make %s: %v", name, s.Source, err)
			}
		}
	}
	uri, err := os.ReadFile(filepath.Join(folder, "mongo_uri"))
	if err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(folder, "mongo_password"))
	if err != nil || len(password) < 32 || !strings.Contains(string(uri), ":"+string(password)+"@mongodb:27017/") {
		t.Errorf("the URI is %s: %v", uri, err)
	}
}

func TestSecretsAreMadeWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("../../deploy/make-secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	path, tools := filepath.Join(dir, "make-secrets.sh"), filepath.Join(dir, "tools")
	if err := errors.Join(os.WriteFile(path, script, 0o755), os.Mkdir(tools, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cat", "chmod", "dirname", "mkdir", "mv", "rm", "tr"} { // openssl is missing
		tool, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(tool, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(shell, path)
	run.Env = []string{"PATH=" + tools}
	if out, err := run.CombinedOutput(); err == nil || !strings.Contains(string(out), "openssl") {
		t.Errorf("without openssl: %v: %s", err, out)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "secrets")); err != nil || len(left) > 0 {
		t.Errorf("without openssl it left %v: %v", left, err)
	}
}

func TestMakingSecretsAgainKeepsThemAndTheirFolderIsForItsOwner(t *testing.T) {
	folder, again := madeSecrets(t)
	read := func() string {
		var all strings.Builder
		files, err := os.ReadDir(folder)
		if err != nil || len(files) < 10 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(folder, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(file.Name() + "=" + string(text) + "\n")
		}
		return all.String()
	}
	before := read()
	again()
	if after := read(); after != before {
		t.Errorf("they changed:\n%s\n%s", before, after)
	}
	for path, want := range map[string]os.FileMode{folder: 0o700, filepath.Join(folder, "livekit_keys"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestThePulseOfComposeAcceptsItsConfiguration(t *testing.T) {
	folder, _ := madeSecrets(t)
	service, err := installation(t).GetService("pulse")
	if err != nil {
		t.Fatal(err)
	}
	binary := pulse(t)
	command := exec.Command(binary, "healthcheck") // it reads the whole configuration and finds no server
	command.Dir = t.TempDir()
	command.Env = []string{"HOST=127.0.0.1", "PORT=1"}
	for name, value := range service.Environment {
		if value != nil {
			command.Env = append(command.Env, name+"="+strings.Replace(*value, "/run/secrets", folder, 1))
		}
	}
	out, err := command.CombinedOutput()
	if code := command.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "refused") {
		t.Errorf("exit code %d: %v %s", code, err, out)
	}
}
