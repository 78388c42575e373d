package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/quotas"
)

// Facts are what everybody may know of an installation.
type Facts struct {
	// Secure is true if it is behind TLS.
	Secure        bool
	SignupEnabled bool
	// Mail is true if it sends mails, and OperatorLogin if it has an operator.
	Mail, OperatorLogin bool
	LiveKitURLs         []string
	Version             string
}

// Installation serves /v1/config and /v1/plans.
type Installation struct {
	facts  Facts
	limits *quotas.Limits
}

// NewInstallation makes the handlers.
func NewInstallation(f Facts, limits *quotas.Limits) *Installation { return &Installation{f, limits} }

// Config is what a page needs to know before anybody has logged in.
type Config struct {
	SignupEnabled bool     `json:"signup_enabled"`
	Mail          bool     `json:"mail"`
	LiveKitURLs   []string `json:"livekit_urls"`
	Features      Features `json:"features"`
	Version       string   `json:"version"`
}

// Features are what an installation offers, as it is set up.
type Features struct {
	OperatorLogin bool `json:"operator_login"`
	PasswordReset bool `json:"password_reset"`
}

// Config returns the public settings.
func (h *Installation) Config(c *gin.Context) error {
	return answer(c, http.StatusOK, Config{
		SignupEnabled: h.facts.SignupEnabled, Mail: h.facts.Mail, LiveKitURLs: append([]string{}, h.facts.LiveKitURLs...),
		Features: Features{OperatorLogin: h.facts.OperatorLogin, PasswordReset: h.facts.Mail}, Version: h.facts.Version,
	})
}

// Plan is what one plan allows; null is no limit.
type Plan struct {
	Name   models.Plan `json:"name"`
	Quotas PlanQuotas  `json:"quotas"`
}

// PlanQuotas are the limits of each project, and projects of the organization.
type PlanQuotas struct {
	ParticipantMinutes     *int64 `json:"participant_minutes_per_month"`
	ConcurrentParticipants *int64 `json:"concurrent_participants"`
	Rooms                  *int64 `json:"rooms"`
	EgressMinutes          *int64 `json:"egress_minutes_per_month"`
	ConcurrentEgresses     *int64 `json:"concurrent_egresses"`
	ConcurrentIngresses    *int64 `json:"concurrent_ingresses"`
	Projects               *int64 `json:"projects"`
}

// Plans is the list of plans, from least to most.
type Plans struct {
	Items []Plan `json:"items"`
}

// Plans returns the installation's plans.
func (h *Installation) Plans(c *gin.Context) error {
	if err := caller(c).May(models.ActionOrganizationRead); err != nil {
		return err
	}
	out := Plans{Items: []Plan{}}
	for _, p := range h.limits.Plans() {
		out.Items = append(out.Items, Plan{Name: p.Name, Quotas: PlanQuotas{
			ParticipantMinutes: orNull(p.Quotas.ParticipantMinutes), ConcurrentParticipants: orNull(p.Quotas.ConcurrentParticipants),
			Rooms: orNull(p.Quotas.Rooms), EgressMinutes: orNull(p.Quotas.EgressMinutes), ConcurrentEgresses: orNull(p.Quotas.ConcurrentEgresses),
			ConcurrentIngresses: orNull(p.Quotas.ConcurrentIngresses), Projects: orNull(p.Quotas.Projects),
		}})
	}
	return answer(c, http.StatusOK, out)
}

// orNull renders a limit; 0 is none.
func orNull(limit int64) *int64 {
	if limit == 0 {
		return nil
	}
	return &limit
}
