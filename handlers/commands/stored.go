package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v3"

	"pulse-control-plane/config"
	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/data"
	"pulse-control-plane/utils/arguments"
)

// acceptSecrets is the flag of migrate that records other secrets.
const acceptSecrets = "accept-secrets"

// moveTo is the flag of migrate that copies the database elsewhere. Its value
// moveToVariable stands for the variable of that name: a URI with a password does
// not belong into the list of processes. The variable alone moves nothing.
const (
	moveTo         = "to"
	moveToVariable = "MIGRATE_TO"
)

// Stored are the sub-commands that work on the stored database.
func (p Process) Stored() []*cli.Command {
	return []*cli.Command{
		{Name: "migrate", Usage: "create or verify collections and indexes and drop what only older versions need, then exit", OnUsageError: arguments.Wrong,
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: acceptSecrets, Usage: "record the secrets of this configuration as the database's, though it was made with others"},
				&cli.StringFlag{Name: moveTo, Usage: "copy the database into an empty one, mongodb://… or sqlite://PATH (docs/MOVING.md); " + moveToVariable + " reads it from that variable"},
			},
			ArgValidator: arguments.None,
			Action: func(ctx context.Context, c *cli.Command) error {
				if c.IsSet(moveTo) {
					return p.move(ctx, c)
				}
				return p.Configured("migrate", func(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
					return data.Migrate(ctx, Location(cfg), Secrets(cfg), c.Bool(acceptSecrets), log)
				})(ctx, c)
			}},
		p.offline("check", "check the stored database, or the backup FILE, for faults; the server must not run on an embedded one", "[FILE]", data.Commands.Verify),
		p.offline("backup", "write a backup of the embedded database to FILE; the server may run", "FILE", data.Commands.WriteBackup),
		p.offline("restore", "put the database of the backup FILE into DATA_DIR, where none may be", "FILE", data.Commands.ReadBackup),
		p.offline("rekey", "seal every sealed value with the first DATA_KEY; servers may run", "",
			func(c data.Commands, ctx context.Context, _ string) error { return c.SealAgain(ctx) }),
		p.offline("compact", "give unused space of the embedded database back; the server must not run", "",
			func(c data.Commands, ctx context.Context, _ string) error { return c.Shrink(ctx) }),
	}
}

// target is the value of --to, or of the variable that it names.
func (p Process) target(c *cli.Command) (to string, err error) {
	if to = c.String(moveTo); to != moveToVariable {
		return to, nil
	}
	to = ""
	for _, entry := range p.Environ {
		if text, ok := strings.CutPrefix(entry, moveToVariable+"="); ok {
			to = text
		}
	}
	if to == "" {
		return "", fmt.Errorf("--%s %s: the variable %s is not set", moveTo, moveToVariable, moveToVariable)
	}
	return to, nil
}

// move is migrate --to.
func (p Process) move(ctx context.Context, c *cli.Command) error {
	if c.Bool(acceptSecrets) {
		return arguments.Wrong(ctx, c, fmt.Errorf("--%s and --%s exclude each other: a move changes no secrets", acceptSecrets, moveTo), true)
	}
	to, err := p.target(c)
	if err != nil {
		return arguments.Wrong(ctx, c, err, true)
	}
	return p.offline("migrate", "", "", func(stored data.Commands, ctx context.Context, _ string) error {
		at, err := config.ParseDatabase(to)
		if err != nil {
			return models.Misconfigured("invalid_target", "--"+moveTo+" "+err.Error()+".")
		}
		return stored.MoveTo(ctx, database.Location{URI: at.URI.Reveal(), Path: at.Path, Name: stored.At.Name, IndexTimeout: stored.At.IndexTimeout})
	}).Action(ctx, c)
}

// offline is a sub-command that serves nothing and needs no server's settings.
func (p Process) offline(name, usage, args string, act func(data.Commands, context.Context, string) error) *cli.Command {
	action := func(ctx context.Context, c *cli.Command) error {
		cfg, err := config.LoadOffline(p.Environ, ".env")
		if err != nil {
			return cli.Exit(err, ExitConfig)
		}
		tool := data.Tool{Path: cfg.Database.Path, Version: p.Version, Now: time.Now}
		err = act(data.Commands{Tool: tool, At: Location(cfg), Secrets: Secrets(cfg), Out: p.Stdout, Progress: p.Stderr}, ctx, c.Args().First())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, data.ErrUnreadable):
			return cli.Exit(data.Explain(err), ExitNoInput)
		case models.IsKind(err, models.KindMisconfigured):
			return cli.Exit(data.Explain(err), ExitConfig)
		}
		return cli.Exit(data.Explain(err), ExitFailed)
	}
	return &cli.Command{Name: name, Usage: usage, ArgsUsage: args, ArgValidator: arguments.Files(args), OnUsageError: arguments.Wrong, Action: action}
}
