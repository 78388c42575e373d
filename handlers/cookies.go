package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/secret"
)

const (
	// cookieName and secureCookieName hold a browser's refresh token. The second
	// has a prefix that browsers take over TLS only (RFC 6265bis, 4.1.3.1).
	cookieName       = "pulse_refresh"
	secureCookieName = "__Secure-pulse_refresh"
	cookiePath       = "/v1/auth"
	// deviceCookieName holds the token by which a device that logged in before is
	// recognized, so that strangers' guesses do not lock it out.
	deviceCookieName = "pulse_device"
	// pulseRequest is a header that no form and no other origin's page can send
	// without being asked first.
	pulseRequest = "X-Pulse-Request"
)

// Cookies keep refresh tokens where no script of a page can read them.
type Cookies struct {
	secure bool
	guard  *http.CrossOriginProtection
}

// NewCookies makes them; secure is for an installation behind TLS.
func NewCookies(secure bool) *Cookies {
	return &Cookies{secure: secure, guard: http.NewCrossOriginProtection()}
}

func (k *Cookies) name() string {
	if k.secure {
		return secureCookieName
	}
	return cookieName
}

// session renders a login, and where asked puts its refresh token into the
// cookie instead. forbidden cross_origin_request for another origin's page.
func (k *Cookies) session(c *gin.Context, asked bool, l auth.Login) (Session, error) {
	if l.Device != "" {
		k.put(c, k.prefixed(deviceCookieName), l.Device, auth.DeviceFor)
	}
	if asked {
		if err := k.sameOrigin(c); err != nil {
			return Session{}, err
		}
		k.set(c, l.RefreshToken, l.RefreshFor)
		l.RefreshToken = ""
	}
	return renderSession(l), nil
}

// take reads the refresh token of a request without a body. unauthenticated
// without one; forbidden for other origins' pages.
func (k *Cookies) take(c *gin.Context) (secret.Value, error) {
	value, err := c.Request.Cookie(k.name())
	if err != nil || value.Value == "" || len(value.Value) > 512 {
		return secret.Value{}, models.Unauthenticated("invalid_refresh_token", "There is no refresh token: log in again.")
	}
	if err := k.sameOrigin(c); err != nil {
		return secret.Value{}, err
	}
	if c.GetHeader(pulseRequest) != "1" {
		return secret.Value{}, models.Forbidden("request_header_required", "Requests with the cookie require the header "+pulseRequest+": 1.")
	}
	return secret.New(value.Value), nil
}

// held reports whether a request carries the cookie.
func (k *Cookies) held(c *gin.Context) bool {
	_, err := c.Request.Cookie(k.name())
	return err == nil
}

func (k *Cookies) sameOrigin(c *gin.Context) error {
	if k.guard.Check(c.Request) != nil {
		return models.Forbidden("cross_origin_request", "The cookie is for pages of this origin.")
	}
	return nil
}

func (k *Cookies) set(c *gin.Context, token string, lasts time.Duration) {
	k.put(c, k.name(), token, lasts)
}

func (k *Cookies) put(c *gin.Context, name, value string, lasts time.Duration) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: name, Value: value, Path: cookiePath, MaxAge: int(lasts / time.Second),
		HttpOnly: true, Secure: k.secure, SameSite: http.SameSiteStrictMode,
	})
}

// device reads the token of a device that logged in before, or "".
func (k *Cookies) device(c *gin.Context) string {
	value, err := c.Request.Cookie(k.prefixed(deviceCookieName))
	if err != nil || len(value.Value) > 128 {
		return ""
	}
	return value.Value
}

// prefixed gives a name the prefix of cookies over TLS.
func (k *Cookies) prefixed(name string) string {
	if k.secure {
		return "__Secure-" + name
	}
	return name
}

func (k *Cookies) clear(c *gin.Context) { k.set(c, "", -time.Second) }
