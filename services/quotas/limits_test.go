package quotas

import "testing"

func TestMinutesTruncateToThousandths(t *testing.T) {
	for seconds, want := range map[float64]float64{0: 0, 59.999: .999, 60: 1, 90.03: 1.5, 9.3e9: 1.55e8, 6e12: 1e11} {
		if got := minutes(seconds); got != want {
			t.Errorf("%v seconds are %v minutes, not %v", seconds, got, want)
		}
	}
}
