package database

import (
	"context"
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// unanswered is an engine whose changes are made, and not answered.
type unanswered struct{ Engine }

func (u unanswered) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, o FindAndUpdateOptions, out any) error {
	if err := u.Engine.FindOneAndUpdate(ctx, collection, filter, update, o, out); err != nil {
		return err
	}
	return models.Unavailable(errors.New("the answer was lost"))
}

func TestAWriteWithAnUnknownOutcomeIsReportedAndOneThatChangedNothingIsNot(t *testing.T) {
	e := openForElections(t)
	if err := e.Insert(t.Context(), passwordResets, bson.D{{Key: "_id", Value: "there"}}); err != nil {
		t.Fatal(err)
	}
	told := 0
	watched := Watched(unanswered{e}, func() { told++ })
	write := func(id string) error {
		var out bson.Raw
		return watched.FindOneAndUpdate(t.Context(), passwordResets, bson.D{{Key: "_id", Value: id}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "note", Value: "x"}}}}, FindAndUpdateOptions{}, &out)
	}
	if err := write("missing"); !models.IsKind(err, models.KindNotFound) || told != 0 {
		t.Errorf("told %d times of a write that did nothing, %v", told, err)
	}
	if err := write("there"); !models.IsKind(err, models.KindUnavailable) || told != 1 {
		t.Errorf("told %d times of a write with an unknown outcome, %v", told, err)
	}
}
