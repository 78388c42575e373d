// Package paging reads pages of lists by opaque cursors that are bound to the
// list and to the caller's tenant.
//
// Called by every service that lists.
package paging
