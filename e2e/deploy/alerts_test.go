package deploy_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

const rulesFile = "../../deploy/prometheus/rules.yaml"

// world is what two healthy replicas measure for an hour, a value a minute, in the
// notation of Prometheus' unit tests. Time begins at 0.
func world() map[string]string {
	all := map[string]string{
		`up{job="pulse",instance="a"}`: "1x60", `up{job="pulse",instance="b"}`: "1x60",
		`pulse_clock_offset_seconds{instance="a"}`:                                                "0.1x60",
		`pulse_http_responses_total{class="2xx",instance="a"}`:                                    "0+600x60",
		`pulse_http_responses_total{class="5xx",instance="a"}`:                                    "0+1x60",
		`process_start_time_seconds{job="pulse",instance="a"}`:                                    "1x29 2x30", // an upgrade
		`process_open_fds{job="pulse",instance="a"}`:                                              "100x60",
		`process_max_fds{job="pulse",instance="a"}`:                                               "1024x60",
		`pulse_inbox_oldest_pending_seconds{instance="a"}`:                                        "2x60",
		`pulse_inbox_dead_events{instance="a"}`:                                                   "0x60",
		`pulse_inbox_events_total{instance="a",result="refused"}`:                                 "0x20 3x40",
		`pulse_corrections_total{instance="a",event="pulse_found_gone",subject="participant"}`:    "0x20 4x40",
		`pulse_corrections_total{instance="a",event="pulse_found_present",subject="participant"}`: "0x60",
		`pulse_reconciliation_last_success_timestamp_seconds{instance="a",cluster="default"}`:     "0+60x60",
		`pulse_reconciliation_last_success_timestamp_seconds{instance="b",cluster="default"}`:     "0x60", // has measured it long ago
		`pulse_usage_totals_unsettled{instance="a"}`:                                              "40x60",
		`pulse_shards_held{instance="a",work="inbox"}`:                                            "8x30 4x30",
		`pulse_shards_held{instance="b",work="inbox"}`:                                            "0x30 4x30",
		`pulse_shards_held{instance="a",work="deliveries"}`:                                       "8x60",
		`pulse_shards_held{instance="b",work="deliveries"}`:                                       "8x60",
		`pulse_evictions_oldest_seconds{instance="a"}`:                                            "3x60",
		`pulse_evictions_dead{instance="a"}`:                                                      "0x60",
		`pulse_deliveries_due{instance="a"}`:                                                      "10x60",
		`pulse_delivery_attempts_total{instance="a",result="delivered"}`:                          "0+100x60",
		`pulse_delivery_attempts_total{instance="a",result="failed"}`:                             "0+5x60",
		`pulse_worker_passes_total{instance="a",worker="quotas",result="ok"}`:                     "0+12x60",
		`pulse_worker_passes_total{instance="a",worker="quotas",result="error"}`:                  "0x20 9x40",
		`pulse_worker_passes_total{instance="a",worker="quotas",result="panic"}`:                  "0x60",
		`pulse_worker_lease_held{instance="a",worker="quotas"}`:                                   "1x30 0x30",
		`pulse_worker_lease_held{instance="b",worker="quotas"}`:                                   "0x30 1x30",
		`pulse_operations_total{system="database",operation="find",result="ok"}`:                  "0+1000x60",
		`pulse_operations_total{system="database",operation="find",result="error"}`:               "0+1x60",
		`pulse_operations_total{system="database",operation="insert",result="conflict"}`:          "0+50x60",
		`pulse_operations_total{system="livekit",operation="ListRooms",result="ok"}`:              "0+10x60",
		`pulse_operations_total{system="livekit",operation="ListRooms",result="error"}`:           "0x60",
		`pulse_redis_skipped_total{instance="a"}`:                                                 "0x60",
		`pulse_backup_age_seconds{instance="a"}`:                                                  "80000+60x20 0+60x40",
	}
	for _, component := range []string{"database", "livekit", "redis", "events", "clock"} {
		for state, value := range map[string]string{"operational": "1x60", "degraded": "0x60", "down": "0x60"} {
			all[`pulse_component_state{instance="a",component="`+component+`",state="`+state+`"}`] = value
		}
	}
	for _, le := range []string{"0.25", "0.5", "1", "+Inf"} {
		all[`pulse_http_request_duration_seconds_bucket{route="/v1/tokens/create",le="`+le+`"}`] = "0+100x60"
		all[`pulse_operation_duration_seconds_bucket{system="database",operation="find",le="`+le+`"}`] = "0+100x60"
	}
	return all
}

