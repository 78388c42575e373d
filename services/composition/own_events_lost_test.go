package composition_test

import (
	"testing"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
	"pulse-control-plane/utils/secret"
)

// dieIn has a replica die at a write of a change: 1 is the entry of the trail, 2 the
// change, 3 its outcome.
func (w *ownWorld) dieIn(write int64, act func(*services.Services) error) error {
	w.t.Helper()
	engine := &testkit.Engine{Engine: shared{w.engine}}
	dying := w.process(engine, nil, "jwt secret of the tests")
	engine.Fatal = engine.Writes.Load() + write
	return act(dying)
}

// settle has a replica see to what the dead ones owe.
func (w *ownWorld) settle(lives *services.Services) {
	w.t.Helper()
	w.clock.Advance(models.AuditSettled + 1)
	if err := lives.OwnEvents.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestARevocationThatWasLiftedBeforeItWasToldIsTold(t *testing.T) {
	w := &ownWorld{people: newPeople(t)}
	w.org = w.found()
	w.owner = w.actor(w.org.Login)
	p := w.project(1)
	lives := w.process(shared{w.engine}, nil, "jwt secret of the tests")
	revoke := func(s *services.Services) error {
		_, err := s.Revocations.Revoke(t.Context(), w.owner, tokens.RevokeInput{Project: p.ID, Identity: "ann", BanSeconds: 60})
		return err
	}
	_ = w.dieIn(3, revoke)
	list, err := lives.Revocations.List(t.Context(), w.owner, p.ID, paging.Request{Limit: 10})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	if err := lives.Revocations.Lift(t.Context(), w.owner, p.ID, list.Items[0].PublicID); err != nil {
		t.Fatal(err)
	}
	w.settle(lives)
	if n := w.told(events.TokenRevoked, "ann"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestAnUpdateThatReplacesOnlyACredentialIsToldIfItWasMade(t *testing.T) {
	w := &ownWorld{people: newPeople(t)}
	w.org = w.found()
	w.owner = w.actor(w.org.Login)
	lives := w.process(shared{w.engine}, nil, "jwt secret of the tests")
	for write, want := range map[int64]int{2: 0, 3: 1} { // 2 dies before the change
		p := w.project(int(write))
		set := func(s *services.Services, plain string) error {
			_, err := s.Projects.Update(t.Context(), w.owner, p.ID, tenancy.ProjectChange{Storage: &tenancy.StorageChange{
				To: &models.Storage{Kind: models.StorageS3, Bucket: "bucket", AccessKey: "AKIA"}, Secret: secret.New(plain)}})
			return err
		}
		if err := set(lives, "the first"); err != nil {
			t.Fatal(err)
		}
		if _, err := lives.OwnEvents.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := w.told(events.ProjectUpdated, string(p.ID))
		_ = w.dieIn(write, func(s *services.Services) error { return set(s, "the second") })
		w.settle(lives)
		if n := w.told(events.ProjectUpdated, string(p.ID)) - before; n != want {
			t.Errorf("killed at write %d: told %d times, want %d", write, n, want)
		}
	}
}
