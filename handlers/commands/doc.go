// Package commands owns the sub-commands that work on the stored database
// (migrate, check, backup, restore, compact, rekey), how every command gets its
// configuration and log, and the exit codes.
//
// It does not own what they do (services/data) nor the server (main). Invariants: a
// command parses its arguments, makes one call of a service and prints; it writes its
// result to standard output and everything else to standard error; commands that
// serve nothing need none of the server's settings, and generate no secrets.
//
// It is the one package of handlers that may import config and database: a command has
// no request and no server around it, so it reads the configuration itself and says
// where the database is (database.Location). It reads and writes nothing in it.
//
// Called by main.
package commands
