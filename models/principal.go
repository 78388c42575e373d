package models

import (
	"slices"
	"time"
)

// CallerKind is how a caller proved who they are.
type CallerKind string

// The kinds of caller.
const (
	// CallerNobody is a caller without a credential.
	CallerNobody CallerKind = ""
	// CallerPerson holds an access token of a session.
	CallerPerson CallerKind = "person"
	// CallerClientKey showed a key alone: it may come from a browser or app.
	CallerClientKey CallerKind = "client_key"
	// CallerServerKey showed a key and its secret.
	CallerServerKey CallerKind = "server_key"
	// CallerOperator holds PULSE_ADMIN_TOKEN.
	CallerOperator CallerKind = "operator"
	// CallerSystem is Pulse itself, which does by itself what no caller asked
	// for; authentication never gives it, and it may do nothing of what May
	// guards.
	CallerSystem CallerKind = "system"
)

// Principal is who calls, built by authentication alone and passed as an
// argument. Its zero value may do nothing.
type Principal struct {
	Kind CallerKind
	// OrgID is set for a person and a key.
	OrgID OrganizationID

	// Of a person.
	UserID    UserID
	Role      Role
	SessionID SessionID

	// Of a key. Project is the snapshot the key was verified against.
	Project *Project
	KeyID   KeyID
	Scopes  []Scope
	// Quotas are the project's.
	Quotas Quotas
	// RotatedAt and EndsAt are set for a pair that another has replaced: when,
	// and when it stops working. Every answer it gets says so.
	RotatedAt, EndsAt time.Time

	// Origin is where the request came from, for the audit trail.
	Origin Origin

	// RateKey names the bucket this caller's requests are counted in, and
	// RequestsPerMinute its size; 0 is no limit.
	RateKey           string
	RequestsPerMinute int64
}

// May answers nil when the caller may do the action somewhere; where, is the
// tenant's matter (Tenant). Otherwise forbidden: insufficient_role,
// secret_required, insufficient_scope or not_allowed.
func (p *Principal) May(a Action) error {
	rule := RuleOf(a)
	switch p.Kind {
	case CallerOperator:
		if rule.Operator {
			return nil
		}
	case CallerPerson:
		if rule.Person == "" {
			break
		}
		if p.Role.AtLeast(rule.Person) {
			return nil
		}
		return Forbidden("insufficient_role", "You called with the access token of a person with the role "+string(p.Role)+"; this needs the role "+
			string(rule.Person)+" or above.")
	case CallerServerKey, CallerClientKey:
		if !rule.ServerKey && !rule.ClientKey {
			break
		}
		if p.Kind == CallerClientKey && !rule.ClientKey {
			return Forbidden("secret_required", "You called with an API key alone; this needs the key and its secret.")
		}
		if rule.Scope == "" || p.HasScope(rule.Scope) {
			return nil
		}
		return Forbidden("insufficient_scope", "You called with an API key that lacks the scope "+string(rule.Scope)+"; this needs it.")
	case CallerSystem:
	case CallerNobody:
		return Unauthenticated("unauthenticated", "You called without a credential; this needs "+rule.Needs()+".")
	}
	return p.Refused("not_allowed", rule.Needs())
}

// Refused says with what kind of credential the caller called and which would
// serve: forbidden with the code.
func (p *Principal) Refused(code, needs string) *Error {
	return Forbidden(code, "You called "+p.Kind.Credential()+"; this needs "+needs+".")
}

// Credential names what a caller proved who they are with, as it follows "You
// called".
func (k CallerKind) Credential() string {
	switch k {
	case CallerPerson:
		return "with a person's access token"
	case CallerClientKey:
		return "with an API key alone"
	case CallerServerKey:
		return "with an API key and its secret"
	case CallerOperator:
		return "with the operator's token"
	case CallerNobody, CallerSystem:
	}
	return "without a credential"
}

// HasScope reports whether the caller's key has the scope.
func (p *Principal) HasScope(s Scope) bool {
	return slices.Contains(p.Scopes, ScopeAll) || slices.Contains(p.Scopes, s)
}

// HasScopes reports whether the caller may hand out, or change, a key with these
// scopes: people and the operator any, a key at most its own.
func (p *Principal) HasScopes(scopes []Scope) bool {
	if p.Kind != CallerServerKey && p.Kind != CallerClientKey {
		return true
	}
	for _, s := range scopes {
		if !p.HasScope(s) {
			return false
		}
	}
	return true
}

// Tenant is the part of the data the caller may see.
func (p *Principal) Tenant() Tenant {
	switch p.Kind {
	case CallerOperator:
		return Tenant{all: true}
	case CallerPerson:
		return Tenant{org: p.OrgID}
	case CallerServerKey, CallerClientKey:
		return Tenant{org: p.OrgID, project: p.Project.ID}
	case CallerNobody, CallerSystem:
	}
	return Tenant{}
}

// Tenant limits a query to one organization, or to one project of it, or (the
// operator's) to nothing. The zero Tenant sees nothing.
type Tenant struct {
	org     OrganizationID
	project ProjectID
	all     bool
}

// TenantOf is the tenant of one organization, for work Pulse does by itself.
func TenantOf(org OrganizationID) Tenant { return Tenant{org: org} }

// Organization gives the organization, or "" with all for the operator.
func (t Tenant) Organization() (org OrganizationID, all bool) { return t.org, t.all }

// Project gives the one project that a key is limited to, or "".
func (t Tenant) Project() ProjectID { return t.project }

// PrincipalKey is where middleware leaves the *Principal of a request for the
// handler, which takes it out once and passes it on as an argument.
const PrincipalKey = "pulse.principal"

// Key names the tenant in ids and scopes: its organization and project, "*"
// for the whole installation.
func (t Tenant) Key() string {
	if t.all {
		return "*"
	}
	return string(t.org) + "|" + string(t.project)
}
