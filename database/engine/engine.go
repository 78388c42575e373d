package engine

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Engine is what a repository may ask of a database. Both engines implement it
// with the meaning MongoDB documents for the same words.
//
// Filters are conjunctions of declared fields (or "_id"), each either a value
// (equality) or a document of $in $gt $gte $lt $lte $ne $exists, plus at most
// a top-level $or of such conjunctions. Updates are documents of $set $unset
// $inc $max $min $setOnInsert. Anything else is an internal error before the
// database is asked. A nil or null value in a filter is refused: say
// {$exists: false}. Values in filters have the declared Kind of the field.
//
// Every method honours ctx; errors are *models.Error: not_found, conflict,
// unavailable, internal.
type Engine interface {
	// Insert stores one document; its "_id" must be a string it already has.
	// A duplicate "_id" or unique index is a conflict.
	Insert(ctx context.Context, collection string, doc any) error
	// InsertMany stores up to MaxBatch documents, unordered: a duplicate does
	// not stop the others. It returns the indexes (ascending) of those refused
	// as duplicates.
	InsertMany(ctx context.Context, collection string, docs []any) (duplicates []int, err error)
	// FindOne decodes the first match in q's order into out (a pointer), or
	// returns not_found.
	FindOne(ctx context.Context, collection string, q Query, out any) error
	// Find calls each for every match in order until it returns an error,
	// which Find then returns. The raw document is only valid during the call.
	// q.Limit must be positive.
	Find(ctx context.Context, collection string, q Query, each func(bson.Raw) error) error
	// Update changes the first match (or all, with opts.Many) and returns how
	// many matched. With opts.Upsert a missing document is made from the
	// filter's equalities, $setOnInsert and the update, as MongoDB does; the
	// filter must then name "_id".
	Update(ctx context.Context, collection string, filter, update bson.D, opts UpdateOptions) (matched int64, err error)
	// FindOneAndUpdate changes the first match in order and decodes the
	// document as it is afterwards into out, atomically; not_found if there is
	// none (and no upsert).
	FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, opts FindAndUpdateOptions, out any) error
	// Delete removes every match (the first only, with limit 1; limit 0 means
	// all) and returns how many.
	Delete(ctx context.Context, collection string, filter bson.D, limit int64) (deleted int64, err error)
	// Count returns how many match, counting no further than limit when it is
	// positive.
	Count(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error)
	// Sum adds up a numeric field over the matches, grouped by the values of
	// declared fields; groups come in ascending order of those values.
	Sum(ctx context.Context, collection string, filter bson.D, field string, groupBy ...string) ([]Group, error)
	// EnsureSchema makes missing collections and indexes and reports those
	// that exist but differ; it drops nothing.
	EnsureSchema(ctx context.Context) ([]IndexDifference, error)
	// Ping answers nil when a read and, on the embedded engine, a write could
	// be served now.
	Ping(ctx context.Context) error
	// Name is "mongodb" or "embedded".
	Name() string
	// Exclusive tells that no other process can change the data while this
	// one runs, so a cache that hears of this process's changes is exact.
	Exclusive() bool
	// Run does the engine's own upkeep (the embedded TTL sweeper) until ctx
	// ends.
	Run(ctx context.Context) error
	// Close flushes and lets go of files and connections.
	Close(ctx context.Context) error
}

// MaxBatch is the most documents one InsertMany takes.
const MaxBatch = 1000

// Query selects documents. A zero Limit is allowed in FindOne only.
type Query struct {
	Filter bson.D
	// Sort names declared fields, 1 ascending or -1 descending.
	Sort  bson.D
	Limit int64
}

// UpdateOptions of Engine.Update.
type UpdateOptions struct {
	Many   bool
	Upsert bool
}

// FindAndUpdateOptions of Engine.FindOneAndUpdate.
type FindAndUpdateOptions struct {
	Sort   bson.D
	Upsert bool
}

// Group is one row of a Sum: the values of the fields grouped by, in their
// order (string, int64, float64, bool or time.Time in UTC; nil where the field
// is absent), and the sum.
type Group struct {
	Keys  []any
	Sum   float64
	Count int64
}

// IndexDifference is an index that exists but not as declared.
type IndexDifference struct {
	Collection, Index, Declared, Found string
}

// FieldKind is the one BSON type a declared field may have.
type FieldKind int

// The kinds a declared field may have; int32 and int64 are both Int.
const (
	String FieldKind = iota + 1
	Int
	Float
	Bool
	Time
)

// Collection declares a collection: its name, the fields that may be filtered
// or sorted by, and its indexes. "_id" (String) is implied and unique.
type Collection struct {
	Name    string
	Fields  []Field
	Indexes []Index
}

// Field is a declared field; Name may be a dotted path into sub-documents, not
// into arrays.
type Field struct {
	Name string
	Kind FieldKind
}

// Index is a declared index. Keys name declared fields; a "-" before the name
// means descending. The name in the database is MongoDB's default: each key
// and direction joined with underscores ("org_id_1_name_1").
type Index struct {
	Keys   []string
	Unique bool
	// Partial makes a unique index ignore documents that lack one of its
	// keys ($exists: true for each, MongoDB's partialFilterExpression).
	Partial bool
	// ExpireAfter, when set, makes it a TTL index on its single Time key:
	// documents go that long after the time in it. Zero is a valid value.
	ExpireAfter *time.Duration
	// ConflictCode is the stable code of the conflict a duplicate in this
	// unique index becomes, such as "email_taken"; default "already_exists".
	ConflictCode string
}
