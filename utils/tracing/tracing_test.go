package tracing_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/tracing"
)

func TestSpansReachTheCollectorWithTheServicesNameAndTheHeaders(t *testing.T) {
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if zipped, zipErr := gzip.NewReader(bytes.NewReader(body)); zipErr == nil {
			body, err = io.ReadAll(zipped)
		}
		var request collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &request) != nil {
			t.Errorf("%v: %q", err, body)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.ResourceSpans {
			var service string
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			got = append(got, strings.Join([]string{r.URL.Path, r.Header.Get("Authorization"), service, resource.ScopeSpans[0].Spans[0].Name}, " "))
		}
	}))
	defer server.Close()
	provider, shutdown, err := tracing.Start(t.Context(), tracing.Config{
		Endpoint: server.URL + "/", Headers: secret.New("authorization=Bearer%20x,a=b"), Service: "svc", Version: "1", Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("t").Start(t.Context(), "op")
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "/v1/traces Bearer x svc op"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeadersThatAreNoPairsAreRefusedWithoutTheirValue(t *testing.T) {
	_, _, err := tracing.Start(t.Context(), tracing.Config{Endpoint: "http://127.0.0.1:1", Headers: secret.New("a=%zzhunter2")})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