// in are the series of a component that enters a state.
func in(component, state string) map[string]string {
	of := `pulse_component_state{instance="a",component="` + component + `",state="`
	return map[string]string{of + `operational"}`: "1x9 0x50", of + state + `"}`: "0x9 1x50"}
}

// faults are, for each alert, what differs from the world.
func faults() map[string]map[string]string {
	type series = map[string]string
	return map[string]series{
		"PulseDown":         {`up{job="pulse",instance="b"}`: "1x9 0x50"},
		"PulseDatabaseDown": in("database", "down"),
		"PulseLiveKitDown":  in("livekit", "down"),
		"PulseRedisDown":    in("redis", "down"),
		"PulseEventsSilent": in("events", "degraded"),
		"PulseClockOffset":  {`pulse_clock_offset_seconds{instance="a"}`: "-3x60"},
		"PulseErrors":       {`pulse_http_responses_total{class="5xx",instance="a"}`: "0+60x60"},
		"PulseTokensSlow": {`pulse_http_request_duration_seconds_bucket{route="/v1/tokens/create",le="0.25"}`: "0+90x60",
			`pulse_http_request_duration_seconds_bucket{route="/v1/tokens/create",le="0.5"}`: "0+90x60"},
		"PulseRestarts":              {`process_start_time_seconds{job="pulse",instance="a"}`: "1 2 3 4x57"},
		"PulseFilesRunOut":           {`process_open_fds{job="pulse",instance="a"}`: "1000x60"},
		"PulseInboxBehind":           {`pulse_inbox_oldest_pending_seconds{instance="a"}`: "0+60x60"},
		"PulseInboxDead":             {`pulse_inbox_dead_events{instance="a"}`: "0x20 1x40"},
		"PulseEventsRefused":         {`pulse_inbox_events_total{instance="a",result="refused"}`: "0+10x60"},
		"PulseCorrections":           {`pulse_corrections_total{instance="a",event="pulse_found_present",subject="participant"}`: "0x20 40x40"},
		"PulseReconciliationStopped": {`pulse_reconciliation_last_success_timestamp_seconds{instance="a",cluster="default"}`: "0x60"},
		"PulseTotalsUnsettled":       {`pulse_usage_totals_unsettled{instance="a"}`: "10000x60"},
		"PulseShardsUnheld":          {`pulse_shards_held{instance="b",work="inbox"}`: "0x60"},
		"PulseEvictionsBehind":       {`pulse_evictions_oldest_seconds{instance="a"}`: "0+60x60"},
		"PulseEvictionsRefused":      {`pulse_evictions_dead{instance="a"}`: "2x60"},
		"PulseDeliveriesBehind":      {`pulse_deliveries_due{instance="a"}`: "10000x60"},
		"PulseDeliveriesFail":        {`pulse_delivery_attempts_total{instance="a",result="failed"}`: "0+300x60"},
		"PulseWorkerFails": {`pulse_worker_passes_total{instance="a",worker="quotas",result="ok"}`: "0x60",
			`pulse_worker_passes_total{instance="a",worker="quotas",result="error"}`: "0+2x60"},
		"PulseWorkerPanics":   {`pulse_worker_passes_total{instance="a",worker="quotas",result="panic"}`: "0x30 1x30"},
		"PulseLeaseUnheld":    {`pulse_worker_lease_held{instance="b",worker="quotas"}`: "0x60"},
		"PulseDatabaseErrors": {`pulse_operations_total{system="database",operation="find",result="error"}`: "0+100x60"},
		"PulseDatabaseSlow": {`pulse_operation_duration_seconds_bucket{system="database",operation="find",le="0.25"}`: "0+90x60",
			`pulse_operation_duration_seconds_bucket{system="database",operation="find",le="0.5"}`: "0+90x60"},
		"PulseConflicts":      {`pulse_operations_total{system="database",operation="insert",result="conflict"}`: "0+900x60"},
		"PulseLiveKitErrors":  {`pulse_operations_total{system="livekit",operation="ListRooms",result="error"}`: "0+10x60"},
		"PulseRedisFallbacks": {`pulse_redis_skipped_total{instance="a"}`: "0+600x60"},
		"PulseBackupOld":      {`pulse_backup_age_seconds{instance="a"}`: "93000+60x60"},
	}
}

