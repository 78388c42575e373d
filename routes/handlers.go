package routes

import (
	"pulse-control-plane/handlers"
	"pulse-control-plane/handlers/request"
	"pulse-control-plane/middleware"
	"pulse-control-plane/services"
)

// Handlers are what the routes lead to.
type Handlers struct {
	Health        *handlers.Health
	Auth          *handlers.Auth
	Organizations *handlers.Organizations
	Members       *handlers.Members
	Invitations   *handlers.Invitations
	Projects      *handlers.Projects
	APIKeys       *handlers.APIKeys
	AuditLogs     *handlers.AuditLogs
	Tokens        *handlers.Tokens
	Revocations   *handlers.Revocations
	LiveKitEvents *handlers.LiveKitEvents
	Usage         *handlers.Usage
	Quotas        *handlers.Quotas
	Docs          *handlers.Docs
	// Metrics serves Prometheus' text format.
	Metrics *middleware.Metrics
}

// HandlersOf builds the handlers over the services.
func HandlersOf(s *services.Services, health *handlers.Health, metrics *middleware.Metrics) Handlers {
	requests := request.NewReader()
	return Handlers{
		Health:        health,
		Auth:          handlers.NewAuth(requests, s.LoginSessions),
		Organizations: handlers.NewOrganizations(requests, s.Organizations),
		Members:       handlers.NewMembers(requests, s.Members),
		Invitations:   handlers.NewInvitations(requests, s.Invitations),
		Projects:      handlers.NewProjects(requests, s.Projects),
		APIKeys:       handlers.NewAPIKeys(requests, s.Keys),
		AuditLogs:     handlers.NewAuditLogs(s.AuditLogs),
		Tokens:        handlers.NewTokens(requests, s.Tokens),
		Revocations:   handlers.NewRevocations(requests, s.Revocations),
		LiveKitEvents: handlers.NewLiveKitEvents(s.Inbox),
		Usage:         handlers.NewUsage(s.Usage),
		Quotas:        handlers.NewQuotas(s.Limits),
		Docs:          handlers.NewDocs(OpenAPI()),
		Metrics:       metrics,
	}
}
