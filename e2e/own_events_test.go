package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// changing are how many callers change things at the same time, while pulse is killed
// changeKills times.
const changing, changeKills = 8, 4

// TestEachChangeHasOneEventWhilePulseIsKilled creates, renames and deletes keys while
// pulse is killed. Each change that the database has is told once, and no other.
func TestEachChangeHasOneEventWhilePulseIsKilled(t *testing.T) {
	liveKit := &harness.LiveKit{URL: "ws://127.0.0.1:9", HTTPURL: "http://127.0.0.1:9", APIKey: "devkey", APISecret: strings.Repeat("secret", 6)}
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{
		"RECONCILE_INTERVAL": "10m", "RATE_LIMIT_PROJECT_PER_MINUTE": "0"}})
	in := &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}
	project := in.project(t, "acme")
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	made, sure := 0, map[string]bool{}
	for caller := range changing {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var key struct{ Key struct{ ID string } }
				name := fmt.Sprintf("key-%d-%d", caller, n)
				path := "/v1/projects/" + project.ID() + "/keys"
				if in.API.Do(ctx, http.MethodPost, path, harness.AsServer(project), map[string]any{"name": name, "scopes": []string{"usage:read"}}, &key) != nil {
					continue // killed: it may have been made or not
				}
				mu.Lock()
				made++
				sure["key.created "+key.Key.ID] = true
				mu.Unlock()
				for _, step := range []struct {
					told, method string
					body         any
				}{{"key.updated", http.MethodPatch, map[string]any{"name": name + " renamed"}}, {"key.deleted", http.MethodDelete, nil}} {
					if in.API.Do(ctx, step.method, path+"/"+key.Key.ID, harness.AsServer(project), step.body, nil) == nil {
						mu.Lock()
						sure[step.told+" "+key.Key.ID] = true
						mu.Unlock()
					}
				}
			}
		})
	}
	for n := range changeKills {
		harness.Eventually(t, 2*time.Minute, "changes between two kills", func() error {
			mu.Lock()
			defer mu.Unlock()
			if made < 20*(n+1) {
				return fmt.Errorf("%d keys were made", made)
			}
			return nil
		})
		if err := pulse.Kill(); err != nil {
			t.Fatal(err)
		}
		pulse.Restart(t)
	}
	stop()
	all.Wait()
	told := map[string]int{}
	harness.Eventually(t, time.Minute, "every change is told", func() error {
		var err error
		if told, err = keyEvents(t.Context(), in.API, project); err != nil {
			return err
		}
		for what := range sure {
			if told[what] == 0 {
				return fmt.Errorf("%s is not told", what)
			}
		}
		return nil
	})
	// What was not answered: a change that is told was made, and one that was made is told.
	var left map[string]string
	harness.Eventually(t, time.Minute, "every change without an answer is told", func() (err error) {
		if left, err = keyNames(t.Context(), in.API, project); err != nil {
			return err
		}
		if told, err = keyEvents(t.Context(), in.API, project); err != nil {
			return err
		}
		for what := range told {
			kind, id, _ := strings.Cut(what, " ")
			if _, is := left[id]; kind == "key.created" && !is && told["key.deleted "+id] == 0 {
				return fmt.Errorf("%s is gone, and nobody was told", id)
			}
		}
		for id, name := range left {
			if told["key.created "+id] == 0 || strings.HasSuffix(name, "renamed") && told["key.updated "+id] == 0 {
				return fmt.Errorf("%s is %q, and nobody was told", id, name)
			}
		}
		return nil
	})
	for id, name := range left {
		if told["key.created "+id] != 1 || (told["key.updated "+id] == 1) != strings.HasSuffix(name, "renamed") {
			t.Errorf("%s is %q, told as made %d times and as renamed %d times", id, name, told["key.created "+id], told["key.updated "+id])
		}
	}
	unanswered := 0
	for what, n := range told {
		kind, id, _ := strings.Cut(what, " ")
		if _, is := left[id]; n != 1 || told["key.created "+id] != 1 || kind == "key.deleted" && is {
			t.Errorf("%s is told %d times, left %t", what, n, is)
		}
		if !sure[what] {
			unanswered++
		}
	}
	t.Logf("%d changes were answered and %d made without an answer, each told once, while pulse was killed %d times", len(sure), unanswered, changeKills)
}

// keyNames are the names of the keys that changes left, by id.
func keyNames(ctx context.Context, api *harness.API, project harness.Project) (map[string]string, error) {
	left := map[string]string{}
	return left, pages(ctx, api, project, "/v1/projects/"+project.ID()+"/keys?limit=100", func(raw json.RawMessage) error {
		var key struct{ ID, Name string }
		err := json.Unmarshal(raw, &key)
		if strings.HasPrefix(key.Name, "key-") {
			left[key.ID] = key.Name
		}
		return err
	})
}

// keyEvents counts the events of keys by type and key.
func keyEvents(ctx context.Context, api *harness.API, project harness.Project) (map[string]int, error) {
	told := map[string]int{}
	return told, pages(ctx, api, project, "/v1/events?type=key.*&limit=100", func(raw json.RawMessage) error {
		var e struct {
			Type string
			Data struct {
				KeyID string `json:"key_id"`
			}
		}
		err := json.Unmarshal(raw, &e)
		told[e.Type+" "+e.Data.KeyID]++
		return err
	})
}

// pages calls each for every item of a list.
func pages(ctx context.Context, api *harness.API, project harness.Project, path string, each func(json.RawMessage) error) error {
	for cursor := ""; ; {
		var list struct {
			Items      []json.RawMessage
			HasMore    bool   `json:"has_more"`
			NextCursor string `json:"next_cursor"`
		}
		if err := api.Do(ctx, http.MethodGet, path+cursor, harness.AsServer(project), nil, &list); err != nil {
			return err
		}
		for _, raw := range list.Items {
			if err := each(raw); err != nil {
				return err
			}
		}
		if !list.HasMore {
			return nil
		}
		cursor = "&cursor=" + list.NextCursor
	}
}
