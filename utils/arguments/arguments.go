// Package arguments checks the arguments of commands of urfave/cli.
package arguments

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"
)

// ExitUsage is the exit code of a command that is used wrongly (sysexits.h,
// EX_USAGE).
const ExitUsage = 64

// Wrong turns what the parser finds wrong into a message and ExitUsage.
func Wrong(_ context.Context, c *cli.Command, err error, _ bool) error {
	return cli.Exit(fmt.Sprintf("%v\nTry: %s --help", err, c.FullName()), ExitUsage)
}

// None refuses arguments of a command that takes none.
func None(ctx context.Context, c *cli.Command) error {
	if !c.Args().Present() || c.Name == "help" {
		return nil
	}
	what := "unexpected argument %q"
	if len(c.VisibleCommands()) > 0 {
		what = "unknown command %q"
	}
	return Wrong(ctx, c, fmt.Errorf(what, c.Args().First()), true)
}

// CommandMissing is the action of a command that only has sub-commands.
func CommandMissing(ctx context.Context, c *cli.Command) error {
	return Wrong(ctx, c, errors.New("a command is missing"), true)
}

// FileAndHead wants one or two arguments.
func FileAndHead(ctx context.Context, c *cli.Command) error {
	if n := c.Args().Len(); n < 1 || n > 2 {
		return Wrong(ctx, c, errors.New("expected FILE and, optionally, HEAD"), true)
	}
	return nil
}

// Files returns the validator of a command with one argument if its usage says
// "FILE", at most one if it says "[FILE]", and none otherwise.
func Files(usage string) cli.ArgValidatorFunc {
	least, most, what := 0, 0, ""
	switch usage {
	case "FILE":
		least, most, what = 1, 1, "expected FILE"
	case "[FILE]":
		most, what = 1, "expected at most one FILE"
	default:
		return None
	}
	return func(ctx context.Context, c *cli.Command) error {
		if n := c.Args().Len(); n < least || n > most {
			return Wrong(ctx, c, errors.New(what), true)
		}
		return nil
	}
}
