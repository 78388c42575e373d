package progress

import (
	"strings"
	"testing"
	"time"
)

func TestABarWritesALineNowAndThenElsewhereThanOnATerminal(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	b := New(&out, "things", 200, func() time.Time { return now })
	for range 100 {
		now = now.Add(time.Second / 4)
		b.Add(1)
	}
	b.End()
	want := "things 20% 40 of 200, 4 a second\nthings 40% 80 of 200, 4 a second\nthings 50% 100 of 200, 4 a second\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestABarIsRedrawnOnATerminalAndEndsItsLine(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	b := New(&out, "things", 10, func() time.Time { return now })
	b.terminal = true
	for range 10 {
		now = now.Add(time.Second)
		b.Add(1)
	}
	b.End()
	text := out.String()
	if strings.Count(text, "\r") != 11 || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\rthings ["+strings.Repeat("#", barWidth)+"] 100% 10 of 10, 1 a second\n") {
		t.Errorf("got %q", text)
	}
}

func TestABarWithoutATotalShowsWhatIsDone(t *testing.T) {
	var out strings.Builder
	b := New(&out, "things", 0, func() time.Time { return time.Unix(0, 0) })
	b.Add(3)
	b.End()
	if out.String() != "things 3\n" {
		t.Errorf("got %q", out.String())
	}
}
