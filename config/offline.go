package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
)

// offlineGroups are the settings that commands need which work on a stored
// database: where it is, the log, and the secrets that are at hand.
func offlineGroups() []string {
	return []string{groupProcess, groupStorage, groupSecrets, groupLogging}
}

// LoadOffline reads the settings of commands that work on a stored database
// without serving. No secret is required and none is generated: those that are
// set are read, in development also from DATA_DIR/secrets.json, which may be
// missing. Settings that only a server needs are not checked. Every error is an
// *Error.
func LoadOffline(environ []string, dotenvPath string) (Config, error) {
	var (
		c        Config
		problems Error
		missing  []variable
	)
	from := readSources(environ, dotenvPath, &problems)
	for _, v := range variables() {
		if !slices.Contains(offlineGroups(), v.Group) {
			continue
		}
		text, err := from.lookup(v.Name)
		if err == nil && text == "" {
			text = v.DefaultIn(c.Environment)
		}
		switch {
		case err != nil:
		case text != "":
			err = v.read(&c, text)
		case v.kept && !c.Environment.strict():
			missing = append(missing, v)
		}
		if err != nil {
			problems.add(v.Name, err.Error())
		}
	}
	if c.Database.URI.IsZero() && c.Database.Path == "" {
		c.Database.Path = filepath.Join(c.DataDir, "pulse.db")
	}
	if len(problems.Problems) == 0 && len(missing) > 0 {
		c.takeKept(missing, &problems)
	}
	if len(problems.Problems) > 0 {
		return Config{}, &problems
	}
	return c, nil
}

// takeKept reads what DATA_DIR/secrets.json has of some variables.
func (c *Config) takeKept(missing []variable, problems *Error) {
	kept, err := readSecrets(filepath.Join(c.DataDir, secretsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems.add("DATA_DIR", err.Error())
		return
	}
	for _, v := range missing {
		if kept[v.Name] == "" {
			continue
		}
		if err := v.read(c, kept[v.Name]); err != nil {
			problems.add(v.Name, "in "+secretsFile+" of DATA_DIR: "+err.Error())
		}
	}
}
