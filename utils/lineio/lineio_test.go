package lineio_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/utils/lineio"
)

// sink is an underlying writer that counts what it is given.
type sink struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	fail   error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		return 0, s.fail
	}
	return s.text.Write(p)
}

func (s *sink) got() (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), s.writes
}

func write(t *testing.T, w *lineio.Writer, line string) {
	t.Helper()
	if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(line), err)
	}
}

func TestLinesAreWrittenTogetherAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := lineio.New(&s)
		for round := 1; round <= 3; round++ {
			write(t, w, "one\n")
			write(t, w, "two\n")
			if _, writes := s.got(); writes != round-1 {
				t.Fatalf("round %d: %d writes before the delay", round, writes)
			}
			time.Sleep(lineio.Delay) // the bubble's clock
			synctest.Wait()
			if text, writes := s.got(); writes != round || text != strings.Repeat("one\ntwo\n", round) {
				t.Fatalf("round %d: %d writes, %q", round, writes, text)
			}
		}
	})
}

func TestUrgentWritesItsLineAndAllBeforeItBeforeItReturns(t *testing.T) {
	var s sink
	w := lineio.New(&s)
	write(t, w, "before\n")
	if _, err := w.Urgent([]byte("urgent\n")); err != nil {
		t.Fatal(err)
	}
	if text, _ := s.got(); text != "before\nurgent\n" {
		t.Fatalf("got %q", text)
	}
}

func TestConcurrentLinesAreNeitherLostNorTornNorReordered(t *testing.T) {
	var s sink
	w := lineio.New(&s)
	const writers, lines = 16, 2000 // more than the buffer holds
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			for n := range lines {
				line := fmt.Appendf(nil, "%d %d %s\n", writer, n, strings.Repeat("x", 64))
				put := w.Write
				if n%100 == 0 {
					put = w.Urgent
				}
				if _, err := put(line); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	text, writes := s.got()
	var next [writers]int
	for line := range strings.Lines(text) {
		var writer, n int
		var rest string
		if _, err := fmt.Sscanf(line, "%d %d %s", &writer, &n, &rest); err != nil || len(rest) != 64 || n != next[writer] {
			t.Fatalf("unexpected line %q: %v", line, err)
		}
		next[writer]++
	}
	for writer, n := range next {
		if n != lines {
			t.Errorf("%d lines of writer %d, want %d", n, writer, lines)
		}
	}
	if writes >= writers*lines/2 {
		t.Errorf("%d writes for %d lines", writes, writers*lines)
	}
}

func TestAFailedWriteLosesItsLinesAndNoLaterOnes(t *testing.T) {
	s := sink{fail: errors.New("disk full")}
	w := lineio.New(&s)
	write(t, w, "lost\n")
	if err := w.Flush(); !errors.Is(err, s.fail) {
		t.Fatalf("got %v", err)
	}
	s.fail = nil
	write(t, w, "kept\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if text, _ := s.got(); text != "kept\n" {
		t.Fatalf("got %q", text)
	}
}
