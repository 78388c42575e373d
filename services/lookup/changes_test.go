package lookup

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/bus"
)

// listener is a replica and what its caches were told.
type listener struct {
	*Changes
	heard []string
}

func listen(t *testing.T, e database.Engine, name string) *listener {
	t.Helper()
	l := &listener{Changes: NewChanges(bus.New[models.Change](nil), database.NewChanges(e), name, func() {})}
	_, err := l.Subscribe(bus.Subscriber[models.Change]{
		Changed: func(c models.Change) { l.heard = append(l.heard, string(c.ProjectID)) },
		Reset:   func() { l.heard = append(l.heard, "reset") },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.exchange(t)
	return l
}

func (l *listener) exchange(t *testing.T) {
	t.Helper()
	if err := l.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (l *listener) want(t *testing.T, heard ...string) {
	t.Helper()
	if !slices.Equal(l.heard, heard) {
		t.Errorf("heard %q, want %q", l.heard, heard)
	}
}

func TestEveryReplicaGetsEachChangeOnce(t *testing.T) {
	e := testkit.NewEngine(t)
	a, b := listen(t, e, "a"), listen(t, e, "b")
	a.Publish(models.ProjectChanged("one"), models.ProjectChanged("two"))
	b.Publish(models.ProjectChanged("three"))
	for range 3 {
		a.exchange(t)
		b.exchange(t)
	}
	a.want(t, "one", "two", "three")
	b.want(t, "three", "one", "two")
}

func TestAStartingReplicaGetsTheChangesOfTheLastSeconds(t *testing.T) {
	e := testkit.NewEngine(t)
	a := listen(t, e, "a")
	a.Publish(models.ProjectChanged("before"))
	a.exchange(t)
	listen(t, e, "late").want(t, "before")
}

func TestChangesThatCouldNotBeStoredAreStoredLaterInOrder(t *testing.T) {
	e := testkit.NewEngine(t)
	a, b := listen(t, e, "a"), listen(t, e, "b")
	e.Fatal = e.Writes.Load() + 2 // the second write fails
	a.Publish(models.ProjectChanged("one"), models.ProjectChanged("two"))
	if err := a.Exchange(t.Context()); !errors.Is(err, testkit.ErrKilled) {
		t.Fatalf("got %v", err)
	}
	e.Fatal = 0
	a.exchange(t)
	b.exchange(t)
	b.want(t, "one", "two")
}

func TestTooManyChangesAreOneReset(t *testing.T) {
	e := testkit.NewEngine(t)
	a, b := listen(t, e, "a"), listen(t, e, "b")
	for n := range changesWaiting + 1 {
		a.Publish(models.ProjectChanged(models.ProjectID(fmt.Sprint(n))))
	}
	a.exchange(t)
	b.exchange(t)
	b.want(t, "reset")
}

func TestAReplicaThatMissedHalfAnHourDropsEverything(t *testing.T) {
	e := testkit.NewEngine(t)
	a := listen(t, e, "a")
	a.measured = func() time.Time { return time.Now().Add(models.ChangesKept/2 + time.Minute) }
	a.exchange(t)
	a.want(t, "reset")
}

func TestATopicReachesReplicasOfBothVersionsAndEmptiesNoCache(t *testing.T) {
	e := testkit.NewEngine(t)
	a, b := listen(t, e, "a"), listen(t, e, "b")
	topics := 0
	b.On(models.TopicActivity, func() { topics++ })
	a.Tell(models.TopicActivity)
	a.exchange(t)
	b.exchange(t)
	b.want(t)
	if topics != 1 {
		t.Errorf("told %d times", topics)
	}
	stored, err := database.NewChanges(e).Since(t.Context(), time.Time{}, 10)
	if err != nil || len(stored) != 1 {
		t.Fatal(stored, err)
	}
	older := stored[0].Change // as a binary that knows no topics reads it
	older.Topic = ""
	if older != (models.Change{KeyID: "none"}) {
		t.Errorf("an older binary reads %+v", older)
	}
}
