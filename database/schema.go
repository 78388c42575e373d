package database

// Schema returns every collection of Pulse. Both engines are built from it; the
// file of its repository declares each collection.
func Schema() []Collection {
	return []Collection{
		organizationsCollection(),
		projectsCollection(),
		usersCollection(),
		liveKitEventsCollection(),
		usageSessionsCollection(),
		usageMetricsCollection(),
		usageTotalsCollection(),
		counterJournalCollection(),
		leasesCollection(),
		sequencesCollection(),
		sightingsCollection(),
		revocationsCollection(),
		slotsCollection(),
		evictionsCollection(),
		quotaEventsCollection(),
		apiKeysCollection(),
		idempotencyKeysCollection(),
		idempotencyStorageCollection(),
		auditLogsCollection(),
		sessionsCollection(),
		invitationsCollection(),
		schemasCollection(),
		changesCollection(),
		placementsCollection(),
		roomsCollection(),
		downloadsCollection(),
		passwordResetsCollection(),
		mailSlotsCollection(),
		eventsCollection(),
		endpointsCollection(),
		deliveriesCollection(),
		egressesCollection(),
		ingressesCollection(),
		throttlesCollection(),
		clockReadingsCollection(),
		fingerprintsCollection(),
	}
}
