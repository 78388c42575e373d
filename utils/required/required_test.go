package required_test

import (
	"strings"
	"testing"

	"pulse-control-plane/utils/required"
)

type config struct {
	Now     func() int
	Store   *int
	Mailer  any `optional:"true"`
	Seconds int
}

func TestEveryMissingRequiredFieldIsNamed(t *testing.T) {
	err := required.Fields(config{})
	if err == nil || !strings.Contains(err.Error(), "Now, Store") || strings.Contains(err.Error(), "Mailer") {
		t.Fatalf("got %v", err)
	}
	if err := required.Fields(config{Now: func() int { return 0 }, Store: new(int)}); err != nil {
		t.Fatal(err)
	}
}
