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
	case isUnavailable(err):
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
	for _, code := range mongo.ErrorCodes(err) {
		if isUnavailableCode(code) {
			return true
		}
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
		errors.As(err, &labeled) && (labeled.HasErrorLabel(driver.RetryableWriteError) ||
			labeled.HasErrorLabel(driver.ErrRetryableError))
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

// Codes of an index or collection that does not exist, or exists.
const (
	namespaceNotFound = 26
	indexNotFound     = 27
	namespaceExists   = 48
)

// isBusy reports whether an index build or change failed for a temporary
// reason: the server is unavailable, another build is active, or the server
// chose it as the victim of a deadlock (PostgreSQL under DocumentDB says so in
// the message only).
func isBusy(err error) bool {
	if err == nil {
		return false
	}
	for _, code := range mongo.ErrorCodes(err) {
		switch code {
		case 46, // LockBusy
			117,   // ConflictingOperationInProgress
			276,   // IndexBuildAborted
			12586, // BackgroundOperationInProgressForDatabase
			12587: // BackgroundOperationInProgressForNamespace
			return true
		}
	}
	if isUnavailable(err) {
		return true
	}
	message := err.Error()
	return !mongo.IsDuplicateKeyError(err) && (strings.Contains(message, "deadlock detected") ||
		strings.Contains(message, "could not serialize access") || strings.Contains(message, "tuple concurrently updated"))
}

// isUnavailableCode reports whether a server error code is temporary. Names and
// numbers are those of the server's src/mongo/base/error_codes.yml: the
// categories RetriableError, NotPrimaryError, NetworkError, ShutdownError,
// Interruption, ExceededTimeLimitError and SystemOverloadedError as far as
// clients receive them, lost cursors, and write concerns that were not met in
// time.
func isUnavailableCode(code int) bool {
	switch code {
	case 6, // HostUnreachable
		7,     // HostNotFound
		24,    // LockTimeout
		43,    // CursorNotFound
		50,    // MaxTimeMSExpired
		64,    // WriteConcernTimeout
		89,    // NetworkTimeout
		91,    // ShutdownInProgress
		100,   // UnsatisfiableWriteConcern
		112,   // WriteConflict
		133,   // FailedToSatisfyReadPreference
		134,   // ReadConcernMajorityNotAvailableYet
		189,   // PrimarySteppedDown
		202,   // NetworkInterfaceExceededTimeLimit
		237,   // CursorKilled
		262,   // ExceededTimeLimit
		365,   // TemporarilyUnavailable
		402,   // ResourceExhausted
		407,   // PooledConnectionAcquisitionExceededTimeLimit
		433,   // AdmissionQueueOverflow
		449,   // RateLimitExceeded
		9001,  // SocketException
		10058, // LegacyNotPrimary
		10107, // NotWritablePrimary
		11600, // InterruptedAtShutdown
		11601, // Interrupted
		11602, // InterruptedDueToReplStateChange
		13435, // NotPrimaryNoSecondaryOk
		13436: // NotPrimaryOrSecondary
		return true
	}
	return false
}
