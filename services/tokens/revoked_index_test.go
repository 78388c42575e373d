package tokens

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"pulse-control-plane/models"
)

func revocationOf(n int, ends time.Time) *models.Revocation {
	p, identity := models.ProjectID(fmt.Sprint("prj_", n%10)), fmt.Sprint("participant of a usual length ", n)
	return &models.Revocation{ID: models.RevocationKey(p, "", identity), ProjectID: p, Identity: identity, ExpiresAt: ends}
}

func TestTheIndexHoldsFortyThousandRevocationsInAFewMegabytes(t *testing.T) {
	now, x := time.Now(), newRevokedIndex(maxRevocationsKnown)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 40_000 {
		x.add(revocationOf(n, now.Add(time.Hour)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 8<<20 {
		t.Errorf("%d bytes for 40,000", used)
	} else {
		t.Logf("%d bytes each", used/40_000)
	}
	for n := range 40_000 {
		if v := revocationOf(n, now); !x.has(v.ProjectID, v.RoomName, v.Identity) {
			t.Fatalf("%s is not known", v.ID)
		}
	}
	if x.has("prj_0", "daily", "participant of a usual length 0") || x.has("prj_1", "", "participant of a usual length 0") {
		t.Error("another room or project is taken for it")
	}
	if x.of("prj_3") != 4000 {
		t.Errorf("%d of one project", x.of("prj_3"))
	}
	x.forget(now.Add(time.Hour + 2*time.Second))
	if !x.empty() || x.of("prj_3") != 0 {
		t.Error("what has expired is kept")
	}
}

func TestAFullIndexTreatsEveryTokenAsPossiblyRevoked(t *testing.T) {
	now, x := time.Now(), newRevokedIndex(10)
	for n := range 11 {
		x.add(revocationOf(n, now.Add(time.Duration(n+1)*time.Minute)))
	}
	if !x.has("prj_x", "", "never revoked") {
		t.Error("the eleventh may be anybody, and is ruled out")
	}
	x.forget(now.Add(4 * time.Minute))
	if !x.has("prj_x", "", "never revoked") || x.takeAgain() {
		t.Error("nearly full, and read anew")
	}
	x.forget(now.Add(7 * time.Minute))
	if x.has("prj_x", "", "never revoked") || !x.takeAgain() || x.takeAgain() {
		t.Error("half empty, and not read anew once")
	}
}
