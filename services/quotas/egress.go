package quotas

import (
	"context"

	"pulse-control-plane/models"
)

// AdmitEgress refuses an egress beyond a project's quotas: of minutes in the month,
// and of egresses at the same time. The caller stores the record first and calls
// it then, so that the new one counts. Of two at once at the limit both may be
// refused, but never both admitted. Errors: quota_exceeded. Without limits it costs
// nothing.
func (s *Limits) AdmitEgress(ctx context.Context, project models.ProjectID) error {
	limits, err := s.limitsOf(ctx, project)
	if err != nil {
		return err
	}
	now := s.c.Now()
	if limit := limits.quotas.EgressMinutes; limit > 0 {
		month, err := s.month(ctx, project, now)
		if err != nil {
			return err
		}
		if used := month.of(models.QuotaEgressMinutes, &limits.quotas); used >= float64(limit) {
			return s.exceeded(ctx, string(project), models.QuotaUse{Quota: models.QuotaEgressMinutes, Limit: limit, Used: used,
				Reset: models.WindowMonth.Next(models.WindowMonth.Start(now))}, now)
		}
	}
	limit := limits.quotas.ConcurrentEgresses
	if limit == 0 {
		return nil
	}
	n, err := s.c.Egresses.CountOpen(ctx, project, limit+1)
	if err != nil {
		return err
	}
	if n > limit {
		return s.exceeded(ctx, string(project), models.QuotaUse{Quota: models.QuotaConcurrentEgresses, Limit: limit, Used: float64(limit)}, now)
	}
	s.tell(ctx, string(project), models.QuotaConcurrentEgresses, limit, float64(n), now)
	return nil
}
