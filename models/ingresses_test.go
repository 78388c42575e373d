package models

import "testing"

func TestTheNameOfAnIngressIsQualifiedInAndStrippedOut(t *testing.T) {
	const id = IngressID("igr_01a2063f-e6cc-7690-9e88-10046bbf09e7")
	for _, name := range []string{"", "studio", " two  words", "igr_01a2063f-e6cc-7690-9e88-10046bbf09e7"} {
		if gotID, got := SplitIngress(QualifyIngress(id, name)); gotID != id || got != name {
			t.Errorf("%q comes back as %q of %q", name, got, gotID)
		}
	}
	for _, name := range []string{"", "studio", "igr_short", string(id) + "x"} {
		if gotID, got := SplitIngress(name); gotID != "" || got != name {
			t.Errorf("%q is taken for %q of %q", name, got, gotID)
		}
	}
}
