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

func TestATimeFarInTheFutureIsNotTakenForAPastOne(t *testing.T) {
	for _, seconds := range []int64{1 << 40, 1 << 62, 1<<63 - 1} {
		if at := UnixSeconds(seconds); at.Year() < 9999 {
			t.Errorf("%d is %v", seconds, at)
		}
	}
}
