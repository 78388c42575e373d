package buildinfo

import "runtime/debug"

// unreleased is the version of a binary that was not built as a release.
const unreleased = "dev"

// Version is the release's version if that is not "dev", else the module version
// (go install module@version; in a checkout v0.0.0-<time>-<commit>, with +dirty
// if files were changed), else the commit, else "dev". The go command stamps
// neither with -buildvcs=false, nor for `go run` without -buildvcs=true.
func Version(release string) string {
	info, ok := debug.ReadBuildInfo()
	if release != unreleased || !ok {
		return release
	}
	return of(info)
}

func of(info *debug.BuildInfo) string {
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if commit == "" {
		return unreleased
	}
	return unreleased + commit + dirty
}
