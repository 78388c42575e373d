package subprocess

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Ask sends a request with a JSON body and returns the status and the body of the
// response. header is names and values in turn.
func Ask(t testing.TB, method, address string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// HalfSent sends a request and half of its JSON body, on a connection that ends with
// the test, and returns the connection and the rest of the body. The request's handler
// is reading the body by then.
func HalfSent(t testing.TB, address, body string) (conn net.Conn, rest string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err = net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", at.RequestURI(), at.Host, len(body))
	// The server asks for the body when a handler reads it.
	asked, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil || !strings.Contains(asked, "100 Continue") {
		t.Fatalf("%q, %v", asked, err)
	}
	half := len(body) / 2
	fmt.Fprint(conn, body[:half])
	return conn, body[half:]
}

// Eventually polls until what holds, for at most ten seconds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: timed out", what)
		}
	}
}
