package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandsThatServeNothingNeedAndMakeNoSecrets(t *testing.T) {
	for _, environment := range []string{"development", "production"} {
		dir := t.TempDir()
		c, err := LoadOffline([]string{"ENVIRONMENT=" + environment, "DATA_DIR=" + dir}, "")
		if err != nil {
			t.Fatalf("%s: %v", environment, err)
		}
		if c.Database.Path != filepath.Join(dir, "pulse.db") || !c.DataKey.IsZero() || len(c.JWTSecrets) > 0 {
			t.Errorf("%s: %v", environment, c)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: made %v, %v", environment, left, err)
		}
	}
}

func TestCommandsThatServeNothingReadTheSecretsThatAreThere(t *testing.T) {
	dir := t.TempDir()
	made, err := Load([]string{"DATA_DIR=" + dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadOffline([]string{"DATA_DIR=" + dir, "API_KEY_PEPPER=of the environment"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if !c.DataKey.Equal(made.DataKey) || !c.JWTSecrets[0].Equal(made.JWTSecrets[0]) || c.APIKeyPepper.Reveal() != "of the environment" {
		t.Error("other secrets than those of secrets.json and the environment")
	}
}

func TestCommandsThatServeNothingNameWhatIsWrongInTheirSettings(t *testing.T) {
	_, err := LoadOffline([]string{"ENVIRONMENT=production", "MONGO_URI=http://x", "DATA_KEY=short", "LIVEKIT_HOST=none of theirs"}, "")
	if err == nil || !strings.Contains(err.Error(), "MONGO_URI") || !strings.Contains(err.Error(), "DATA_KEY") || strings.Contains(err.Error(), "LIVEKIT") {
		t.Error(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, secretsFile), []byte("not JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOffline([]string{"DATA_DIR=" + dir}, ""); err == nil || !strings.Contains(err.Error(), secretsFile) {
		t.Error(err)
	}
}
