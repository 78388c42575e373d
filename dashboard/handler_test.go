package dashboard_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pulse-control-plane/dashboard"
)

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func serve(t *testing.T, cfg dashboard.Config) *dashboard.Handler {
	t.Helper()
	h, err := dashboard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var asset = regexp.MustCompile(`"(/dashboard/assets/[0-9a-f]{16}/[^"]+)"`)

func TestEveryAssetOfThePageIsImmutableCompressedAndOfItsKind(t *testing.T) {
	h := serve(t, dashboard.Config{})
	page := get(t, h, "/dashboard/")
	if page.Header.Get("Cache-Control") != "no-cache" || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page: %v", page.Header)
	}
	found := asset.FindAllStringSubmatch(body(t, page), -1)
	if len(found) < 10 {
		t.Fatalf("the page names %d assets", len(found))
	}
	for _, m := range found {
		plain, packed := get(t, h, m[1]), get(t, h, m[1], "Accept-Encoding", "br, gzip;q=0.5")
		if plain.StatusCode != http.StatusOK || plain.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Fatalf("%s: %d %v", m[1], plain.StatusCode, plain.Header)
		}
		if kind := plain.Header.Get("Content-Type"); strings.HasSuffix(m[1], ".js") && !strings.HasPrefix(kind, "text/javascript") {
			t.Errorf("%s is %s", m[1], kind)
		}
		if packed.Header.Get("Content-Encoding") == "" {
			if len(body(t, plain)) > 400 { // the smallest are no smaller compressed
				t.Errorf("%s is not compressed", m[1])
			}
			continue
		}
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil || string(unpacked) != body(t, plain) {
			t.Errorf("%s compressed is something else: %v", m[1], err)
		}
		if again := get(t, h, m[1], "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %d", m[1], again.StatusCode)
		}
		if get(t, h, m[1], "Accept-Encoding", "gzip;q=0").Header.Get("Content-Encoding") != "" {
			t.Error("gzip is sent to who refuses it")
		}
	}
}

func TestUnknownPathsServeThePageAndAssetsOfOtherReleasesAreNotFound(t *testing.T) {
	h := serve(t, dashboard.Config{})
	page := body(t, get(t, h, "/dashboard/"))
	for _, path := range []string{"/dashboard/login", "/dashboard/p/prj_x/rooms/a%2Fb", "/dashboard/../x", "/dashboard/index.html"} {
		if got := body(t, get(t, h, path)); got != page {
			t.Errorf("%s is not the page", path)
		}
	}
	for _, path := range []string{"/dashboard/assets/0000000000000000/main.js", "/dashboard/assets/x", "/dashboard/assets/" + hashOf(t, page) + "/embed.go", "/dashboard/assets/" + hashOf(t, page) + "/../main.js"} {
		if got := get(t, h, path); got.StatusCode != http.StatusNotFound || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
	}
}

func hashOf(t *testing.T, page string) string {
	t.Helper()
	return strings.Split(asset.FindStringSubmatch(page)[1], "/")[3]
}

func TestThePolicyIsThatOfAPageThatHoldsCredentials(t *testing.T) {
	h := serve(t, dashboard.Config{Connect: []string{"wss://eu.livekit.example", "http://127.0.0.1:7880", "wss://eu.livekit.example/path"}})
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob: mediastream:; " +
		"connect-src 'self' wss://eu.livekit.example ws://127.0.0.1:7880; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
	if got := get(t, h, "/dashboard/login").Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{"x", "wss://a b", "wss://a;script-src *", ""} {
		if _, err := dashboard.New(dashboard.Config{Connect: []string{bad}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestAFolderIsServedAsItIsNow(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		for name, data := range map[string]string{"index.html": `<script src="{{assets}}main.js"></script>{{preload}}`, "main.js": text} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("1")
	h := serve(t, dashboard.Config{Dir: dir})
	for _, text := range []string{"2", "3"} {
		write(text)
		url := asset.FindStringSubmatch(body(t, get(t, h, "/dashboard/")))[1]
		if got := get(t, h, url); body(t, got) != text || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", text, got.Header)
		}
	}
	if _, err := dashboard.New(dashboard.Config{Dir: t.TempDir()}); err == nil {
		t.Error("an empty folder is taken")
	}
}

// source reads the modules.
func source(t *testing.T, each func(name, text string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".js" {
			return err
		}
		data, err := os.ReadFile(name)
		each(name, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoModuleParsesHTMLRunsTextOrLoadsFromElsewhere(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|createContextualFragment|setHTML|from '[^.']|import\('[^.']|setAttribute\('style'`)
	source(t, func(name, text string) {
		for _, found := range forbidden.FindAllString(text, -1) {
			t.Errorf("%s: %s", name, found)
		}
	})
}

func TestModulesCallNothingButTheAPI(t *testing.T) {
	called := regexp.MustCompile(`fetch\(([^),]+)`)
	source(t, func(name, text string) {
		for _, m := range called.FindAllStringSubmatch(text, -1) {
			if name != "kit/api.js" && m[1] != "location.pathname" {
				t.Errorf("%s fetches %s", name, m[1])
			}
		}
	})
}

func TestTheKitStaysReadableInAnHour(t *testing.T) {
	lines := 0
	source(t, func(name, text string) {
		if strings.HasPrefix(name, "kit/") {
			lines += strings.Count(text, "\n")
		}
	})
	if lines < 300 || lines > 950 {
		t.Errorf("the kit has %d lines", lines)
	}
}
