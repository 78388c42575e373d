package data

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/progress"
)

// quiet is how long a MongoDB source is watched for a server that uses it: a
// server renews its leases more often.
const quiet = 5 * time.Second

// MoveTo is `migrate --to`: it copies the configured database into another, which
// must be empty or the target of the same move that was interrupted, and compares
// them. No server may run on either. Errors: as database.Open;
// "database_in_use", "target_not_empty", "move_differs"; "move_finished" if an
// earlier run completed the target and the databases differ since; "interrupted"
// when ctx ends.
func (c Commands) MoveTo(ctx context.Context, to database.Location) (err error) {
	if c.At.URI != "" && c.At.URI == to.URI && c.At.Name == to.Name || to.URI == "" && samePath(c.At, to) {
		return models.Misconfigured("target_is_source", "The target of the move is the configured database itself.")
	}
	defer func() { err = interrupted(ctx, err) }()
	c.At.AllIndexes = true
	source, err := database.Open(ctx, c.At, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close(context.WithoutCancel(ctx))) }()
	if !source.Exclusive() {
		running, err := database.Running(ctx, source, quiet)
		if err != nil {
			return err
		}
		if running {
			return models.Misconfigured("server_runs", "A server uses the database. Stop every replica, then run the move again.")
		}
	}
	target, err := database.OpenTarget(ctx, to, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close(context.WithoutCancel(ctx))) }()
	return c.move(ctx, source, target)
}

func samePath(a, b database.Location) bool {
	first, err := filepath.Abs(a.Path)
	second, wrong := filepath.Abs(b.Path)
	return a.URI == "" && err == nil && wrong == nil && first == second
}

// interrupted is the error of a move that failed after ctx ended, whatever the end
// made of it.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || models.HasCode(err, "interrupted") {
		return err
	}
	return models.NewError(models.KindUnavailable, "interrupted",
		"The move was interrupted. Run the same command again: it continues where it was.").Because(err)
}

// move copies, compares and completes.
func (c Commands) move(ctx context.Context, source, target database.Engine) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	m, err := database.BeginMove(ctx, source, rand.Text())
	if err != nil {
		return err
	}
	if err := m.Into(ctx, target); err != nil {
		return err
	}
	began := c.Now()
	passes := []pass{{"copy", m.Copy}, {"compare", m.Compare}}
	if m.Finished() {
		passes = passes[1:]
		if err := say(c.Out, "the move had finished before; the databases are compared again\n"); err != nil {
			return err
		}
	}
	var documents int64
	for _, p := range passes {
		if documents, err = c.each(ctx, m, p); err != nil {
			return err
		}
	}
	chains, err := verifyChains(ctx, m, source, target)
	if err != nil {
		return err
	}
	if difference, err := database.CompareTotals(ctx, source, target); err != nil {
		return err
	} else if difference != "" {
		return m.Differs("the usage totals are " + difference)
	}
	if err := say(c.Out, "%d documents in %d collections, %d audit trails and all usage totals are the same in both, after %s\n",
		documents, len(m.Collections()), chains, c.Now().Sub(began).Round(time.Second)); err != nil || m.Finished() {
		return err
	}
	if err := m.Finish(ctx); err != nil {
		return err
	}
	return say(c.Out, "the target is complete: set MONGO_URI to it and start Pulse with the same secrets\n")
}

// pass is a run over a collection that tells how many documents it has done.
type pass struct {
	name string
	run  func(ctx context.Context, collection string, each func(int64)) error
}

// each runs a pass over every collection and counts their documents.
func (c Commands) each(ctx context.Context, m *database.Move, p pass) (documents int64, err error) {
	for _, collection := range m.Collections() {
		total, copied, err := m.Total(ctx, collection)
		if err != nil {
			return 0, err
		}
		documents += total
		bar := progress.New(c.Progress, p.name+" "+collection, total, c.Now)
		if p.name == "copy" {
			bar.Add(copied)
		}
		err = p.run(ctx, collection, bar.Add)
		if total > 0 || copied > 0 {
			bar.End()
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", collection, err)
		}
	}
	return documents, nil
}

// chainPage is how many entries of the audit trail are verified at once.
const chainPage = 500

// verifyChains verifies every audit trail of the target, and that it ends as in
// the source.
func verifyChains(ctx context.Context, m *database.Move, source, target database.Engine) (chains int64, err error) {
	logs := database.NewAuditLogs(target)
	err = database.NewInspection(source).EachChain(ctx, func(head models.AuditEntry) error {
		chains++
		v := audit.Verifier{}
		for {
			page, err := logs.After(ctx, head.OrgID, database.AuditFilter{}, v.Last, head.Seq, chainPage)
			if err != nil {
				return err
			}
			for i := range page {
				if fault := v.Add(&page[i]); fault != "" {
					return models.Misconfigured("audit_chain_broken", fmt.Sprintf("The audit trail of %s is broken at entry %d: %s.", head.OrgID, page[i].Seq, fault))
				}
			}
			if len(page) < chainPage {
				break
			}
		}
		if v.Head != head.Hash {
			return m.Differs(fmt.Sprintf("the audit trail of %s does not end as in the source", head.OrgID))
		}
		return nil
	})
	return chains, err
}
