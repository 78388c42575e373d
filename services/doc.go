// Package services holds the rules: who may, what happens, what else must then
// happen. It does not know HTTP, BSON filters or status codes.
//
// Invariants: the first line of every method that acts for a caller asks the
// models.Principal for permission in words; every call to a repository passes
// that principal's tenant; errors are *models.Error. A change that a cache
// must hear of is dropped from that cache before the method returns.
package services
