package database

import (
	"errors"

	"pulse-control-plane/models"
)

// latestTries bounds the attempts of UpdateLatest.
const latestTries = 5

// UpdateLatest updates a document that others may update at the same time: update
// fails with not_found for a document that was changed since it was read, which is
// then read again. change gives the change of the document as read, and false if
// none is needed. unavailable after several attempts.
func UpdateLatest[T, C any](document T, change func(*T) (C, bool), update func(*T, C) (T, error), read func(*T) (T, error)) (none T, err error) {
	for range latestTries {
		c, wanted := change(&document)
		if !wanted {
			return document, nil
		}
		updated, err := update(&document, c)
		if !models.IsKind(err, models.KindNotFound) {
			return updated, err
		}
		if document, err = read(&document); err != nil {
			return none, err
		}
	}
	return none, models.Unavailable(errors.New("database: others change the same document at the same time"))
}
