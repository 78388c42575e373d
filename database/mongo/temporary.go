package mongo

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Codes of an index or collection that does not exist, or exists.
const (
	namespaceNotFound    = 26
	indexNotFound        = 27
	namespaceExists      = 48
	indexAlreadyExists   = 68
	indexOptionsConflict = 85
	indexKeysConflict    = 86
)

// isBusy reports whether an index build or change failed for a temporary
// reason: the server is unavailable, another build is active, or another process
// made the collection at the same moment, which DocumentDB reports.
func isBusy(err error) bool {
	if err == nil {
		return false
	}
	for _, code := range mongo.ErrorCodes(err) {
		switch code {
		case namespaceNotFound,
			46,    // LockBusy
			117,   // ConflictingOperationInProgress
			276,   // IndexBuildAborted
			285,   // IndexBuildAlreadyInProgress
			12586, // BackgroundOperationInProgressForDatabase
			12587: // BackgroundOperationInProgressForNamespace
			return true
		}
	}
	return isUnavailable(err) || isCreationRace(err)
}

// isCreationRace reports whether a write or an index build failed because another
// process made the collection, which the first of either does, at the same moment:
// DocumentDB reports that, in words of PostgreSQL too.
func isCreationRace(err error) bool {
	return slices.Contains(mongo.ErrorCodes(err), namespaceExists) ||
		hasMessage(err, `duplicate key value violates unique constraint "collections_`, `" already exists`)
}

// isConflictingIndex reports whether an index with its name or keys exists.
func isConflictingIndex(err error) bool {
	return slices.ContainsFunc(mongo.ErrorCodes(err), func(code int) bool {
		return code == indexAlreadyExists || code == indexOptionsConflict || code == indexKeysConflict
	})
}

// isUnavailableCode reports whether a server error code is temporary. Names and
// numbers are those of the server's src/mongo/base/error_codes.yml: the
// categories RetriableError, NotPrimaryError, NetworkError, ShutdownError,
// Interruption, ExceededTimeLimitError, SnapshotError, CursorInvalidatedError and
// SystemOverloadedError as far as clients receive them, write concerns that were
// not met in time, and a server that takes no writes at present.
func isUnavailableCode(code int) bool {
	switch code {
	case 6, // HostUnreachable
		7,     // HostNotFound
		24,    // LockTimeout
		43,    // CursorNotFound
		50,    // MaxTimeMSExpired
		63,    // StaleShardVersion
		64,    // WriteConcernTimeout
		83,    // RemoteResultsUnavailable
		89,    // NetworkTimeout
		90,    // CallbackCanceled
		91,    // ShutdownInProgress
		94,    // NotYetInitialized
		95,    // NotSecondary
		100,   // UnsatisfiableWriteConcern
		107,   // LockFailed
		112,   // WriteConflict
		133,   // FailedToSatisfyReadPreference
		134,   // ReadConcernMajorityNotAvailableYet
		143,   // CursorInUse
		145,   // PooledConnectionsDropped
		149,   // NoConfigPrimary
		150,   // StaleEpoch
		175,   // QueryPlanKilled
		189,   // PrimarySteppedDown
		190,   // MasterSlaveConnectionFailure
		199,   // ReplicaSetMonitorRemoved
		202,   // NetworkInterfaceExceededTimeLimit
		203,   // ShardingStateNotInitialized
		206,   // NoSuchSession
		208,   // TooManyLocks
		211,   // KeyNotFound
		215,   // DatabaseDropPending
		216,   // ElectionInProgress
		217,   // IncompleteTransactionHistory
		221,   // IndexModified
		225,   // TransactionTooOld
		228,   // SessionTransferIncomplete
		230,   // DNSHostNotFound
		231,   // DNSProtocolError
		237,   // CursorKilled
		239,   // SnapshotTooOld
		246,   // SnapshotUnavailable
		249,   // StaleDbVersion
		250,   // StaleChunkHistory
		251,   // NoSuchTransaction
		261,   // TooManyLogicalSessions
		262,   // ExceededTimeLimit
		264,   // TooManyFilesOpen
		267,   // PreparedTransactionInProgress
		272,   // MigrationConflict
		279,   // ClientDisconnect
		281,   // TransactionCoordinatorSteppingDown
		282,   // TransactionCoordinatorReachedAbortDecision
		290,   // TransactionExceededLifetimeLimitSeconds
		303,   // SplitHorizonChange
		314,   // ObjectIsBusy
		317,   // ConnectionPoolExpired
		319,   // MovePrimaryInProgress
		333,   // ServiceExecutorInShutdown
		355,   // InterruptedDueToStorageChange
		356,   // TxnRetryCounterTooOld
		358,   // InternalTransactionNotSupported
		363,   // RetryableTransactionInProgress
		365,   // TemporarilyUnavailable
		371,   // UserWritesBlocked
		384,   // ConnectionError
		391,   // ReauthenticationRequired
		398,   // StreamTerminated
		402,   // ResourceExhausted
		406,   // MigrationBlockingOperationCoordinatorCleaningUp
		407,   // PooledConnectionAcquisitionExceededTimeLimit
		412,   // UpdatesStillPending
		433,   // AdmissionQueueOverflow
		449,   // RateLimitExceeded
		450,   // PooledConnectionAcquisitionRejected
		462,   // IngressRequestRateLimitExceeded
		9001,  // SocketException
		10058, // LegacyNotPrimary
		10107, // NotWritablePrimary
		11600, // InterruptedAtShutdown
		11601, // Interrupted
		11602, // InterruptedDueToReplStateChange
		13388, // StaleConfig
		13435, // NotPrimaryNoSecondaryOk
		13436, // NotPrimaryOrSecondary
		14031: // OutOfDiskSpace
		return true
	}
	return isTemporarySQLState(code)
}

