package models

import "testing"

func TestEveryActionHasARule(t *testing.T) {
	for _, a := range Actions() {
		if RuleOf(a) == (Rule{}) {
			t.Errorf("%s is allowed to nobody", a)
		}
	}
}

func TestUnknownActionsAreForbiddenToEveryCaller(t *testing.T) {
	for _, p := range []Principal{{Kind: CallerOperator}, {Kind: CallerPerson, Role: RoleOwner},
		{Kind: CallerServerKey, Scopes: []Scope{ScopeAll}}, {}} {
		if p.May("made.up") == nil {
			t.Errorf("%s may", p.Kind)
		}
	}
}

func TestAKeyWithoutTheScopeIsRefused(t *testing.T) {
	p := Principal{Kind: CallerServerKey, Scopes: []Scope{ScopeRoomsRead}}
	if err := p.May(ActionTokensCreate); !HasCode(err, "insufficient_scope") {
		t.Errorf("got %v", err)
	}
}

func TestAKeyAloneIsNotServerGrade(t *testing.T) {
	p := Principal{Kind: CallerClientKey, Scopes: []Scope{ScopeAll}}
	if err := p.May(ActionKeysWrite); !HasCode(err, "secret_required") {
		t.Errorf("got %v", err)
	}
}

func TestTheZeroTenantSeesNothing(t *testing.T) {
	org, all := (&Principal{}).Tenant().Organization()
	if org != "" || all {
		t.Errorf("sees %q, all %v", org, all)
	}
}
