package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"pulse-control-plane/models"
)

// shapes are the errors in which a server sends a code: of a command, of a write, of a
// write in a batch, and of a write concern.
func shapes(code int, message string) map[string]error {
	return map[string]error{
		"command":             mongo.CommandError{Code: int32(code), Message: message},
		"write":               mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: code, Message: message}}},
		"batch":               mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: code, Message: message}}}},
		"write concern":       mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: code, Message: message}},
		"batch write concern": mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: code, Message: message}},
	}
}

func TestEveryTemporaryCodeIsUnavailableInEveryShapeAndWithoutLabels(t *testing.T) {
	for _, code := range []int{
		6, 7, 24, 43, 50, 63, 64, 89, 91, 94, 100, 112, 133, 134, 143, 145, 149, 150, 175, 189, 202, 211, 215, 216, 225, 237, 239, 246, 249, 250, 251,
		261, 262, 267, 279, 290, 314, 355, 363, 365, 371, 384, 391, 402, 407, 433, 449, 462, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 14031,
	} {
		for shape, err := range shapes(code, "x") {
			if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindUnavailable) {
				t.Errorf("code %d of a %s: %v, want unavailable", code, shape, got)
			}
			if !isBusy(err) {
				t.Errorf("code %d of a %s: an index build is not repeated", code, shape)
			}
		}
	}
	for _, label := range []string{"RetryableWriteError", "RetryableError", "TransientTransactionError", "SystemOverloadedError", "NetworkError"} {
		for code := range int32(2) {
			if err := failure(mongoPeople(t), mongo.CommandError{Code: code, Labels: []string{label}}); !models.IsKind(err, models.KindUnavailable) {
				t.Errorf("label %s with code %d: %v, want unavailable", label, code, err)
			}
		}
	}
	for _, code := range []int{1, 2, 9, 13, 18, 66, 121, 8000, 10334, 17419} {
		for shape, err := range shapes(code, "x") {
			if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindInternal) {
				t.Errorf("code %d of a %s: %v, want internal", code, shape, got)
			}
		}
	}
}

func TestAPostgreSQLThatIsAwayBehindFerretDBIsUnavailable(t *testing.T) {
	for _, message := range []string{
		"deadlock detected",
		"could not serialize access due to concurrent update",
		"terminating connection due to administrator command",
		"the database system is starting up",
		"the database system is shutting down",
		"the database system is in recovery mode",
		"sorry, too many clients already",
		"canceling statement due to statement timeout",
		"canceling statement due to lock timeout",
		"canceling statement due to conflict with recovery",
		"cannot execute INSERT in a read-only transaction",
		"failed to connect to `user=pulse database=postgres`: 127.0.0.1:5432 (postgres): dial error: dial tcp 127.0.0.1:5432: connect: connection refused",
		"unexpected EOF",
		"conn closed",
		"write failed: write tcp 127.0.0.1:1->127.0.0.1:5432: write: broken pipe",
		"could not extend file \"base/5/1\": No space left on device",
	} {
		for shape, err := range shapes(internalError, message) {
			if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindUnavailable) {
				t.Errorf("%q of a %s: %v, want unavailable", message, shape, got)
			}
		}
		// Of any other error the message may be a caller's.
		if got := failure(mongoPeople(t), mongo.CommandError{Code: 121, Message: message}); !models.IsKind(got, models.KindInternal) {
			t.Errorf("%q with the code of a refusal: %v, want internal", message, got)
		}
		if got := failure(mongoPeople(t), mongo.CommandError{Code: 11000, Message: message}); !models.IsKind(got, models.KindConflict) {
			t.Errorf("%q with the code of a duplicate: %v, want conflict", message, got)
		}
	}
}

func TestASQLStateInAWriteErrorIsUnderstood(t *testing.T) {
	state := func(text string) (code int) { // MAKE_SQLSTATE of PostgreSQL's elog.h
		for i, c := range []byte(text) {
			code |= int(c-'0') & 0x3f << (6 * i)
		}
		return code
	}
	if got := state("M0008"); sqlState(got) != "M0008" {
		t.Errorf("read %q", sqlState(got))
	}
	for text, want := range map[string]models.Kind{
		"40P01": models.KindUnavailable, "40001": models.KindUnavailable, "53300": models.KindUnavailable, "57P01": models.KindUnavailable,
		"57P03": models.KindUnavailable, "57014": models.KindUnavailable, "55P03": models.KindUnavailable, "25006": models.KindUnavailable,
		"08006": models.KindUnavailable, "22P02": models.KindInternal, "M0001": models.KindInternal, "42P01": models.KindInternal,
	} {
		for shape, err := range shapes(state(text), "x") {
			if got := failure(mongoPeople(t), err); !models.IsKind(got, want) {
				t.Errorf("%s of a %s: %v, want %s", text, shape, got, want)
			}
		}
	}
	for _, code := range []int{0, 1, 121, 11000, 13436, 17419, 31249, 51024, 7654321} {
		if got := sqlState(code); got != "" {
			t.Errorf("MongoDB's code %d is read as SQLSTATE %s", code, got)
		}
	}
}

func TestAServerThatIsNotThePrimaryIsUnavailableAlsoWithoutACode(t *testing.T) {
	for _, message := range []string{"not master", "not master or secondary", "not primary and secondaryOk=false", "node is recovering"} {
		if got := failure(mongoPeople(t), mongo.CommandError{Message: message}); !models.IsKind(got, models.KindUnavailable) {
			t.Errorf("%q: %v, want unavailable", message, got)
		}
	}
}

func TestAnIndexThatAnotherProcessBuiltMeanwhileIsFound(t *testing.T) {
	for _, code := range []int32{68, 85, 86} {
		var built []bson.D
		s := newWireServer(t, func(command bson.Raw) any {
			switch commandName(command) {
			case "listIndexes":
				return wireCursor(0, append([]bson.D{listedIndex("_id_", foundKeys("_id"))}, built...)...)
			case "createIndexes":
				built = []bson.D{
					listedIndex("by_email", foundKeys("email"), bson.E{Key: "unique", Value: true}),
					listedIndex("nick_1", foundKeys("nick"), bson.E{Key: "unique", Value: true},
						bson.E{Key: "partialFilterExpression", Value: bson.D{{Key: "nick", Value: bson.D{{Key: "$exists", Value: true}}}}}),
					listedIndex("org_id_1_born_-1", foundKeys("org_id", "-born")),
					listedIndex("seen_1", foundKeys("seen"), bson.E{Key: "expireAfterSeconds", Value: 86400}),
				}
				return wireFailure(code, "an equivalent index already exists with a different name")
			}
			return nil
		})
		if differences, err := openWire(t, s, "").EnsureSchema(t.Context()); err != nil || len(differences) > 0 {
			t.Errorf("code %d: differences %v: %v", code, differences, err)
		}
	}
}

func TestACollectionThatAnotherProcessMakesAtTheSameMomentIsNoFault(t *testing.T) {
	for _, err := range []error{
		mongo.CommandError{Code: 48, Name: "NamespaceExists", Message: "Collection people already exists."},
		mongo.CommandError{Code: 1, Message: `duplicate key value violates unique constraint "collections_pkey"`},
		mongo.CommandError{Code: 1, Message: `relation "documents_12" already exists`},
	} {
		if !isBusy(err) {
			t.Errorf("%v: an index build is not repeated", err)
		}
		if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindUnavailable) {
			t.Errorf("%v: %v, want unavailable", err, got)
		}
	}
}
