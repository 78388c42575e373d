package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 10 * time.Second
	barWidth    = 30
)

// Bar shows how much of a total is done. It is safe for concurrent use.
type Bar struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu           sync.Mutex
	what         string
	done, total  int64
	began, wrote time.Time
	width        int
}

// New returns a bar of a total that nothing is done of; with a total of 0 it
// shows what is done alone. It draws on a terminal and writes lines elsewhere.
func New(out io.Writer, what string, total int64, now func() time.Time) *Bar {
	return &Bar{out: out, terminal: isTerminal(out), now: now, what: what, total: total, began: now(), wrote: now()}
}

// isTerminal reports whether a writer is a terminal that can redraw a line.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}

// Add counts n more.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	every := lineEvery
	if b.terminal {
		every = redrawEvery
	}
	if b.now().Sub(b.wrote) >= every {
		b.write(false)
	}
}

// End writes the last state; the bar must not be used afterwards.
func (b *Bar) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write(true)
}

func (b *Bar) write(last bool) {
	b.wrote = b.now()
	text := b.text()
	if !b.terminal {
		_, _ = fmt.Fprintln(b.out, text)
		return
	}
	padding := max(0, b.width-len([]rune(text)))
	b.width = len([]rune(text))
	end := ""
	if last {
		end = "\n"
	}
	_, _ = fmt.Fprintf(b.out, "\r%s%s%s", text, strings.Repeat(" ", padding), end)
}

// text is such as "api_keys [#####     ] 50% 500 of 1000, 100 a second".
func (b *Bar) text() string {
	var text strings.Builder
	text.WriteString(b.what)
	if b.total > 0 {
		share := min(1, float64(b.done)/float64(b.total))
		if b.terminal {
			filled := int(share * barWidth)
			fmt.Fprintf(&text, " [%s%s]", strings.Repeat("#", filled), strings.Repeat(" ", barWidth-filled))
		}
		fmt.Fprintf(&text, " %.0f%% %d of %d", 100*share, b.done, b.total)
	} else {
		fmt.Fprintf(&text, " %d", b.done)
	}
	if took := b.now().Sub(b.began).Seconds(); took >= 1 {
		fmt.Fprintf(&text, ", %.0f a second", float64(b.done)/took)
	}
	return text.String()
}
