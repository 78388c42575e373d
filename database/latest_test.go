package database

import (
	"testing"

	"pulse-control-plane/models"
)

func TestAnUpdateIsMadeOfTheLatestVersionWhileOthersChangeTheDocument(t *testing.T) {
	for races, unavailable := range map[int]bool{0: false, latestTries - 1: false, latestTries: true} {
		stored, changes := 10, 0 // others change it as often as there are races
		updated, err := UpdateLatest(stored, func(v *int) (int, bool) { return *v + 1, true }, func(read *int, c int) (int, error) {
			if changes < races {
				changes++
				stored++
			}
			if *read != stored {
				return 0, models.NotFound()
			}
			return c, nil
		}, func(*int) (int, error) { return stored, nil })
		if models.IsKind(err, models.KindUnavailable) != unavailable || !unavailable && updated != 10+races+1 {
			t.Errorf("%d races: %d, %v", races, updated, err)
		}
	}
}

func TestADocumentThatNeedsNoChangeIsNotWritten(t *testing.T) {
	same, err := UpdateLatest(7, func(*int) (int, bool) { return 0, false }, func(*int, int) (int, error) {
		t.Error("it was written")
		return 0, nil
	}, nil)
	if same != 7 || err != nil {
		t.Errorf("%d, %v", same, err)
	}
}
