package data

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

func with(name string, values ...string) Secrets {
	s := someSecrets()
	s[name] = nil
	for _, v := range values {
		s[name] = append(s[name], secret.New(v))
	}
	return s
}

func TestAStartWithOtherSecretsThanTheDatabaseWasMadeWithIsRefusedAndNamesThem(t *testing.T) {
	e := open(t, store(t, 0))
	defer shut(t, e)
	start := func(s Secrets, accept bool) error { return Recognise(t.Context(), e, s, accept, zerolog.Nop()) }
	if err := start(someSecrets(), false); err != nil {
		t.Fatal(err)
	}
	all := Secrets{DataKey: {secret.New("x")}, APIKeyPepper: {secret.New("y")}, JWTSecret: {secret.New("z")}}
	for name, c := range map[string]struct {
		given Secrets
		named []string
	}{
		"all":      {all, []string{DataKey, APIKeyPepper, JWTSecret}},
		"data key": {with(DataKey, "x"), []string{DataKey}},
		"pepper":   {with(APIKeyPepper, "y"), []string{APIKeyPepper}},
	} {
		for range 2 { // a refused start changes nothing
			err := start(c.given, false)
			if !models.IsKind(err, models.KindMisconfigured) {
				t.Fatalf("%s: %v", name, err)
			}
			for _, secret := range []string{DataKey, APIKeyPepper, JWTSecret} {
				wanted := len(c.named) == 3 || c.named[0] == secret
				if strings.Contains(err.Error(), secret) != wanted {
					t.Errorf("%s: %s named: %v: %v", name, secret, !wanted, err)
				}
			}
		}
	}
	if err := start(someSecrets(), false); err != nil {
		t.Errorf("the right secrets after refused ones: %v", err)
	}
	if err := start(all, true); err != nil {
		t.Errorf("accepted on purpose: %v", err)
	}
	if err := start(all, false); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := start(someSecrets(), false); err == nil {
		t.Error("the secrets from before are accepted too")
	}
}

func TestSecretsThatAreRotatedStayKnown(t *testing.T) {
	e := open(t, store(t, 0))
	defer shut(t, e)
	for i, s := range []Secrets{
		someSecrets(), with(DataKey, "new", "a data key of thirty-two bytes.."), with(DataKey, "new"), with(DataKey, "newer", "new"),
		{DataKey: {secret.New("newer")}, APIKeyPepper: {secret.New("pepper")}, JWTSecret: {secret.New("replaced as a whole")}},
	} {
		if err := Recognise(t.Context(), e, s, false, zerolog.Nop()); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if err := Recognise(t.Context(), e, someSecrets(), false, zerolog.Nop()); err == nil {
		t.Error("a key that was rotated out is accepted")
	}
}

func TestABackupTellsWhichSecretsItNeedsAndContainsNone(t *testing.T) {
	file := backedUp(t, store(t, 0))
	m, err := ReadManifest(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	given := with(APIKeyPepper, "another")
	delete(given, JWTSecret)
	want := []SecretState{{APIKeyPepper, true, 1, []int{1}}, {DataKey, true, 1, nil}, {JWTSecret, false, 1, []int{1}}}
	if got := m.Needs(given); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	seen := map[string]bool{}
	for _, other := range []string{file, backedUp(t, store(t, 0))} {
		m, err := ReadManifest(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Secrets {
			for _, print := range s.Fingerprints {
				if seen[print] {
					t.Errorf("two databases with the same %s have the same fingerprint", s.Name)
				}
				seen[print] = true
			}
		}
	}
}

func TestARestoreNamesEveryValueOfARotatedSecretThatIsMissing(t *testing.T) {
	path := store(t, 0)
	e := open(t, path)
	if err := Recognise(t.Context(), e, with(DataKey, "new", "a data key of thirty-two bytes.."), false, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	shut(t, e)
	file := backedUp(t, path)
	for _, c := range []struct {
		given Secrets
		says  []string
	}{
		{with(DataKey, "new"), []string{"DATA_KEY: this configuration lacks value 2 of the 2 that", "secrets.json"}},
		{with(DataKey, "x", "y"), []string{"DATA_KEY: this configuration lacks value 1 of the 2 that", "DATA_KEY: this configuration lacks value 2 of the 2 that"}},
		{with(DataKey, "a data key of thirty-two bytes..", "new"), []string{"DATA_KEY: this configuration has the 2 values"}},
		{with(DataKey), []string{"DATA_KEY: not set; bring the 2 values"}},
	} {
		var out strings.Builder
		restored := Commands{Tool: tool(filepath.Join(t.TempDir(), "pulse.db")), Secrets: c.given, Out: &out}
		if err := restored.ReadBackup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		for _, text := range c.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("it says %s, without %q", out.String(), text)
			}
		}
		if strings.Contains(out.String(), "secrets.json") != strings.Contains(out.String(), "bring") {
			t.Errorf("it says %s", out.String())
		}
	}
}

func TestTwoProcessesThatStartAtOnceRecordTheSameSecrets(t *testing.T) {
	e := open(t, filepath.Join(t.TempDir(), "pulse.db"))
	defer shut(t, e)
	done := make(chan error)
	for range 4 {
		go func() { done <- Recognise(t.Context(), e, someSecrets(), false, zerolog.Nop()) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if all, err := database.NewFingerprints(e).All(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("%d fingerprints, %v", len(all), err)
	}
}
