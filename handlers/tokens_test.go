package handlers

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

func TestTokenResponsesMatchTheirJSONTags(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, token := range map[string]Token{
		"empty":    {},
		"plain":    {"wss://live.example", "a.b.c", "standup", "alice", "Alice", at, "tok_1"},
		"escaped":  {"wss://live.example/?a=1&b=<2>", "a.b.c", `"quoted"\`, "tab\tand\nline", "\u2028é😀\u007f\x00", at, "tok_1"},
		"fraction": {ExpiresAt: at.Add(120 * time.Millisecond)},
	} {
		want, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.appendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestATokenResponseThatIsNotUTF8IsAnError(t *testing.T) {
	token := Token{RoomName: "\xff", ParticipantName: "after it"}
	if _, err := token.appendJSON(nil); err == nil {
		t.Error("rendered")
	}
}
