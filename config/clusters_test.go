package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const strongKey = "Xk2mQ9vT4wLp7RzB1nYc5HdJ8sGf3AeU"

func clustersOf(t *testing.T, env Environment, text string) (Clusters, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clusters.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Environment: env, LiveKit: LiveKit{APIKey: "devkey", Region: "default", ClustersFile: file}}
	return c.ReadClusters()
}

func TestAClustersFileIsReadWithItsDefaults(t *testing.T) {
	got, err := clustersOf(t, Production, `
clusters:
  - name: eu-1
    region: eu
    url: wss://eu-1.example.com/
    keys:
      - {key: APIeu1, secret: `+strongKey+`}
      - {key: APIeu0, secret: `+strongKey+`}
  - {name: us-1, region: us, url: "wss://us-1.example.com", api_url: "http://10.0.0.2:7880", weight: 3, keys: [{key: APIus1, secret: `+strongKey+`}]}
fallback:
  eu: [us, default]
`)
	if err != nil {
		t.Fatal(err)
	}
	eu, us := got.Clusters[0], got.Clusters[1]
	if eu.URL != "wss://eu-1.example.com" || eu.APIURL != eu.URL || eu.Weight != 1 || len(eu.Keys) != 2 || eu.Keys[0].Secret.Reveal() != strongKey || eu.Keys[0].Text != "" {
		t.Errorf("got %+v", eu)
	}
	if us.APIURL != "http://10.0.0.2:7880" || us.Weight != 3 || len(got.Fallback["eu"]) != 2 {
		t.Errorf("got %+v", us)
	}
}

func TestEveryMistakeInAClustersFileIsNamedAndNoSecretPrinted(t *testing.T) {
	_, err := clustersOf(t, Production, `
clusters:
  - {name: eu-1, region: EU, url: "ftp://x", keys: [{key: devkey, secret: short-secret-value}]}
  - {name: eu-1, region: eu, url: "wss://b", weight: -1, keys: []}
  - {name: default, region: eu, url: "wss://c", keys: [{key: a b, secret: `+strongKey+`}]}
fallback: {mars: [eu]}
`)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"region must be", "url must be", "keys[0] secret", "eu-1: the name is taken", "weight must be", "needs 1 to 10 keys",
		"default: the name is taken", "keys[0] key must be", `no cluster is in region "mars"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short-secret-value") || strings.Contains(err.Error(), strongKey) {
		t.Errorf("a secret is in the error: %v", err)
	}
}

func TestAKeyOfTwoClustersIsRefused(t *testing.T) {
	_, err := clustersOf(t, Development, `
clusters:
  - {name: a, region: eu, url: "wss://a", keys: [{key: K1, secret: s}]}
  - {name: b, region: eu, url: "wss://b", keys: [{key: K1, secret: s}]}
`)
	if err == nil || !strings.Contains(err.Error(), "is a key of cluster a too") {
		t.Fatalf("got %v", err)
	}
}

func TestUnknownFieldsOfAClustersFileAreRefusedWithoutTheirValues(t *testing.T) {
	for _, text := range []string{"clusters: [{name: a, sercet: topsecret}]", "clusters: topsecret", "clusters: [{weight: topsecret}]"} {
		_, err := clustersOf(t, Development, text)
		if err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
