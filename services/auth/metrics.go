package auth

import "github.com/prometheus/client_golang/prometheus"

// Register offers how the caches of API keys and of verified secrets answered; a
// miss of the latter is a bcrypt check.
func (a *Keys) Register(registry prometheus.Registerer) {
	a.snapshots.Register("api_keys", registry)
	a.secrets.Register("secrets", registry)
}

// Register offers how the cache of login sessions answered.
func (s *LoginSessions) Register(registry prometheus.Registerer) {
	s.people.Register("login_sessions", registry)
}
