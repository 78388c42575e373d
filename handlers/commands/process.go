package commands

import (
	"context"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v3"

	"pulse-control-plane/config"
	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/data"
	"pulse-control-plane/utils/logging"
)

// Exit codes, those of sysexits(3) above 63. None is 2, which is what the Go
// runtime exits with when it crashes, so that a supervisor can tell a wrong
// configuration, which needs an operator, from a crash, which needs a restart.
const (
	ExitFailed  = 1
	ExitNoInput = 66 // EX_NOINPUT: a file named on the command line cannot be read
	ExitConfig  = 78 // EX_CONFIG: the configuration is invalid
)

// Process is what a run of a command gets from outside.
type Process struct {
	Environ        []string
	Stdout, Stderr io.Writer
	// Version is that of this program.
	Version string
}

// Configured is the action of a sub-command that needs the server's
// configuration and the log.
func (p Process) Configured(name string, act func(context.Context, config.Config, zerolog.Logger) error) cli.ActionFunc {
	return func(ctx context.Context, _ *cli.Command) error {
		cfg, err := config.Load(p.Environ, ".env")
		if err != nil {
			return cli.Exit(err, ExitConfig)
		}
		log, flush, err := logging.New(p.Stderr, logging.Config{
			Format: cfg.LogFormat, Level: cfg.LogLevel, Leading: []string{"status", "method", "path"},
		})
		if err != nil {
			return cli.Exit(err, ExitConfig)
		}
		defer flush()
		if err := act(ctx, cfg, log); err != nil {
			log.Error().Err(err).Msg(name + " failed")
			if models.IsKind(err, models.KindMisconfigured) {
				return cli.Exit("", ExitConfig)
			}
			return cli.Exit("", ExitFailed)
		}
		return nil
	}
}

// Location is the database that the configuration names.
func Location(cfg config.Config) database.Location {
	return database.Location{
		URI: cfg.Database.URI.Reveal(), Name: cfg.Database.Name, Path: cfg.Database.Path, IndexTimeout: cfg.Database.IndexTimeout,
	}
}

// Secrets are those of the configuration that a database is made with.
func Secrets(cfg config.Config) data.Secrets {
	all := data.Secrets{data.JWTSecret: cfg.JWTSecrets}
	if len(cfg.DataKeys) > 0 {
		all[data.DataKey] = cfg.DataKeys
	}
	if len(cfg.APIKeyPeppers) > 0 {
		all[data.APIKeyPepper] = cfg.APIKeyPeppers
	}
	return all
}

// Backups are those that the server makes; nil without a schedule.
func Backups(cfg config.Config, version string) *data.ScheduleConfig {
	if cfg.Backups.Schedule == "" {
		return nil
	}
	return &data.ScheduleConfig{
		Tool: data.Tool{Path: cfg.Database.Path, Version: version, Now: time.Now},
		Dir:  cfg.Backups.Dir, Keep: cfg.Backups.Keep, Next: cfg.Backups.Next,
	}
}
