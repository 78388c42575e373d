package quotas

import (
	"context"

	"pulse-control-plane/models"
)

// AdmitEgress refuses an egress beyond a project's quotas: of minutes in the month,
// and of egresses at the same time. The caller stores the record first and calls
// it then; count gives how many records there are, up to a limit, the new one
// included. Of two at once at the limit both may be refused, but never both
// admitted. Errors: quota_exceeded.
func (s *Limits) AdmitEgress(ctx context.Context, project models.ProjectID, count func(limit int64) (int64, error)) error {
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
	return s.admitOne(ctx, project, models.QuotaConcurrentEgresses, limits.quotas.ConcurrentEgresses, count)
}

// AdmitIngress refuses an ingress beyond a project's quota, as AdmitEgress does.
func (s *Limits) AdmitIngress(ctx context.Context, project models.ProjectID, count func(limit int64) (int64, error)) error {
	limits, err := s.limitsOf(ctx, project)
	if err != nil {
		return err
	}
	return s.admitOne(ctx, project, models.QuotaIngresses, limits.quotas.Ingresses, count)
}

func (s *Limits) admitOne(ctx context.Context, project models.ProjectID, q models.Quota, limit int64, count func(limit int64) (int64, error)) error {
	if limit == 0 {
		return nil
	}
	n, err := count(limit + 1)
	if err != nil {
		return err
	}
	now := s.c.Now()
	if n > limit {
		return s.exceeded(ctx, string(project), models.QuotaUse{Quota: q, Limit: limit, Used: float64(limit)}, now)
	}
	s.tell(ctx, string(project), q, limit, float64(n), now)
	return nil
}
