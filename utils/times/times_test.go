package times

import (
	"testing"
	"time"
)

func TestLatestGivesTheLaterTime(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, got := range []time.Time{Latest(early, late), Latest(late, early), Latest(time.Time{}, late)} {
		if !got.Equal(late) {
			t.Errorf("got %v", got)
		}
	}
}
