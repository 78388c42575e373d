package engine

import (
	"cmp"
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Engine is the storage that repositories use. Both engines give each operator
// the meaning that MongoDB documents.
//
// A filter is a conjunction of declared fields (or "_id"), each with a value
// (equality) or a document of $in $gt $gte $lt $lte $ne $exists, and at most
// one top-level $or of such conjunctions. An update is a document of $set
// $unset $inc $max $min $setOnInsert. Everything else is an internal error, and
// the database is not asked. A nil or null value in a filter is refused; use
// {$exists: false}. Values in filters have the declared FieldKind of the field.
//
// Every method obeys ctx. Errors are *models.Error: not_found, conflict,
// unavailable or internal.
type Engine interface {
	// Insert stores one document, which already has a string "_id". A duplicate
	// "_id" or a duplicate in a unique index is a conflict.
	Insert(ctx context.Context, collection string, doc any) error
	// InsertMany stores up to MaxBatch documents in any order: a duplicate does
	// not stop the others. It returns the ascending indexes of the documents
	// refused as duplicates.
	InsertMany(ctx context.Context, collection string, docs []any) (duplicates []int, err error)
	// FindOne decodes the first match, in the order of q, into out (a pointer);
	// not_found without a match.
	FindOne(ctx context.Context, collection string, q Query, out any) error
	// Find calls each for every match, in the order of q, and stops with the
	// error that each returns. The raw document is valid during the call only.
	// q.Limit must be positive.
	Find(ctx context.Context, collection string, q Query, each func(bson.Raw) error) error
	// Update changes the first match, or all with opts.Many, and returns the
	// number of matches. With opts.Upsert and without a match, it inserts a
	// document from the equalities of the filter, $setOnInsert and the update,
	// as MongoDB does; the filter must then contain "_id".
	Update(ctx context.Context, collection string, filter, update bson.D, opts UpdateOptions) (matched int64, err error)
	// FindOneAndUpdate atomically changes the first match and decodes the
	// changed document into out; not_found without a match (unless it upserts).
	FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, opts FindAndUpdateOptions, out any) error
	// Swap replaces sealed values of the document with an id by others, if each is
	// still what before says, and reports whether it was. Both name the same
	// declared sealed fields, with texts.
	Swap(ctx context.Context, collection, id string, before, after bson.D) (swapped bool, err error)
	// Delete deletes every match with limit 0, the first with limit 1, and
	// returns the number of deleted documents.
	Delete(ctx context.Context, collection string, filter bson.D, limit int64) (deleted int64, err error)
	// Count returns the number of matches; a positive limit stops the count
	// there.
	Count(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error)
	// Sum adds up a numeric field of the matches, grouped by the values of
	// declared fields. Groups are sorted ascending by those values.
	Sum(ctx context.Context, collection string, filter bson.D, field string, groupBy ...string) ([]Group, error)
	// EnsureSchema creates missing collections and indexes. It reports the
	// indexes that exist with another definition and drops nothing. MongoDB may
	// leave indexes that are only for speed to Run. A database that is away or
	// busy is unavailable; the call can be repeated.
	EnsureSchema(ctx context.Context) ([]IndexDifference, error)
	// SchemaDifferences reports the declared indexes that are missing or exist with
	// another definition, and changes nothing.
	SchemaDifferences(ctx context.Context) ([]IndexDifference, error)
	// StoredName gives the name of a declared collection in the database: its
	// Former name, or its own. Of one that is not declared it is "".
	StoredName(collection string) string
	// Existing lists the stored names of the collections there are, of other
	// programs too.
	Existing(ctx context.Context) ([]string, error)
	// Rename gives each of some declared collections that has its Former name its
	// own, and then applies an update to one document, which may not be there yet.
	// The embedded engine does all of it in one transaction. On MongoDB it can be
	// interrupted after each step and called again; what is renamed is left. From
	// then on the engine uses the new names: nothing else may use it meanwhile.
	//
	// A process that has not noticed must fail, not make the old collection again
	// and work beside the new one: MongoDB gets a view under the old name, which no
	// write is allowed to. misconfigured "names_taken" if both have documents.
	Rename(ctx context.Context, collections []string, then Then) error
	// DropIndex drops an index that is no longer declared, by its keys; a missing
	// one is not an error. A declared index is refused.
	DropIndex(ctx context.Context, collection string, keys []string) error
	// Ping returns nil if the engine can serve a read now and, on the embedded
	// engine, a write.
	Ping(ctx context.Context) error
	// Name is "mongodb" or "embedded".
	Name() string
	// Exclusive reports whether no other process can change the data while this
	// one runs. A cache that receives the changes of this process is then
	// exact.
	Exclusive() bool
	// Run does the engine's maintenance (the embedded engine deletes expired
	// documents) until ctx ends.
	Run(ctx context.Context) error
	// Close flushes and closes files and connections.
	Close(ctx context.Context) error
}

