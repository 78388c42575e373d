// Package overview owns the one answer that says what is going on in an
// organization: for each project what is open, which quotas are near their end,
// and how far its set-up is.
//
// It stores nothing and decides nothing. Invariants: an answer is at most
// freshFor old; a project costs a bounded number of queries; a caller that may read
// projects may read it, of their own organization.
//
// Called by handlers.
package overview
