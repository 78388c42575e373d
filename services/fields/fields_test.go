package fields

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pulse-control-plane/models"
)

func TestEveryWrongFieldIsReportedOnceWithItsFirstMessage(t *testing.T) {
	var wrong Errors
	wrong.Required("name", "")
	wrong.OneOf("name", "x", []string{"a", "b"})
	wrong.OneOf("layout", "x", []string{"a", "b"})
	wrong.Between("width", 5, 16, 32)
	wrong.AtMost("url", "four", 3)
	wrong.RoomName("room_name", "a/b")
	want := "name: is required; layout: must be one of: a, b; width: must be from 16 to 32; url: must be at most 3 bytes long; room_name: must be 1"
	var got []string
	for _, e := range wrong {
		got = append(got, e.Location+": "+e.Message)
	}
	if text := strings.Join(got, "; "); !strings.HasPrefix(text, want) || len(wrong) != 5 {
		t.Errorf("got %s", text)
	}
	if err := wrong.Err(); !models.IsKind(err, models.KindInvalid) {
		t.Errorf("the error is %v", err)
	}
}

func TestFieldsThatAreLeftOutOrAllowedAreNotReported(t *testing.T) {
	var wrong Errors
	wrong.Required("name", "x")
	wrong.OneOf("layout", "", []string{"a"})
	wrong.OneOf("layout", "a", []string{"a"})
	wrong.Between("width", 0, 16, 32)
	wrong.Between("width", 32, 16, 32)
	wrong.AtMost("url", "fit", 3)
	wrong.RoomName("room_name", "")
	wrong.RoomName("room_name", "hall")
	if err := wrong.Err(); err != nil {
		t.Error(err)
	}
}

// guard refuses with an error.
type guard struct{ err error }

func (g guard) CheckURL(context.Context, string) error { return g.err }

func TestAMessageAboutAURLNeverRepeatsIt(t *testing.T) {
	secret := "rtmp://live.example.com/app/stream-key"
	err := CheckURL(t.Context(), guard{errors.New("parse " + secret)}, secret)
	if err != nil && strings.Contains(err.Error(), "stream-key") {
		t.Errorf("it says %v", err)
	}
	if err := CheckURL(t.Context(), guard{}, secret+strings.Repeat("x", maxURL)); err == nil || strings.Contains(err.Error(), "stream-key") {
		t.Errorf("one that is too long: %v", err)
	}
	if err := CheckURL(t.Context(), guard{}, secret); err != nil {
		t.Error(err)
	}
}
