// Package commands has the tests of the sub-commands that work on a whole database (migrate, migrate --to, rekey), as
// processes that are killed, beside servers of this version and of earlier ones, on both engines.
//
// It owns expectations. The database that several processes share is package mongowire's.
package commands
