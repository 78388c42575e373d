package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	apiTimeout = 10 * time.Second
	// apiAnswerLimit bounds how much of a response is read.
	apiAnswerLimit = 4 << 20
)

// API is a client of the part of /v1 that the tests use. Each method returns an *[APIError] when the response is not 2xx.
type API struct {
	base string
	http *http.Client
}

// NewAPI makes a client of the product at base, an http URL without a path.
func NewAPI(base string) *API {
	return &API{base: base, http: &http.Client{Timeout: apiTimeout}}
}

// APIError is a response other than 2xx, decoded as problem+json (RFC 9457).
type APIError struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Body   string `json:"-"` // the whole response
}

// Error names status, code and detail.
func (e *APIError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("HTTP %d: %s", e.Status, e.Body)
	}
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, e.Code, e.Detail)
}

// Session is the credential pair of a login session.
type Session struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// Account is a new organization, its owner and the owner's login session.
type Account struct {
	Organization struct {
		ID string `json:"id"`
	} `json:"organization"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Session Session `json:"session"`
}

// Project is a new project with its first API key, whose secret is shown once.
type Project struct {
	Project struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"project"`
	Key    string `json:"pulse_api_key"`
	Secret string `json:"pulse_api_secret"`
}

// ID is the project's id, prj_….
func (p Project) ID() string { return p.Project.ID }

// TokenRequest is the body of POST /v1/tokens/create.
type TokenRequest struct {
	RoomName            string            `json:"room_name,omitempty"`
	ParticipantIdentity string            `json:"participant_identity,omitempty"`
	ParticipantName     string            `json:"participant_name,omitempty"`
	ParticipantMetadata string            `json:"participant_metadata,omitempty"`
	Attributes          map[string]string `json:"participant_attributes,omitempty"`
	RoomConfig          json.RawMessage   `json:"room_config,omitempty"` // LiveKit's RoomConfiguration
	TTLSeconds          int               `json:"ttl_seconds,omitempty"`
	Grants              map[string]any    `json:"grants,omitempty"`
}

// Token is the response to it.
type Token struct {
	ServerURL           string    `json:"server_url"`
	ParticipantToken    string    `json:"participant_token"`
	RoomName            string    `json:"room_name"`
	ParticipantIdentity string    `json:"participant_identity"`
	ParticipantName     string    `json:"participant_name"`
	ExpiresAt           time.Time `json:"expires_at"`
	TokenID             string    `json:"token_id"`
}

// Validation is the response of POST /v1/tokens/validate.
type Validation struct {
	Valid               bool   `json:"valid"`
	Reason              string `json:"reason"`
	RoomName            string `json:"room_name"`
	ParticipantIdentity string `json:"participant_identity"`
	TokenID             string `json:"token_id"`
}

// SignUp creates an organization and its owner.
func (a *API) SignUp(ctx context.Context, organization, email, password string) (Account, error) {
	in := map[string]string{"name": organization, "admin_email": email, "password": password}
	var out Account
	err := a.Do(ctx, http.MethodPost, "/v1/organizations", nil, in, &out)
	return out, err
}

// CreateProject creates a project in the organization of the logged-in person.
func (a *API) CreateProject(ctx context.Context, s Session, name string) (Project, error) {
	var out Project
	err := a.Do(ctx, http.MethodPost, "/v1/projects", AsPerson(s), map[string]string{"name": name}, &out)
	return out, err
}

// CreateToken mints a LiveKit token as caller ([AsClient] or [AsServer]).
func (a *API) CreateToken(ctx context.Context, caller http.Header, in TokenRequest) (Token, error) {
	var out Token
	err := a.Do(ctx, http.MethodPost, "/v1/tokens/create", caller, in, &out)
	return out, err
}

// ValidateToken asks whether a LiveKit token is valid for the caller's project.
func (a *API) ValidateToken(ctx context.Context, caller http.Header, token string) (Validation, error) {
	var out Validation
	err := a.Do(ctx, http.MethodPost, "/v1/tokens/validate", caller, map[string]string{"token": token}, &out)
	return out, err
}

// AsPerson are the headers of a logged-in person.
func AsPerson(s Session) http.Header {
	return http.Header{"Authorization": {"Bearer " + s.AccessToken}}
}

// AsClient are the headers of client grade.
func AsClient(p Project) http.Header { return http.Header{"X-Pulse-Key": {p.Key}} }

// AsServer are the headers of server grade.
func AsServer(p Project) http.Header {
	return http.Header{"X-Pulse-Key": {p.Key}, "X-Pulse-Secret": {p.Secret}}
}

// Do sends in as JSON (nothing if nil) to path with the given headers and decodes a 2xx response into out (unless nil).
func (a *API) Do(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, apiAnswerLimit))
	if err != nil {
		return fmt.Errorf("read the response of %s %s: %w", method, path, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		problem := &APIError{Body: string(answer)}
		_ = json.Unmarshal(answer, problem) // any other response is shown as it is
		problem.Status = res.StatusCode
		return problem
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("unexpected response of %s %s: %w: %s", method, path, err, answer)
	}
	return nil
}

// Within is the same client with another limit of how long a response may take.
func (a *API) Within(limit time.Duration) *API {
	return &API{base: a.base, http: &http.Client{Timeout: limit}}
}
