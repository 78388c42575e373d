// Command bench measures Pulse against what its users would run without it, and prints the table of
// docs/BENCHMARKS.md. It writes the table to a new temporary file; with BENCH_WRITE=1 it replaces docs/BENCHMARKS.md. It builds the real binary and package bare, starts both on loopback as processes of their own and
// loads them in turn with wrk, round after round, so that whatever else the machine does falls on both. LiveKit's events it
// sends itself, at a fixed rate, which wrk cannot. The figures of the embedded engine come from the benchmarks in package
// database.
//
// It owns no test and gates nothing: figures on a shared machine vary, ratios within a round less. It is a module of its
// own, because it fills a database of a million projects through the product's packages, whose versions of SQLite need not
// be those that FerretDB has in e2e.
//
// It needs wrk (Debian's package of that name; https://github.com/wg/wrk), chosen because it takes the least of the
// machine for itself: a generator that shares two cores with the server hides the differences it is to show.
package main
