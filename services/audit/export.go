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
	// Whole tells that the entries follow from each other without a gap.
	Whole bool
}

// VerifyExport reads an export in JSON lines and gives the first thing that is
// wrong with it as an error: an entry changed, removed or out of order, or the
// end cut off. A filtered export can't show what is missing; each of its
// entries is checked by itself. head, if not "", is the hash the last entry
// must have.
func VerifyExport(r io.Reader, head string) (Report, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	chain := Verifier{FromMiddle: true}
	var report Report
	var broken, single error
	var trailer *Trailer
	for number := 1; lines.Scan(); number++ {
		if trailer != nil {
			return report, fmt.Errorf("line %d: something follows the last line of the export", number)
		}
		var line struct {
			Line
			Trailer *Trailer `json:"trailer"`
		}
		// A member that is not known is covered by no hash.
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
		return report, first(single, fmt.Errorf("the export is cut off: its last line is missing"))
	case single != nil:
		return report, single
	case trailer.Whole && broken != nil:
		return report, broken
	case trailer.Entries != report.Entries || trailer.Head != report.Head:
		return report, fmt.Errorf("the export says it has %d entries up to %q; it has %d up to %q",
			trailer.Entries, trailer.Head, report.Entries, report.Head)
	case head != "" && head != report.Head:
		return report, fmt.Errorf("the last entry has the hash %q, not %q", report.Head, head)
	}
	report.Whole = trailer.Whole
	return report, nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
