package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	// Path is where the dashboard is served.
	Path = "/dashboard/"
	// assets are below it, then comes the hash of all of them.
	assetsPath = Path + "assets/"
	indexName  = "index.html"
	// maxFiles and maxBytes bound what a folder on disk may hold.
	maxFiles = 500
	maxBytes = 8 << 20
)

// Config of New.
type Config struct {
	// Dir, when set, is read anew for every page instead of what is embedded:
	// for work on the dashboard itself.
	Dir string
	// Connect are the URLs of the LiveKit clusters (ws, wss, http or https) that
	// the page may connect to.
	Connect []string
}

// Handler serves the page and its assets. It is safe for concurrent use.
type Handler struct {
	policy string
	dir    fs.FS
	fixed  *bundle
}

// bundle is one state of the files, ready to be sent.
type bundle struct {
	hash  string
	page  asset
	files map[string]asset
}

// asset is a file and its compressed form.
type asset struct {
	kind        string
	plain, gzip []byte
	etag        string
}

// New prepares what is served; an error says what is wrong with the files or
// with a URL of cfg.
func New(cfg Config) (*Handler, error) {
	policy, err := contentPolicy(cfg.Connect)
	if err != nil {
		return nil, err
	}
	h := &Handler{policy: policy}
	source := fs.FS(files)
	if cfg.Dir != "" {
		source = os.DirFS(cfg.Dir)
		h.dir = source
	}
	b, err := read(source)
	if err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	h.fixed = b
	return h, nil
}

// contentPolicy lets the page run what this binary serves and connect to this
// origin and to LiveKit, and nothing else.
func contentPolicy(connect []string) (string, error) {
	sources := []string{"'self'"}
	for _, raw := range connect {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " ;,'") {
			return "", errors.New("dashboard: a LiveKit URL is not one")
		}
		scheme := "wss"
		if u.Scheme == "ws" || u.Scheme == "http" {
			scheme = "ws"
		}
		if source := scheme + "://" + u.Host; !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob: mediastream:; " +
		"connect-src " + strings.Join(sources, " ") + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'", nil
}

// ServeHTTP answers GET and HEAD below Path. Whatever is no asset is the page:
// its router knows the rest of the URL.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := h.fixed
	if h.dir != nil {
		fresh, err := read(h.dir)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError) // a developer reads it
			return
		}
		b = fresh
	}
	header := w.Header()
	header.Set("Content-Security-Policy", h.policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	rest, isAsset := strings.CutPrefix(r.URL.Path, assetsPath)
	if !isAsset {
		header.Set("Cache-Control", "no-cache")
		b.page.send(w, r)
		return
	}
	hash, name, _ := strings.Cut(rest, "/")
	file, known := b.files[name]
	switch {
	case !known, hash != b.hash && h.dir == nil:
		// A page from before an update asks for what is gone; it reloads itself.
		header.Set("Cache-Control", "no-store")
		http.NotFound(w, r)
	case h.dir != nil:
		header.Set("Cache-Control", "no-store")
		file.send(w, r)
	default:
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
		file.send(w, r)
	}
}

// send writes an asset, compressed if the client reads that.
func (a asset) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", a.kind)
	header.Set("ETag", a.etag)
	header.Add("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.plain
	if len(a.gzip) < len(a.plain) && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body = a.gzip
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(item, ";")
		if coding = strings.TrimSpace(coding); !strings.EqualFold(coding, "gzip") && coding != "*" {
			continue
		}
		_, quality, given := strings.Cut(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(quality, 64)
		return !given || err == nil && q > 0
	}
	return false
}

// read makes a bundle of a folder: every file that has a kind the page uses.
func read(source fs.FS) (*bundle, error) {
	raw, total := map[string][]byte{}, 0
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || kindOf(name) == "" {
			return err
		}
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		raw[name] = data
		if total += len(data); total > maxBytes || len(raw) > maxFiles {
			return errors.New("the folder holds more than a dashboard does")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	index, ok := raw[indexName]
	if !ok {
		return nil, errors.New("there is no " + indexName)
	}
	names := make([]string, 0, len(raw))
	for name := range raw {
		names = append(names, name)
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		fmt.Fprintf(sum, "%s %d\n", name, len(raw[name]))
		sum.Write(raw[name])
	}
	b := &bundle{hash: hex.EncodeToString(sum.Sum(nil))[:16], files: make(map[string]asset, len(raw))}
	for _, name := range names {
		if name == indexName {
			continue
		}
		if b.files[name], err = newAsset(kindOf(name), raw[name]); err != nil {
			return nil, err
		}
	}
	base := assetsPath + b.hash + "/"
	page := strings.ReplaceAll(string(index), "{{assets}}", base)
	page = strings.Replace(page, "{{preload}}", preload(base, names), 1)
	b.page, err = newAsset("text/html; charset=utf-8", []byte(page))
	return b, err
}

// preload names the modules every screen needs, so that the browser does not
// learn of them one import after the other.
func preload(base string, names []string) string {
	var out strings.Builder
	for _, name := range names {
		folder := path.Dir(name)
		if path.Ext(name) == ".js" && (folder == "kit" || folder == "shell" || name == "messages.js" || name == "screens/parts.js") {
			out.WriteString(`<link rel="modulepreload" href="` + base + name + "\">\n")
		}
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// kindOf gives the media type of a file the page may ask for, "" of another.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

func newAsset(kind string, data []byte) (asset, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	if _, err := z.Write(data); err != nil {
		return asset{}, err
	}
	if err := z.Close(); err != nil {
		return asset{}, err
	}
	sum := sha256.Sum256(data)
	return asset{kind: kind, plain: data, gzip: packed.Bytes(), etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`}, nil
}
