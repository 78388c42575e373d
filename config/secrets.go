package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pulse-control-plane/utils/secret"
)

// secretsFile is where development keeps the secrets it generated, under the
// names of their variables, so that they can be copied into an environment.
const secretsFile = "secrets.json"

// keptSecrets reads secrets.json of a folder and generates what it lacks. When
// several processes start at once, the file appears complete or not at all, and
// all of them read the same one.
func keptSecrets(dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot be created: %w", reason(err))
	}
	path := filepath.Join(dir, secretsFile)
	kept, err := readSecrets(path)
	exists := !errors.Is(err, fs.ErrNotExist)
	if exists && err != nil {
		return nil, err
	}
	if !addMissing(kept) {
		return kept, nil
	}
	// A link fails where the file has appeared meanwhile; a rename replaces
	// one that lacks a name a newer Pulse needs.
	publish := os.Link
	if exists {
		publish = os.Rename
	}
	if err := writeSecrets(path, kept, publish); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s cannot be written: %w", secretsFile, reason(err))
	}
	return readSecrets(path)
}

// addMissing generates what the map lacks, and reports whether it lacked
// anything.
func addMissing(kept map[string]string) (added bool) {
	for _, v := range variables() {
		if v.kept && kept[v.Name] == "" {
			raw := make([]byte, secret.KeySize)
			_, _ = rand.Read(raw) // never fails
			kept[v.Name] = base64.StdEncoding.EncodeToString(raw)
			added = true
		}
	}
	return added
}

// readSecrets returns an empty map and fs.ErrNotExist if there is no file.
func readSecrets(path string) (map[string]string, error) {
	kept := map[string]string{}
	text, err := os.ReadFile(path)
	if err != nil {
		return kept, fmt.Errorf("%s cannot be read: %w", secretsFile, reason(err))
	}
	if json.Unmarshal(text, &kept) != nil || kept == nil {
		return nil, fmt.Errorf("%s is not a JSON object of strings; repair or delete it", secretsFile)
	}
	return kept, nil
}

// writeSecrets writes and syncs the file, then publishes it under its name.
func writeSecrets(path string, kept map[string]string, publish func(from, to string) error) (err error) {
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	// Created with O_EXCL and 0600, under a unique name.
	file, err := os.CreateTemp(filepath.Dir(path), "."+secretsFile+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // a rename has moved it
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := publish(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// reason strips the path from a file error: the message names the variable.
func reason(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	if linkError, ok := errors.AsType[*os.LinkError](err); ok {
		return linkError.Err
	}
	return err
}
