package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const clockReadings = "clock_readings"

// clockReadingsCollection holds the last reading of the database's clock by each
// process.
func clockReadingsCollection() Collection {
	kept := models.ClocksKept
	return Collection{
		Name:    clockReadings,
		Fields:  []Field{{Name: "at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"at"}, ExpireAfter: &kept}},
	}
}

// ClockReadings is the repository of readings of the database's clock.
type ClockReadings struct{ engine Engine }

// NewClockReadings returns the repository over an engine.
func NewClockReadings(e Engine) *ClockReadings { return &ClockReadings{e} }

// Read asks the database for its time, to the millisecond, on behalf of a process.
func (r *ClockReadings) Read(ctx context.Context, process string) (time.Time, error) {
	var out models.ClockReading
	err := r.engine.FindOneAndUpdate(ctx, clockReadings, bson.D{{Key: "_id", Value: process}},
		bson.D{{Key: "$currentDate", Value: bson.D{{Key: "at", Value: true}}}}, FindAndUpdateOptions{Upsert: true}, &out)
	return out.At, err
}
