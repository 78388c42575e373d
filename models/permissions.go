package models

import "strings"

// Role is what a person is in their organization.
type Role string

// The roles, from most to least.
const (
	RoleOwner     Role = "owner"
	RoleAdmin     Role = "admin"
	RoleDeveloper Role = "developer"
	RoleViewer    Role = "viewer"
)

// Roles lists the roles, from most to least.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleDeveloper, RoleViewer} }

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r.rank() > 0 }

func (r Role) rank() int {
	switch r {
	case RoleOwner:
		return 4
	case RoleAdmin:
		return 3
	case RoleDeveloper:
		return 2
	case RoleViewer:
		return 1
	}
	return 0
}

// AtLeast reports whether r includes everything least may do.
func (r Role) AtLeast(least Role) bool { return r.rank() >= least.rank() && r.Valid() }

// Scope is what a key may be used for.
type Scope string

// The scopes; ScopeAll stands for each of them.
const (
	ScopeAll           Scope = "*"
	ScopeTokensCreate  Scope = "tokens:create"
	ScopeRoomsRead     Scope = "rooms:read"
	ScopeRoomsWrite    Scope = "rooms:write"
	ScopeEgressWrite   Scope = "egress:write"
	ScopeIngressWrite  Scope = "ingress:write"
	ScopeUsageRead     Scope = "usage:read"
	ScopeWebhooksWrite Scope = "webhooks:write"
	ScopeKeysWrite     Scope = "keys:write"
)

// Scopes lists the scopes a key may be given.
func Scopes() []Scope {
	return []Scope{ScopeAll, ScopeTokensCreate, ScopeRoomsRead, ScopeRoomsWrite, ScopeEgressWrite,
		ScopeIngressWrite, ScopeUsageRead, ScopeWebhooksWrite, ScopeKeysWrite}
}

// Action is one thing a caller may be allowed to do.
type Action string

// The actions. Permission to each is in RuleOf.
const (
	ActionOrganizationRead   Action = "organization.read"
	ActionOrganizationUpdate Action = "organization.update"
	ActionOrganizationDelete Action = "organization.delete"
	ActionPlanChange         Action = "plan.change"
	ActionSuspensionChange   Action = "suspension.change"
	ActionAccountRead        Action = "account.read"
	ActionAccountUpdate      Action = "account.update"
	ActionMembersRead        Action = "members.read"
	ActionMembersLeave       Action = "members.leave"
	ActionMembersWrite       Action = "members.write"
	ActionOwnersWrite        Action = "owners.write"
	ActionInvitationsRead    Action = "invitations.read"
	ActionInvitationsWrite   Action = "invitations.write"
	ActionAuditRead          Action = "audit.read"
	ActionProjectRead        Action = "project.read"
	ActionProjectCreate      Action = "project.create"
	ActionProjectUpdate      Action = "project.update"
	ActionProjectDelete      Action = "project.delete"
	ActionLimitsChange       Action = "limits.change"
	ActionKeysRead           Action = "keys.read"
	ActionKeysWrite          Action = "keys.write"
	ActionTokensCreate       Action = "tokens.create"
	ActionTokensValidate     Action = "tokens.validate"
	ActionTokensRevoke       Action = "tokens.revoke"
	ActionUsageRead          Action = "usage.read"
	ActionRoomsRead          Action = "rooms.read"
	ActionRoomsWrite         Action = "rooms.write"
	ActionEgressRead         Action = "egress.read"
	ActionEgressWrite        Action = "egress.write"
	ActionIngressRead        Action = "ingress.read"
	ActionIngressWrite       Action = "ingress.write"
	ActionEventsRead         Action = "events.read"
	ActionWebhooksRead       Action = "webhooks.read"
	ActionWebhooksWrite      Action = "webhooks.write"
	ActionOperations         Action = "operations.manage"
)

// Actions lists every action, in the order the table of permissions is shown.
func Actions() []Action {
	return []Action{
		ActionOrganizationRead, ActionOrganizationUpdate, ActionOrganizationDelete, ActionPlanChange,
		ActionSuspensionChange, ActionAccountRead, ActionAccountUpdate, ActionMembersRead, ActionMembersLeave,
		ActionMembersWrite, ActionOwnersWrite, ActionInvitationsRead, ActionInvitationsWrite, ActionAuditRead,
		ActionProjectRead, ActionProjectCreate, ActionProjectUpdate, ActionProjectDelete, ActionLimitsChange,
		ActionKeysRead, ActionKeysWrite, ActionTokensCreate, ActionTokensValidate, ActionTokensRevoke, ActionUsageRead,
		ActionRoomsRead, ActionRoomsWrite, ActionEgressRead, ActionEgressWrite, ActionIngressRead, ActionIngressWrite,
		ActionEventsRead, ActionWebhooksRead, ActionWebhooksWrite, ActionOperations,
	}
}

