package engine

// Plan is how an engine executes a query. Both engines have a method Explain
// that returns it.
type Plan struct {
	// Index is the name of the index that is searched, "_id_" for "_id"; "" if
	// the whole collection is read.
	Index string
	// Sorts reports whether the result is sorted after it was read, since no
	// index has its order.
	Sorts bool
}
