package quotas

import (
	"context"

	"pulse-control-plane/models"
)

// AdmitIngress refuses an ingress beyond a project's quota of them. The caller stores
// the record first and calls it then, so that the new one counts: of two at once at
// the limit both may be refused, but never both admitted. Errors: quota_exceeded.
// Without a limit it costs nothing.
func (s *Limits) AdmitIngress(ctx context.Context, project models.ProjectID) error {
	limits, err := s.limitsOf(ctx, project)
	if err != nil {
		return err
	}
	limit := limits.quotas.ConcurrentIngresses
	if limit == 0 {
		return nil
	}
	n, err := s.c.Ingresses.CountOpen(ctx, project, limit+1)
	if err != nil {
		return err
	}
	now := s.c.Now()
	if n > limit {
		return s.exceeded(ctx, string(project), models.QuotaUse{Quota: models.QuotaConcurrentIngresses, Limit: limit, Used: float64(limit)}, now)
	}
	s.tell(ctx, string(project), models.QuotaConcurrentIngresses, limit, float64(n), now)
	return nil
}