// Rule says which callers may do an action. The zero rule allows none.
type Rule struct {
	// Person is the least role a person needs; empty: no person may.
	Person Role
	// Operator reports whether the operator of the installation may.
	Operator bool
	// ServerKey reports whether a key with its secret may, on its own project.
	ServerKey bool
	// ClientKey reports whether a key alone may, on its own project.
	ClientKey bool
	// Scope is what a key needs besides; empty: any key.
	Scope Scope
}

// Needs names the credentials the rule allows, as they follow "this needs".
func (r Rule) Needs() string {
	var any []string
	if r.Person != "" {
		any = append(any, "a person's access token with the role "+string(r.Person)+" or above")
	}
	switch scope := " with the scope " + string(r.Scope); {
	case r.ClientKey && r.Scope == "":
		any = append(any, "an API key")
	case r.ClientKey:
		any = append(any, "an API key"+scope)
	case r.ServerKey && r.Scope == "":
		any = append(any, "an API key and its secret")
	case r.ServerKey:
		any = append(any, "an API key"+scope+", and its secret")
	}
	if r.Operator {
		any = append(any, "the operator's token")
	}
	return strings.Join(any, ", or ")
}

// RuleOf is the one table of permissions: role, operator and key by action.
func RuleOf(a Action) Rule {
	switch a {
	case ActionOrganizationRead:
		return Rule{Person: RoleViewer, Operator: true}
	case ActionOrganizationUpdate:
		return Rule{Person: RoleAdmin, Operator: true}
	case ActionOrganizationDelete:
		return Rule{Person: RoleOwner, Operator: true}
	case ActionPlanChange, ActionLimitsChange, ActionSuspensionChange, ActionOperations:
		return Rule{Operator: true}
	case ActionAccountRead, ActionAccountUpdate, ActionMembersLeave:
		// One's own account and membership: the operator has neither.
		return Rule{Person: RoleViewer}
	case ActionMembersRead:
		return Rule{Person: RoleViewer, Operator: true}
	case ActionMembersWrite, ActionInvitationsRead, ActionInvitationsWrite, ActionAuditRead:
		return Rule{Person: RoleAdmin, Operator: true}
	case ActionOwnersWrite:
		return Rule{Person: RoleOwner, Operator: true}
	case ActionProjectRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true}
	case ActionProjectCreate, ActionProjectUpdate:
		return Rule{Person: RoleDeveloper, Operator: true}
	case ActionProjectDelete:
		return Rule{Person: RoleAdmin, Operator: true}
	case ActionKeysRead:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeKeysWrite}
	case ActionKeysWrite:
		return Rule{Person: RoleAdmin, Operator: true, ServerKey: true, Scope: ScopeKeysWrite}
	case ActionTokensCreate:
		return Rule{Person: RoleDeveloper, ServerKey: true, ClientKey: true, Scope: ScopeTokensCreate}
	case ActionTokensRevoke:
		return Rule{Person: RoleDeveloper, ServerKey: true, Scope: ScopeTokensCreate}
	case ActionUsageRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true, Scope: ScopeUsageRead}
	case ActionRoomsRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true, Scope: ScopeRoomsRead}
	case ActionRoomsWrite:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeRoomsWrite}
	case ActionEgressRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true, Scope: ScopeEgressWrite}
	case ActionEgressWrite:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeEgressWrite}
	case ActionIngressRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true, Scope: ScopeIngressWrite}
	case ActionIngressWrite:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeIngressWrite}
	case ActionEventsRead:
		return Rule{Person: RoleViewer, Operator: true, ServerKey: true, Scope: ScopeUsageRead}
	case ActionWebhooksRead:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeWebhooksWrite}
	case ActionWebhooksWrite:
		return Rule{Person: RoleDeveloper, Operator: true, ServerKey: true, Scope: ScopeWebhooksWrite}
	case ActionTokensValidate:
		return Rule{Person: RoleDeveloper, ServerKey: true, ClientKey: true}
	}
	return Rule{}
}
