package replicas_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/e2e/mongowire"
	"pulse-control-plane/services/events"
)

// entities are the collections of what creates make.
func entities() []string {
	return []string{"organizations", "users", "projects", "api_keys", "invitations", "webhook_endpoints", "rooms"}
}

// confirmed are the collections of what LiveKit makes.
func confirmed() []string { return []string{"egresses", "ingresses"} }

// background are the collections that a process writes by itself, whatever it is asked.
func background(c mongowire.Command) bool {
	return slices.Contains([]string{"leases", "clock_readings", "changes", "usage_metrics", "usage_totals", "webhook_deliveries", "sequences", "throttles"}, c.Collection)
}

// count counts the documents of every collection of entities.
func (f *fleet) count(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, name := range entities() {
		n, err := f.db.Engine().Count(t.Context(), name, bson.D{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = n
	}
	// Of egresses and ingresses those that LiveKit confirmed: a record that it did not confirm is cleared up later.
	for _, name := range confirmed() {
		n, err := f.db.Engine().Count(t.Context(), name, bson.D{{Key: strings.TrimSuffix(name, "es") + "_id", Value: bson.D{{Key: "$exists", Value: true}}}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = n
	}
	// Of events only those that a create is for: what tells of a change comes later, and unused numbers are stored too.
	if err := f.db.Engine().Find(t.Context(), "events", database.Query{Filter: bson.D{{Key: "seq", Value: bson.D{{Key: "$gte", Value: int64(0)}}}}, Limit: 100_000},
		func(raw bson.Raw) error {
			if kind, _ := raw.Lookup("type").StringValueOK(); kind == events.EndpointTest {
				out[kind]++
			}
			return nil
		}); err != nil {
		t.Fatal(err)
	}
	return out
}

// made is what was made between two counts.
func made(before, after map[string]int64) string {
	var out []string
	for _, name := range slices.Concat(entities(), confirmed(), []string{events.EndpointTest}) {
		if n := after[name] - before[name]; n != 0 {
			out = append(out, fmt.Sprintf("%s %+d", name, n))
		}
	}
	return strings.Join(out, ", ")
}

// creating is a POST that takes an Idempotency-Key.
type creating struct {
	path   string
	header http.Header
	body   any
}

// creates is a request for each such route of the OpenAPI document; n makes each different.
func (f *fleet) creates(t *testing.T, account harness.Account, project harness.Project) map[string]func(n string) creating {
	t.Helper()
	person, server := harness.AsPerson(account.Session), harness.AsServer(project)
	org := "/v1/organizations/" + account.Organization.ID
	var endpoint struct {
		Endpoint struct {
			ID string `json:"id"`
		} `json:"endpoint"`
	}
	if err := f.replicas[0].api.Do(t.Context(), http.MethodPost, "/v1/webhooks/endpoints", server, map[string]any{"url": "http://127.0.0.1:1/"}, &endpoint); err != nil {
		t.Fatal(err)
	}
	hook := "/v1/webhooks/endpoints/" + endpoint.Endpoint.ID
	all := map[string]func(n string) creating{
		"/v1/organizations": func(n string) creating {
			return creating{"/v1/organizations", nil, map[string]any{"name": n, "admin_email": n + "@example.com", "password": password}}
		},
		"/v1/organizations/{id}/invitations": func(n string) creating {
			return creating{org + "/invitations", person, map[string]any{"email": n + "@example.com", "role": "viewer"}}
		},
		"/v1/invitations/accept": func(n string) creating {
			var offer struct {
				AcceptToken string `json:"accept_token"`
			}
			if err := f.replicas[0].api.Do(t.Context(), http.MethodPost, org+"/invitations", person, map[string]any{"email": n + "@example.com", "role": "viewer"}, &offer); err != nil {
				t.Fatal(err)
			}
			return creating{"/v1/invitations/accept", nil, map[string]any{"token": offer.AcceptToken, "name": n, "password": password}}
		},
		"/v1/projects": func(n string) creating { return creating{"/v1/projects", person, map[string]any{"name": n}} },
		"/v1/projects/{id}/regenerate-keys": func(string) creating {
			return creating{"/v1/projects/" + project.ID() + "/regenerate-keys", person, map[string]any{"grace_period_seconds": 3600}}
		},
		"/v1/projects/{id}/keys": func(n string) creating {
			return creating{"/v1/projects/" + project.ID() + "/keys", person, map[string]any{"name": n}}
		},
		"/v1/webhooks/endpoints": func(n string) creating {
			return creating{"/v1/webhooks/endpoints", server, map[string]any{"url": "http://127.0.0.1:1/" + n}}
		},
		"/v1/webhooks/endpoints/{id}/rotate-secret": func(string) creating { return creating{hook + "/rotate-secret", server, map[string]any{}} },
		"/v1/webhooks/endpoints/{id}/test":          func(string) creating { return creating{hook + "/test", server, map[string]any{}} },
		"/v1/rooms":                                 func(n string) creating { return creating{"/v1/rooms", server, map[string]any{"room_name": n}} },
		"/v1/media/egress/start": func(n string) creating {
			return creating{"/v1/media/egress/start", server, map[string]any{"room_name": n, "type": "room_composite",
				"outputs": []any{map[string]any{"kind": "rtmp", "urls": []string{"rtmp://127.0.0.1:1/live/" + n}}}}}
		},
		"/v1/media/ingress/create": func(n string) creating {
			return creating{"/v1/media/ingress/create", server, map[string]any{"input_type": "rtmp", "room_name": n, "participant_identity": "obs"}}
		},
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := f.replicas[0].api.Do(t.Context(), http.MethodGet, "/openapi.json", nil, nil, &document); err != nil {
		t.Fatal(err)
	}
	for path, operations := range document.Paths {
		takes := strings.Contains(string(operations["post"]), "parameters/IdempotencyKey")
		if _, known := all[path]; takes != known {
			t.Errorf("POST %s takes an Idempotency-Key: %v; it is among the creates of this test: %v", path, takes, known)
		}
	}
	return all
}

// fault has the k-th write of a line, not counting those of the background, end as first says, and every later command
// fail, until lift is called; reached tells whether there was a k-th.
func fault(line *mongowire.Line, k int, first func() mongowire.Fault) (lift func(), reached *atomic.Bool) {
	var mu sync.Mutex
	seen := 0
	reached = new(atomic.Bool)
	line.Inject(func(c mongowire.Command) mongowire.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case background(c):
			return mongowire.None
		case reached.Load():
			return mongowire.Expired
		case !c.Writes():
			return mongowire.None
		}
		if seen++; seen < k {
			return mongowire.None
		}
		reached.Store(true)
		return first()
	})
	return func() { line.Inject(nil) }, reached
}

// sameAnswer compares the status of an answer with that of a request without a fault. One that fails then too, such as an
// egress without a worker, may end as the record of its failure.
func sameAnswer(got, want int) bool { return got == want || want != http.StatusOK && got > 0 }

// steps bounds the writes of one create.
const steps = 30

func TestEachCreateOfTheDocumentIsMadeOnceWhateverAnswerOfTheDatabaseIsLost(t *testing.T) {
	f := startFleetOn(t, startLiveKit(t), 0)
	r := f.replicas[0]
	account := f.account(t, "acme")
	for path, create := range f.creates(t, account, f.project(t, account, "acme")) {
		name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "_")
		t.Run(name, func(t *testing.T) {
			slug := strings.NewReplacer("{", "", "}", "").Replace(name)
			send := func(c creating, key string) (answer json.RawMessage, err error) {
				err = r.api.Do(t.Context(), http.MethodPost, c.path, with(c.header, "Idempotency-Key", key), c.body, &answer)
				return answer, err
			}
			first := create(slug + "-0")
			before := f.count(t)
			_, err := send(first, slug+"-0")
			answered, want := status(err), made(before, f.count(t))
			t.Logf("answers %d and makes %s", answered, want)
			for k := 1; k <= steps; k++ {
				any, kinds := false, []mongowire.Fault{mongowire.Expired, mongowire.ExpiredAfter}
				if !soaking() {
					kinds = kinds[k%2 : k%2+1]
				}
				for _, kind := range kinds {
					n := fmt.Sprintf("%s-%d-%d", slug, k, kind)
					c := create(n)
					before := f.count(t)
					lift, reached := fault(r.line, k, func() mongowire.Fault { return kind })
					_, err := send(c, n)
					lift()
					any = any || reached.Load()
					for try := 0; temporary(err) && status(err) != answered && try < 5; try++ {
						_, err = send(c, n)
					}
					if got := made(before, f.count(t)); !sameAnswer(status(err), answered) || got != want {
						t.Errorf("step %d, fault %d: %v; made %s, want %s", k, kind, err, got, want)
					}
				}
				if !any {
					t.Logf("%d steps", k-1)
					return
				}
			}
			t.Errorf("it writes more than %d times", steps)
		})
	}
}

func TestEachCreateOfTheDocumentIsMadeOnceWhenItsReplicaIsKilledBetweenTwoSteps(t *testing.T) {
	f := startFleetOn(t, startLiveKit(t), 0, 0)
	victim, other := f.replicas[1], f.replicas[0]
	account := f.account(t, "acme")
	turn := 0
	for path, create := range f.creates(t, account, f.project(t, account, "acme")) {
		name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "_")
		t.Run(name, func(t *testing.T) {
			slug := strings.NewReplacer("{", "", "}", "").Replace(name)
			send := func(r *replica, c creating, key string) error {
				return r.api.Do(t.Context(), http.MethodPost, c.path, with(c.header, "Idempotency-Key", key), c.body, nil)
			}
			c := create(slug + "-0")
			before := f.count(t)
			answered := status(send(other, c, slug+"-0"))
			want := made(before, f.count(t))
			for k := 1; k <= steps; k++ {
				if turn++; !soaking() && turn%6 != 0 {
					if k > 6 {
						return
					}
					continue // all steps of all routes take minutes
				}
				n := fmt.Sprintf("%s-%d", slug, k)
				c := create(n)
				before := f.count(t)
				killed := make(chan error, 1)
				lift, reached := fault(victim.line, k, func() mongowire.Fault {
					killed <- victim.Kill()
					return mongowire.HangUpBefore
				})
				err := send(victim, c, n)
				lift()
				if reached.Load() {
					if err := <-killed; err != nil {
						t.Fatal(err)
					}
					f.endAttempts(t)
					for try := 0; temporary(err) && (try == 0 || status(err) != answered) && try < 5; try++ {
						err = send(other, c, n)
					}
					victim.Restart(t)
				}
				if got := made(before, f.count(t)); !sameAnswer(status(err), answered) || got != want {
					t.Errorf("killed at step %d: %v; made %s, want %s", k, err, got, want)
				}
				if !reached.Load() {
					return
				}
			}
		})
	}
}

// endAttempts lets a minute pass for the attempts of processes that died: another may then go on.
func (f *fleet) endAttempts(t *testing.T) {
	t.Helper()
	var ids []string
	if err := f.db.Engine().Find(t.Context(), "idempotency_keys", database.Query{Filter: bson.D{{Key: "done", Value: false}}, Limit: 1000},
		func(raw bson.Raw) error { ids = append(ids, raw.Lookup("_id").StringValue()); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := f.db.Engine().Update(t.Context(), "idempotency_keys", bson.D{{Key: "_id", Value: id}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "locked_until", Value: time.Now().Add(-time.Second)}}}}, database.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
