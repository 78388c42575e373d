package database

import "time"

// RawUsageRetention is how long raw metered facts are kept; hourly and daily
// totals outlive them.
const RawUsageRetention = 90 * 24 * time.Hour

// usageMetricsCollection holds the raw metered facts.
func usageMetricsCollection() Collection {
	retention := RawUsageRetention
	return Collection{
		Name: "usage_metrics",
		Fields: []Field{
			{"project_id", String}, {"event_type", String}, {"timestamp", Time}, {"value", Float},
		},
		Indexes: []Index{
			{Keys: []string{"project_id"}},
			{Keys: []string{"project_id", "timestamp"}},
			{Keys: []string{"event_type"}},
			{Keys: []string{"timestamp"}, ExpireAfter: &retention},
		},
	}
}
