package replicas_test

import (
	"net/http"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// knownWithin is how soon a change is known on every replica.
const knownWithin = time.Second

func TestBansRotationsDeletionsSuspensionsAndLogoutsAreKnownOnEveryReplicaWithinASecond(t *testing.T) {
	f := startFleet(t, 0, 4*time.Second, -4*time.Second)
	for _, r := range f.replicas {
		r.line.Latency(10 * time.Millisecond)
	}
	mint := func(p harness.Project, caller func(harness.Project) http.Header) func(*replica) error {
		return func(r *replica) error {
			_, err := r.api.CreateToken(t.Context(), caller(p), harness.TokenRequest{RoomName: "hall", ParticipantIdentity: "ann"})
			return err
		}
	}
	for name, c := range map[string]struct {
		// does is done on the first replica; refused is what every replica must then refuse, with a status.
		does    func(a harness.Account, p harness.Project) error
		refused func(a harness.Account, p harness.Project) func(*replica) error
		status  int
	}{
		"a_ban": {func(a harness.Account, p harness.Project) error {
			return f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/tokens/revoke", harness.AsServer(p), map[string]any{"participant_identity": "ann"}, nil)
		}, func(_ harness.Account, p harness.Project) func(*replica) error { return mint(p, harness.AsClient) }, 403},
		"a_rotation": {func(a harness.Account, p harness.Project) error {
			return f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/projects/"+p.ID()+"/regenerate-keys", harness.AsPerson(a.Session), map[string]any{}, nil)
		}, func(_ harness.Account, p harness.Project) func(*replica) error { return mint(p, harness.AsServer) }, 401},
		"a_deletion": {func(a harness.Account, p harness.Project) error {
			return f.replicas[0].api.Do(t.Context(), http.MethodDelete, "/v1/projects/"+p.ID(), harness.AsPerson(a.Session), nil, nil)
		}, func(_ harness.Account, p harness.Project) func(*replica) error { return mint(p, harness.AsClient) }, 401},
		"a_suspension": {func(a harness.Account, p harness.Project) error {
			return f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/organizations/"+a.Organization.ID+"/suspend", operator(), nil, nil)
		}, func(_ harness.Account, p harness.Project) func(*replica) error { return mint(p, harness.AsClient) }, 403},
		"a_logout": {func(a harness.Account, p harness.Project) error {
			return f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/auth/logout", harness.AsPerson(a.Session), nil, nil)
		}, func(a harness.Account, _ harness.Project) func(*replica) error {
			return func(r *replica) error {
				return r.api.Do(t.Context(), http.MethodGet, "/v1/auth/me", harness.AsPerson(a.Session), nil, nil)
			}
		}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			account := f.account(t, name)
			project := f.project(t, account, name)
			ask := c.refused(account, project)
			for _, r := range f.replicas {
				if err := ask(r); err != nil { // each knows it, and remembers it
					t.Fatal(err)
				}
			}
			if err := c.does(account, project); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for i, r := range f.replicas {
				harness.Eventually(t, within(knownWithin), "the refusal", func() error {
					if got := status(ask(r)); got != c.status {
						return harnessStatus(got)
					}
					return nil
				})
				t.Logf("replica %d knows of %s after %s", i, name, time.Since(began).Round(time.Millisecond))
			}
			if took := time.Since(began); took > within(knownWithin) {
				t.Errorf("known everywhere after %s", took)
			}
		})
	}
}
