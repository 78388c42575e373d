package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pulse-control-plane/utils/secret"
)

const (
	// DefaultCluster is the name of the cluster of LIVEKIT_HOST, and of its
	// region unless the clusters file says otherwise.
	DefaultCluster = "default"
	// maxClusters bounds the clusters of a file: each is probed every ten seconds.
	maxClusters = 100
	// maxClustersFile bounds the file, in bytes.
	maxClustersFile = 1 << 20
	maxKeys         = 10
	maxWeight       = 1000
)

// clusterName is what a cluster or region may be called.
var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)

// Cluster is a LiveKit cluster of LIVEKIT_CLUSTERS_FILE.
type Cluster struct {
	Name   string `yaml:"name"`
	Region string `yaml:"region"`
	// URL is where participants connect; APIURL where Pulse calls it, by default
	// the same.
	URL    string `yaml:"url"`
	APIURL string `yaml:"api_url"`
	// Keys sign and verify: the first signs, all verify.
	Keys []ClusterKey `yaml:"keys"`
	// Weight is the cluster's share of new rooms in its region; default 1.
	Weight int `yaml:"weight"`
}

// ClusterKey is an API key of a cluster and its secret.
type ClusterKey struct {
	Key    string       `yaml:"key"`
	Secret secret.Value `yaml:"-"`
	// Text is the secret as the file has it; it is moved into Secret when read.
	Text string `yaml:"secret"`
	// File is the path of a file that holds the secret instead.
	File string `yaml:"secret_file"`
}

// Clusters is the content of LIVEKIT_CLUSTERS_FILE.
type Clusters struct {
	Clusters []Cluster `yaml:"clusters"`
	// Fallback names, for a region, the regions that take its new rooms in turn
	// when no cluster of its own is healthy.
	Fallback map[string][]string `yaml:"fallback"`
}

// ReadClusters reads and checks LIVEKIT_CLUSTERS_FILE. The error names every
// problem and no secret.
func (c *Config) ReadClusters() (Clusters, error) {
	data, err := readBounded(c.LiveKit.ClustersFile, maxClustersFile)
	if err != nil {
		return Clusters{}, err
	}
	var out Clusters
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return Clusters{}, errors.New("not a clusters file: " + yamlProblem(err))
	}
	return out, c.checkClusters(&out)
}

// yamlProblem is a YAML error without the values it may quote.
func yamlProblem(err error) string {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "yaml: ")
	}
	lines := make([]string, 0, len(wrong.Errors))
	for _, e := range wrong.Errors {
		if at, _, cut := strings.Cut(e, ": cannot unmarshal"); cut {
			e = at + ": has a value of the wrong type"
		}
		lines = append(lines, e)
	}
	return strings.Join(lines, "; ")
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, err
}

// checkClusters completes defaults and reports every problem at once.
func (c *Config) checkClusters(all *Clusters) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(all.Clusters) > maxClusters {
		return fmt.Errorf("at most %d clusters are supported", maxClusters)
	}
	names, keys := map[string]bool{DefaultCluster: true}, map[string]string{c.LiveKit.APIKey: DefaultCluster}
	regions := map[string]bool{c.LiveKit.Region: true}
	for i := range all.Clusters {
		cl := &all.Clusters[i]
		name := cl.Name
		switch {
		case !clusterName.MatchString(name):
			wrong("clusters[%d].name: must be 1 to 64 of a-z 0-9 - _", i)
			continue
		case names[name]:
			wrong("cluster %s: the name is taken", name)
		}
		names[name] = true
		if !clusterName.MatchString(cl.Region) {
			wrong("cluster %s: region must be 1 to 64 of a-z 0-9 - _", name)
		}
		regions[cl.Region] = true
		if err := liveKitHost(&cl.URL, cl.URL); err != nil {
			wrong("cluster %s: url %w", name, err)
		}
		if cl.APIURL == "" {
			cl.APIURL = cl.URL
		} else if err := liveKitHost(&cl.APIURL, cl.APIURL); err != nil {
			wrong("cluster %s: api_url %w", name, err)
		}
		if cl.Weight == 0 {
			cl.Weight = 1
		}
		if cl.Weight < 1 || cl.Weight > maxWeight {
			wrong("cluster %s: weight must be 1 to %d", name, maxWeight)
		}
		if len(cl.Keys) == 0 || len(cl.Keys) > maxKeys {
			wrong("cluster %s: needs 1 to %d keys", name, maxKeys)
		}
		for k := range cl.Keys {
			key := &cl.Keys[k]
			if err := c.readKey(key); err != nil {
				wrong("cluster %s: keys[%d] %w", name, k, err)
			} else if owner, taken := keys[key.Key]; taken {
				// The key tells which cluster signed an event.
				wrong("cluster %s: keys[%d] is a key of cluster %s too", name, k, owner)
			}
			keys[key.Key] = name
		}
	}
	for region, others := range all.Fallback {
		for _, other := range append(slices.Clone(others), region) {
			if !regions[other] {
				wrong("fallback: no cluster is in region %q", other)
			}
		}
	}
	return errors.Join(problems...)
}

// readKey checks a key and moves its secret out of the text.
func (c *Config) readKey(key *ClusterKey) error {
	if key.Key == "" {
		return errors.New("has no key")
	}
	if err := token(&key.Key, key.Key); err != nil {
		return fmt.Errorf("key %w", err)
	}
	text := key.Text
	key.Text = ""
	if key.File != "" {
		if text != "" {
			return errors.New("has both secret and secret_file")
		}
		data, err := readBounded(key.File, maxFile)
		if err != nil {
			return err
		}
		text = strings.TrimSpace(string(data))
	}
	if text == "" {
		return errors.New("has no secret")
	}
	if err := c.strong(&key.Secret, text); err != nil {
		return fmt.Errorf("secret %w", err)
	}
	return nil
}
