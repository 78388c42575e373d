package replicas_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/e2e/mongowire"
)

const (
	// freezes is how often the database freezes for one replica, for freezeFor.
	freezes   = 5
	freezeFor = 700 * time.Millisecond
	// projectsMade is how many creates are retried over the freezes.
	projectsMade = 39
	// slotsOffered is the quota that more participants ask for.
	slotsOffered = 20
	// oneIn is how many commands go by between two faults.
	oneIn = 40
)

// sometimes injects every fault of a primary that steps down and of a network that fails.
func sometimes(seed uint64) func(mongowire.Command) mongowire.Fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 9))
	return func(mongowire.Command) mongowire.Fault {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(oneIn) > 0 {
			return mongowire.None
		}
		return []mongowire.Fault{mongowire.SteppedDown, mongowire.NotPrimary, mongowire.HangUpBefore, mongowire.HangUpAfter, mongowire.ExpiredAfter}[random.IntN(5)]
	}
}

func TestReplicasWithWrongClocksAgreeWhateverFailsBetweenThemAndTheDatabase(t *testing.T) {
	people := 200
	if soaking() {
		people = 2000
	}
	f := startFleet(t, 0, 4*time.Second, -4*time.Second)
	account := f.account(t, "acme")
	person := harness.AsPerson(account.Session)
	metered, limited := f.project(t, account, "metered"), f.project(t, account, "limited")
	if err := f.replicas[0].api.Do(t.Context(), http.MethodPatch, "/v1/projects/"+limited.ID(), operator(),
		map[string]any{"limits": map[string]any{"concurrent_participants": slotsOffered}}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for i, r := range f.replicas {
		r.line.Latency(2 * time.Millisecond)
		r.line.Inject(sometimes(uint64(i)))
	}
	hour := hourOfEvents()
	var all sync.WaitGroup
	all.Go(func() { // freezes, and one process is killed
		for n := range freezes {
			r := f.replicas[n%len(f.replicas)]
			r.line.Freeze(true)
			pause(ctx, freezeFor)
			r.line.Freeze(false)
			pause(ctx, freezeFor)
		}
	})
	var next atomic.Int64
	for range 8 { // LiveKit sends each event until it is acknowledged, some twice
		all.Go(func() {
			for n := next.Add(1) - 1; n < int64(2*people) && ctx.Err() == nil; n = next.Add(1) - 1 {
				kind := [2]string{"participant_joined", "participant_left"}[n/int64(people)]
				body := event(metered.ID(), hour, kind, int(n)%people)
				for again := n%10 == 0; ctx.Err() == nil; {
					if f.any().deliver(ctx, body) != nil {
						pause(ctx, 50*time.Millisecond)
					} else if !again {
						break
					} else {
						again = false
					}
				}
			}
		})
	}
	var projects [projectsMade]harness.Project
	for n := range projects {
		all.Go(func() {
			key := fmt.Sprintf("create-%d", n)
			if err := f.insist(ctx, http.MethodPost, "/v1/projects", with(person, "Idempotency-Key", key), map[string]any{"name": key}, &projects[n]); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	var admitted atomic.Int64
	for n := range 2 * slotsOffered {
		all.Go(func() {
			in := harness.TokenRequest{RoomName: "hall", ParticipantIdentity: fmt.Sprintf("person-%d", n)}
			err := f.insist(ctx, http.MethodPost, "/v1/tokens/create", harness.AsServer(limited), in, nil)
			switch status(err) {
			case http.StatusOK:
				admitted.Add(1)
			case http.StatusPaymentRequired:
			default:
				t.Errorf("a mint: %v", err)
			}
		})
	}
	pause(ctx, 3*time.Second)
	victim := f.replicas[2]
	if err := victim.Kill(); err != nil {
		t.Error(err)
	}
	victim.Restart(t)
	all.Wait()
	for _, r := range f.replicas {
		r.line.Inject(nil)
	}

	f.checkSlots(t, limited, admitted.Load())
	f.checkProjects(t, account, projects[:])
	for i, r := range f.replicas {
		want := usage{sessions: people, seconds: float64(people) * inRoom.Seconds(), totals: float64(people) * inRoom.Seconds()}
		harness.Eventually(t, time.Minute, fmt.Sprintf("replica %d knowing the usage", i), func() error {
			got, err := r.usage(t, harness.AsServer(metered), hour)
			if err == nil && got != want {
				err = fmt.Errorf("%+v, want %+v", got, want)
			}
			return err
		})
		var chain struct {
			Valid   bool  `json:"valid"`
			Entries int64 `json:"entries"`
		}
		if err := r.api.Do(t.Context(), http.MethodGet, "/v1/audit-logs/verify", person, nil, &chain); err != nil || !chain.Valid || chain.Entries < projectsMade {
			t.Errorf("replica %d: the audit trail: %+v, %v", i, chain, err)
		}
	}
}

// checkSlots checks that no slot has two holders and no holder two slots, and that no more were admitted than there are.
func (f *fleet) checkSlots(t *testing.T, p harness.Project, admitted int64) {
	t.Helper()
	numbers, holders := map[int64]string{}, map[string]int64{}
	if err := f.db.Engine().Find(t.Context(), "slots", database.Query{
		Filter: bson.D{{Key: "owner", Value: p.ID()}, {Key: "quota", Value: "concurrent_participants"}}, Limit: 1000}, func(raw bson.Raw) error {
		number, holder := raw.Lookup("number").AsInt64(), raw.Lookup("holder").StringValue()
		if other, taken := numbers[number]; taken {
			t.Errorf("slot %d has the holders %s and %s", number, other, holder)
		}
		if other, has := holders[holder]; has {
			t.Errorf("%s has the slots %d and %d", holder, other, number)
		}
		numbers[number], holders[holder] = holder, number
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if admitted > slotsOffered || len(numbers) > slotsOffered || admitted > int64(len(numbers)) {
		t.Errorf("%d were admitted and %d slots are held, of %d", admitted, len(numbers), slotsOffered)
	}
	if len(numbers) != slotsOffered {
		t.Errorf("%d of %d slots are held", len(numbers), slotsOffered)
	}
}

// checkProjects checks that each create made one project, whose secret works on every replica.
func (f *fleet) checkProjects(t *testing.T, account harness.Account, projects []harness.Project) {
	t.Helper()
	found := map[string]int{}
	if err := f.db.Engine().Find(t.Context(), "projects", database.Query{
		Filter: bson.D{{Key: "org_id", Value: account.Organization.ID}}, Limit: 1000}, func(raw bson.Raw) error {
		found[raw.Lookup("name").StringValue()]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, n := range found {
		if strings.HasPrefix(name, "create-") && n != 1 {
			t.Errorf("%s was made %d times", name, n)
		}
	}
	for n, p := range projects {
		if found[p.Project.Name] == 0 {
			t.Errorf("create-%d was not made", n)
			continue
		}
		if _, err := f.any().api.CreateToken(t.Context(), harness.AsServer(p), harness.TokenRequest{RoomName: "r"}); err != nil {
			t.Errorf("the pair of create-%d: %v", n, err)
		}
	}
}
