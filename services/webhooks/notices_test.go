package webhooks

import (
	"net/http"
	"testing"
)

func TestAnEndpointThatItsOwnerEnabledFirstIsNotAnnouncedAsDisabled(t *testing.T) {
	server, other := newReceiver(t, status(http.StatusGone)), newReceiver(t, nil)
	r := newRig(t)
	e, _ := r.endpoint(server.URL)
	r.endpoint(other.URL, patterns("webhook.*"))
	r.event(1, "room.started", "lobby")
	r.work()
	if got := r.read(e.ID); got.Enabled || !got.Announcing {
		t.Fatalf("%+v", got)
	}
	if _, err := r.Update(t.Context(), owner(), e.ID, EndpointChange{Enabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.notices.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.read(e.ID); !got.Enabled || got.Announcing || len(r.mails) != 0 {
		t.Errorf("%d mails, %+v", len(r.mails), got)
	}
}
