// Command bench measures Pulse next to a bare token server and prints the table of docs/BENCHMARKS.md. It writes the table
// to a new temporary file; with BENCH_WRITE=1 it replaces docs/BENCHMARKS.md. It builds the real binary and package bare,
// starts both on loopback as separate processes and loads them in turn with wrk, round after round, so that other load on
// the machine affects both. It sends LiveKit's events itself, at a fixed rate, which wrk cannot. The figures of the embedded
// engine come from the benchmarks in package database/embedded.
//
// It gates nothing: figures on a shared machine vary, ratios within a round less. It is a separate module because it fills a
// database of a million projects through the product's packages, whose version of SQLite may differ from FerretDB's in e2e.
//
// It needs wrk (Debian's package of that name; https://github.com/wg/wrk), chosen because it uses the
// least CPU: a generator that shares two cores with the server hides the differences it should show.
package main
