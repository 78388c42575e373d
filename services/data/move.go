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
// "database_in_use", "target_not_empty", "move_differs".
func (c Commands) MoveTo(ctx context.Context, to database.Location) (err error) {
	if c.At.URI != "" && c.At.URI == to.URI && c.At.Name == to.Name || to.URI == "" && samePath(c.At, to) {
		return models.Misconfigured("target_is_source", "The target of the move is the configured database itself.")
	}
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

// move copies, compares and completes.
func (c Commands) move(ctx context.Context, source, target database.Engine) error {
	m, err := database.BeginMove(ctx, source, rand.Text())
	if err != nil {
		return err
	}
	if err := m.Into(ctx, target); err != nil {
		return err
	}
	if m.Finished() {
		return say(c.Out, "the move had finished before; the target is complete\n")
	}
	began, documents := c.Now(), int64(0)
	if !m.Verified() {
		if documents, err = c.copyAll(ctx, m); err != nil {
			return err
		}
		chains, err := verifyChains(ctx, source, target)
		if err != nil {
			return err
		}
		if err := verifyTotals(ctx, source, target); err != nil {
			return err
		}
		if err := say(c.Out, "%d documents in %d collections, %d audit chains and all usage totals are the same in both, after %s\n",
			documents, len(m.Collections()), chains, c.Now().Sub(began).Round(time.Second)); err != nil {
			return err
		}
	}
	if err := m.Finish(ctx); err != nil {
		return err
	}
	return say(c.Out, "the target is complete: set MONGO_URI to it and start Pulse with the same secrets\n")
}

// copyAll copies and compares every collection.
func (c Commands) copyAll(ctx context.Context, m *database.Move) (documents int64, err error) {
	for _, pass := range []struct {
		name string
		run  func(ctx context.Context, collection string, each func(int64)) error
	}{{"copy", m.Copy}, {"compare", m.Compare}} {
		documents = 0
		for _, collection := range m.Collections() {
			total, copied, err := m.Total(ctx, collection)
			if err != nil {
				return 0, err
			}
			documents += total
			if total == 0 && copied == 0 {
				continue
			}
			bar := progress.New(c.Progress, pass.name+" "+collection, total, c.Now)
			if pass.name == "copy" {
				bar.Add(copied)
			}
			err = pass.run(ctx, collection, bar.Add)
			bar.End()
			if err != nil {
				return 0, fmt.Errorf("%s: %w", collection, err)
			}
		}
	}
	return documents, nil
}

// chainPage is how many entries of the audit trail are verified at once.
const chainPage = 500

// verifyChains verifies every audit chain of the target, and that it ends as in
// the source.
func verifyChains(ctx context.Context, source, target database.Engine) (chains int64, err error) {
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
			return models.Misconfigured("audit_chain_broken", fmt.Sprintf("The audit trail of %s does not end as in the source.", head.OrgID))
		}
		return nil
	})
	return chains, err
}

// verifyTotals compares the sums of the usage totals.
func verifyTotals(ctx context.Context, source, target database.Engine) error {
	difference, err := database.CompareTotals(ctx, source, target)
	if err == nil && difference != "" {
		err = models.Misconfigured("move_differs", "The usage totals of the copy differ from those of its source: "+difference+".")
	}
	return err
}

// SealAgain is `rekey`.
func (c Commands) SealAgain(ctx context.Context) (err error) {
	if len(c.Secrets[DataKey]) == 0 {
		return models.Misconfigured("data_key_required", "rekey needs DATA_KEY: the new key first, then those that sealed what is stored.")
	}
	e, err := database.OpenBeside(ctx, c.At, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	r, err := NewRekey(RekeyConfig{Engine: e, DataKeys: c.Secrets[DataKey], Peppers: c.Secrets[APIKeyPepper], Progress: c.Progress, Now: c.Now})
	if err != nil {
		return err
	}
	report, err := r.Run(ctx)
	if err != nil {
		return errors.Join(err, say(c.Out, "%d values were sealed again before the fault\n", report.Resealed))
	}
	return say(c.Out, "%d values were sealed again\n%s", report.Resealed, report)
}
