package httpserver

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// healthTimeout bounds a health check.
const healthTimeout = 2 * time.Second

// Healthy returns nil if a GET of the URL answers 200 within two seconds.
func Healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
