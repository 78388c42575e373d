package authorization

import (
	"encoding/base64"
	"testing"
)

func TestBlanksAroundACredentialMakeNoDifference(t *testing.T) {
	for value, want := range map[string][2]string{
		"": {}, " \t ": {}, "Bearer": {"Bearer", ""}, "Bearer ": {"Bearer", ""}, "Bearer\t": {"Bearer", ""}, "Bearer x": {"Bearer", "x"},
		"Bearer\tx": {"Bearer", "x"}, "Bearer \t  x\t": {"Bearer", "x"}, "\tbearer x": {"bearer", "x"}, "Bearer x y": {"Bearer", "x y"}, "Bearer\u00a0x": {"Bearer\u00a0x", ""},
	} {
		scheme, credential := Split(value)
		if scheme != want[0] || credential != want[1] {
			t.Errorf("%q is split into %q and %q", value, scheme, credential)
		}
	}
}

func TestOnlyTheSchemeBearerGivesABearerCredential(t *testing.T) {
	for value, want := range map[string]string{"Bearer x": "x", "BEARER\tx": "x", "Basic x": "", "x": "", "Bearer": "", "": ""} {
		if got := Bearer(value); got != want {
			t.Errorf("%q gives %q", value, got)
		}
	}
}

func TestABasicCredentialIsAUserAndAPassword(t *testing.T) {
	for plain, want := range map[string]bool{"a:b": true, "a:b:c": true, ":": true, "a": false, "": false} {
		if _, _, ok := Basic(base64.StdEncoding.EncodeToString([]byte(plain))); ok != want {
			t.Errorf("%q is read: %v", plain, ok)
		}
	}
	if user, password, ok := Basic("YTpiOmM="); user != "a" || password != "b:c" || !ok {
		t.Errorf("%q, %q, %v", user, password, ok)
	}
	if _, _, ok := Basic("!"); ok {
		t.Error("what is no base64 is read")
	}
}
