// Package database keeps the documents: two engines (MongoDB and the embedded
// one), the declaration of collections and indexes they are both built from,
// and one repository a noun.
//
// It owns BSON, filters and drivers; it owns no business rule. Invariants:
//   - every filter of a tenant's document contains the tenant's id;
//   - a field that is not declared in the schema can neither be filtered nor
//     sorted by, on either engine, so a query no index serves can't be written;
//   - driver errors end here: what leaves is a *models.Error (missing →
//     not_found, duplicate key → conflict, deadline and network → unavailable)
//     and never (nil, nil);
//   - a write that returned nil is on disk (embedded) or acknowledged by the
//     majority (MongoDB).
package database
