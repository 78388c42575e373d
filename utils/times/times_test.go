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

func TestTimesAreTheSameWhateverTheirZoneAndNoneIsNoTime(t *testing.T) {
	utc, zoned, later := time.Unix(1, 0).UTC(), time.Unix(1, 0).In(time.FixedZone("", 3600)), time.Unix(2, 0)
	if !Same(&utc, &zoned) || !Same(nil, nil) || Same(&utc, &later) || Same(&utc, nil) || Same(nil, &utc) {
		t.Error("wrong")
	}
}

func TestOverlapGivesThePartOfASpanWithinAnother(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	for _, c := range []struct {
		from, to, start int64
		seconds         float64
	}{{15, 18, 15, 3}, {5, 12, 10, 2}, {18, 25, 18, 2}, {0, 99, 10, 10}, {0, 10, 10, 0}, {20, 30, 10, 0}, {15, 15, 10, 0}, {18, 12, 10, 0}} {
		start, seconds := Overlap(at(c.from), at(c.to), at(10), at(20))
		if !start.Equal(at(c.start)) || seconds != c.seconds {
			t.Errorf("[%d, %d): %v, %v", c.from, c.to, start.Unix(), seconds)
		}
	}
}