// sqlState is the SQLSTATE that DocumentDB gives as the code of a write error
// that is PostgreSQL's: five characters of six bits, the first one lowest
// (MAKE_SQLSTATE in PostgreSQL's elog.h); "" for any other code.
func sqlState(code int) string {
	if code < 1<<24 && code != 12485 { // 53300, too_many_connections, ends in zeros
		return ""
	}
	state := make([]byte, 5)
	for i := range state {
		state[i] = byte(code>>(6*i)&0x3f) + '0'
		if (state[i] < '0' || state[i] > '9') && (state[i] < 'A' || state[i] > 'Z') {
			return ""
		}
	}
	return string(state)
}

// isTemporarySQLState reports whether a code is a SQLSTATE of a connection that
// failed, a transaction that PostgreSQL chose to roll back, missing resources, a
// server that stops, starts or is a standby, or a statement that waited too long
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func isTemporarySQLState(code int) bool {
	state := sqlState(code)
	if state == "" {
		return false
	}
	switch state[:2] {
	case "08", "40", "53", "57":
		return true
	}
	return state == "25006" || state == "55P03"
}

// postgresAway are parts of the messages that FerretDB passes on from PostgreSQL
// and its driver with the code InternalError, since MongoDB has none for them.
var postgresAway = []string{
	"deadlock detected",
	"could not serialize access",
	"tuple concurrently updated",
	"tuple concurrently deleted",
	"terminating connection",
	"the database system is ",
	"too many clients already",
	"remaining connection slots are reserved",
	"canceling statement due to ",
	"in a read-only transaction",
	"during recovery",
	"out of shared memory",
	"No space left on device",
	"failed to connect to ",
	"failed to receive message",
	"failed to write ",
	"server closed the connection",
	"connection refused",
	"connection reset by peer",
	"broken pipe",
	"conn closed",
	"closed pool",
	"unexpected EOF",
	"i/o timeout",
	"context deadline exceeded",
	"context canceled",
}

// notPrimary are parts of the messages of a server that is not the primary, for
// those that send no code ("not master" and "node is recovering" in the
// specification of server discovery and monitoring).
var notPrimary = []string{"not master", "not primary", "node is recovering"}

// isSaidUnavailable reports whether an error says by its message alone that the
// server, or the PostgreSQL that it stores in, is away or takes no writes.
func isSaidUnavailable(err error) bool {
	return hasMessage(err, postgresAway...) || hasMessage(err, notPrimary...)
}

// hasMessage reports whether the server answered without a code, with InternalError
// or with a SQLSTATE, and with a message that has one of these parts. Messages with any other
// code may contain a caller's data.
func hasMessage(err error, parts ...string) bool {
	vague := func(code int) bool { return code == noCode || code == internalError || sqlState(code) != "" }
	if !slices.ContainsFunc(mongo.ErrorCodes(err), vague) || mongo.IsDuplicateKeyError(err) {
		return false
	}
	message := err.Error()
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(message, part) })
}

const (
	noCode        = 0
	internalError = 1
)
