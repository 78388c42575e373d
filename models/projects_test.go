package models

import "testing"

func TestAPatternMatchesTheWholeName(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "anything", true}, {"lobby", "lobby", true}, {"lobby", "lobby2", false}, {"lobby", "Lobby", false},
		{"lobby-*", "lobby-", true}, {"lobby-*", "lobby-1", true}, {"lobby-*", "a-lobby-1", false}, {"*-lobby", "a-lobby", true},
		{"*-lobby", "a-lobby-1", false}, {"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "acb", false},
		{"**", "x", true}, {"a?", "ab", false}, {"[ab]", "a", false}, {".*", "x", false}, {"", "", true}, {"", "x", false},
	} {
		if got := MatchesPattern(tc.pattern, tc.name); got != tc.want {
			t.Errorf("%q and %q: %v", tc.pattern, tc.name, got)
		}
	}
}

func TestAnUnnamedAgentTakesTheRightToDispatchAll(t *testing.T) {
	for _, tc := range []struct {
		agents []string
		name   string
		want   bool
	}{
		{nil, "", false}, {nil, "scribe", false}, {[]string{"scribe"}, "scribe", true}, {[]string{"scribe"}, "Scribe", false},
		{[]string{"scribe"}, "", false}, {[]string{""}, "", false}, {[]string{"*"}, "", true}, {[]string{"*"}, "scribe", true},
		{[]string{"scr*"}, "scribe", false}, // names, not patterns: only * alone stands for all
	} {
		if got := MayDispatch(tc.agents, tc.name); got != tc.want {
			t.Errorf("%q of %q: %v", tc.name, tc.agents, got)
		}
	}
}
