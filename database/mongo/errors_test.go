package mongo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

const mongoDuplicateEmail = `E11000 duplicate key error collection: pulse.people index: email_1 dup key: { email: "ada@example.org index: nick_1 " }`

func mongoPeople(t *testing.T) *engine.Declared {
	t.Helper()
	all, err := engine.Declare(testSchema())
	if err != nil {
		t.Fatal(err)
	}
	return all["people"]
}

func mongoRaw(t *testing.T, d bson.D) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDriverErrorsBecomeModelsErrors(t *testing.T) {
	unavailable := []error{
		context.Canceled,
		fmt.Errorf("wrapped: %w", context.DeadlineExceeded),
		mongo.ErrClientDisconnected,
		topology.ServerSelectionError{Wrapped: context.DeadlineExceeded},
		topology.ServerSelectionError{Wrapped: errors.New("no primary")},
		topology.WaitQueueTimeoutError{},
		topology.ConnectionError{Wrapped: io.EOF},
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		mongo.CommandError{Labels: []string{"NetworkError"}, Message: "socket was unexpectedly closed"},
		mongo.CommandError{Labels: []string{"RetryableWriteError"}},
		mongo.CommandError{Code: 50, Name: "MaxTimeMSExpired"},
		mongo.CommandError{Code: 91, Name: "ShutdownInProgress"},
		mongo.CommandError{Code: 189, Name: "PrimarySteppedDown"},
		mongo.CommandError{Code: 10107, Name: "NotWritablePrimary"},
		mongo.CommandError{Code: 11600, Name: "InterruptedAtShutdown"},
		mongo.CommandError{Code: 13436, Name: "NotPrimaryOrSecondary"},
		mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64, Name: "WriteConcernTimeout"}},
		mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 11602}}},
		mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 100}},
	}
	for _, err := range unavailable {
		if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindUnavailable) {
			t.Errorf("%#v: %v, want unavailable", err, got)
		} else if !errors.Is(got, err) && errors.Unwrap(got) == nil {
			t.Errorf("%#v: the cause is lost", err)
		}
	}
	internal := []error{
		errors.New("anything"),
		mongo.CommandError{Code: 2, Name: "BadValue"},
		mongo.CommandError{Code: 13, Name: "Unauthorized"},
		topology.ConnectionError{Wrapped: mongo.CommandError{Code: 18, Name: "AuthenticationFailed"}},
		mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 1, Message: "UNIQUE constraint failed"}}},
		mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 121, Message: "Document failed validation"}}},
		mongo.MarshalError{Err: errors.New("no encoder")},
		mongo.ErrNilDocument,
	}
	for _, err := range internal {
		if got := failure(mongoPeople(t), err); !models.IsKind(got, models.KindInternal) {
			t.Errorf("%#v: %v, want internal", err, got)
		}
	}
	if got := failure(mongoPeople(t), fmt.Errorf("find: %w", mongo.ErrNoDocuments)); !models.IsKind(got, models.KindNotFound) {
		t.Errorf("no documents: %v, want not_found", got)
	}
	known := models.Forbidden("no", "No.")
	if got := failure(mongoPeople(t), known); got != error(known) {
		t.Errorf("a models error became %v", got)
	}
	if got := failure(mongoPeople(t), nil); got != nil {
		t.Errorf("nil became %v", got)
	}
}

