package database

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Compare compares every document of a collection with its copy and calls each
// with how many of a page are the same. It returns Differs with the first that
// differs. Documents that have expired may be missing on either side; unavailable
// when ctx ends.
func (m *Move) Compare(ctx context.Context, collection string, each func(n int64)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	copies := newDocReader(readPages(ctx, m.target, collection, ""))
	for p := range readPages(ctx, m.source, collection, "") {
		if p.err != nil {
			return p.err
		}
		for _, want := range p.docs {
			if err := m.compareOne(ctx, collection, copies, want); err != nil {
				return err
			}
		}
		each(int64(len(p.docs)))
	}
	if ctx.Err() != nil { // the pages may have ended before the last
		return models.Unavailable(ctx.Err())
	}
	return m.onlyCopies(ctx, collection, copies, nil)
}

// compareOne compares the next copy with a document.
func (m *Move) compareOne(ctx context.Context, collection string, copies *docReader, want bson.Raw) error {
	if err := m.onlyCopies(ctx, collection, copies, want); err != nil {
		return err
	}
	got, err := copies.peek(ctx)
	switch {
	case err != nil:
		return err
	case bytes.Equal(got, want):
		copies.skip()
	case got != nil && idOf(got) == idOf(want) || !expired(collection, want, time.Now()):
		return m.Differs(fmt.Sprintf("%s %s is not in the target as it is in the source", collection, idOf(want)))
	}
	return nil
}

// onlyCopies skips the copies before a document, or all for nil, which the source
// does not have: they must have expired.
func (m *Move) onlyCopies(ctx context.Context, collection string, copies *docReader, before bson.Raw) error {
	for {
		got, err := copies.peek(ctx)
		switch {
		case err != nil:
			return err
		case got == nil || before != nil && idOf(got) >= idOf(before):
			return nil
		case !expired(collection, got, time.Now()):
			return m.Differs(fmt.Sprintf("%s %s is in the target and not in the source", collection, idOf(got)))
		}
		copies.skip()
	}
}

func idOf(doc bson.Raw) string { return doc.Lookup("_id").StringValue() }

// Differs is the error of a move whose databases differ: misconfigured
// "move_differs", or "move_finished" if an earlier run had completed the target.
func (m *Move) Differs(what string) error {
	if m.state.Finished {
		return models.Misconfigured("move_finished", "The move to this target is finished; the databases differ: "+what+
			". A server that started on either of them changes it. Nothing was changed now.")
	}
	return models.Misconfigured("move_differs", "The copy differs from its source: "+what+". Did a server run meanwhile? Drop the target and run the move again.")
}

// CompareTotals adds up the usage totals of two databases by meter and window and
// says where they differ, "" nowhere. Engines add up in different orders, so the
// last bits of a sum may differ.
func CompareTotals(ctx context.Context, a, b Engine) (difference string, err error) {
	first, err := a.Sum(ctx, usageTotals, bson.D{}, "value", "meter", "window")
	if err != nil {
		return "", err
	}
	second, err := b.Sum(ctx, usageTotals, bson.D{}, "value", "meter", "window")
	if err != nil {
		return "", err
	}
	if len(first) != len(second) {
		return fmt.Sprintf("%d meters and windows, and %d", len(first), len(second)), nil
	}
	for i, g := range first {
		other := second[i]
		if !slices.Equal(g.Keys, other.Keys) || g.Count != other.Count || math.Abs(g.Sum-other.Sum) > 1e-9*math.Abs(g.Sum) {
			return fmt.Sprintf("%v: %v in %d totals, and %v: %v in %d", g.Keys, g.Sum, g.Count, other.Keys, other.Sum, other.Count), nil
		}
	}
	return "", nil
}
