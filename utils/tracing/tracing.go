package tracing

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/utils/secret"
)

// exportTimeout bounds one export.
const exportTimeout = 10 * time.Second

// Config of Start; Endpoint and Service are required.
type Config struct {
	// Endpoint is the collector's base URL; traces go to its /v1/traces.
	Endpoint string
	// Headers go with each export: name=value separated by commas,
	// percent-encoded.
	Headers secret.Value
	// Service and Version name this program, unless OTEL_SERVICE_NAME or
	// OTEL_RESOURCE_ATTRIBUTES do.
	Service, Version string
	// Log gets failed exports.
	Log zerolog.Logger
}

// Start returns a provider of tracers and its shutdown, which exports what
// waits. The sampler is the one that OTEL_TRACES_SAMPLER names, by default every
// trace whose parent is sampled or missing.
func Start(ctx context.Context, c Config) (trace.TracerProvider, func(context.Context) error, error) {
	headers, err := headersOf(c.Headers.Reveal())
	if err != nil {
		return nil, nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(c.Endpoint, "/")+"/v1/traces"),
		otlptracehttp.WithHeaders(headers), otlptracehttp.WithTimeout(exportTimeout))
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	// Later detectors win: the environment over our names.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	// The library reports failed exports to a handler of the process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Log.Warn().Err(err).Msg("traces were not exported") }))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return provider, provider.Shutdown, nil
}

// headersOf reads name=value pairs with percent-encoded values.
func headersOf(text string) (map[string]string, error) {
	headers := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return nil, fmt.Errorf("tracing: header %q is not name=value", strings.TrimSpace(name))
		}
		headers[strings.TrimSpace(name)] = decoded
	}
	return headers, nil
}
