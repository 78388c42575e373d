package audit

import (
	"bufio"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
)

// maxLine bounds a line of an export, in bytes.
const maxLine = 4 << 20

// Report is the outcome of VerifyExport.
type Report struct {
	Entries int64
	Head    string
	// Whole is true if the entries follow each other without a gap.
	Whole bool
}

// VerifyExport reads a JSON Lines export and returns the first fault as an error: a
// changed, missing or reordered entry, or a missing end. A filtered export can't
// show missing entries; each of its entries is verified on its own. head, if not
// "", is the hash that the last entry must have.
func VerifyExport(r io.Reader, head string) (Report, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	chain := Verifier{FromMiddle: true}
	var report Report
	var broken, single error
	var trailer *Trailer
	for number := 1; lines.Scan(); number++ {
		if trailer != nil {
			return report, fmt.Errorf("line %d: data after the last line of the export", number)
		}
		var line struct {
			Line
			Trailer *Trailer `json:"trailer"`
		}
		// An unknown member is not covered by the hash.
		if err := json.Unmarshal(lines.Bytes(), &line, json.RejectUnknownMembers(true)); err != nil {
			return report, fmt.Errorf("line %d: %w", number, err)
		}
		if line.Trailer != nil {
			trailer = line.Trailer
			continue
		}
		e := line.Entry()
		report.Entries, report.Head = report.Entries+1, e.Hash
		if e.Hash != Hash(&e) || e.OutcomeHash != OutcomeHash(&e) {
			single = first(single, fmt.Errorf("line %d: entry %d was changed", number, e.Seq))
		}
		if broken == nil {
			if wrong := chain.Add(&e); wrong != "" {
				broken = fmt.Errorf("line %d: entry %d: %s", number, e.Seq, wrong)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return report, err
	}
	switch {
	case trailer == nil:
		return report, first(single, fmt.Errorf("the export is incomplete: its last line is missing"))
	case single != nil:
		return report, single
	case trailer.Whole && broken != nil:
		return report, broken
	case trailer.Entries != report.Entries || trailer.Head != report.Head:
		return report, fmt.Errorf("the export states %d entries up to %q but contains %d up to %q",
			trailer.Entries, trailer.Head, report.Entries, report.Head)
	case head != "" && head != report.Head:
		return report, fmt.Errorf("the last entry has the hash %q, want %q", report.Head, head)
	}
	report.Whole = trailer.Whole
	return report, nil
}

// Sentence says what an export that was verified is.
func (r Report) Sentence() string {
	scope := "unchanged, none missing between them"
	if !r.Whole {
		scope = "unchanged; the export was filtered, so missing entries do not show"
	}
	return fmt.Sprintf("%d entries, %s; the last hash is %s", r.Entries, scope, r.Head)
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
