package audit

import (
	"context"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// attempts holds the entries of attempts that another change came before, for the
// next attempt. One goroutine uses it.
type attempts struct{ open []*Entry }

type attemptsKey struct{}

// Reapply is database.Reapply for a change that begins an entry. Changes of the same
// object in this process wait for each other, so that only those of other processes can
// come between; with "" for the object a change waits for none, as one that is part of
// another must. An attempt that another change came before leaves its entry to the next
// one, if that finds and wants the same; else the entry ends as failure ChangedSince.
// unavailable if ctx ends before it is the change's turn.
func (t *Trail) Reapply(ctx context.Context, object string, change func(ctx context.Context) error) error {
	if object != "" {
		leave, err := t.turns.take(ctx, object)
		if err != nil {
			return err
		}
		defer leave()
	}
	held := &attempts{}
	inner := context.WithValue(ctx, attemptsKey{}, held)
	err := database.Reapply(ctx, func() error {
		err := change(inner)
		if !models.HasCode(err, database.ChangedSince) {
			held.end(ctx, err)
		}
		return err
	})
	held.end(ctx, err)
	return err
}

// end ends the entries that no attempt took again.
func (a *attempts) end(ctx context.Context, err error) {
	if err == nil {
		err = database.ErrChangedSince() // the change was made with an entry of its own
	}
	for _, entry := range a.open {
		entry.end(ctx, &err)
	}
	a.open = nil
}

// again takes the entry of an earlier attempt at the same change, nil if there is none.
func again(ctx context.Context, doc *models.AuditEntry) *Entry {
	held, _ := ctx.Value(attemptsKey{}).(*attempts)
	if held == nil {
		return nil
	}
	for i, entry := range held.open {
		e := &entry.doc
		if e.OrgID == doc.OrgID && e.Action == doc.Action && e.Target == doc.Target && e.Before == doc.Before && e.After == doc.After {
			held.open = append(held.open[:i:i], held.open[i+1:]...)
			return entry
		}
	}
	return nil
}

// keep leaves the entry of an attempt that another change came before to the next one;
// false if there will be none.
func keep(ctx context.Context, e *Entry, failed error) bool {
	held, _ := ctx.Value(attemptsKey{}).(*attempts)
	if held == nil || !models.HasCode(failed, database.ChangedSince) {
		return false
	}
	held.open = append(held.open, e)
	return true
}
