package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/downloads"
	"pulse-control-plane/utils/secret"
)

// Export is a route that downloads may be of.
type Export struct {
	// Parameters are those its query may have.
	Parameters []string
	// Serve serves it, and authenticates its caller again by the way.
	Serve func(Again) func(*gin.Context) error
}

// Downloads serves /v1/downloads.
type Downloads struct {
	requests *request.Reader
	service  *downloads.Service
	exports  map[string]Export
}

// NewDownloads makes the handlers of a service; exports are by path.
func NewDownloads(r *request.Reader, s *downloads.Service, exports map[string]Export) *Downloads {
	return &Downloads{r, s, exports}
}

type downloadRequest struct {
	Path string `json:"path" validate:"required,max=2048"`
}

// Download is a URL that works once.
type Download struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Create makes a download of an export.
func (h *Downloads) Create(c *gin.Context) error {
	var in downloadRequest
	if err := h.requests.Body(c, &in); err != nil {
		return err
	}
	if _, err := h.export(in.Path); err != nil {
		return err
	}
	made, err := h.service.Create(c.Request.Context(), actor(c), in.Path)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, Download{ExpiresAt: instant(made.ExpiresAt),
		URL: "/v1/downloads/" + string(made.ID) + "?" + url.Values{"key": {made.Key.Reveal()}}.Encode()})
}

// export finds the export that a path names.
func (h *Downloads) export(path string) (Export, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Scheme != "" || u.Host != "" {
		return Export{}, models.Invalid(models.FieldError{Location: "body.path", Message: "must be a path such as /v1/usage/export?format=csv"})
	}
	export, ok := h.exports[u.Path]
	if !ok {
		return Export{}, models.Invalid(models.FieldError{Location: "body.path", Message: "must be the path of an export"})
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil { // the export would be served without what does not parse
		return Export{}, models.Invalid(models.FieldError{Location: "body.path", Message: "has a query that does not parse"})
	}
	for name, values := range query {
		switch {
		case !slices.Contains(export.Parameters, name):
			return Export{}, models.Invalid(models.FieldError{Location: "body.path", Message: "has a parameter that the export does not accept"})
		case len(values) > 1:
			return Export{}, models.Invalid(models.FieldError{Location: "body.path", Message: "has a parameter more than once"})
		}
	}
	return export, nil
}

// Fetch serves a download, once; HEAD does not use it up.
func (h *Downloads) Fetch(c *gin.Context) error {
	q := request.NewQuery(c)
	key := q.Text("key")
	if err := q.Err(); err != nil {
		return err
	}
	head := c.Request.Method == http.MethodHead
	actor, path, err := h.service.Open(c.Request.Context(), models.DownloadID(c.Param("id")), secret.New(key), !head)
	if err != nil {
		return err
	}
	export, err := h.export(path)
	if err != nil || head {
		return err
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return models.Internal(err)
	}
	c.Set(models.PrincipalKey, actor)
	original, asked := c.Request, *c.Request
	asked.URL = u
	c.Request = &asked
	defer func() { c.Request = original }()
	again := func(c *gin.Context) (*models.Principal, error) { return h.service.Again(c.Request.Context(), actor) }
	return export.Serve(again)(c)
}
