package middleware

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/zerolog"

	"pulse-control-plane/models"
)

// failWith responds to a request with an error and gives what was logged.
func failWith(t *testing.T, fail Func) (*httptest.ResponseRecorder, string) {
	t.Helper()
	gin.SetMode(gin.TestMode)
	var log strings.Builder
	e := gin.New()
	e.Use(RequestID, Log(zerolog.New(&log), time.Now), Recover(zerolog.New(&log)))
	e.GET("/x", Wrap(fail))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	return w, log.String()
}

func TestEachKindOfErrorHasItsStatus(t *testing.T) {
	for kind, want := range map[models.Kind]int{
		models.KindInvalid: 400, models.KindUnauthenticated: 401, models.KindQuotaExceeded: 402, models.KindForbidden: 403,
		models.KindNotFound: 404, models.KindMethod: 405, models.KindTimeout: 408, models.KindConflict: 409, models.KindTooLarge: 413,
		models.KindUnsupported: 415, models.KindRateLimited: 429, models.KindInternal: 500, models.KindUnavailable: 503, "made_up": 500,
	} {
		w, _ := failWith(t, func(*gin.Context) error {
			return fmt.Errorf("wrapped: %w", models.NewError(kind, "a_code", "A message."))
		})
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != want || p.Status != want || p.Code != "a_code" ||
			p.Detail != "A message." || p.Error != p.Detail || p.Title != http.StatusText(want) || p.RequestID != w.Header().Get("X-Request-Id") {
			t.Errorf("%s: %d %s (%v)", kind, w.Code, w.Body, err)
		}
	}
}

func TestInternalErrorsAreLoggedAndNotSent(t *testing.T) {
	const private = "the private cause"
	for name, fail := range map[string]Func{
		"a plain error":  func(*gin.Context) error { return errors.New(private) },
		"an internal":    func(*gin.Context) error { return models.Internal(errors.New(private)) },
		"an unavailable": func(*gin.Context) error { return models.Unavailable(errors.New(private)) },
		"a panic":        func(*gin.Context) error { panic(private) },
	} {
		w, log := failWith(t, fail)
		if w.Code < 500 || strings.Contains(w.Body.String(), private) || !strings.Contains(log, private) || !strings.Contains(log, `"level":"error"`) {
			t.Errorf("%s: answered %d %s, logged %s", name, w.Code, w.Body, log)
		}
	}
	if _, log := failWith(t, func(*gin.Context) error { return models.NotFound().Because(errors.New(private)) }); strings.Contains(log, private) || !strings.Contains(log, "not_found") {
		t.Errorf("a fault of the caller's logged %s", log)
	}
}

func TestExceededDeadlinesAreUnavailable(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, fmt.Errorf("asking: %w", context.DeadlineExceeded)} {
		if w, _ := failWith(t, func(*gin.Context) error { return err }); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: %d %v", err, w.Code, w.Header())
		}
	}
}

func TestAClientThatHangsUpIsAClientsErrorAtInfoLevel(t *testing.T) {
	gin.SetMode(gin.TestMode)
	var log bytes.Buffer
	e := gin.New()
	waiting := make(chan struct{})
	e.Use(RequestID, Log(zerolog.New(&log), time.Now), Recover(zerolog.New(&log)), Timeout(time.Minute))
	e.GET("/x", Wrap(func(c *gin.Context) error {
		close(waiting)
		<-c.Request.Context().Done()
		return models.Unavailable(c.Request.Context().Err())
	}))
	server := httptest.NewServer(e)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil { // half: it still reads
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	server.Close() // which waits for the line of the log
	if answer.StatusCode != 499 || !strings.Contains(log.String(), `"level":"info"`) || strings.Contains(log.String(), "error") {
		t.Fatalf("answered %s, logged %s", answer.Status, log.String())
	}
}

func TestRetryAfterIsWholeSecondsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 90 * time.Second: "90", 0: ""} {
		w, _ := failWith(t, func(*gin.Context) error {
			e := models.NewError(models.KindRateLimited, "rate_limited", "Wait.")
			e.RetryAfter = wait
			return e
		})
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: %q, want %q", wait, got, want)
		}
	}
}

// A response that is partly sent cannot become a problem: cutting the connection
// keeps the client from taking the part for the whole.
func TestAPartialResponseCutsTheConnection(t *testing.T) {
	gin.SetMode(gin.TestMode)
	e := gin.New()
	e.Use(RequestID, Recover(zerolog.Nop()))
	e.GET("/x", Wrap(func(c *gin.Context) error {
		c.Header("Content-Length", "100")
		c.String(http.StatusOK, "half")
		return errors.New("the rest is lost")
	}))
	server := httptest.NewServer(e)
	defer server.Close()
	r, err := http.Get(server.URL + "/x")
	if err != nil {
		return // cut before the first half was out
	}
	defer r.Body.Close()
	var body strings.Builder
	buffer := make([]byte, 256)
	for err == nil {
		var n int
		n, err = r.Body.Read(buffer)
		body.Write(buffer[:n])
	}
	if err.Error() == "EOF" || strings.Contains(body.String(), "problem") {
		t.Errorf("read %q and %v", body.String(), err)
	}
}

func TestTraceIDsFollowTheW3CFormat(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for parent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01": id, "": "", "00-" + id: "", "00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01": "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "", "00_" + id + "-00f067aa0ba902b7-01": "", "00-" + id + "-00f067aa0ba902b7-011": "",
	} {
		if got := traceID(parent); got != want {
			t.Errorf("%q gives %q", parent, got)
		}
	}
}
