package main

import (
	"fmt"
	"os"

	"pulse-control-plane/services/audit"
)

// audit checks an export of the audit trail: verify FILE [HEAD], where HEAD is
// a head_hash that /v1/audit-logs/verify gave before.
func (p process) audit(args []string) int {
	if len(args) < 2 || len(args) > 3 || args[0] != "verify" {
		fmt.Fprint(p.stderr, usage)
		return exitUsage
	}
	file, err := os.Open(args[1])
	if err != nil {
		fmt.Fprintln(p.stderr, err)
		return exitUsage
	}
	defer file.Close()
	head := ""
	if len(args) == 3 {
		head = args[2]
	}
	report, err := audit.VerifyExport(file, head)
	if err != nil {
		fmt.Fprintln(p.stderr, "not as it was written:", err)
		return exitFailed
	}
	what := "as they were written, none missing between them"
	if !report.Whole {
		what = "as they were written; the export was filtered, so that missing ones do not show"
	}
	fmt.Fprintf(p.stdout, "%d entries, %s; the last one is %s\n", report.Entries, what, report.Head)
	return exitOK
}