// MaxBatch is the most documents in one InsertMany and the most values in one
// $in.
const MaxBatch = 1000

// Then is the write that completes a Rename: an upsert of the document with an ID.
type Then struct {
	Collection, ID string
	Update         bson.D
}

// Query selects documents. A zero Limit is allowed in FindOne only.
type Query struct {
	Filter bson.D
	// Sort names declared fields, 1 ascending or -1 descending.
	Sort  bson.D
	Limit int64
}

// UpdateOptions are the options of Engine.Update.
type UpdateOptions struct {
	Many   bool
	Upsert bool
}

// FindAndUpdateOptions are the options of Engine.FindOneAndUpdate.
type FindAndUpdateOptions struct {
	Sort   bson.D
	Upsert bool
}

// Group is one row of a Sum: the values of the grouping fields, in their order
// (string, int64, float64, bool or time.Time in UTC; nil for an absent field),
// the sum and the number of documents.
type Group struct {
	Keys  []any
	Sum   float64
	Count int64
}

// IndexDifference is an index that exists with another definition than
// declared.
type IndexDifference struct {
	Collection, Index, Declared, Found string
}

// FieldKind is the BSON type of a declared field.
type FieldKind int

// The kinds of a declared field; Int holds int32 and int64.
const (
	String FieldKind = iota + 1
	Int
	Float
	Bool
	Time
)

// Collection declares a collection: its name, the fields that filters and sorts
// may use, and its indexes. "_id" (String, unique) needs no declaration.
type Collection struct {
	Name string
	// Former is the name in the database, if it is an earlier one: a database that
	// `migrate` has not contracted has it. Names in code, filters and errors are Name.
	Former  string
	Fields  []Field
	Indexes []Index
	// Sealed are the fields whose values are sealed at rest.
	Sealed []Sealed
}

// StoredName is the name in the database.
func (c Collection) StoredName() string { return cmp.Or(c.Former, c.Name) }

// SealedID stands for the id of the document in Sealed.BoundTo.
const SealedID = "{id}"

// Sealed declares a field whose value is sealed at rest; nothing else may be. The
// engine stores it as it stores every text.
type Sealed struct {
	// Field may be a dotted path into sub-documents. A document may lack it.
	Field string
	// Purpose derives its key from DATA_KEY. It never changes.
	Purpose string
	// BoundTo is what a value is bound to, so that it opens in no other document
	// or field; it contains SealedID.
	BoundTo string
}

// Field is a declared field. Name may be a dotted path into sub-documents, but
// not into arrays.
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
	// Partial makes a unique index ignore documents without one of its keys
	// ($exists: true for each key in MongoDB's partialFilterExpression).
	Partial bool
	// ExpireAfter, if set, makes it a TTL index on its single Time key: a
	// document expires this long after that time. Zero is valid.
	ExpireAfter *time.Duration
	// ConflictCode is the stable code of the conflict error for a duplicate in
	// this unique index, such as "email_taken"; default "already_exists".
	ConflictCode string
	// ConflictMessage is what callers read with ConflictCode; the default names no
	// field.
	ConflictMessage string
}
