package config

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// leastBetweenBackups bounds how often backups are made: each reads the whole
// database.
const leastBetweenBackups = time.Minute

// schedule takes a cron expression (crontab(5)) or a descriptor such as @daily or
// @every 6h, in UTC unless it names a time zone.
func schedule(into *Backups, text string) error {
	expression := text
	if !strings.HasPrefix(text, "CRON_TZ=") && !strings.HasPrefix(text, "TZ=") {
		expression = "CRON_TZ=UTC " + text
	}
	wrong := errors.New("must be a cron expression of five fields such as 0 3 * * *, or @daily, @hourly or @every 6h")
	if strings.Contains(text, "@reboot") {
		return wrong
	}
	s, err := cron.ParseStandard(expression)
	if err != nil {
		return wrong
	}
	first := s.Next(time.Unix(0, 0).UTC())
	if first.IsZero() {
		return errors.New("names a date that never comes")
	}
	if s.Next(first).Sub(first) < leastBetweenBackups {
		return errors.New("must leave at least a minute between backups")
	}
	into.Schedule = expression
	return nil
}

// Next gives when a backup is due after one at t, zero for never.
func (b Backups) Next(t time.Time) time.Time {
	s, err := cron.ParseStandard(b.Schedule)
	if err != nil {
		return time.Time{}
	}
	return s.Next(t)
}