func TestADuplicateKeyIsAConflictWithTheCodeOfItsIndex(t *testing.T) {
	write := func(w mongo.WriteError) error { return mongo.WriteException{WriteErrors: mongo.WriteErrors{w}} }
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"insert": {write(mongo.WriteError{Code: 11000, Message: mongoDuplicateEmail}), "email_taken"},
		"update": {write(mongo.WriteError{Code: 11001, Message: mongoDuplicateEmail}), "email_taken"},
		"capped": {write(mongo.WriteError{Code: 12582, Message: mongoDuplicateEmail}), "email_taken"},
		"before 4.2": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error index: pulse.people.$email_1 dup key: { : "ada@example.org" }`}), "email_taken"},
		"findAndModify": {mongo.CommandError{Code: 11000, Name: "DuplicateKey", Message: mongoDuplicateEmail}, "email_taken"},
		"bulk": {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{
			{WriteError: mongo.WriteError{Code: 121}},
			{WriteError: mongo.WriteError{Code: 11000, Message: mongoDuplicateEmail}}}}, "email_taken"},
		"key pattern, own name": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error collection: pulse.people index: people_by_mail dup key: { email: "ada@example.org" }`,
			Raw:     mongoRaw(t, bson.D{{Key: "keyPattern", Value: bson.D{{Key: "email", Value: 1}}}})}), "email_taken"},
		"key pattern of findAndModify": {mongo.CommandError{Code: 11000, Message: "E11000",
			Raw: mongoRaw(t, bson.D{{Key: "keyPattern", Value: bson.D{{Key: "email", Value: 1.0}}}})}, "email_taken"},
		"index without a code": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error collection: pulse.people index: nick_1 dup key: { nick: "ada@example.org" }`}), "already_exists"},
		"_id": {write(mongo.WriteError{Code: 11000, Message: `E11000 duplicate key error collection: pulse.people index: _id_ dup key: { _id: "ada@example.org" }`}), "already_exists"},
		"with a collation": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error collection: pulse.people index: email_1 collation: { locale: "en" } dup key: { email: "x" }`}), "email_taken"},
		"before 4.2, without the collection": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error index: pulse.people.$email_1 dup key: { : "x" }`}), "email_taken"},
		"DocumentDB": {write(mongo.WriteError{Code: 11000,
			Message: `Duplicate key violation on the requested collection: Index 'email_1'`}), "email_taken"},
		"DocumentDB, findAndModify": {mongo.CommandError{Code: 11000, Name: "DuplicateKey",
			Message: `Duplicate key violation on the requested collection: Index 'email_1'`}, "email_taken"},
		"DocumentDB, id": {write(mongo.WriteError{Code: 11000,
			Message: `Duplicate key violation on the requested collection: Index '_id_'`}), "already_exists"},
		"a value that looks like a name": {write(mongo.WriteError{Code: 11000,
			Message: `E11000 duplicate key error collection: pulse.people dup key: { nick: ": Index 'email_1' index: email_1 " }`}), "already_exists"},
		"no detail": {write(mongo.WriteError{Code: 11000, Message: `E11000 duplicate key error collection: pulse.people`}), "already_exists"},
	} {
		got := failure(mongoPeople(t), c.err)
		if !models.IsKind(got, models.KindConflict) || !models.HasCode(got, c.code) {
			t.Errorf("%s: %v, want conflict %s", name, got, c.code)
			continue
		}
		if strings.Contains(got.Error(), "ada@") {
			t.Errorf("%s: the error quotes the value: %v", name, got)
		}
	}
}

func TestInsertManySeparatesDuplicatesFromOtherFailures(t *testing.T) {
	dup := func(i int) mongo.BulkWriteError {
		return mongo.BulkWriteError{WriteError: mongo.WriteError{Index: i, Code: 11000, Message: mongoDuplicateEmail}}
	}
	for name, c := range map[string]struct {
		err  error
		dups string
		kind models.Kind
	}{
		"none":                       {nil, "[]", ""},
		"only duplicates":            {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup(7), dup(2)}}, "[2 7]", ""},
		"another failure too":        {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup(3), {WriteError: mongo.WriteError{Index: 5, Code: 121}}}}, "[3]", models.KindInternal},
		"stepped down in between":    {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup(3), {WriteError: mongo.WriteError{Index: 5, Code: 189}}}}, "[3]", models.KindUnavailable},
		"not acknowledged":           {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup(1)}, WriteConcernError: &mongo.WriteConcernError{Code: 64}}, "[1]", models.KindUnavailable},
		"nothing reached the server": {topology.ServerSelectionError{}, "[]", models.KindUnavailable},
	} {
		dups, err := splitDuplicates(mongoPeople(t), c.err)
		if fmt.Sprint(dups) != c.dups {
			t.Errorf("%s: duplicates %v, want %s", name, dups, c.dups)
		}
		if c.kind == "" && err != nil || c.kind != "" && !models.IsKind(err, c.kind) {
			t.Errorf("%s: %v, want %q", name, err, c.kind)
		}
	}
}
