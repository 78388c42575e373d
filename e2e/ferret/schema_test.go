package ferret_test

import "pulse-control-plane/database/engine"

// ferretSchema is a schema without features that FerretDB 1.24 does not implement:
// TTL indexes (expireAfterSeconds) become plain ones. Partial unique indexes
// become full ones, which differ for documents that lack the field.
func ferretSchema(schema []engine.Collection) []engine.Collection {
	plain := make([]engine.Collection, len(schema))
	for i, c := range schema {
		plain[i] = c
		plain[i].Indexes = make([]engine.Index, len(c.Indexes))
		for j, index := range c.Indexes {
			index.ExpireAfter, index.Partial = nil, false
			plain[i].Indexes[j] = index
		}
	}
	return plain
}
