package routes

import (
	"net/http"

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
	Storage       *handlers.Storage
	APIKeys       *handlers.APIKeys
	AuditLogs     *handlers.AuditLogs
	Tokens        *handlers.Tokens
	Revocations   *handlers.Revocations
	LiveKitEvents *handlers.LiveKitEvents
	Clusters      *handlers.Clusters
	Rooms         *handlers.Rooms
	Egress        *handlers.Egress
	Ingress       *handlers.Ingress
	Events        *handlers.Events
	Endpoints     *handlers.Endpoints
	Usage         *handlers.Usage
	Quotas        *handlers.Quotas
	Docs          *handlers.Docs
	Installation  *handlers.Installation
	Overview      *handlers.Overview
	Operations    *handlers.Operations
	Downloads     *handlers.Downloads
	// Dashboard serves what is below /dashboard/; nil where it is turned off.
	Dashboard http.Handler
	// Metrics serves Prometheus' text format.
	Metrics *middleware.Metrics
}

// HandlersOf builds the handlers over the services.
func HandlersOf(s *services.Services, health *handlers.Health, metrics *middleware.Metrics, facts handlers.Facts) Handlers {
	requests, cookies := request.NewReader(), handlers.NewCookies(facts.Secure)
	usage, trail := handlers.NewUsage(s.Usage), handlers.NewAuditLogs(s.AuditLogs)
	return Handlers{
		Health:        health,
		Auth:          handlers.NewAuth(requests, s.LoginSessions, s.PasswordResets, cookies),
		Organizations: handlers.NewOrganizations(requests, s.Organizations, cookies),
		Members:       handlers.NewMembers(requests, s.Members),
		Invitations:   handlers.NewInvitations(requests, s.Invitations, cookies),
		Projects:      handlers.NewProjects(requests, s.Projects),
		Storage:       handlers.NewStorage(s.Storage),
		APIKeys:       handlers.NewAPIKeys(requests, s.Keys),
		AuditLogs:     trail,
		Tokens:        handlers.NewTokens(requests, s.Tokens),
		Revocations:   handlers.NewRevocations(requests, s.Revocations),
		Clusters:      handlers.NewClusters(s.Clusters),
		Rooms:         handlers.NewRooms(requests, s.Rooms),
		Egress:        handlers.NewEgress(requests, s.Egresses),
		Ingress:       handlers.NewIngress(requests, s.Ingresses),
		Endpoints:     handlers.NewEndpoints(requests, s.Endpoints),
		LiveKitEvents: handlers.NewLiveKitEvents(s.Inbox),
		Events:        handlers.NewEvents(s.Events),
		Usage:         usage,
		Quotas:        handlers.NewQuotas(s.Limits),
		Docs:          handlers.NewDocs(OpenAPI()),
		Installation:  handlers.NewInstallation(facts, s.Limits),
		Overview:      handlers.NewOverview(s.Overview),
		Operations:    handlers.NewOperations(requests, s.Operations),
		Downloads: handlers.NewDownloads(requests, s.Downloads, map[string]handlers.Export{
			"/v1/usage/export":      {Parameters: parametersOf("/v1/usage/export"), Serve: usage.Export},
			"/v1/audit-logs/export": {Parameters: parametersOf("/v1/audit-logs/export"), Serve: trail.Export},
		}),
		Metrics: metrics,
	}
}

// parametersOf gives the query parameters of a GET.
func parametersOf(pattern string) []string {
	return Parameters()[request.Route{Method: http.MethodGet, Pattern: pattern}]
}
