package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionIsTheMostExactOneThatTheBinaryKnows(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "3d39d80c23d7213cb1b73100e878546e2cb8eceb"}, {Key: "vcs.modified", Value: "true"}}
	for want, info := range map[string]*debug.BuildInfo{
		"dev":                    {Main: debug.Module{Version: "(devel)"}},
		"v1.2.3":                 {Main: debug.Module{Version: "v1.2.3"}, Settings: commit},
		"dev-3d39d80c23d7":       {Settings: commit[:1]},
		"dev-3d39d80c23d7+dirty": {Main: debug.Module{Version: "(devel)"}, Settings: commit},
	} {
		if got := of(info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := Version("v9"); got != "v9" {
		t.Errorf("a release is called %q", got)
	}
}