// fired evaluates the alerts every minute of an hour, as Prometheus does, and
// returns those that fired at any time with their summaries.
func fired(t *testing.T, series map[string]string) map[string][]string {
	t.Helper()
	var load strings.Builder
	load.WriteString("load 1m\n")
	for _, name := range slices.Sorted(maps.Keys(series)) {
		load.WriteString("  " + name + " " + series[name] + "\n")
	}
	expressions := parser.NewParser(parser.Options{})
	suite, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true, Parser: expressions})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = suite.Close() }()
	suite.SubqueryInterval = time.Minute
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()), AppendableV2: suite.Storage(), Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: promslog.NewNopLogger(), Parser: expressions,
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, rulesFile)
	if errs != nil {
		t.Fatal(errs)
	}
	found := map[string][]string{}
	for minute := range 61 {
		at := time.Unix(int64(minute)*60, 0).UTC()
		suite.WithSamplesTill(at, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				group.Eval(suite.Context(), at)
				for _, r := range group.Rules() {
					if r.LastError() != nil {
						t.Fatalf("%s: %v", r.Name(), r.LastError())
					}
					for _, a := range r.(*rules.AlertingRule).ActiveAlerts() {
						if a.State == rules.StateFiring {
							found[r.Name()] = append(found[r.Name()], a.Annotations.Get("summary"))
						}
					}
				}
			}
		})
	}
	return found
}

func TestNoAlertFiresWhileReplicasAreHealthy(t *testing.T) {
	for name, summaries := range fired(t, world()) {
		t.Errorf("%s fires: %s", name, summaries[0])
	}
}

func TestEachAlertFiresOnItsFaultAndNoOtherDoes(t *testing.T) {
	names := alerts(t)
	all := faults()
	for name := range all {
		if !slices.Contains(names, name) {
			t.Errorf("there is no alert %s", name)
		}
	}
	for _, name := range names {
		fault := all[name]
		if fault == nil {
			t.Errorf("%s has no test", name)
			continue
		}
		series := world()
		maps.Copy(series, fault)
		got := fired(t, series)
		if len(got) != 1 || len(got[name]) == 0 {
			t.Errorf("%s: %v fired", name, got)
			continue
		}
		if last := got[name][len(got[name])-1]; last == "" || strings.Contains(last, "<") || strings.Contains(last, "error") && !strings.Contains(last, "errors") {
			t.Errorf("%s says %q", name, last)
		}
	}
}

func TestTheAlertOnReconciliationShowsAnAgeOnlyOfAComparisonThatWas(t *testing.T) {
	const compared = `pulse_reconciliation_last_success_timestamp_seconds{instance="a",cluster="default"}`
	for values, want := range map[string]string{
		"0x60":        "usage sessions were never compared with cluster default",
		"60x60":       "usage sessions were last compared with cluster default 59m 0s ago",
		"0x20 1200x9": "", // the first comparison comes late
	} {
		series := world()
		series[compared] = values
		last := ""
		if got := fired(t, series)["PulseReconciliationStopped"]; len(got) > 0 {
			last = got[len(got)-1]
		}
		if want != "" && last != want {
			t.Errorf("%s: says %q, want %q", values, last, want)
		}
		if want == "" && strings.Contains(last, " ago") {
			t.Errorf("%s: says %q", values, last)
		}
	}
}

// alerts are the names of the alerts in the file, each once.
func alerts(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, group := range ruleGroups(t) {
		for _, r := range group.Rules {
			names = append(names, r.Alert)
		}
	}
	slices.Sort(names)
	if len(names) < 20 || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Fatalf("alerts %v", names)
	}
	return names
}

func TestEachAlertHasASummaryASeverityAndASectionInOperations(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		name, rest, _ := strings.Cut(section, "\n")
		sections[name], _, _ = strings.Cut(rest, "\n## ")
	}
	for _, group := range ruleGroups(t) {
		for _, r := range group.Rules {
			if r.Labels["severity"] != "critical" && r.Labels["severity"] != "warning" {
				t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
			}
			if want := "docs/OPERATIONS.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s leads to %q, want %s", r.Alert, r.Annotations["runbook_url"], want)
			}
			if section := sections[r.Alert]; !strings.Contains(section, "Means:") || !strings.Contains(section, "Do:") {
				t.Errorf("docs/OPERATIONS.md does not say what %s means and what to do: %q", r.Alert, section)
			}
			delete(sections, r.Alert)
		}
	}
	for name := range sections {
		if strings.HasPrefix(name, "Pulse") {
			t.Errorf("docs/OPERATIONS.md has a section %s without an alert", name)
		}
	}
}
