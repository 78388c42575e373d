package routes_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/services/status"
)

func TestHealthAnswersWheneverTheProcessServes(t *testing.T) {
	s := newServer(t, func(o *setup) { o.liveKitAway, o.ipPerMinute = true, 1 })
	s.engine.away.Store(true)
	s.health.Draining.Store(true)
	for range 3 {
		got := read[handlers.Alive](s.do(http.MethodGet, "/health", nil).want(http.StatusOK))
		if got != (handlers.Alive{Status: "healthy", Service: "pulse-control-plane", Version: version}) {
			t.Errorf("got %+v", got)
		}
	}
}

func TestReadinessIsTheDatabasesAndTheProcesss(t *testing.T) {
	s := newServer(t, func(o *setup) { o.liveKitAway = true })
	ready := func(status int, want string) {
		t.Helper()
		got := read[handlers.Readiness](s.do(http.MethodGet, "/health/ready", nil).want(status))
		names := []string{}
		for _, c := range got.Components {
			names = append(names, c.Name+" "+string(c.Status))
		}
		if all := got.Status + ": " + strings.Join(names, ", "); all != want {
			t.Errorf("got %q, want %q", all, want)
		}
	}
	ready(http.StatusOK, "ready: database operational, livekit down, events operational")
	s.engine.away.Store(true)
	ready(http.StatusOK, "ready: database operational, livekit down, events operational") // measured at most every two seconds
	s.clock.Advance(2 * time.Second)
	ready(http.StatusServiceUnavailable, "unavailable: database down, livekit down, events down")
	s.engine.away.Store(false)
	s.clock.Advance(2 * time.Second)
	ready(http.StatusOK, "ready: database operational, livekit down, events operational")
	s.health.Draining.Store(true)
	ready(http.StatusServiceUnavailable, "stopping: database operational, livekit down, events operational")
}

func TestTheStatusIsMeasured(t *testing.T) {
	for _, tc := range []struct {
		liveKitAway, databaseAway bool
		want                      status.State
	}{{false, false, status.Operational}, {true, false, status.Degraded}, {false, true, status.Down}, {true, true, status.Down}} {
		s := newServer(t, func(o *setup) { o.liveKitAway = tc.liveKitAway })
		s.engine.away.Store(tc.databaseAway)
		s.clock.Advance(90 * time.Second)
		got := read[handlers.Status](s.do(http.MethodGet, "/v1/status", nil).want(http.StatusOK))
		if got.Status != tc.want || got.UptimeSeconds != 90 || got.Version != version || len(got.Components) != 3 ||
			!got.Components[0].CheckedAt.Equal(s.clock.Now()) {
			t.Errorf("%+v: got %+v", tc, got)
		}
	}
}

func TestMetricsAreGuardedWhereThereIsAToken(t *testing.T) {
	const token = "metrics-token-0123456789"
	open, guarded := newServer(t), newServer(t, func(o *setup) { o.metricsToken = token })
	open.do(http.MethodGet, "/metrics", nil).want(http.StatusOK)
	guarded.do(http.MethodGet, "/metrics", nil).refused(http.StatusUnauthorized, "unauthenticated")
	for _, caller := range []with{bearer("x"), bearer(token + "x"), bearer(operatorToken), asBasic("x", token)} {
		guarded.do(http.MethodGet, "/metrics", nil, caller).refused(http.StatusUnauthorized, "invalid_credential")
	}
	guarded.do(http.MethodGet, "/metrics", nil, bearer(token)).want(http.StatusOK)
}

func TestMetricsCountRequestsByRouteAndNeverById(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/projects/unknown", nil, ada.asPerson).want(http.StatusNotFound)
	s.do(http.MethodGet, "/scanner/1", nil)
	s.do(http.MethodGet, "/scanner/2", nil)
	s.do("BREW", "/v1/projects", nil)
	text := string(s.do(http.MethodGet, "/metrics", nil).want(http.StatusOK).body)
	for _, want := range []string{
		`pulse_http_request_duration_seconds_count{method="GET",route="/v1/projects/:id",status="200"} 1`,
		`pulse_http_request_duration_seconds_count{method="GET",route="/v1/projects/:id",status="404"} 1`,
		`pulse_http_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 2`,
		`pulse_http_request_duration_seconds_count{method="other",route="unmatched",status="405"} 1`,
		`pulse_http_responses_total{class="4xx"} 4`, `pulse_http_responses_total{class="5xx"} 0`,
		`pulse_build_info{version="` + version + `"} 1`, "go_goroutines", "process_resident_memory_bytes",
	} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, not := range []string{ada.project, ada.org, "scanner", "BREW"} {
		if strings.Contains(text, not) {
			t.Errorf("%s is a label", not)
		}
	}
}
