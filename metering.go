package main

import (
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/config"
	"pulse-control-plane/database"
	"pulse-control-plane/services"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/ids"
)

// metered are the parts that know what is used.
type metered struct {
	inbox    *services.Inbox
	counters *services.Counters
	usage    *services.Usage
	quotas   *services.Quotas
	removals *services.Removals
	revoked  *services.Revocations
	workers  []worker
}

// buildMetering puts together what takes LiveKit's events in and makes usage of
// them.
func buildMetering(engine database.Engine, cfg config.Config, cluster services.Cluster, livekit *services.LiveKit,
	projects *database.Projects, orgs *database.Organizations, cursors *cursor.Codec, trail *services.Trail, log zerolog.Logger) (metered, error) {
	now := time.Now
	// Each start of the process has a name of its own, for leases and counts.
	process := ids.New("proc_")
	holder := process
	if engine.Exclusive() {
		// Whoever held a lease before is gone, however it ended: there is
		// nothing to wait for.
		holder = "the only process"
	}
	events, stays, facts := database.NewLiveKitEvents(engine), database.NewUsageSessions(engine), database.NewUsageMetrics(engine)
	totals, leases := database.NewUsageTotals(engine), database.NewLeases(engine)

	inbox := services.NewInbox(events, []services.Cluster{cluster}, now)
	counters := services.NewCounters(facts, totals, process, log, now)
	keeper := services.NewTotals(totals, facts, stays, leases, holder, log, now)
	places, err := services.NewPlaces(database.NewPlaces(engine), engine.Exclusive(), now)
	if err != nil {
		return metered{}, err
	}
	removals := services.NewRemovals(database.NewRemovals(engine), stays, livekit, log, now)
	usage := services.NewUsage(projects, stays, facts, events, totals, keeper, cursors, now)
	quotas, err := services.NewQuotas(services.QuotaStores{
		Projects: projects, Organizations: orgs, Sessions: stays, Events: database.NewQuotaEvents(engine),
	}, places, usage, removals, services.QuotaOptions{
		Plans: cfg.Quotas, Grace: cfg.QuotaGrace, Leases: leases, Holder: holder, Log: log, Now: now,
	})
	if err != nil {
		return metered{}, err
	}
	revoked := services.NewRevocations(database.NewRevocations(engine), stays, places, removals, livekit, trail, log, now)
	work := services.NewInboxWorker(inbox, events, leases, holder, log, services.NewMetering(stays, facts, totals, now), revoked, quotas)
	reconciliation := services.NewReconciliation(livekit, cluster.APIKey, inbox, stays, database.NewSightings(engine), leases,
		holder, cfg.ReconcileInterval, log)
	return metered{
		inbox: inbox, counters: counters, revoked: revoked, quotas: quotas, removals: removals, usage: usage,
		workers: []worker{
			{"inbox", work.Run}, {"usage counters", counters.Run}, {"usage totals", keeper.Run},
			{"reconciliation", reconciliation.Run}, {"revocations", revoked.Run}, {"quotas", quotas.Run}, {"removals", removals.Run},
		},
	}, nil
}
