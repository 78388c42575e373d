package database

// Schema returns every collection Pulse keeps. Both engines are built from it;
// each collection is declared in the file of its noun.
func Schema() []Collection {
	return []Collection{
		organizationsCollection(),
		projectsCollection(),
		usersCollection(),
		liveKitEventsCollection(),
		usageSessionsCollection(),
		usageMetricsCollection(),
		usageTotalsCollection(),
		leasesCollection(),
		sequencesCollection(),
		sightingsCollection(),
		revocationsCollection(),
		slotsCollection(),
		evictionsCollection(),
		quotaEventsCollection(),
		apiKeysCollection(),
		idempotencyKeysCollection(),
		auditLogsCollection(),
		sessionsCollection(),
		invitationsCollection(),
	}
}
