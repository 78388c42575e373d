package livekit

import (
	"testing"

	"github.com/livekit/protocol/livekit"
)

func TestNamesOfLiveKitsEnumsAreThoseOfItsModule(t *testing.T) {
	for name, want := range map[string]string{
		UnknownReason:   livekit.DisconnectReason_UNKNOWN_REASON.String(),
		EgressStarting:  livekit.EgressStatus_EGRESS_STARTING.String(),
		EgressActive:    livekit.EgressStatus_EGRESS_ACTIVE.String(),
		IngressInactive: livekit.IngressState_ENDPOINT_INACTIVE.String(),
	} {
		if name != want {
			t.Errorf("%s, not %s", name, want)
		}
	}
}
