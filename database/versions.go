package database

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// ChangedSince is the code of the conflict of a write to a document that was changed
// since it was read.
const ChangedSince = "concurrent_change"

// ErrChangedSince is the conflict ChangedSince.
func ErrChangedSince() *models.Error {
	return models.Conflict(ChangedSince, "This was changed at the same time; read it again and retry.")
}

// asRead adds to a filter that a document is still as it was read. Documents of
// earlier versions have no version, which counts as 0. A replica of an earlier version
// raises none, but sets updated_at; a zero time is not compared.
func asRead(filter bson.D, version int64, updated time.Time) bson.D {
	if version == 0 {
		filter = append(filter, bson.E{Key: "version", Value: bson.D{{Key: "$exists", Value: false}}})
	} else {
		filter = append(filter, bson.E{Key: "version", Value: version})
	}
	if !updated.IsZero() {
		filter = append(filter, bson.E{Key: "updated_at", Value: updated})
	}
	return filter
}

// changedAsRead updates the document that a filter of asRead matches, raises its
// version and returns it; conflict ChangedSince without a match.
func changedAsRead[T any](ctx context.Context, e Engine, collection string, filter, update bson.D) (T, error) {
	out, err := changed[T](ctx, e, collection, filter, append(update, bson.E{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}}))
	if models.IsKind(err, models.KindNotFound) {
		err = ErrChangedSince()
	}
	return out, err
}

const (
	// reapplyTries bounds the attempts of Reapply. Of changes that meet, one is made,
	// so that others' changes of one document would have to come without end.
	reapplyTries = 200
	// reapplyPause is the longest pause between two attempts.
	reapplyPause = 50 * time.Millisecond
)

// Reapply makes a change of a document until no other change comes between its read
// and its write: change reads the document and fails with the conflict ChangedSince if
// it was changed since, and is then called again. unavailable after many attempts, or
// when ctx ends.
func Reapply(ctx context.Context, change func() error) error {
	for attempt := range reapplyTries {
		err := change()
		if !models.HasCode(err, ChangedSince) {
			return err
		}
		timer := time.NewTimer(rand.N(min(time.Millisecond<<min(attempt, 10), reapplyPause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return models.Unavailable(ctx.Err())
		}
	}
	return models.Unavailable(errors.New("database: others change the same document at the same time"))
}
