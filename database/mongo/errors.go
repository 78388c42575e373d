package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// failure converts a driver error to a *models.Error: no document → not_found,
// duplicate key → conflict with the code of its index, network, deadline,
// cancellation and change of primary → unavailable, everything else internal. A
// *models.Error passes unchanged. The declaration names the indexes; it may be
// nil if no document is written.
func failure(d *engine.Declared, err error) error {
	var known *models.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, mongo.ErrNoDocuments):
		return models.NotFound()
	case d != nil && mongo.IsDuplicateKeyError(err):
		index := duplicateKeyIndex(err)
		// The server's message contains the value, which may be an address or a
		// key. The cause names only the index.
		return d.Conflict(index, fmt.Errorf("mongodb: duplicate key in index %q of %s", index, d.Name))
	case isUnavailable(err), d != nil && isCreationRace(err):
		return models.Unavailable(err)
	default:
		return models.Internal(err)
	}
}

// duplicateKeyIndex returns the index of a duplicate key error: from the
// keyPattern that servers send since 4.2 (right also for an index with another
// name), otherwise from the message; "" if unknown.
func duplicateKeyIndex(err error) string {
	message, raw := duplicateKeyDetails(err)
	if pattern, ok := raw.Lookup("keyPattern").DocumentOK(); ok {
		if keys, err := indexKeys(pattern); err == nil {
			return engine.IndexName(engine.Index{Keys: keys})
		}
	}
	return duplicateKeyIndexName(message)
}

// duplicateKeyDetails returns the message and the raw response of the first
// duplicate in err: a write error of insert or update, or the response of
// findAndModify.
func duplicateKeyDetails(err error) (message string, raw bson.Raw) {
	var one mongo.WriteException
	var many mongo.BulkWriteException
	var command mongo.CommandError
	switch {
	case errors.As(err, &one):
		for _, w := range one.WriteErrors {
			if mongo.IsDuplicateKeyError(w) {
				return w.Message, w.Raw
			}
		}
	case errors.As(err, &many):
		for _, w := range many.WriteErrors {
			if mongo.IsDuplicateKeyError(w.WriteError) {
				return w.Message, w.Raw
			}
		}
	case errors.As(err, &command):
		return command.Message, command.Raw
	}
	return "", nil
}

// duplicateKeyIndexName returns the index's name in the message of a duplicate
// key error, or "". The forms are:
//
//	E11000 duplicate key error collection: db.users index: email_1 dup key: { … }
//	E11000 duplicate key error index: db.users.$email_1 dup key: { … }   (before 4.2)
//	Duplicate key violation on the requested collection: Index 'email_1' (DocumentDB)
//
// The text after the name is data of the caller and is not searched.
func duplicateKeyIndexName(message string) string {
	message, _, _ = strings.Cut(message, " dup key:")
	_, rest, ok := strings.Cut(message, " index: ")
	if !ok {
		_, rest, ok = strings.Cut(message, ": Index '")
		name, _, closed := strings.Cut(rest, "'")
		if !ok || !closed {
			return ""
		}
		return name
	}
	name, _, _ := strings.Cut(rest, " ")
	if _, old, ok := strings.Cut(name, ".$"); ok {
		return old
	}
	return name
}

// isUnavailable reports whether err means that the database did not answer, or
// not as a primary, rather than that it refused the operation.
func isUnavailable(err error) bool {
	if isAccessError(err) {
		return false
	}
	if slices.ContainsFunc(mongo.ErrorCodes(err), isUnavailableCode) || isSaidUnavailable(err) {
		return true
	}
	var (
		selection  topology.ServerSelectionError
		queue      topology.WaitQueueTimeoutError
		connection topology.ConnectionError
		pool       driver.RetryablePoolError // another operation lost its connection and cleared the pool
		network    net.Error
		labeled    mongo.LabeledError
	)
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, mongo.ErrClientDisconnected) ||
		mongo.IsTimeout(err) || mongo.IsNetworkError(err) ||
		errors.As(err, &selection) || errors.As(err, &queue) || errors.As(err, &connection) ||
		errors.As(err, &pool) || errors.As(err, &network) ||
		errors.As(err, &labeled) && slices.ContainsFunc(temporaryLabels, labeled.HasErrorLabel)
}

// temporaryLabels are the labels by which a server or the driver says that an
// error is temporary, whatever its code.
var temporaryLabels = []string{
	driver.RetryableWriteError, driver.ErrRetryableError, driver.TransientTransactionError, "SystemOverloadedError",
}

// isAccessError reports whether the server refused the credentials or the
// permission.
func isAccessError(err error) bool { return slices.ContainsFunc(mongo.ErrorCodes(err), isAccessCode) }

// isAccessCode reports whether the server refused the credentials or the
// permission. A retry cannot fix that.
func isAccessCode(code int) bool {
	switch code {
	case 13, // Unauthorized
		18,   // AuthenticationFailed
		8000: // AtlasError: bad credentials on Atlas
		return true
	}
	return false
}
