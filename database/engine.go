package database

import "pulse-control-plane/database/engine"

// The contract's names, so that repositories and their callers write them
// without a second import.
type (
	// Engine stores documents; see engine.Engine.
	Engine = engine.Engine
	// Query selects documents; see engine.Query.
	Query = engine.Query
	// UpdateOptions belong to Engine.Update.
	UpdateOptions = engine.UpdateOptions
	// FindAndUpdateOptions belong to Engine.FindOneAndUpdate.
	FindAndUpdateOptions = engine.FindAndUpdateOptions
	// Group is one row of Engine.Sum.
	Group = engine.Group
	// IndexDifference is an index that differs from its declaration.
	IndexDifference = engine.IndexDifference
	// Collection declares a collection.
	Collection = engine.Collection
	// Field declares a field.
	Field = engine.Field
	// Index declares an index.
	Index = engine.Index
	// Sealed declares a field whose values are sealed at rest.
	Sealed = engine.Sealed
)

// The kinds of a declared field.
const (
	String = engine.String
	Int    = engine.Int
	Float  = engine.Float
	Bool   = engine.Bool
	Time   = engine.Time
)

// MaxBatch is the most documents in one InsertMany and the most values in one
// $in.
const MaxBatch = engine.MaxBatch
