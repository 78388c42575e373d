// Package downloads owns URLs that fetch one export once: a browser saves a file
// from a URL, which can not carry an access token.
//
// It does not know what an export is. Invariants: a URL works once, for a
// minute; its key is stored as a hash; it reads what the login session that
// asked for it may read when it is fetched, so that an ended one reads nothing.
//
// Called by handlers.
package downloads
